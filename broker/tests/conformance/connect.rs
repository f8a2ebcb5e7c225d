//! CONNECT (MQTT 5 and 3.1.1, section 3.1).

use std::time::{Duration, Instant};

use crate::client::{BOTH, PINGREQ, PINGRESP, PUBACK, connect, connect_body, lasting, property};
use crate::harness::Door;
use crate::wire::{Connect, Wire, packet, publish, text};

const CLEAN: u8 = 0x02;

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_0_1_a_connection_that_does_not_begin_with_connect_is_closed() {
    let door = Door::open().await;
    for level in BOTH {
        for bytes in [
            publish(level, "a", b"1", 0, 0, &[]),
            packet(0x82, &[0, 1, 0, 1, b'a', 0]),
            PINGREQ.to_vec(),
            vec![0xE0, 0],
            vec![0xF0, 2, 0x19, 0],
        ] {
            Wire::raw(door.port, level, &bytes)
                .await
                .expect_closed()
                .await;
        }
    }
    assert_eq!(door.stats().accepted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_0_2_a_second_connect_is_a_protocol_error() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        client.send(&connect(level, "c").bytes()).await;
        client.expect_end(0x82).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_1_another_protocol_name_is_no_mqtt() {
    let door = Door::open().await;
    for level in BOTH {
        for name in ["MQTU", "mqtt", "", "MQTTX"] {
            let bytes = connect_body(name, level, CLEAN, &[], &text("c"));
            Wire::raw(door.port, level, &bytes)
                .await
                .expect_closed()
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_2_another_protocol_level_is_told_and_closed() {
    let door = Door::open().await;
    for (level, answer) in [(3, 4), (6, 5), (0x84, 4)] {
        let bytes = connect_body("MQTT", level, CLEAN, &[], &text("c"));
        let mut client = Wire::raw(door.port, answer, &bytes).await;
        client.expect_refused(Some(1), 0x84).await;
    }
    let bytes = connect_body("MQIsdp", 3, CLEAN, &[], &text("c"));
    let mut old = Wire::raw(door.port, 4, &bytes).await;
    old.expect_refused(Some(1), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_3_the_reserved_connect_flag_is_refused() {
    let door = Door::open().await;
    for level in BOTH {
        let bytes = connect_body("MQTT", level, CLEAN | 1, &[], &text("c"));
        let mut client = Wire::raw(door.port, level, &bytes).await;
        client.expect_refused(None, 0x81).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_11_to_13_a_will_that_is_not_there_has_neither_qos_nor_retain() {
    let door = Door::open().await;
    for level in BOTH {
        for flags in [0x08, 0x10, 0x20] {
            let bytes = connect_body("MQTT", level, CLEAN | flags, &[], &text("c"));
            let mut client = Wire::raw(door.port, level, &bytes).await;
            client.expect_refused(None, 0x81).await;
        }
        let mut rest = text("c");
        if level == 5 {
            rest.push(0);
        }
        rest.extend([text("will"), text("gone")].concat());
        let bytes = connect_body("MQTT", level, CLEAN | 0x04 | 0x18, &[], &rest);
        let mut client = Wire::raw(door.port, level, &bytes).await;
        client.expect_refused(None, 0x81).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_16_to_19_the_payload_has_the_fields_of_the_flags_and_no_more() {
    let door = Door::open().await;
    let two = [text("c"), text("u")].concat();
    let three = [text("c"), text("u"), text("p")].concat();
    for level in BOTH {
        for (flags, rest) in [
            (0x00, &two),
            (0x80, &text("c")),
            (0x80, &three),
            (0xC0, &two),
        ] {
            let bytes = connect_body("MQTT", level, CLEAN | flags, &[], rest);
            let mut client = Wire::raw(door.port, level, &bytes).await;
            client.expect_refused(None, 0x81).await;
        }
        for (flags, rest) in [(0x80, &two), (0xC0, &three)] {
            let bytes = connect_body("MQTT", level, CLEAN | flags, &[], rest);
            let mut client = Wire::raw(door.port, level, &bytes).await;
            let (first, body) = client.packet().await.unwrap();
            assert_eq!((first, body[1]), (0x20, 0));
        }
    }
    // 3.1.1 wants a user name with a password, 5 does not.
    for level in BOTH {
        let bytes = connect_body("MQTT", level, CLEAN | 0x40, &[], &two);
        let mut client = Wire::raw(door.port, level, &bytes).await;
        match level {
            4 => client.expect_closed().await,
            _ => assert_eq!(client.packet().await.unwrap().1[1], 0),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_22_a_client_is_cut_after_one_and_a_half_keep_alives_of_silence() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = Wire::join(door.port, connect(level, "c").keep_alive(1)).await;
        let start = Instant::now();
        // Any packet counts: it lives longer than it would without.
        while start.elapsed() < Duration::from_secs(2) {
            client.send(&PINGREQ).await;
            client.expect(PINGRESP, &[]).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let silent = Instant::now();
        client.expect_end(0x8D).await;
        assert!(silent.elapsed() > Duration::from_millis(1_100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_3_1_the_fields_of_the_payload_come_in_their_order() {
    let door = Door::open().await;
    let mut watcher = door.client(5, "w").await;
    watcher.subscribe(1, "will/topic", 0).await;
    for level in BOTH {
        let connect = connect(level, "c")
            .will("will/topic", "will", 0, false)
            .login("u", "good");
        drop(Wire::join(door.port, connect.clone()).await);
        assert_eq!(watcher.message().await.payload, "will");
        let mut bad = connect;
        bad.login = Some(("u".into(), "bad".into()));
        let refused = Wire::dial(door.port, bad).await;
        assert_ne!(refused.connack[1], 0, "the last field is the password");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_3_2_the_identifier_alone_names_the_session() {
    let door = Door::open().await;
    for level in BOTH {
        drop(Wire::join(door.port, lasting(level, "one")).await);
        assert!(
            !Wire::join(door.port, lasting(level, "two"))
                .await
                .session_present()
        );
        assert!(
            Wire::join(door.port, lasting(level, "one"))
                .await
                .session_present()
        );
        // The versions share the identifiers.
        let other = Wire::join(door.port, lasting(9 - level, "one")).await;
        assert!(other.session_present());
        let _ = Wire::join(door.port, connect(level, "one")).await;
        let _ = Wire::join(door.port, connect(level, "two")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_3_3_a_connect_without_identifier_field_is_refused() {
    let door = Door::open().await;
    for level in BOTH {
        let bytes = connect_body("MQTT", level, CLEAN, &[], &[]);
        let mut client = Wire::raw(door.port, level, &bytes).await;
        client.expect_refused(None, 0x81).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_3_5_identifiers_of_1_to_23_letters_and_digits_are_let_in() {
    let door = Door::open().await;
    let all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for level in BOTH {
        for id in [&all[..1], &all[..23], &all[23..46], &all[39..], all] {
            door.client(level, id).await.expect_silence().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_3_6_and_7_an_empty_identifier_is_replaced_by_a_unique_one() {
    let door = Door::open().await;
    let (one, two) = (door.client(5, "").await, door.client(5, "").await);
    let id = |wire: &Wire| crate::client::value(wire.connack_properties(), 0x12).unwrap();
    assert_ne!(id(&one), id(&two));
    // The session is that of the assigned identifier.
    let name = String::from_utf8(id(&one)[2..].to_vec()).unwrap();
    let _second = door.client(5, &name).await;
    let mut one = one;
    one.expect_end(0x8E).await;
    let mut old = door.client(4, "").await;
    old.expect_silence().await;
    let mut other = door.client(4, "").await;
    other.expect_silence().await;
    old.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_3_8_a_3_1_1_client_needs_an_identifier_for_a_session_that_lasts() {
    let door = Door::open().await;
    let bytes = Connect::v3("").lasting().bytes();
    let mut client = Wire::raw(door.port, 4, &bytes).await;
    client.expect_refused(Some(2), 0).await;
    // 5 assigns one.
    let lasting = Wire::join(door.port, Connect::v5("").lasting()).await;
    assert!(!lasting.session_present());
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_4_1_a_connect_that_is_not_one_is_refused() {
    let door = Door::open().await;
    for level in BOTH {
        let good = connect(level, "c").bytes();
        for len in 9..good.len() - 2 {
            let bytes = packet(0x10, &good[2..len]);
            let mut client = Wire::raw(door.port, level, &bytes).await;
            client.expect_refused(None, 0x81).await;
        }
        let mut long = good[2..].to_vec();
        long.push(0);
        let mut client = Wire::raw(door.port, level, &packet(0x10, &long)).await;
        client.expect_refused(None, 0x81).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_4_2_a_login_that_fails_is_told_and_closed() {
    let door = Door::open().await;
    for level in BOTH {
        for (user, password, v3, v5) in [("u", "bad", 4, 0x86), ("nobody", "x", 5, 0x87)] {
            let bytes = connect(level, "c").login(user, password).bytes();
            let mut client = Wire::raw(door.port, level, &bytes).await;
            client.expect_refused(Some(v3), v5).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_4_3_a_connection_with_the_same_identifier_ends_the_one_before() {
    let door = Door::open().await;
    for level in BOTH {
        for clean in [true, false] {
            let mut first = door.client(level, "c").await;
            let next = Connect {
                clean,
                ..connect(level, "c")
            };
            let _second = Wire::join(door.port, next).await;
            first.expect_end(0x8E).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_4_6_nothing_after_a_refused_connect_is_processed() {
    let door = Door::open().await;
    let mut watcher = door.client(5, "w").await;
    watcher.subscribe(1, "after", 0).await;
    for level in BOTH {
        let mut bytes = connect(level, "c").login("u", "bad").bytes();
        bytes.extend(publish(level, "after", b"refused", 0, 0, &[]));
        let mut client = Wire::raw(door.port, level, &bytes).await;
        client.expect_refused(Some(4), 0x86).await;
    }
    watcher.publish("after", "fence", 0, 0).await;
    assert_eq!(watcher.message().await.payload, "fence");
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_4_5_what_is_sent_before_the_connack_is_processed_after_it() {
    let door = Door::open().await;
    for level in BOTH {
        let mut bytes = connect(level, "c").bytes();
        bytes.extend(publish(level, "a", b"1", 2, 7, &[]));
        bytes.extend(PINGREQ);
        let mut client = Wire::raw(door.port, level, &bytes).await;
        let (first, body) = client.packet().await.unwrap();
        assert_eq!((first, &body[..2]), (0x20, &[0, 0][..]));
        let answers = [
            client.packet().await.unwrap(),
            client.packet().await.unwrap(),
        ];
        assert!(answers.contains(&(PUBACK, vec![0, 7])), "{answers:?}");
        assert!(answers.contains(&(PINGRESP, vec![])), "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_12_0_1_an_authentication_method_that_is_not_offered_is_refused() {
    let door = Door::open().await;
    let mut connect = Connect::v5("c");
    connect.properties = property(0x15, "SCRAM-SHA-1");
    let mut client = Wire::raw(door.port, 5, &connect.bytes()).await;
    client.expect_refused(None, 0x8C).await;
    // Data without a method is a protocol error.
    connect.properties = property(0x16, "data");
    let mut client = Wire::raw(door.port, 5, &connect.bytes()).await;
    client.expect_refused(None, 0x82).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_12_0_6_and_7_without_a_method_nobody_sends_auth() {
    let door = Door::open().await;
    for auth in [&[0xF0, 2, 0x18, 0][..], &[0xF0, 2, 0x19, 0]] {
        let mut client = door.client(5, "c").await;
        assert_eq!(
            crate::client::value(client.connack_properties(), 0x15),
            None
        );
        client.send(auth).await;
        client.expect_end(0x82).await;
    }
    let mut old = door.client(4, "c").await;
    old.send(&[0xF0, 2, 0x18, 0]).await;
    old.expect_closed().await;
}
