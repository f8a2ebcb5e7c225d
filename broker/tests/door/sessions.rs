//! Connecting, take-over, wills, keep-alive, and what waits for a client that is away.

use std::time::{Duration, Instant};

use quartier_broker::Config;
use tokio::io::BufReader;

use crate::harness::Door;
use crate::wire::{Connect, Wire};

#[tokio::test(flavor = "multi_thread")]
async fn a_login_decides_in_both_versions() {
    let door = Door::open().await;
    for (level, bad, nobody) in [(4, 4, 5), (5, 0x86, 0x87)] {
        let connect = |user, password| {
            Connect {
                level,
                ..Connect::v3("c")
            }
            .login(user, password)
        };
        Wire::join(door.port, connect("u", "good")).await;
        let refused = Wire::dial(door.port, connect("u", "bad")).await;
        assert_eq!(refused.connack[1], bad);
        let refused = Wire::dial(door.port, connect("nobody", "x")).await;
        assert_eq!(refused.connack[1], nobody);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_identifier_gets_one() {
    let door = Door::open().await;
    let (one, two) = (door.v5("").await, door.v5("").await);
    assert!(
        one.connack.windows(5).any(|w| w == b"auto-"),
        "{:?}",
        one.connack
    );
    assert_ne!(one.connack, two.connack);
    door.v3("").await;
    let mut connect = Connect::v3("");
    connect.clean = false;
    let refused = Wire::dial(door.port, connect).await;
    assert_eq!(refused.connack, [0, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_level_is_refused() {
    let door = Door::open().await;
    let connect = Connect {
        level: 3,
        ..Connect::v3("c")
    };
    assert_eq!(Wire::dial(door.port, connect).await.connack, [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_takes_over_and_the_first_ones_will_is_published() {
    let door = Door::open().await;
    let mut watcher = door.v3("w").await;
    watcher.subscribe(1, "wills/+", 1).await;
    for level in [4, 5] {
        let connect = Connect {
            level,
            ..Connect::v3("a/b c#+")
        }
        .will("wills/a", "gone", 1, false);
        let mut first = Wire::join(door.port, connect).await;
        let second = door.v3("a/b c#+").await;
        first.expect_end(0x8E).await;
        let got = watcher.message().await;
        assert_eq!((got.payload.as_str(), got.qos), ("gone", 1));
        watcher.ack(0x40, got.pkid).await;
        second.leave().await;
    }
    assert_eq!(door.stats().taken_over, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_is_published_on_an_abnormal_end_and_on_reason_4_only() {
    let door = Door::open().await;
    let mut watcher = door.v3("w").await;
    watcher.subscribe(1, "wills", 0).await;
    let connect = |payload: &str| Connect::v5("c").will("wills", payload, 0, false);
    Wire::join(door.port, connect("left")).await.leave().await;
    let mut with_will = Wire::join(door.port, connect("reason 4")).await;
    with_will.send(&[0xE0, 1, 4]).await;
    assert_eq!(watcher.message().await.payload, "reason 4");
    drop(Wire::join(door.port, connect("lost")).await);
    assert_eq!(watcher.message().await.payload, "lost");
    let mut broken = Wire::join(door.port, connect("protocol error")).await;
    broken.send(&[0xF0, 0]).await;
    assert_eq!(watcher.message().await.payload, "protocol error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_cut_after_one_and_a_half_keep_alives() {
    let door = Door::open().await;
    let mut watcher = door.v3("w").await;
    watcher.subscribe(1, "wills", 0).await;
    let connect = Connect::v5("c")
        .keep_alive(1)
        .will("wills", "silent", 0, false);
    let mut silent = Wire::join(door.port, connect).await;
    let mut without = door.v3("forever").await;
    let start = Instant::now();
    silent.expect_end(0x8D).await;
    let after = start.elapsed();
    assert!(
        after >= Duration::from_millis(1400) && after < Duration::from_secs(4),
        "{after:?}"
    );
    assert_eq!(watcher.message().await.payload, "silent");
    without.expect_silence().await;
    assert_eq!(door.stats().keep_alive_timeouts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_nothing_is_cut_and_one_with_half_a_connect_too() {
    let config = Config {
        connect_timeout: Duration::from_millis(100),
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let connect = Connect::v3("c").bytes();
    for bytes in [&[][..], &connect[..5]] {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", door.port))
            .await
            .unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, bytes)
            .await
            .unwrap();
        let mut wire = Wire {
            stream: BufReader::new(stream),
            level: 4,
            connack: vec![],
        };
        assert_eq!(wire.packet().await, None);
    }
    door.until("both are counted", |d| d.stats().refused == 2)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn qos_1_waits_for_a_client_that_is_away_and_qos_0_does_not() {
    let door = Door::open().await;
    for connect in [Connect::v3("s3").lasting(), Connect::v5("s5").lasting()] {
        for filter in ["q/x", "q/+"] {
            let mut away = Wire::join(door.port, connect.clone()).await;
            away.subscribe(1, filter, 2).await;
            drop(away);
            let number = door.stats().connections;
            door.until("it is away", |d| d.stats().connections < number.max(1))
                .await;
            let mut publisher = door.v3("p").await;
            publisher.publish("q/x", "0", 0, 0).await;
            publisher.publish("q/x", "1", 1, 1).await;
            publisher.expect(0x40, &[0, 1]).await;
            publisher.publish("q/x", "2", 2, 2).await;
            publisher.expect(0x50, &[0, 2]).await;
            let mut back = Wire::join(door.port, connect.clone()).await;
            assert!(back.session_present());
            let one = back.message().await;
            back.ack(0x40, one.pkid).await;
            let two = back.message().await;
            assert_eq!((one.payload.as_str(), one.qos), ("1", 1), "{filter}");
            assert_eq!((two.payload.as_str(), two.qos), ("2", 2), "{filter}");
            back.ack(0x50, two.pkid).await;
            back.expect(0x62, &two.pkid.to_be_bytes()).await;
            back.ack(0x70, two.pkid).await;
            back.unsubscribe(9, filter).await;
            back.leave().await;
            publisher.leave().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unacknowledged_is_sent_again_in_order_after_a_reconnect() {
    let door = Door::open().await;
    let mut first = Wire::join(door.port, Connect::v5("s").lasting()).await;
    first.subscribe(1, "x/#", 2).await;
    let mut publisher = door.v3("p").await;
    for (pkid, qos) in [(1, 1), (2, 2), (3, 2), (4, 1)] {
        publisher.publish("x/y", &pkid.to_string(), qos, pkid).await;
        publisher.packet().await.unwrap();
    }
    let mut got = vec![];
    for _ in 0..4 {
        got.push(first.message().await);
    }
    first.ack(0x50, got[2].pkid).await;
    first.expect(0x62, &got[2].pkid.to_be_bytes()).await;
    let mut second = Wire::join(door.port, Connect::v5("s").lasting()).await;
    for n in [0, 1] {
        let again = second.message().await;
        assert!(again.dup);
        assert_eq!((again.pkid, &again.payload), (got[n].pkid, &got[n].payload));
    }
    second.expect(0x62, &got[2].pkid.to_be_bytes()).await;
    assert_eq!(second.message().await.payload, "4");
    second.ack(0x70, got[2].pkid).await;
    second.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_start_forgets_and_so_does_an_expiry_of_0() {
    let door = Door::open().await;
    let mut first = Wire::join(door.port, Connect::v5("s").lasting()).await;
    first.subscribe(1, "x", 1).await;
    first.subscribe(2, "y/#", 1).await;
    let mut clean = door.v5("s").await;
    assert!(!clean.session_present());
    first.expect_end(0x8E).await;
    clean.publish("x", "1", 0, 0).await;
    clean.publish("y/z", "1", 0, 0).await;
    clean.expect_silence().await;
    let publisher = door.broker.publisher();
    assert!(!publisher.anyone_for("x") && !publisher.anyone_for("y"));
    clean.leave().await;
    door.until("no session is left", |d| d.stats().sessions == 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_expires() {
    let door = Door::open().await;
    let mut connect = Connect::v5("s");
    connect.properties = vec![0x11, 0, 0, 0, 1];
    let mut client = Wire::join(door.port, connect).await;
    client.subscribe(1, "x/#", 1).await;
    drop(client);
    door.until("it expired", |d| d.stats().sessions == 0).await;
    assert!(!door.broker.publisher().anyone_for("x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_kept() {
    let config = Config {
        max_connections: 2,
        max_packet: 1024,
        max_subscriptions: 1,
        keep_alive_max: 30,
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let mut one = Wire::join(door.port, Connect::v5("1").keep_alive(60)).await;
    let asked = [0x13, 0, 30];
    assert!(
        one.connack.windows(3).any(|w| w == asked),
        "server keep-alive {:?}",
        one.connack
    );
    one.subscribe(1, "a", 0).await;
    assert_eq!(one.try_subscribe(2, "b", 0, &[]).await, 0x97);
    let two = door.v3("2").await;
    let third = Wire::dial(door.port, Connect::v3("3")).await;
    assert!(third.connack.is_empty(), "a third connection is closed");
    two.leave().await;
    one.publish("a", &"x".repeat(2000), 0, 0).await;
    one.expect_end(0x95).await;
}
