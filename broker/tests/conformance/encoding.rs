//! Data types, fixed header and packet identifiers (MQTT 5 and 3.1.1, sections 1.5 and 2).

use crate::client::{
    BOTH, PINGREQ, PUBACK, PUBREC, SUBACK, SUBSCRIBE, UNSUBACK, UNSUBSCRIBE, connect, connect_body,
    lasting, subscribe_body, unsubscribe_body,
};
use crate::harness::Door;
use crate::wire::{Wire, packet, publish, text};

/// Not UTF-8: a lone continuation byte, an overlong form, a surrogate, above U+10FFFF, cut off.
const ILL_FORMED: [&[u8]; 5] = [
    &[0x80],
    &[0xC0, 0xAF],
    &[0xED, 0xA0, 0x80],
    &[0xF4, 0x90, 0x80, 0x80],
    &[0xE2, 0x82],
];

fn data(bytes: &[u8]) -> Vec<u8> {
    let mut all = (bytes.len() as u16).to_be_bytes().to_vec();
    all.extend(bytes);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_1_5_4_1_a_string_that_is_not_utf_8_ends_the_connection() {
    let door = Door::open().await;
    for level in BOTH {
        for bad in ILL_FORMED {
            let none: &[u8] = if level == 5 { &[0] } else { &[] };
            let topic = [&data(bad), none, b"1"].concat();
            let filter = [&[0, 1], none, &data(bad), &[0]].concat();
            let unsubscribe = [&[0, 1], none, &data(bad)].concat();
            for (first, body) in [
                (0x30, topic),
                (SUBSCRIBE, filter),
                (UNSUBSCRIBE, unsubscribe),
            ] {
                let mut client = door.client(level, "c").await;
                client.send(&packet(first, &body)).await;
                client.expect_end(0x81).await;
            }
            for rest in [data(bad), [text("c"), data(bad)].concat()] {
                let user = if rest.len() > 8 || rest.starts_with(&text("c")) {
                    0x80
                } else {
                    0
                };
                let bytes = connect_body("MQTT", level, 0x02 | user, &[], &rest);
                let mut client = Wire::raw(door.port, level, &bytes).await;
                client.expect_refused(None, 0x81).await;
            }
            let will = [&text("c"), none, &data(bad), &text("gone")].concat();
            let bytes = connect_body("MQTT", level, 0x06, &[], &will);
            let mut client = Wire::raw(door.port, level, &bytes).await;
            client.expect_refused(None, 0x81).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_1_5_4_2_a_string_with_nul_ends_the_connection() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        client.publish("a\0b", "1", 0, 0).await;
        client.expect_end(0x81).await;
        let mut client = door.client(level, "c").await;
        let body = subscribe_body(level, 1, &[], &[("a\0b", 0)]);
        client.send(&packet(SUBSCRIBE, &body)).await;
        client.expect_end(0x81).await;
        let bytes = connect_body("MQTT", level, 0x02, &[], &text("c\0"));
        let mut client = Wire::raw(door.port, level, &bytes).await;
        client.expect_refused(None, 0x81).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_1_5_4_3_a_byte_order_mark_is_a_character_like_others() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        client.subscribe(1, "\u{FEFF}a", 0).await;
        client.subscribe(2, "a", 0).await;
        client.publish("\u{FEFF}a", "1", 0, 0).await;
        assert_eq!(client.message().await.topic, "\u{FEFF}a");
        client.expect_silence().await;
        let _other = door.client(level, "\u{FEFF}c").await;
        client.expect_silence().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_1_5_5_1_a_length_longer_than_it_needs_is_malformed_in_mqtt_5() {
    let door = Door::open().await;
    let mut client = door.client(5, "c").await;
    client.send(&[0xC0, 0x80, 0]).await;
    client.expect_end(0x81).await;
    let mut client = door.client(5, "c").await;
    // The length of the properties.
    client.send(&packet(0x30, &[0, 1, b'a', 0x80, 0])).await;
    client.expect_end(0x81).await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        client.send(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]).await;
        client.expect_end(0x81).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_2_1_3_1_reserved_flags_of_the_fixed_header_end_the_connection() {
    let door = Door::open().await;
    for level in BOTH {
        let subscribe = subscribe_body(level, 1, &[], &[("a", 0)]);
        let unsubscribe = unsubscribe_body(level, 1, &["a"]);
        for (first, body) in [
            (0x41, vec![0, 1]),
            (0x58, vec![0, 1]),
            (0x72, vec![0, 1]),
            (0xC1, vec![]),
            (0xE1, vec![]),
            (0x60, vec![0, 1]),
            (0x80, subscribe.clone()),
            (0x83, subscribe),
            (0xA0, unsubscribe.clone()),
            (0xA6, unsubscribe),
            (0xF1, vec![0x18, 0]),
        ] {
            let mut client = door.client(level, "c").await;
            client.send(&packet(first, &body)).await;
            client.expect_end(0x81).await;
        }
        let mut bytes = connect(level, "c").bytes();
        bytes[0] |= 1;
        Wire::raw(door.port, level, &bytes)
            .await
            .expect_closed()
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_2_1_2_1_packets_of_a_server_and_type_0_end_the_connection() {
    let door = Door::open().await;
    for level in BOTH {
        for (bytes, reason) in [
            (&[0x00, 0][..], 0x81),
            (&[0x20, 3, 0, 0, 0], 0x82),
            (&[0x90, 3, 0, 1, 0], 0x82),
            (&[0xB0, 3, 0, 1, 0], 0x82),
            (&[0xD0, 0], 0x82),
        ] {
            let mut client = door.client(level, "c").await;
            client.send(bytes).await;
            client.expect_end(reason).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_2_2_1_2_a_publish_of_qos_0_has_no_packet_identifier() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        client.subscribe(1, "a", 2).await;
        client.publish("a", "12", 0, 0).await;
        // `message` reads an identifier only with a higher quality: here all is payload.
        assert_eq!(client.message().await.payload, "12");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_2_2_1_3_packet_identifier_0_is_malformed() {
    let door = Door::open().await;
    for level in BOTH {
        for bytes in [
            publish(level, "a", b"1", 0x02, 0, &[]),
            publish(level, "a", b"1", 0x04, 0, &[]),
            packet(SUBSCRIBE, &subscribe_body(level, 0, &[], &[("a", 0)])),
            packet(UNSUBSCRIBE, &unsubscribe_body(level, 0, &["a"])),
            packet(PUBACK, &[0, 0]),
            packet(PUBREC, &[0, 0]),
            packet(0x62, &[0, 0]),
            packet(0x70, &[0, 0]),
        ] {
            let mut client = door.client(level, "c").await;
            client.send(&bytes).await;
            let end = client.packet().await;
            let told = matches!(&end, Some((0xE0, body)) if matches!(body[0], 0x81 | 0x82));
            assert!(
                if level == 5 { told } else { end.is_none() },
                "{bytes:?}: {end:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_2_2_1_4_an_identifier_is_not_used_again_before_its_acknowledgement() {
    let door = Door::open().await;
    for level in BOTH {
        for qos in [1, 2] {
            let mut client = door.client(level, "c").await;
            client.subscribe(1, "a", qos).await;
            let mut publisher = door.client(level, "p").await;
            let mut used = vec![];
            for round in 0..40 {
                publisher.deliver("a", "1", qos).await;
                let got = client.message().await;
                assert!(
                    got.pkid != 0 && !used.contains(&got.pkid),
                    "{used:?} {got:?}"
                );
                if round % 3 == 0 {
                    client
                        .ack(if qos == 1 { PUBACK } else { PUBREC }, got.pkid)
                        .await;
                    if qos == 2 {
                        client.expect_ack(0x62, got.pkid).await;
                        client.ack(0x70, got.pkid).await;
                    }
                } else {
                    used.push(got.pkid);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_2_2_1_5_and_6_acknowledgements_have_the_identifier_of_what_they_acknowledge() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        for pkid in [1, 255, 256, 65_535] {
            client.publish("a", "1", 1, pkid).await;
            client.expect_ack(PUBACK, pkid).await;
            client.publish("a", "1", 2, pkid).await;
            client.expect_ack(PUBREC, pkid).await;
            client.ack(0x62, pkid).await;
            client.expect_ack(0x70, pkid).await;
            let subscribe = subscribe_body(level, pkid, &[], &[("x", 0)]);
            client.send(&packet(SUBSCRIBE, &subscribe)).await;
            client.expect_ack(SUBACK, pkid).await;
            client
                .send(&packet(UNSUBSCRIBE, &unsubscribe_body(level, pkid, &["x"])))
                .await;
            client.expect_ack(UNSUBACK, pkid).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_2_2_1_1_client_and_server_count_their_identifiers_apart() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        client.subscribe(1, "a", 2).await;
        client.publish("a", "1", 1, 1).await;
        let mut kinds = vec![];
        let mut pkid = 0;
        for _ in 0..2 {
            let (first, body) = client.packet().await.unwrap();
            kinds.push(first & 0xF0);
            if first & 0xF0 == 0x30 {
                pkid = u16::from_be_bytes([body[3], body[4]]);
            }
        }
        kinds.sort_unstable();
        assert_eq!(kinds, [0x30, PUBACK]);
        // The same number goes the other way meanwhile.
        client.publish("b", "1", 2, pkid).await;
        client.expect_ack(PUBREC, pkid).await;
        client.ack(PUBACK, pkid).await;
        client.ack(0x62, pkid).await;
        client.expect_ack(0x70, pkid).await;
        client.expect_silence().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_2_2_2_1_without_properties_their_length_is_there_and_0() {
    let door = Door::open().await;
    let mut client = Wire::join(door.port, lasting(5, "c")).await;
    client.subscribe(1, "a", 0).await;
    client.publish("a", "1", 0, 0).await;
    // `message` reads the length; without it the payload would be taken for it.
    let got = client.message().await;
    assert_eq!((got.payload.as_str(), got.properties.len()), ("1", 0));
    let body = subscribe_body(5, 2, &[], &[("b", 0)]);
    client.send(&packet(SUBSCRIBE, &body)).await;
    client.expect(SUBACK, &[0, 2, 0, 0]).await;
    client
        .send(&packet(UNSUBSCRIBE, &unsubscribe_body(5, 3, &["b"])))
        .await;
    client.expect(UNSUBACK, &[0, 3, 0, 0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_2_0_1_packets_may_come_in_any_pieces() {
    let door = Door::open().await;
    for level in BOTH {
        let mut bytes = connect(level, "c").bytes();
        bytes.extend(packet(
            SUBSCRIBE,
            &subscribe_body(level, 1, &[], &[("a/#", 0)]),
        ));
        bytes.extend(publish(level, "a/b", &[b'x'; 300], 0, 0, &[]));
        bytes.extend(PINGREQ);
        let mut client = Wire::raw(door.port, level, &[]).await;
        for byte in bytes {
            client.send(&[byte]).await;
        }
        let mut kinds = vec![];
        while kinds.len() < 4 {
            kinds.push(client.packet().await.unwrap().0);
        }
        kinds.sort_unstable();
        assert_eq!(kinds, [0x20, 0x30, SUBACK, 0xD0]);
    }
}
