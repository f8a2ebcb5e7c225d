//! `$SYS` topics, and how fast a client may be.

use std::time::{Duration, Instant};

use quartier_broker::Config;

use crate::harness::Door;
use crate::wire::{Connect, Wire, publish};

fn often() -> Config {
    Config {
        sys_interval: Duration::from_millis(50),
        ..Config::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_tells_of_itself_under_the_usual_names() {
    let door = Door::with(often(), vec![]).await;
    let mut everything = door.v3("everything").await;
    everything.subscribe(1, "#", 0).await;
    let mut publisher = door.v3("p").await;
    for pkid in 1..=5 {
        publisher.publish("a", "1", 1, pkid).await;
        publisher.packet().await.unwrap();
    }
    let away = Wire::join(door.port, Connect::v5("away").lasting()).await;
    away.leave().await;
    let mut watcher = door.v5("w").await;
    watcher.subscribe(1, "$SYS/broker/+/#", 0).await;
    let mut expected = vec![
        ("$SYS/broker/publish/messages/received", "5"),
        ("$SYS/broker/publish/messages/sent", ""),
        ("$SYS/broker/publish/messages/dropped", "0"),
        ("$SYS/broker/clients/connected", "3"),
        ("$SYS/broker/clients/disconnected", "1"),
        ("$SYS/broker/clients/total", "4"),
        ("$SYS/broker/clients/maximum", ""),
        ("$SYS/broker/clients/expired", "0"),
        ("$SYS/broker/version", ""),
    ];
    // Figures become true one after the other.
    let mut live = false;
    while !expected.is_empty() || !live {
        let got = watcher.message().await;
        live |= !got.retain;
        expected.retain(|(topic, value)| {
            !(got.topic == *topic && (value.is_empty() || got.payload == *value))
        });
    }
    for _ in 0..5 {
        assert_eq!(everything.message().await.topic, "a");
    }
    everything.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_subscriber_is_answered_at_once_with_all_of_them() {
    let config = Config {
        sys_interval: Duration::from_secs(3600),
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let mut first = door.v5("first").await;
    first.subscribe(1, "$SYS/#", 0).await;
    while first.message().await.topic != "$SYS/broker/load/messages/sent/15min" {}
    let mut watcher = door.v5("w").await;
    watcher.subscribe(1, "$SYS/#", 0).await;
    let mut topics = vec![];
    while topics.len() < 24 {
        let got = watcher.message().await;
        assert!(got.retain, "{got:?}");
        topics.push(got.topic);
    }
    for name in [
        "uptime",
        "retained messages/count",
        "load/messages/received/15min",
    ] {
        assert!(
            topics.contains(&format!("$SYS/broker/{name}")),
            "{name}: {topics:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_publisher_is_slowed_down_and_loses_nothing() {
    let config = Config {
        max_publish_rate: 50,
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let mut watcher = door.v3("w").await;
    watcher.subscribe(1, "a", 0).await;
    let mut fast = Wire::join(door.port, Connect::v5("fast").keep_alive(1)).await;
    let start = Instant::now();
    let flood: Vec<u8> = (1..=150)
        .flat_map(|pkid| publish(5, "a", b"1", 2, pkid, &[]))
        .collect();
    fast.send(&flood).await;
    for _ in 0..150 {
        watcher.message().await;
    }
    // 50 at once, 100 more at 50 a second; its keep-alive of one second is over by then.
    let took = start.elapsed();
    assert!(
        (Duration::from_millis(1_900)..Duration::from_secs(8)).contains(&took),
        "{took:?}"
    );
    for pkid in 1..=150u8 {
        fast.expect(0x40, &[0, pkid]).await;
    }
    // Somebody else is not slowed down.
    let start = Instant::now();
    let mut other = door.v3("other").await;
    other.expect_silence().await;
    assert!(start.elapsed() < Duration::from_secs(1));
}
