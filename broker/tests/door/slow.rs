//! A client that does not read delays nobody but itself.

use quartier_broker::{Config, Message};

use crate::harness::Door;
use crate::wire::{Connect, Wire};

fn messages(count: usize, topic: &str) -> Vec<Message> {
    let payload: bytes::Bytes = vec![b'x'; 4_000].into();
    (0..count)
        .map(|_| Message {
            topic: topic.into(),
            payload: payload.clone(),
            retain: false,
        })
        .collect()
}

fn config() -> Config {
    Config {
        max_queue_messages: 100,
        max_inflight: 100,
        ..Config::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_qos_0_subscriber_loses_messages_and_the_other_gets_all() {
    const COUNT: usize = 10_000;
    const CHUNK: usize = 100;
    let door = Door::with(config(), vec![]).await;
    let mut slow = door.v3("slow").await;
    slow.subscribe(1, "load/#", 0).await;
    let mut quick = door.v3("quick").await;
    quick.subscribe(1, "load/+", 0).await;
    for _ in 0..COUNT / CHUNK {
        door.host(|publisher| publisher.publish(messages(CHUNK, "load/x")))
            .await;
        for _ in 0..CHUNK {
            quick.message().await;
        }
    }
    let stats = door.stats();
    assert!(stats.dropped_queue_full > 0, "{stats:?}");
    assert_eq!(stats.slow_clients, 0);
    slow.message().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_qos_1_subscriber_is_disconnected_and_its_session_stays_bounded() {
    for filter in ["load/x", "load/#"] {
        let door = Door::with(config(), vec![]).await;
        let connect = Connect::v5("slow").lasting();
        let mut slow = Wire::join(door.port, connect.clone()).await;
        slow.subscribe(1, filter, 1).await;
        let count = 100 + usize::from(config().max_inflight) + 50;
        door.host(move |publisher| publisher.publish(messages(count, "load/x")))
            .await;
        slow.expect_end(0x97).await;
        assert_eq!(door.stats().slow_clients, 1, "{filter}");
        let mut back = Wire::join(door.port, connect).await;
        assert!(back.session_present());
        let got = back.take_all().await;
        assert!((100..=200).contains(&got), "{got} messages");
    }
}
