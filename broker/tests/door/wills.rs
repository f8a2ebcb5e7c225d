//! When a will with a delay is published.

use std::time::{Duration, Instant};

use crate::harness::Door;
use crate::wire::{Connect, Wire};

fn client(delay: u32, expiry: u32) -> Connect {
    Connect::v5("c")
        .expiry(expiry)
        .will("wills", "gone", 1, false)
        .will_delay(delay)
}

async fn watcher(door: &Door) -> Wire {
    let mut watcher = door.v5("w").await;
    watcher.subscribe(1, "wills", 0).await;
    watcher
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_comes_after_its_delay_or_at_the_end_of_its_session() {
    let door = Door::open().await;
    let mut watcher = watcher(&door).await;
    for (delay, expiry, at_least, at_most) in [(2, 60, 2, 10), (60, 2, 2, 10), (60, 0, 0, 2)] {
        let start = Instant::now();
        drop(Wire::join(door.port, client(delay, expiry)).await);
        assert_eq!(watcher.message().await.payload, "gone");
        let seconds = start.elapsed();
        assert!(
            seconds >= Duration::from_secs(at_least),
            "{delay} {expiry}: {seconds:?}"
        );
        assert!(
            seconds < Duration::from_secs(at_most),
            "{delay} {expiry}: {seconds:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_back_in_time_has_no_will_published() {
    let door = Door::open().await;
    let mut watcher = watcher(&door).await;
    for _ in 0..2 {
        // Away, and taken over.
        let lost = Wire::join(door.port, client(1, 60)).await;
        let back = Wire::join(door.port, Connect::v5("c").expiry(60)).await;
        drop(lost);
        back.leave().await;
        drop(Wire::join(door.port, client(1, 60)).await);
        door.until("it is away", |d| d.stats().connections == 1)
            .await;
        Wire::join(door.port, Connect::v5("c").expiry(60))
            .await
            .leave()
            .await;
    }
    // Longer than the delay: another will that was lost at the same time is published.
    drop(
        Wire::join(
            door.port,
            Connect::v5("other")
                .expiry(60)
                .will("wills", "fence", 0, false)
                .will_delay(2),
        )
        .await,
    );
    assert_eq!(watcher.message().await.payload, "fence");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_start_ends_the_session_and_with_it_the_wait() {
    let door = Door::open().await;
    let mut watcher = watcher(&door).await;
    drop(Wire::join(door.port, client(60, 60)).await);
    door.until("it is away", |d| d.stats().connections == 1)
        .await;
    door.v5("c").await;
    assert_eq!(watcher.message().await.payload, "gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_that_waits_survives_a_kill_and_so_does_that_of_a_connected_client() {
    let door = Door::open().await;
    drop(Wire::join(door.port, client(1, 60)).await);
    door.until("it is away", |d| d.stats().connections == 0)
        .await;
    let connect = Connect::v5("connected").expiry(60);
    let _connected = Wire::join(
        door.port,
        connect.will("wills", "connected", 1, false).will_delay(1),
    )
    .await;
    door.settled().await;
    let second = door.killed().await;
    let mut watcher = watcher(&second).await;
    let mut got = [
        watcher.message().await.payload,
        watcher.message().await.payload,
    ];
    got.sort();
    assert_eq!(got, ["connected", "gone"]);
    second.settled().await;
    let third = second.killed().await;
    let mut watcher = self::watcher(&third).await;
    third
        .until("time for it", |d| d.broker.publisher().anyone_for("wills"))
        .await;
    watcher.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_shutdown_a_will_without_a_wait_is_published_and_one_with_a_wait_is_kept() {
    let door = Door::open().await;
    let retained = |id: &str, topic: &str| Connect::v5(id).expiry(60).will(topic, "gone", 1, true);
    let _now = Wire::join(door.port, retained("now", "wills/now")).await;
    let _later = Wire::join(door.port, retained("later", "wills/later").will_delay(60)).await;
    let down = door.broker.shutdown(Duration::from_secs(10));
    crate::harness::soon("the end of the shutdown", down).await;
    let keys = door.disk.keys();
    assert!(keys.contains(&b"twills/now".to_vec()));
    assert!(!keys.contains(&b"twills/later".to_vec()));
    let second = door.killed().await;
    let mut watcher = second.v5("w").await;
    watcher.subscribe(1, "wills/+", 0).await;
    assert_eq!(watcher.message().await.topic, "wills/now");
    watcher.expect_silence().await;
    second.v5("later").await;
    assert_eq!(
        watcher.message().await.topic,
        "wills/later",
        "its session ended"
    );
}
