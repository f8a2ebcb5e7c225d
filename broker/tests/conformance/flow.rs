//! Flow control, packet sizes, PINGREQ (MQTT 5, sections 3.1.2.11, 3.12, 4.9).

use quartier_broker::Config;

use crate::client::{
    BOTH, PINGREQ, PINGRESP, PUBACK, PUBCOMP, PUBREC, PUBREL, SUBACK, SUBSCRIBE, lasting,
    subscribe_body, user_property,
};
use crate::harness::Door;
use crate::wire::{Connect, Wire, packet};

fn receiving(id: &str, maximum: u8) -> Connect {
    Connect {
        properties: vec![0x21, 0, maximum],
        ..Connect::v5(id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_4_9_and_4_9_0_2_no_more_is_unacknowledged_than_the_client_takes() {
    let door = Door::open().await;
    for maximum in [1, 3] {
        let mut client = Wire::join(door.port, receiving("c", maximum)).await;
        client.subscribe(1, "a", 2).await;
        let mut publisher = door.v5("p").await;
        for n in 0..12u8 {
            publisher.deliver("a", &n.to_string(), 1 + n % 2).await;
        }
        let mut open = vec![];
        for n in 0..12u8 {
            if open.len() == usize::from(maximum) {
                client.expect_silence().await;
                let (qos, pkid) = open.remove(0);
                if qos == 1 {
                    client.ack(PUBACK, pkid).await;
                } else {
                    // A PUBREC without an error does not make room.
                    client.ack(PUBREC, pkid).await;
                    client.expect_ack(PUBREL, pkid).await;
                    client.expect_silence().await;
                    client.ack(PUBCOMP, pkid).await;
                }
            }
            let got = client.message().await;
            assert_eq!(got.payload, n.to_string());
            open.push((got.qos, got.pkid));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_4_9_a_refused_message_makes_room() {
    let door = Door::open().await;
    let mut client = Wire::join(door.port, receiving("c", 1)).await;
    client.subscribe(1, "a", 2).await;
    let mut publisher = door.v5("p").await;
    for n in 0..3 {
        publisher.deliver("a", &n.to_string(), 2).await;
    }
    for n in 0..3 {
        let got = client.message().await;
        assert_eq!(got.payload, n.to_string());
        let pkid = got.pkid.to_be_bytes();
        client
            .send(&packet(PUBREC, &[pkid[0], pkid[1], 0x83]))
            .await;
    }
    client.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_4_10_and_4_9_0_3_everything_else_goes_on_while_the_quota_is_used_up() {
    let door = Door::open().await;
    let mut client = Wire::join(door.port, receiving("c", 1)).await;
    client.subscribe(1, "a", 1).await;
    let mut publisher = door.v5("p").await;
    for _ in 0..3 {
        publisher.deliver("a", "1", 1).await;
    }
    client.message().await;
    client.send(&PINGREQ).await;
    client.expect(PINGRESP, &[]).await;
    let body = subscribe_body(5, 2, &[], &[("b/#", 0)]);
    client.send(&packet(SUBSCRIBE, &body)).await;
    client.expect_ack(SUBACK, 2).await;
    client.deliver("x", "1", 2).await;
    client.unsubscribe(3, "b/#").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_4_7_more_qos_2_messages_without_pubrel_than_announced_end_the_connection() {
    let config = Config {
        max_pending: 5,
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let mut client = door.v5("c").await;
    for pkid in 1..=5 {
        client.publish("a", "1", 2, pkid).await;
        client.expect_ack(PUBREC, pkid).await;
    }
    client.ack(PUBREL, 3).await;
    client.expect_ack(PUBCOMP, 3).await;
    client.publish("a", "1", 2, 6).await;
    client.expect_ack(PUBREC, 6).await;
    client.publish("a", "1", 2, 7).await;
    client.expect_end(0x93).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_24_and_25_what_is_larger_than_the_client_takes_is_left_out() {
    let door = Door::open().await;
    for filter in ["a/b", "a/#"] {
        for qos in 0..=2 {
            let mut connect = Connect::v5("c");
            connect.properties = vec![0x27, 0, 0, 0, 100, 0x21, 0, 1];
            let mut client = Wire::join(door.port, connect).await;
            client.subscribe(1, filter, qos).await;
            let before = door.stats().dropped_too_large;
            let mut publisher = door.v5("p").await;
            publisher.deliver("a/b", &"x".repeat(200), qos).await;
            let properties = user_property("key", &"v".repeat(90));
            publisher.publish_with("a/b", "1", 0, 0, &properties).await;
            // Each is as good as sent: the quota of one is not used up by it.
            publisher.deliver("a/b", "fits", qos).await;
            assert_eq!(client.take().await.payload, "fits");
            client.expect_silence().await;
            assert_eq!(door.stats().dropped_too_large, before + 2);
        }
    }
    // The very size: header 2, topic 5, properties 1.
    let mut connect = Connect::v5("c");
    connect.properties = vec![0x27, 0, 0, 0, 100];
    let mut client = Wire::join(door.port, connect).await;
    client.subscribe(1, "a/b", 0).await;
    for (len, comes) in [(93, false), (92, true)] {
        client.publish("a/b", &"x".repeat(len), 0, 0).await;
        if comes {
            assert_eq!(client.message().await.payload.len(), len);
        } else {
            client.expect_silence().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_14_2_4_no_packet_at_all_is_larger_than_the_client_takes() {
    let door = Door::open().await;
    let mut connect = Connect::v5("c");
    connect.properties = vec![0x27, 0, 0, 0, 20];
    let mut client = Wire::join(door.port, connect).await;
    client.publish("", "no alias was ever set", 0, 0).await;
    // The reason string is left out rather than the reason.
    let (first, body) = client.packet().await.unwrap();
    assert_eq!((first, body[0]), (0xE0, 0x82));
    assert!(body.len() + 2 <= 20, "{body:?}");
    client.expect_closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_12_4_1_a_pingreq_is_answered() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = Wire::join(door.port, lasting(level, "c")).await;
        client.send(&PINGREQ.repeat(3)).await;
        for _ in 0..3 {
            client.expect(PINGRESP, &[]).await;
        }
        // It has no payload.
        client.send(&[0xC0, 1, 0]).await;
        client.expect_end(0x81).await;
    }
}
