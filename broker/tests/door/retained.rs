//! Retained messages, of the broker and of the host.

use quartier_broker::{Config, Message};

use crate::harness::Door;
use crate::wire::{Connect, Got, Wire};

const RETAIN: u8 = 1;

async fn all(client: &mut Wire, count: usize) -> Vec<(String, String)> {
    let mut got = vec![];
    for _ in 0..count {
        let Got {
            topic,
            payload,
            retain,
            ..
        } = client.message().await;
        assert!(retain);
        got.push((topic, payload));
    }
    client.expect_silence().await;
    got.sort();
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_subscriber_gets_all_retained_messages_even_thousands() {
    let door = Door::open().await;
    let mut publisher = door.v3("p").await;
    for i in 0..1_500 {
        publisher
            .publish_with(&format!("r/{i}"), "1", RETAIN, 0, &[])
            .await;
    }
    publisher.publish_with("r/0", "", RETAIN, 0, &[]).await;
    publisher.expect_silence().await;
    let mut subscriber = door.v5("s").await;
    subscriber.subscribe(1, "r/+", 1).await;
    assert_eq!(all(&mut subscriber, 1_499).await.len(), 1_499);
}

#[tokio::test(flavor = "multi_thread")]
async fn retained_messages_are_not_limited_by_the_queue() {
    let config = Config {
        max_queue_messages: 10,
        max_inflight: 4,
        ..Config::default()
    };
    let kept = (0..100)
        .map(|i| Message {
            topic: format!("k/{i}"),
            payload: "1".into(),
            retain: true,
        })
        .collect();
    let door = Door::with(config, kept).await;
    let mut subscriber = door.v3("s").await;
    subscriber.subscribe(1, "k/#", 1).await;
    for _ in 0..100 {
        let got = subscriber.message().await;
        subscriber.ack(0x40, got.pkid).await;
    }
    assert_eq!(door.stats().dropped_queue_full, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn retain_handling_and_retain_as_published() {
    let door = Door::open().await;
    let mut publisher = door.v3("p").await;
    publisher.publish_with("r", "kept", RETAIN, 0, &[]).await;
    publisher.expect_silence().await;
    let mut client = door.v5("c").await;
    client.subscribe(1, "r", 0x10).await;
    assert_eq!(all(&mut client, 1).await.len(), 1);
    client.subscribe(2, "r", 0x10).await;
    client.expect_silence().await;
    client.subscribe(3, "r", 0x20).await;
    client.expect_silence().await;
    client.subscribe(4, "r", 0x00).await;
    assert_eq!(all(&mut client, 1).await.len(), 1);
    publisher.publish_with("r", "live", RETAIN, 0, &[]).await;
    assert!(!client.message().await.retain);
    client.subscribe(5, "r", 0x28).await;
    publisher.publish_with("r", "live", RETAIN, 0, &[]).await;
    assert!(client.message().await.retain);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_own_topics_are_answered_by_the_host_and_not_kept() {
    let door = Door::open().await;
    let mut publisher = door.v3("p").await;
    publisher
        .publish_with("twin/1", "from a client", RETAIN, 0, &[])
        .await;
    publisher.publish_with("own", "kept", RETAIN, 0, &[]).await;
    publisher.expect_silence().await;
    let mut client = door.v5("c").await;
    client.subscribe(1, "twin/1", 1).await;
    assert_eq!(
        all(&mut client, 1).await,
        [("twin/1".into(), "from the host".into())]
    );
    client.subscribe(2, "twin/#", 1).await;
    let topics: Vec<_> = all(&mut client, 2)
        .await
        .into_iter()
        .map(|(topic, _)| topic)
        .collect();
    assert_eq!(topics, ["twin/1", "twin/2"]);
    door.settled().await;
    let retained = |key: &Vec<u8>| key[0] == b't';
    let on_disk: Vec<_> = door.disk.keys().into_iter().filter(retained).collect();
    assert_eq!(on_disk, [b"town".to_vec()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_messages_survive_a_restart_of_the_broker() {
    let first = Door::open().await;
    first
        .host(|publisher| {
            let topic = "status".to_owned();
            publisher.publish(vec![Message {
                topic,
                payload: "on".into(),
                retain: true,
            }]);
        })
        .await;
    first.settled().await;
    let second = first.killed().await;
    let mut client = second.v3("c").await;
    client.subscribe(1, "+", 0).await;
    assert_eq!(all(&mut client, 1).await, [("status".into(), "on".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_will_is_kept() {
    let door = Door::open().await;
    let connect = Connect::v3("d").will("status/d", "gone", 1, true);
    drop(Wire::join(door.port, connect).await);
    door.until("the will is kept", |d| {
        d.disk.keys().contains(&b"tstatus/d".to_vec())
    })
    .await;
}
