//! Streams of other kinds than TCP, and clients that hold one open without using it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quartier_broker::{Config, Message, Peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;

use crate::harness::{Door, soon};
use crate::wire::{Connect, Wire};

/// A stream that is no socket, handed to the broker.
fn hand_over(door: &Door, room: usize) -> DuplexStream {
    let (near, far) = tokio::io::duplex(room);
    let broker = Arc::clone(&door.broker);
    let peer = Peer {
        address: ([192, 0, 2, 1], 7).into(),
        certificate: None,
    };
    tokio::spawn(async move { broker.connect(far, peer).await });
    near
}

#[tokio::test(flavor = "multi_thread")]
async fn any_stream_is_served_however_little_it_takes_at_a_time() {
    let door = Door::open().await;
    let mut wire = Wire::over(hand_over(&door, 7), Connect::v5("a")).await;
    wire.subscribe(1, "x", 1).await;
    let payload = "y".repeat(100_000);
    wire.publish("x", &payload, 0, 0).await;
    assert_eq!(wire.message().await.payload, payload);
    wire.leave().await;
    door.until("it is gone", |d| d.stats().connections == 0)
        .await;
    assert_eq!(door.stats().clients, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_every_kind_count_from_their_first_moment() {
    let config = Config {
        max_connections: 2,
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let silent = hand_over(&door, 64);
    let _one = TcpStream::connect(("127.0.0.1", door.port)).await.unwrap();
    door.until("both count", |d| d.stats().connections == 2)
        .await;
    let mut third = hand_over(&door, 64);
    assert_eq!(soon("the end", third.read(&mut [0])).await.unwrap(), 0);
    let mut fourth = TcpStream::connect(("127.0.0.1", door.port)).await.unwrap();
    assert_eq!(soon("the end", fourth.read(&mut [0])).await.unwrap_or(0), 0);
    assert_eq!(door.stats().refused, 2);
    drop(silent);
    door.until("there is room", |d| d.stats().connections == 1)
        .await;
    Wire::over(hand_over(&door, 64), Connect::v5("a"))
        .await
        .leave()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_byte_by_byte_is_cut_in_time_and_delays_nobody() {
    let config = Config {
        connect_timeout: Duration::from_millis(500),
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let start = Instant::now();
    let mut crawlers = vec![];
    for _ in 0..50 {
        let mut stream = TcpStream::connect(("127.0.0.1", door.port)).await.unwrap();
        crawlers.push(tokio::spawn(async move {
            let connect = Connect::v5("crawls").login("u", &"p".repeat(200)).bytes();
            let mut byte = [0];
            for next in connect {
                if stream.write_all(&[next]).await.is_err() {
                    return;
                }
                let read = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut byte));
                if let Ok(Ok(0) | Err(_)) = read.await {
                    return;
                }
            }
            panic!("nobody stopped it");
        }));
    }
    door.assert_serves().await;
    for crawler in crawlers {
        soon("the end of a slow client", crawler).await.unwrap();
    }
    assert!(start.elapsed() >= Duration::from_millis(450));
    assert_eq!(door.stats().refused, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_no_more_is_gone_with_its_will() {
    let door = Door::open().await;
    let mut watcher = door.v3("w").await;
    watcher.subscribe(1, "wills", 0).await;
    let connect = Connect::v5("half").will("wills", "gone", 0, false);
    let mut half = Wire::join(door.port, connect).await;
    half.stream.get_mut().shutdown().await.unwrap();
    assert_eq!(watcher.message().await.payload, "gone");
    // It is not waited for its side.
    door.until("it is gone", |d| d.stats().connections == 1)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_never_read_holds_up_nobody_and_is_bounded() {
    let config = Config {
        max_queue_messages: 50,
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let mut stuck = Wire::over(hand_over(&door, 64), Connect::v5("stuck")).await;
    stuck.subscribe(1, "load", 0).await;
    let mut quick = door.v3("quick").await;
    quick.subscribe(1, "load", 0).await;
    let payload: bytes::Bytes = vec![b'x'; 4_000].into();
    for _ in 0..200 {
        let message = Message {
            topic: "load".into(),
            payload: payload.clone(),
            retain: false,
        };
        door.host(|publisher| publisher.publish(vec![message]))
            .await;
        quick.message().await;
    }
    let stats = door.stats();
    assert!(stats.dropped_queue_full > 0, "{stats:?}");
    drop(stuck);
    door.until("it is gone", |d| d.stats().clients == 1).await;
}
