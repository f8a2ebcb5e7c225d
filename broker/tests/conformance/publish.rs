//! PUBLISH (MQTT 5 and 3.1.1, section 3.3) but for retained messages and properties.

use std::time::Duration;

use tokio::time::sleep;

use crate::client::{BOTH, PUBACK, connect, lasting, split_properties, value};
use crate::harness::Door;
use crate::wire::{Connect, Wire, packet, publish};

const DUP: u8 = 0x08;

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_1_1_what_is_sent_again_is_marked_and_what_is_new_is_not() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = Wire::join(door.port, lasting(level, "s")).await;
        client.subscribe(1, "a", 2).await;
        for qos in [1, 2] {
            client.publish("a", "1", qos, 7).await;
            let mut got = None;
            for _ in 0..2 {
                let (first, _) = client.packet().await.unwrap();
                if first & 0xF0 == 0x30 {
                    got = Some(first);
                }
            }
            assert_eq!(got.unwrap() & DUP, 0);
        }
        let mut client = Wire::join(door.port, lasting(level, "s")).await;
        for _ in 0..2 {
            assert!(client.message().await.dup);
        }
        door.client(level, "s").await.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_1_2_a_duplicate_of_qos_0_is_malformed() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        client.send(&publish(level, "a", b"1", DUP, 0, &[])).await;
        client.expect_end(0x81).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_1_3_the_mark_of_the_publisher_is_not_passed_on() {
    let door = Door::open().await;
    for level in BOTH {
        for filter in ["a", "+"] {
            let mut client = door.client(level, "c").await;
            client.subscribe(1, filter, 2).await;
            let mut publisher = door.client(level, "p").await;
            for flags in [DUP | 2, DUP | 4] {
                publisher.publish_with("a", "1", flags, 7, &[]).await;
                publisher.packet().await.unwrap();
                assert!(!client.message().await.dup);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_1_4_quality_3_is_malformed() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        client.send(&publish(level, "a", b"1", 0x06, 1, &[])).await;
        client.expect_end(0x81).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_2_1_a_publish_has_a_topic() {
    let door = Door::open().await;
    for level in BOTH {
        for body in [vec![], vec![0], vec![0, 5, b'a']] {
            let mut client = door.client(level, "c").await;
            client.send(&packet(0x30, &body)).await;
            client.expect_end(0x81).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_2_2_a_topic_with_a_wildcard_is_refused() {
    let door = Door::open().await;
    let mut watcher = door.v5("w").await;
    watcher.subscribe(1, "#", 0).await;
    for level in BOTH {
        for topic in ["a/+", "#", "+", "a#", "a+b/c"] {
            let mut client = door.client(level, "c").await;
            client.publish(topic, "1", 0, 0).await;
            client.expect_end(0x81).await;
        }
    }
    watcher.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_2_3_a_message_has_the_topic_it_was_published_to() {
    let door = Door::open().await;
    for level in BOTH {
        for (filter, topic) in [("a/b", "a/b"), ("a/+", "a/b"), ("a/#", "a"), ("#", "ü/ /x")] {
            let mut client = door.client(level, "c").await;
            client.subscribe(1, filter, 0).await;
            client.publish(topic, "1", 0, 0).await;
            assert_eq!(client.message().await.topic, topic);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_2_5_a_message_that_expired_is_not_delivered() {
    let door = Door::open().await;
    let mut aways = vec![];
    for filter in ["exp/a", "exp/+"] {
        let mut away = Wire::join(door.port, lasting(5, filter)).await;
        away.subscribe(1, filter, 2).await;
        aways.push(filter);
    }
    door.until_open(0).await;
    let mut publisher = door.v5("p").await;
    for (payload, seconds) in [("dies", 1), ("lives", 60)] {
        publisher
            .publish_with("exp/a", payload, 2, 1, &[2, 0, 0, 0, seconds])
            .await;
        publisher.expect_ack(PUBACK, 1).await;
    }
    sleep(Duration::from_millis(2_100)).await;
    for filter in aways {
        let mut back = Wire::join(door.port, lasting(5, filter)).await;
        assert_eq!(back.take().await.payload, "lives", "{filter}");
        back.expect_silence().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_2_6_the_expiry_is_told_less_the_time_waited() {
    let door = Door::open().await;
    let mut away = Wire::join(door.port, lasting(5, "s")).await;
    away.subscribe(1, "exp", 1).await;
    drop(away);
    door.until_open(0).await;
    let mut publisher = door.v5("p").await;
    publisher
        .publish_with("exp", "1", 2, 1, &[2, 0, 0, 0, 60])
        .await;
    publisher.expect_ack(PUBACK, 1).await;
    sleep(Duration::from_millis(2_100)).await;
    let mut back = Wire::join(door.port, lasting(5, "s")).await;
    let got = back.message().await;
    let left = value(&got.properties, 2).unwrap()[3];
    assert!((50..=58).contains(&left), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_2_7_aliases_end_with_their_connection() {
    let door = Door::open().await;
    let mut first = Wire::join(door.port, lasting(5, "s")).await;
    first.publish_with("a", "1", 0, 0, &[0x23, 0, 1]).await;
    first.publish_with("", "1", 0, 0, &[0x23, 0, 1]).await;
    first.expect_silence().await;
    let mut second = Wire::join(door.port, lasting(5, "s")).await;
    second.publish_with("", "1", 0, 0, &[0x23, 0, 1]).await;
    second.expect_end(0x82).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_2_8_and_9_alias_0_and_one_above_the_maximum_are_refused() {
    let door = Door::open().await;
    for alias in [[0, 0], [0, 65], [0xFF, 0xFF]] {
        let mut client = door.v5("c").await;
        assert_eq!(value(client.connack_properties(), 0x22), Some(vec![0, 64]));
        let properties = [0x23, alias[0], alias[1]];
        client.publish_with("a", "1", 0, 0, &properties).await;
        client.expect_end(0x94).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_2_12_every_alias_up_to_the_maximum_is_taken_and_may_be_set_again() {
    let door = Door::open().await;
    let mut client = door.v5("c").await;
    client.subscribe(1, "al/#", 0).await;
    for round in 0..2 {
        for alias in 1..=64 {
            let topic = format!("al/{round}/{alias}");
            client
                .publish_with(&topic, "set", 0, 0, &[0x23, 0, alias])
                .await;
            assert_eq!(client.message().await.topic, topic);
        }
        for alias in (1..=64).rev() {
            client
                .publish_with("", "used", 1 << 1, 9, &[0x23, 0, alias])
                .await;
            let mut seen = 0;
            while seen < 2 {
                let (first, body) = client.packet().await.unwrap();
                let topic = format!("al/{round}/{alias}");
                assert!(
                    first == PUBACK || body.windows(topic.len()).any(|w| w == topic.as_bytes())
                );
                seen += 1;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_26_and_27_aliases_go_to_clients_that_take_them_and_within_their_maximum() {
    let door = Door::open().await;
    for max in [0u8, 1, 3] {
        for filter in ["topic/#", "topic/0"] {
            let mut connect = Connect::v5("c");
            connect.properties = vec![0x22, 0, max];
            let mut client = Wire::join(door.port, connect).await;
            client.subscribe(1, filter, 0).await;
            let mut publisher = door.v5("p").await;
            let mut known = std::collections::HashMap::new();
            for n in 0..20 {
                let topic = format!("topic/{}", if filter == "topic/#" { n % 5 } else { 0 });
                publisher.publish(&topic, &topic, 0, 0).await;
                let got = client.message().await;
                let alias = value(&got.properties, 0x23).map(|v| u16::from_be_bytes([v[0], v[1]]));
                assert!(alias.is_none_or(|alias| (1..=u16::from(max)).contains(&alias)));
                let found = if got.topic.is_empty() {
                    known[&alias.unwrap()]
                } else {
                    topic.clone().leak() as &str
                };
                assert_eq!(found, got.payload);
                if let Some(alias) = alias {
                    known.insert(alias, found);
                }
            }
            assert_eq!(known.is_empty(), max == 0, "{max} {filter}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_4_1_the_answer_to_a_publish_is_that_of_its_quality() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        for qos in 0..=2 {
            client.deliver("nobody/listens", "1", qos).await;
        }
        client.expect_silence().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_4_2_overlapping_subscriptions_deliver_with_the_highest_of_their_qualities() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        for (filter, qos) in [("o/x", 0), ("o/+", 2), ("o/#", 1), ("end/#", 0)] {
            client.subscribe(1, filter, qos).await;
        }
        let mut publisher = door.client(level, "p").await;
        publisher.deliver("o/x", "1", 2).await;
        publisher.deliver("end", "end", 0).await;
        let mut qualities = vec![];
        loop {
            let got = client.message().await;
            if got.payload == "end" {
                break;
            }
            qualities.push(got.qos);
        }
        assert_eq!(qualities.iter().max(), Some(&2), "{qualities:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_4_3_to_5_every_identifier_of_the_matching_subscriptions_is_sent() {
    let door = Door::open().await;
    let mut client = door.v5("c").await;
    for (filter, id) in [("o/x", 1u8), ("o/+", 2), ("o/#", 3), ("#", 100)] {
        let code = client.try_subscribe(1, filter, 1, &[0x0B, id]).await;
        assert_eq!(code, 1);
    }
    let mut publisher = door.v5("p").await;
    publisher.deliver("o/x", "1", 1).await;
    let mut ids = vec![];
    while ids.len() < 4 {
        let got = client.take().await;
        let here = split_properties(&got.properties);
        assert!(!here.is_empty(), "a copy without its identifier");
        ids.extend(here.into_iter().map(|(id, value)| (id, value[0])));
    }
    ids.sort_unstable();
    assert_eq!(ids, [(0x0B, 1), (0x0B, 2), (0x0B, 3), (0x0B, 100)]);
    client.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_4_6_a_client_sends_no_subscription_identifier() {
    let door = Door::open().await;
    let mut client = door.v5("c").await;
    client.publish_with("a", "1", 0, 0, &[0x0B, 1]).await;
    let (first, body) = client.packet().await.unwrap();
    assert!(first == 0xE0 && matches!(body[0], 0x81 | 0x82), "{body:?}");
    client.expect_closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_5_2_a_publish_without_a_right_is_told_to_mqtt_5_and_acknowledged_to_3_1_1() {
    let door = Door::open().await;
    let mut new = door.v5("n").await;
    new.publish("$SYS/x", "1", 1, 1).await;
    new.expect(PUBACK, &[0, 1, 0x87]).await;
    new.publish("$SYS/x", "1", 2, 2).await;
    new.expect(0x50, &[0, 2, 0x87]).await;
    // The refused identifier is free at once.
    new.deliver("a", "1", 2).await;
    let mut old = Wire::join(door.port, connect(4, "o")).await;
    old.publish("$SYS/x", "1", 1, 1).await;
    old.expect(PUBACK, &[0, 1]).await;
    assert_eq!(door.stats().dropped_not_authorized, 3);
}
