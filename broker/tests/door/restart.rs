//! What a broker that was killed knows when it comes back.

use std::sync::Arc;

use quartier_broker::Config;

use crate::harness::{Door, TestDisk, TestIntake, soon};
use crate::wire::{Connect, Wire};

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_and_queued_messages_survive_a_kill() {
    let first = Door::open().await;
    for (connect, filter) in [
        (Connect::v3("exact").lasting(), "q/x"),
        (Connect::v5("wild").lasting(), "q/+"),
    ] {
        let mut client = Wire::join(first.port, connect).await;
        client.subscribe(1, filter, 2).await;
    }
    first
        .until("both are away", |d| d.stats().connections == 0)
        .await;
    let mut publisher = first.v5("p").await;
    publisher.publish("q/x", "0", 0, 0).await;
    publisher
        .publish_with("q/x", "1", 2, 1, &[0x02, 0, 0, 1, 0])
        .await;
    publisher.expect(PUBACK, &[0, 1]).await;
    publisher.publish("q/x", "2", 2, 2).await;
    publisher.expect(PUBREC, &[0, 2]).await;

    let second = first.killed().await;
    assert_eq!(second.stats().sessions, 2);
    let mut publisher = second.v3("p").await;
    for (connect, more) in [
        (Connect::v3("exact").lasting(), 0),
        (Connect::v5("wild").lasting(), 1),
    ] {
        let mut back = Wire::join(second.port, connect.clone()).await;
        assert!(back.session_present());
        let (one, two) = (back.message().await, back.message().await);
        assert_eq!((one.payload.as_str(), one.qos), ("1", 1));
        assert_eq!((two.payload.as_str(), two.qos), ("2", 2));
        if connect.level == 5 {
            let [2, ref left @ ..] = one.properties[..] else {
                panic!("no expiry: {:?}", one.properties);
            };
            let left = u32::from_be_bytes(left.try_into().unwrap());
            assert!((200..=256).contains(&left), "{left} s left");
        }
        for _ in 0..more {
            let while_away = back.message().await;
            back.ack(PUBACK, while_away.pkid).await;
        }
        back.ack(PUBACK, one.pkid).await;
        back.ack(PUBREC, two.pkid).await;
        back.expect(PUBREL, &two.pkid.to_be_bytes()).await;
        back.ack(PUBCOMP, two.pkid).await;
        publisher.publish("q/x", "3", 1, 3).await;
        publisher.expect(PUBACK, &[0, 3]).await;
        let live = back.message().await;
        assert_eq!(live.payload, "3", "the subscription is there");
        back.ack(PUBACK, live.pkid).await;
        back.expect_silence().await;
        back.leave().await;
    }
    second.settled().await;
    let third = second.killed().await;
    let mut back = Wire::join(third.port, Connect::v3("exact").lasting()).await;
    assert_eq!(
        back.message().await.payload,
        "3",
        "which came while it was away"
    );
    back.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_keeps_its_identifier_and_its_step() {
    let first = Door::open().await;
    let mut client = Wire::join(first.port, Connect::v5("s").lasting()).await;
    client.subscribe(1, "x", 2).await;
    let mut publisher = first.v3("p").await;
    for (pkid, qos) in [(1, 1), (2, 2), (3, 2)] {
        publisher.publish("x", &pkid.to_string(), qos, pkid).await;
        publisher.packet().await.unwrap();
    }
    let (one, two, three) = (
        client.message().await,
        client.message().await,
        client.message().await,
    );
    client.ack(PUBREC, two.pkid).await;
    client.expect(PUBREL, &two.pkid.to_be_bytes()).await;
    let second = first.killed().await;
    let mut client = Wire::join(second.port, Connect::v5("s").lasting()).await;
    client.expect(PUBREL, &two.pkid.to_be_bytes()).await;
    for known in [one, three] {
        let again = client.message().await;
        assert!(again.dup);
        assert_eq!((again.pkid, again.payload), (known.pkid, known.payload));
    }
    client.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_waits_until_its_message_is_on_disk_for_who_is_away() {
    for filter in ["x/y", "x/+", "$share/g/x/#"] {
        let door = Door::open().await;
        let mut away = Wire::join(door.port, Connect::v5("away").lasting()).await;
        away.subscribe(1, filter, 1).await;
        drop(away);
        door.until("it is away", |d| d.stats().connections == 0)
            .await;
        door.settled().await;
        let mut publisher = door.v3("p").await;
        door.disk.stop();
        publisher.publish("x/y", "1", 1, 1).await;
        publisher.publish("other", "2", 1, 2).await;
        door.until("the disk refuses", |d| d.stats().disk_failures > 0)
            .await;
        publisher.expect_silence().await;
        let without = door.disk.left();
        door.disk.go_on();
        publisher.expect(PUBACK, &[0, 1]).await;
        publisher.expect(PUBACK, &[0, 2]).await;
        for (disk, count) in [(without, 0), (door.disk.left(), 1)] {
            let next = Door::over(Config::default(), disk, TestIntake::new()).await;
            let mut back = Wire::join(next.port, Connect::v5("away").lasting()).await;
            assert_eq!(back.take_all().await, count, "{filter}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_needs_no_disk_does_not_wait_for_it() {
    let door = Door::open().await;
    door.disk.stop();
    let mut subscriber = door.v5("s").await;
    subscriber.subscribe(1, "x/#", 2).await;
    let mut publisher = door.v3("p").await;
    publisher.publish("x/y", "1", 1, 1).await;
    publisher.expect(PUBACK, &[0, 1]).await;
    publisher.publish("x/y", "2", 2, 2).await;
    publisher.expect(PUBREC, &[0, 2]).await;
    publisher.ack(PUBREL, 2).await;
    publisher.expect(PUBCOMP, &[0, 2]).await;
    assert_eq!(subscriber.message().await.payload, "1");
    assert_eq!(subscriber.message().await.payload, "2");
    assert_eq!(door.disk.writes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_message_is_acknowledged_when_it_is_on_disk_and_survives_with_its_properties() {
    let door = Door::open().await;
    let mut publisher = door.v5("p").await;
    let property = [
        &[0x26][..],
        &crate::wire::text("k"),
        &crate::wire::text("v"),
    ]
    .concat();
    publisher.publish_with("r", "1", 3, 1, &property).await;
    publisher.expect(PUBACK, &[0, 1]).await;
    let second = door.killed().await;
    let mut client = second.v5("c").await;
    client.subscribe(1, "r", 1).await;
    let got = client.message().await;
    assert_eq!((got.payload.as_str(), got.qos, got.retain), ("1", 1, true));
    assert_eq!(got.properties, property);
    client.publish_with("r", "", 3, 1, &[]).await;
    client.ack(PUBACK, got.pkid).await;
    while client.packet().await.unwrap().0 != PUBACK {}
    let third = second.killed().await;
    let mut client = third.v5("c").await;
    client.subscribe(1, "#", 1).await;
    client.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_were_given_up_do_not_come_back() {
    let first = Door::open().await;
    for id in ["clean", "zero", "short"] {
        let mut client = Wire::join(first.port, Connect::v5(id).expiry(60)).await;
        client.subscribe(1, "x", 1).await;
        client.leave().await;
    }
    first.v5("clean").await.leave().await;
    let mut zero = Wire::join(first.port, Connect::v5("zero").expiry(60)).await;
    zero.send(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0]).await;
    assert_eq!(zero.packet().await, None);
    Wire::join(first.port, Connect::v5("short").expiry(1))
        .await
        .leave()
        .await;
    first
        .until("two are over", |d| d.stats().sessions <= 1)
        .await;
    first.settled().await;
    let second = first.killed().await;
    second
        .until("the last expires", |d| d.stats().sessions == 1)
        .await;
    for id in ["clean", "zero", "short"] {
        assert!(
            !Wire::join(second.port, Connect::v5(id).expiry(60))
                .await
                .session_present(),
            "{id}"
        );
    }
    let sessions = |key: &Vec<u8>| key[0] == b'm';
    assert!(!second.disk.keys().iter().any(sessions));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bytes_on_disk_are_counted_and_removed_and_their_neighbours_live() {
    let first = Door::open().await;
    for id in ["a", "b"] {
        let mut client = Wire::join(first.port, Connect::v5(id).lasting()).await;
        client.subscribe(1, "x/+", 1).await;
        client.leave().await;
    }
    let mut publisher = first.v3("p").await;
    for pkid in 1..=3 {
        publisher
            .publish_with("x/y", &pkid.to_string(), 3, pkid, &[])
            .await;
        publisher.expect(PUBACK, &[0, pkid as u8]).await;
    }
    let disk = first.disk.left();
    let broken = 5;
    disk.change(|entries| {
        entries.insert(b"?".to_vec(), b"x".to_vec());
        entries.insert(b"s123".to_vec(), vec![1]);
        entries.insert(b"tx/z".to_vec(), vec![9, 9]);
        let sessions: Vec<_> = entries
            .keys()
            .filter(|k| k[0] == b's' && k.len() == 9)
            .cloned()
            .collect();
        entries.insert(sessions[0].clone(), vec![1, 2, 3]);
        let messages: Vec<_> = entries.keys().filter(|k| k[0] == b'm').cloned().collect();
        entries.get_mut(&messages[4]).unwrap().truncate(9);
    });
    let second = Door::over(Config::default(), disk, TestIntake::new()).await;
    assert_eq!(second.stats().disk_unreadable, broken);
    assert!(
        !Wire::join(second.port, Connect::v5("a").lasting())
            .await
            .session_present()
    );
    let mut client = Wire::join(second.port, Connect::v5("b").lasting()).await;
    assert!(client.session_present());
    assert_eq!(client.take_all().await, 2);
    client.subscribe(1, "x/+", 1).await;
    assert!(client.message().await.retain);
    second.settled().await;
    let third = Door::over(Config::default(), second.disk.left(), TestIntake::new()).await;
    assert_eq!(third.stats().disk_unreadable, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_writes_everything() {
    let disk = Arc::new(TestDisk::after(&TestDisk::default(), u64::MAX));
    let door = Door::over(Config::default(), disk, TestIntake::new()).await;
    let mut client = Wire::join(door.port, Connect::v5("s").lasting()).await;
    client.subscribe(1, "x/#", 1).await;
    door.host(|publisher| {
        let message = |n: usize| quartier_broker::Message {
            topic: "x/y".into(),
            payload: n.to_string().into(),
            retain: false,
        };
        publisher.publish((0..100).map(message).collect());
    })
    .await;
    let down = door.broker.shutdown(std::time::Duration::from_secs(10));
    soon("the end of the shutdown", down).await;
    let second = door.killed().await;
    let mut client = Wire::join(second.port, Connect::v5("s").lasting()).await;
    assert_eq!(client.take_all().await, 100);
}
