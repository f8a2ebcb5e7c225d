//! Properties of MQTT 5 (section 2.2.2): which belong where, how often, with which values.

use crate::client::{SUBSCRIBE, UNSUBSCRIBE, property, split_properties, user_property};
use crate::harness::Door;
use crate::wire::{Connect, Wire, packet, publish, text};

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_29_without_problem_information_only_three_packets_carry_a_reason_string() {
    let door = Door::open().await;
    let mut connect = Connect::v5("c");
    connect.properties = vec![0x17, 0];
    let mut client = Wire::join(door.port, connect).await;
    client.publish("$SYS/x", "1", 1, 1).await;
    client.publish("$SYS/x", "1", 2, 2).await;
    client.ack(0x62, 9).await;
    client.ack(0x50, 9).await;
    let subscribe = crate::client::subscribe_body(5, 3, &[], &[("a", 0)]);
    client.send(&packet(SUBSCRIBE, &subscribe)).await;
    for _ in 0..5 {
        let (first, body) = client.packet().await.unwrap();
        assert!(
            body.len() <= 4 && body.get(3).is_none_or(|len| *len == 0),
            "{first:#x} {body:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_28_response_information_is_not_sent_unasked() {
    let door = Door::open().await;
    for asked in [vec![], vec![0x19, 0]] {
        let mut connect = Connect::v5("c");
        connect.properties = asked;
        let client = Wire::join(door.port, connect).await;
        let found = split_properties(client.connack_properties());
        assert!(found.iter().all(|(id, _)| *id != 0x1A), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_2_2_2_2_a_property_of_connect_is_there_once_and_in_range() {
    let door = Door::open().await;
    for (properties, reason) in [
        ([0x11, 0, 0, 0, 1].repeat(2), 0x82),
        ([0x21, 0, 1].repeat(2), 0x82),
        ([0x27, 0, 0, 1, 0].repeat(2), 0x82),
        ([0x22, 0, 1].repeat(2), 0x82),
        ([0x19, 0].repeat(2), 0x82),
        ([0x17, 0].repeat(2), 0x82),
        (vec![0x21, 0, 0], 0x82),
        (vec![0x27, 0, 0, 0, 0], 0x82),
        (vec![0x17, 2], 0x82),
        (vec![0x19, 2], 0x82),
        // Of other packets, and of none.
        (vec![0x23, 0, 1], 0x81),
        (vec![0x01, 1], 0x81),
        (vec![0x0B, 1], 0x81),
        (vec![0x7F, 1], 0x81),
        (vec![0x04, 1], 0x81),
        (vec![0x11, 0, 0], 0x81),
    ] {
        let mut connect = Connect::v5("c");
        connect.properties = properties;
        let mut client = Wire::raw(door.port, 5, &connect.bytes()).await;
        client.expect_refused(None, reason).await;
    }
    let mut connect = Connect::v5("c");
    connect.properties = [user_property("k", "1"), user_property("k", "2")].concat();
    Wire::join(door.port, connect).await.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_2_2_2_2_a_property_of_publish_is_there_once_and_in_range() {
    let door = Door::open().await;
    for (properties, reason) in [
        ([1, 0].repeat(2), 0x82),
        ([2, 0, 0, 0, 9].repeat(2), 0x82),
        ([0x23, 0, 1].repeat(2), 0x82),
        (property(0x08, "r").repeat(2), 0x82),
        (property(0x09, "c").repeat(2), 0x82),
        (property(0x03, "t").repeat(2), 0x82),
        (vec![1, 2], 0x82),
        (vec![0x11, 0, 0, 0, 1], 0x81),
        (vec![0x21, 0, 1], 0x81),
        (vec![0x7F, 0], 0x81),
        (vec![0x02, 0, 0], 0x81),
        ([&[0x26][..], &text("key only")].concat(), 0x81),
    ] {
        let mut client = door.v5("c").await;
        client.publish_with("a", "1", 0, 0, &properties).await;
        client.expect_end(reason).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_2_2_2_2_other_packets_take_the_properties_that_belong_to_them_only() {
    let door = Door::open().await;
    let user = user_property("k", "v");
    let with = |before: &[u8], properties: &[u8], after: &[u8]| {
        let len = [properties.len() as u8];
        [before, &len[..], properties, after].concat()
    };
    let filter = [text("a"), vec![0]].concat();
    for body in [
        packet(0x40, &with(&[0, 1, 0], &property(0x1F, "why"), &[])),
        packet(0x50, &with(&[0, 1, 0x80], &user, &[])),
        packet(SUBSCRIBE, &with(&[0, 1], &user, &filter)),
        packet(UNSUBSCRIBE, &with(&[0, 1], &user, &text("a"))),
    ] {
        let mut client = door.v5("c").await;
        client.send(&body).await;
        client.publish("fence", "", 1, 77).await;
        loop {
            let (first, body) = client.packet().await.unwrap();
            assert_ne!(first, 0xE0, "{body:?}");
            if first == 0x40 {
                break;
            }
        }
    }
    for (body, reason) in [
        (packet(0x40, &with(&[0, 1, 0], &[0x21, 0, 1], &[])), 0x81),
        (packet(0x50, &with(&[0, 1, 0], &[1, 0], &[])), 0x81),
        (
            packet(0x62, &with(&[0, 1, 0], &property(0x03, "t"), &[])),
            0x81,
        ),
        (packet(0x70, &with(&[0, 1, 0], &[0x23, 0, 1], &[])), 0x81),
        (
            packet(SUBSCRIBE, &with(&[0, 1], &[0x0B, 1, 0x0B, 1], &filter)),
            0x82,
        ),
        (packet(SUBSCRIBE, &with(&[0, 1], &[0x0B, 0], &filter)), 0x82),
        (
            packet(SUBSCRIBE, &with(&[0, 1], &[0x11, 0, 0, 0, 1], &filter)),
            0x81,
        ),
        (
            packet(UNSUBSCRIBE, &with(&[0, 1], &[0x0B, 1], &text("a"))),
            0x81,
        ),
        (packet(0xE0, &with(&[0], &[0x21, 0, 1], &[])), 0x81),
        (
            packet(0xE0, &with(&[0], &[0x11, 0, 0, 0, 0].repeat(2), &[])),
            0x82,
        ),
        (
            packet(0x40, &with(&[0, 1, 0], &property(0x1F, "y").repeat(2), &[])),
            0x82,
        ),
    ] {
        let mut client = door.v5("c").await;
        client.send(&body).await;
        client.expect_end(reason).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_4_2_1_an_acknowledgement_takes_its_own_reason_codes_only() {
    let door = Door::open().await;
    for (first, bad) in [
        (0x40, &[0x01, 0x92, 0x04, 0xFF][..]),
        (0x50, &[0x01, 0x92, 0x04, 0xFF]),
        (0x62, &[0x10, 0x80, 0x87, 0xFF]),
        (0x70, &[0x10, 0x80, 0x87, 0xFF]),
    ] {
        for code in bad {
            let mut client = door.v5("c").await;
            client.send(&packet(first, &[0, 1, *code])).await;
            client.expect_end(0x82).await;
        }
    }
    for (first, good) in [
        (
            0x40,
            &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99][..],
        ),
        (0x50, &[0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]),
        (0x70, &[0x00, 0x92]),
    ] {
        for code in good {
            let mut client = door.v5("c").await;
            client.send(&packet(first, &[0, 1, *code])).await;
            client.expect_silence().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_14_2_1_a_disconnect_takes_its_own_reason_codes_only() {
    let door = Door::open().await;
    for code in [0x01, 0x10, 0x8D, 0x8E, 0x9E, 0xFF] {
        let mut client = door.v5("c").await;
        client.send(&packet(0xE0, &[code])).await;
        client.expect_end(0x82).await;
    }
    for code in [
        0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x96, 0x97, 0x98,
    ] {
        let mut client = door.v5("c").await;
        client.send(&packet(0xE0, &[code])).await;
        client.expect_closed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_2_4_and_15_to_20_properties_reach_every_subscriber_unaltered_and_in_order() {
    let door = Door::open().await;
    let sent = [
        user_property("a", "1"),
        vec![0x01, 1],
        property(0x08, "answer/to"),
        user_property("b", "2"),
        property(0x09, "\u{1}\u{7f}"),
        user_property("a", "3"),
        property(0x03, "text/ä"),
        user_property("", ""),
    ]
    .concat();
    for filter in ["p/x", "p/+"] {
        let mut first = door.v5("one").await;
        let mut second = door.v5("two").await;
        let mut old = door.v3("old").await;
        for client in [&mut first, &mut second, &mut old] {
            client.subscribe(1, filter, 1).await;
        }
        let mut publisher = door.v5("p").await;
        publisher.publish_with("p/x", "payload", 2, 1, &sent).await;
        publisher.expect_ack(0x40, 1).await;
        for client in [&mut first, &mut second] {
            let got = client.message().await;
            assert_eq!(got.payload, "payload");
            let users = |properties: &[u8]| {
                let mut all = split_properties(properties);
                all.retain(|(id, _)| *id == 0x26);
                all
            };
            assert_eq!(users(&got.properties), users(&sent));
            let (mut found, mut wanted) =
                (split_properties(&got.properties), split_properties(&sent));
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted);
        }
        assert_eq!(old.message().await.payload, "payload");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_2_13_and_14_a_response_topic_is_a_topic() {
    let door = Door::open().await;
    for topic in ["a/#", "+/b", "#", ""] {
        let mut client = door.v5("c").await;
        client
            .publish_with("a", "1", 0, 0, &property(0x08, topic))
            .await;
        let (first, body) = client.packet().await.unwrap();
        assert_eq!(first, 0xE0);
        assert!(matches!(body[0], 0x81 | 0x82 | 0x90), "{body:?}");
        client.expect_closed().await;
    }
    let mut client = door.v5("c").await;
    let bad = [0x08, 0, 1, 0x80];
    client.send(&publish(5, "a", b"1", 0, 0, &bad)).await;
    client.expect_end(0x81).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_3_10_the_user_properties_of_a_will_keep_their_order() {
    let door = Door::open().await;
    let mut watcher = door.v5("w").await;
    watcher.subscribe(1, "will", 0).await;
    let user = [
        user_property("b", "1"),
        user_property("a", "2"),
        user_property("b", "0"),
    ]
    .concat();
    let mut rest = text("c");
    let properties = [vec![0x01, 1], user.clone(), property(0x03, "type")].concat();
    rest.push(properties.len() as u8);
    rest.extend(properties);
    rest.extend([text("will"), text("gone")].concat());
    let bytes = crate::client::connect_body("MQTT", 5, 0x06, &[], &rest);
    let mut client = Wire::raw(door.port, 5, &bytes).await;
    client.packet().await.unwrap();
    drop(client);
    let got = watcher.message().await;
    assert_eq!(got.payload, "gone");
    let mut found = split_properties(&got.properties);
    assert!(found.contains(&(0x01, vec![1])));
    assert!(found.contains(&(0x03, text("type"))));
    found.retain(|(id, _)| *id == 0x26);
    assert_eq!(found, split_properties(&user));
}
