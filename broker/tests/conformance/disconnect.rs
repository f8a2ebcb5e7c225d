//! DISCONNECT and errors (MQTT 5 and 3.1.1, sections 3.14 and 4.13).

use crate::client::{BOTH, SUBSCRIBE, connect, split_properties};
use crate::harness::Door;
use crate::wire::{Wire, packet, publish};

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_14_0_1_without_a_connack_there_is_no_disconnect() {
    let door = Door::open().await;
    for bytes in [
        &[0xC0, 0][..],
        &[0x00, 0],
        &[0x10, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0x20, 3, 0, 0, 0],
    ] {
        Wire::raw(door.port, 5, bytes).await.expect_closed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_14_1_1_reserved_bits_of_disconnect_are_malformed() {
    let door = Door::open().await;
    let mut watcher = door.v5("w").await;
    watcher.subscribe(1, "will", 0).await;
    for level in BOTH {
        let with_will = connect(level, "c").will("will", "gone", 0, false);
        let mut client = Wire::join(door.port, with_will).await;
        client.send(&[0xE1, 0]).await;
        client.expect_end(0x81).await;
        // It was no DISCONNECT.
        assert_eq!(watcher.message().await.payload, "gone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_14_2_2_the_servers_disconnect_has_no_session_expiry() {
    let door = Door::open().await;
    let mut first = Wire::join(door.port, connect(5, "c").lasting()).await;
    let _second = Wire::join(door.port, connect(5, "c").lasting()).await;
    let (kind, body) = first.packet().await.unwrap();
    assert_eq!((kind, body[0]), (0xE0, 0x8E));
    let properties = split_properties(body.get(2..).unwrap_or_default());
    assert!(properties.iter().all(|(id, _)| *id != 0x11));
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_14_4_1_and_2_nothing_comes_after_a_disconnect() {
    let door = Door::open().await;
    let mut client = door.v5("c").await;
    client.subscribe(1, "a", 0).await;
    let mut publisher = door.v5("p").await;
    let mut bytes = vec![0x00, 0];
    bytes.extend(publish(5, "a", b"after", 2, 1, &[]));
    bytes.extend([0xC0, 0]);
    client.send(&bytes).await;
    for _ in 0..10 {
        publisher.publish("a", "1", 0, 0).await;
    }
    let mut kinds = vec![];
    while let Some((first, _)) = client.packet().await {
        kinds.push(first);
    }
    assert_eq!(kinds.last(), Some(&0xE0));
    assert!(
        kinds.iter().rev().skip(1).all(|kind| *kind == 0x30),
        "{kinds:?}"
    );
    publisher.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_14_4_2_what_a_client_sends_after_its_disconnect_is_not_processed() {
    let door = Door::open().await;
    let mut watcher = door.v5("w").await;
    watcher.subscribe(1, "a", 0).await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        let mut bytes = vec![0xE0, 0];
        bytes.extend(publish(level, "a", b"after", 0, 0, &[]));
        client.send(&bytes).await;
        client.expect_closed().await;
    }
    watcher.publish("a", "fence", 0, 0).await;
    assert_eq!(watcher.message().await.payload, "fence");
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_13_1_1_what_came_before_an_error_counts_and_the_error_ends_the_connection() {
    let door = Door::open().await;
    door.intake.all_durable();
    for level in BOTH {
        let before = door.intake.count();
        let mut client = door.client(level, "c").await;
        let mut bytes = publish(level, "dt/q/a", b"1", 2, 1, &[]);
        bytes.extend(packet(SUBSCRIBE, &[0, 1]));
        client.send(&bytes).await;
        client.expect_end(if level == 5 { 0x81 } else { 0 }).await;
        assert_eq!(door.intake.count(), before + 1);
    }
    assert_eq!(door.stats().protocol_errors, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_13_2_1_the_end_is_told_though_the_client_sends_on() {
    let door = Door::open().await;
    for _ in 0..20 {
        let mut client = door.v5("c").await;
        let mut bytes = vec![0x00, 0];
        // More than is read at once: a socket closed with unread bytes resets the connection,
        // and the reason is lost on the way.
        bytes.extend(publish(5, "a", &[0; 200_000], 0, 0, &[]));
        client.send(&bytes).await;
        client.expect_end(0x81).await;
    }
}
