//! Wills (MQTT 5 and 3.1.1, sections 3.1.2.5 to 3.1.2.7 and 3.14.4).

use std::time::{Duration, Instant};

use crate::client::{BOTH, connect, connect_body};
use crate::harness::Door;
use crate::wire::{Wire, text};

/// CONNECT of MQTT 5 with a will "gone" to `will`, a session expiry and a will delay in seconds.
fn delayed(clean: bool, expiry: u8, delay: u8) -> Vec<u8> {
    let mut rest = text("c");
    rest.extend([5, 0x18, 0, 0, 0, delay]);
    rest.extend([text("will"), text("gone")].concat());
    let flags = 0x04 | u8::from(clean) << 1;
    connect_body("MQTT", 5, flags, &[0x11, 0, 0, 0, expiry], &rest)
}

async fn join(door: &Door, bytes: &[u8]) -> Wire {
    let mut client = Wire::raw(door.port, 5, bytes).await;
    let (first, body) = client.packet().await.unwrap();
    assert_eq!((first, body[1]), (0x20, 0));
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_7_and_8_the_will_is_published_when_the_connection_is_lost() {
    let door = Door::open().await;
    for level in BOTH {
        for qos in 0..=2 {
            let mut watcher = door.client(level, "w").await;
            watcher.subscribe(1, "will/+", 2).await;
            let connect = connect(level, "c").will("will/c", "gone", qos, false);
            drop(Wire::join(door.port, connect).await);
            let got = watcher.take().await;
            assert_eq!(
                (got.payload.as_str(), got.qos, got.retain),
                ("gone", qos, false)
            );
            watcher.expect_silence().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_8_the_will_is_published_when_the_server_closes_for_an_error() {
    let door = Door::open().await;
    for level in BOTH {
        let mut watcher = door.client(level, "w").await;
        watcher.subscribe(1, "will", 0).await;
        let with_will = connect(level, "c").will("will", "error", 0, false);
        let mut client = Wire::join(door.port, with_will).await;
        client.send(&[0x00, 0]).await;
        assert_eq!(watcher.message().await.payload, "error");
        let with_will = connect(level, "c")
            .keep_alive(1)
            .will("will", "silent", 0, false);
        let _silent = Wire::join(door.port, with_will).await;
        assert_eq!(watcher.message().await.payload, "silent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_10_and_3_14_4_3_a_client_that_leaves_takes_its_will_along() {
    let door = Door::open().await;
    for level in BOTH {
        let mut watcher = door.client(level, "w").await;
        watcher.subscribe(1, "will", 0).await;
        let with_will = connect(level, "c").will("will", "gone", 0, false);
        Wire::join(door.port, with_will).await.leave().await;
        // Nor is it published by a later connection without one.
        drop(door.client(level, "c").await);
        door.until_open(1).await;
        watcher.publish("will", "fence", 0, 0).await;
        assert_eq!(watcher.message().await.payload, "fence");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_14_2_1_a_client_that_leaves_with_reason_4_wants_its_will_published() {
    let door = Door::open().await;
    let mut watcher = door.v5("w").await;
    watcher.subscribe(1, "will", 0).await;
    let with_will = connect(5, "c").will("will", "gone", 0, false);
    let mut client = Wire::join(door.port, with_will).await;
    client.send(&[0xE0, 2, 4, 0]).await;
    assert_eq!(watcher.message().await.payload, "gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_14_and_15_a_will_is_retained_if_it_says_so() {
    let door = Door::open().await;
    for level in BOTH {
        for retain in [false, true] {
            let mut watcher = door.client(level, "w").await;
            watcher.subscribe(1, "will", 0).await;
            let with_will = connect(level, "c").will("will", "gone", 1, retain);
            drop(Wire::join(door.port, with_will).await);
            assert!(!watcher.message().await.retain);
            let mut late = door.client(level, "late").await;
            late.subscribe(1, "will", 0).await;
            if retain {
                assert!(late.message().await.retain);
                late.publish_with("will", "", 1, 0, &[]).await;
                late.message().await;
            }
            late.expect_silence().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_3_11_the_topic_of_a_will_is_a_topic() {
    let door = Door::open().await;
    for level in BOTH {
        for topic in ["", "a/#", "+"] {
            let bytes = connect(level, "c").will(topic, "gone", 0, false).bytes();
            let mut client = Wire::raw(door.port, level, &bytes).await;
            let end = client.packet().await;
            match level {
                4 => assert_eq!(end, None),
                _ => assert!(matches!(end.unwrap().1[1], 0x81 | 0x82 | 0x90)),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_8_a_will_waits_for_its_delay() {
    let door = Door::open().await;
    let mut watcher = door.v5("w").await;
    watcher.subscribe(1, "will", 0).await;
    drop(join(&door, &delayed(true, 60, 2)).await);
    let start = Instant::now();
    assert_eq!(watcher.message().await.payload, "gone");
    let after = start.elapsed();
    assert!((1_500..5_000).contains(&after.as_millis()), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_8_a_will_does_not_outlast_its_session() {
    let door = Door::open().await;
    let mut watcher = door.v5("w").await;
    watcher.subscribe(1, "will", 0).await;
    for (expiry, most) in [(0, 1_000), (1, 4_000)] {
        drop(join(&door, &delayed(true, expiry, 200)).await);
        let start = Instant::now();
        assert_eq!(watcher.message().await.payload, "gone");
        assert!(start.elapsed() < Duration::from_millis(most), "{expiry}");
    }
    // A clean start ends the session too.
    drop(join(&door, &delayed(true, 200, 200)).await);
    door.until_open(1).await;
    let _clean = door.v5("c").await;
    assert_eq!(watcher.message().await.payload, "gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_3_9_a_client_that_is_back_before_the_delay_has_no_will_published() {
    let door = Door::open().await;
    let mut watcher = door.v5("w").await;
    watcher.subscribe(1, "will", 0).await;
    drop(join(&door, &delayed(true, 60, 2)).await);
    door.until_open(1).await;
    let mut back = join(&door, &delayed(false, 60, 2)).await;
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    back.expect_silence().await;
    watcher.publish("will", "fence", 0, 0).await;
    assert_eq!(watcher.message().await.payload, "fence");
}
