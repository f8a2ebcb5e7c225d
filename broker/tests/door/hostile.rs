//! What ended rumqttd's router or listener from one client, and what a fuzzer finds.

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::harness::Door;
use crate::wire::{Connect, Wire, packet, publish, text};

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_begin_beyond_ascii_are_topics_like_others() {
    let door = Door::open().await;
    let mut client = door.v5("c").await;
    client.subscribe(1, "#", 0).await;
    client.subscribe(2, "ü/#", 0).await;
    for topic in ["ä", "日本/x", "🌍", "/", " ", "ü/x"] {
        client.publish(topic, "1", 0, 0).await;
        assert_eq!(client.message().await.topic, topic);
    }
    client.expect_silence().await;
    door.assert_serves().await;
    assert_eq!(door.stats().router_rebuilds, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_of_a_server_end_the_connection_that_sends_them() {
    let door = Door::open().await;
    for bytes in [
        &[0x20, 2, 0, 0][..],
        &[0x20, 3, 0, 0, 0],
        &[0x90, 3, 0, 1, 0],
        &[0xD0, 0],
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", door.port)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut wire = Wire {
            stream: BufReader::new(stream),
            level: 4,
            connack: vec![],
        };
        assert_eq!(wire.packet().await, None, "{bytes:?} as the first packet");
        let mut wire = door.v3("c").await;
        wire.send(bytes).await;
        wire.expect_end(0).await;
    }
    door.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identifiers_may_hold_anything() {
    let door = Door::open().await;
    for id in ["a/b", "#", "+", "$SYS", "ä", "link-1", "c"] {
        let mut client = door.v5(id).await;
        client.subscribe(1, "x/#", 0).await;
        let mut again = door.v5(id).await;
        again.subscribe(1, "x/#", 0).await;
        client.expect_end(0x8E).await;
    }
    door.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_delay_nobody() {
    let door = Door::open().await;
    let mut idle = vec![];
    for _ in 0..200 {
        let mut stream = TcpStream::connect(("127.0.0.1", door.port)).await.unwrap();
        stream
            .write_all(&Connect::v5("half").bytes()[..7])
            .await
            .unwrap();
        idle.push(stream);
    }
    door.assert_serves().await;
    let mut half = door.v3("h").await;
    half.send(&publish(4, "a", &[0; 500], 0, 0, &[])[..100])
        .await;
    door.assert_serves().await;
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_subscriber_that_is_taken_over_does_no_harm() {
    let door = Door::open().await;
    for _ in 0..20 {
        let mut slow = door.v3("slow").await;
        slow.subscribe(1, "load/#", 1).await;
        let mut publisher = door.v3("p").await;
        for _ in 0..200 {
            publisher.publish("load/x", &"x".repeat(2_000), 0, 0).await;
        }
        let _taken_over = door.v3("slow").await;
    }
    door.assert_serves().await;
    assert_eq!(door.stats().router_rebuilds, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_mutated_streams_leave_the_broker_serving() {
    const STREAMS: usize = 10_000;
    let door = Door::open().await;
    door.intake.all_durable();
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let streams: Vec<Vec<u8>> = (0..STREAMS).map(|n| mutated(&mut rng, n)).collect();
    let mut workers = vec![];
    for chunk in streams.chunks(STREAMS / 8) {
        let (chunk, port) = (chunk.to_vec(), door.port);
        workers.push(tokio::spawn(async move {
            for bytes in chunk {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                // The broker may close before it has read everything.
                let _ = stream.write_all(&bytes).await;
                let _ = stream.shutdown().await;
                let mut sink = vec![];
                let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut sink);
                let _ = crate::harness::soon("the end of a mutated stream", read).await;
            }
        }));
    }
    for worker in workers {
        worker.await.unwrap();
    }
    door.until("all are gone", |d| d.stats().connections == 0)
        .await;
    let stats = door.stats();
    assert!(
        stats.accepted > 1_000 && stats.protocol_errors > 1_000,
        "{stats:?}"
    );
    assert_eq!(stats.router_rebuilds, 0, "{stats:?}");
    door.assert_serves().await;
}

/// The stream of a busy client, with some bytes changed, cut out, doubled or put in.
fn mutated(rng: &mut TestRng, n: usize) -> Vec<u8> {
    let level = if n.is_multiple_of(2) { 4 } else { 5 };
    let id = format!("f{}", n % 50);
    let connect = Connect {
        level,
        clean: !n.is_multiple_of(3),
        ..Connect::v3(&id)
    };
    let mut bytes = connect.will("wills/x", "gone", 1, true).bytes();
    let keep = if rng.next_u32().is_multiple_of(4) {
        0
    } else {
        bytes.len()
    };
    let mut subscribe = vec![0, 1];
    if level == 5 {
        subscribe.push(0);
    }
    for filter in ["ä/#", "#", "a/+/b", "a/b"] {
        subscribe.extend(text(filter));
        subscribe.push(2);
    }
    bytes.extend(packet(0x82, &subscribe));
    for (flags, topic) in [(0, "ä"), (2, "dt/q/a"), (4, "a/x/b"), (5, "a/b")] {
        bytes.extend(publish(level, topic, b"21.5", flags, 3, &[]));
    }
    bytes.extend(packet(0x62, &[0, 3]));
    bytes.extend(packet(0x40, &[0, 1]));
    bytes.extend(packet(0x50, &[0, 2]));
    bytes.extend(packet(
        0xA2,
        if level == 5 {
            &[0, 2, 0, 0, 1, b'#']
        } else {
            &[0, 2, 0, 1, b'#']
        },
    ));
    bytes.extend([0xC0, 0, 0xE0, 0]);
    for _ in 0..rng.next_u32() % 6 {
        let at = keep + rng.next_u32() as usize % (bytes.len() - keep);
        match rng.next_u32() % 4 {
            0 => bytes[at] = rng.next_u32() as u8,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, rng.next_u32() as u8),
            _ => bytes.truncate(at.max(keep + 1)),
        }
        if bytes.len() <= keep {
            break;
        }
    }
    bytes
}
