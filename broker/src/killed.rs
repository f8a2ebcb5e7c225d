//! The router dies among clients that publish and subscribe: they notice nothing.

use crate::harness::Door;
use crate::wire::{Connect, Wire};

const EACH: u16 = 300;

/// Publishes numbers with QoS 1 or 2, one after the other acknowledged.
async fn publish(mut client: Wire, topic: &'static str, qos: u8) {
    for n in 0..EACH {
        client.publish(topic, &n.to_string(), qos, n + 1).await;
        let pkid = (n + 1).to_be_bytes();
        if qos == 1 {
            client.expect(0x40, &pkid).await;
        } else {
            client.expect(0x50, &pkid).await;
            client.ack(0x62, n + 1).await;
            client.expect(0x70, &pkid).await;
        }
    }
    client.leave().await;
}

/// Receives the numbers of two topics, each once and in order.
async fn receive(mut client: Wire) {
    let mut next = [0; 2];
    let mut released = 0;
    while next != [EACH; 2] || released < EACH {
        let Some((first, body)) = client.packet().await else {
            panic!("the connection ended")
        };
        if first == 0x62 {
            client
                .ack(0x70, u16::from_be_bytes([body[0], body[1]]))
                .await;
            released += 1;
            continue;
        }
        assert_eq!(first & 0xF9, 0x30, "a PUBLISH, and no repetition");
        let (topic, rest) = body[2..].split_at(usize::from(body[1]));
        let (pkid, payload) = rest.split_at(2);
        let from = usize::from(topic == b"load/two");
        let skip = usize::from(client.level == 5);
        assert_eq!(payload[skip..], *next[from].to_string().as_bytes());
        next[from] += 1;
        let kind = if first & 0x06 == 0x02 { 0x40 } else { 0x50 };
        client
            .ack(kind, u16::from_be_bytes([pkid[0], pkid[1]]))
            .await;
    }
    client.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_with_qos_1_and_2_notice_nothing_of_a_router_that_dies_again_and_again() {
    let door = Door::open().await;
    let mut receivers = vec![];
    for (id, level, filters) in [
        ("wild", 4, &["load/#"][..]),
        ("plus", 5, &["+/one", "load/two"]),
        ("exact", 5, &["load/one", "load/two"]),
    ] {
        let connect = Connect {
            level,
            ..Connect::v3(id)
        };
        let mut client = Wire::join(door.port, connect).await;
        for filter in filters {
            client.subscribe(1, filter, 2).await;
        }
        receivers.push(tokio::spawn(receive(client)));
    }
    let before = door.stats().received;
    let mut publishers = vec![];
    for (id, topic, qos) in [("one", "load/one", 1), ("two", "load/two", 2)] {
        publishers.push(tokio::spawn(publish(door.v5(id).await, topic, qos)));
    }
    for kill in 1..=10 {
        door.broker.kill_router();
        let far = before + kill * u64::from(2 * EACH) / 12;
        door.until("the next kill", |d| d.stats().received >= far)
            .await;
    }
    for task in publishers.into_iter().chain(receivers) {
        crate::harness::soon("all messages", task).await.unwrap();
    }
    let stats = door.stats();
    assert!(stats.router_rebuilds > 0, "{stats:?}");
    assert_eq!(
        (stats.router_jumps, stats.slow_clients),
        (0, 0),
        "{stats:?}"
    );
}
