//! Retained messages (MQTT 5 and 3.1.1, section 3.3.1.3).

use crate::client::{BOTH, connect};
use crate::harness::Door;
use crate::wire::{Got, Wire};

const RETAIN: u8 = 1;

async fn keep(client: &mut Wire, topic: &str, payload: &str, qos: u8) {
    client
        .publish_with(topic, payload, RETAIN | qos << 1, 7, &[])
        .await;
    if qos > 0 {
        client.packet().await.unwrap();
    }
    if qos > 1 {
        client.ack(0x62, 7).await;
        client.packet().await.unwrap();
    }
    client.expect_silence().await;
}

/// What a new subscriber of `filter` gets at once.
async fn retained(door: &Door, level: u8, filter: &str) -> Vec<(String, bool)> {
    let mut client = door.client(level, "r").await;
    client.subscribe(1, filter, 0).await;
    client.send(&[0xC0, 0]).await;
    let mut found = vec![];
    loop {
        let (first, body) = client.packet().await.unwrap();
        if first == 0xD0 {
            return found;
        }
        let at = 2 + usize::from(body[1]) + usize::from(level == 5);
        found.push((
            String::from_utf8(body[at..].to_vec()).unwrap(),
            first & 1 == 1,
        ));
    }
}

fn one(payload: &str) -> Vec<(String, bool)> {
    vec![(payload.to_owned(), true)]
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_1_5_a_retained_message_replaces_the_one_before_and_goes_to_new_subscribers() {
    let door = Door::open().await;
    for level in BOTH {
        for qos in 0..=2 {
            let mut client = door.client(level, "p").await;
            keep(&mut client, "r/x", "old", qos).await;
            keep(&mut client, "r/x", "new", qos).await;
            for filter in ["r/x", "r/+", "#"] {
                assert_eq!(retained(&door, level, filter).await, one("new"), "{filter}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_1_6_and_7_an_empty_payload_removes_is_delivered_and_is_not_kept() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "p").await;
        let mut watcher = door.client(level, "w").await;
        keep(&mut client, "r/x", "1", 0).await;
        watcher.subscribe(1, "r/x", 0).await;
        assert!(watcher.message().await.retain);
        keep(&mut client, "r/x", "", 0).await;
        let got = watcher.message().await;
        assert_eq!((got.payload.as_str(), got.retain), ("", false));
        assert_eq!(retained(&door, level, "r/#").await, []);
        door.settled().await;
        assert!(!door.disk.keys().iter().any(|key| key[0] == b't'));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_1_8_a_message_without_the_flag_changes_nothing_retained() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "p").await;
        keep(&mut client, "r/x", "kept", 0).await;
        client.publish("r/x", "passing", 0, 0).await;
        client.publish("r/x", "", 0, 0).await;
        client.publish("r/y", "passing", 0, 0).await;
        client.expect_silence().await;
        assert_eq!(retained(&door, level, "r/#").await, one("kept"));
        keep(&mut client, "r/x", "", 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_1_9_to_11_retain_handling_decides_at_subscription() {
    let door = Door::open().await;
    let mut client = door.v5("p").await;
    keep(&mut client, "r/x", "1", 1).await;
    for filter in ["r/x", "r/+"] {
        let mut client = door.v5("c").await;
        for (options, comes) in [
            (0x20, false),
            (0x10, false),
            (0x00, true),
            (0x00, true),
            (0x10, false),
        ] {
            client.subscribe(1, filter, options).await;
            if comes {
                let Got {
                    retain, payload, ..
                } = client.message().await;
                assert!(retain && payload == "1");
            }
            client.expect_silence().await;
        }
        client.unsubscribe(2, filter).await;
        client.subscribe(3, filter, 0x10).await;
        assert!(client.message().await.retain, "a new subscription");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_1_12_and_13_the_flag_is_cleared_for_subscribers_that_do_not_ask_for_it() {
    let door = Door::open().await;
    for filter in ["r/x", "r/+"] {
        let (mut old, mut new, mut asks) = (
            door.v3("old").await,
            door.v5("new").await,
            door.v5("asks").await,
        );
        old.subscribe(1, filter, 0).await;
        new.subscribe(1, filter, 0).await;
        asks.subscribe(1, filter, 0x08).await;
        let mut client = door.v5("p").await;
        for retain in [false, true] {
            let flags = u8::from(retain);
            client.publish_with("r/x", "1", flags, 0, &[]).await;
            assert!(!old.message().await.retain && !new.message().await.retain);
            assert_eq!(asks.message().await.retain, retain);
        }
        keep(&mut client, "r/x", "", 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_8_4_8_a_retained_message_comes_with_the_lower_quality() {
    let door = Door::open().await;
    for level in BOTH {
        for kept in 0..=2 {
            let mut client = door.client(level, "p").await;
            keep(&mut client, "r/x", "1", kept).await;
            for asked in 0..=2 {
                let mut client = Wire::join(door.port, connect(level, "c")).await;
                client.subscribe(1, "r/x", asked).await;
                let got = client.take().await;
                assert_eq!((got.qos, got.retain), (kept.min(asked), true));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_7_retained_messages_belong_to_no_session() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "p").await;
        keep(&mut client, "r/x", "1", 0).await;
        client.leave().await;
        door.until("no session", |d| d.stats().sessions == 0).await;
        assert_eq!(retained(&door, level, "r/x").await, one("1"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_3_2_6_a_retained_message_tells_what_is_left_of_its_expiry_and_goes_with_it() {
    let door = Door::open().await;
    let mut client = door.v5("p").await;
    for (topic, seconds) in [("r/short", 1), ("r/long", 60)] {
        client
            .publish_with(topic, "1", RETAIN, 0, &[2, 0, 0, 0, seconds])
            .await;
    }
    client.expect_silence().await;
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    client.subscribe(1, "r/+", 0).await;
    let got = client.message().await;
    assert_eq!(got.topic, "r/long");
    let left = crate::client::value(&got.properties, 2).unwrap()[3];
    assert!((50..=58).contains(&left), "{left}");
    client.expect_silence().await;
}
