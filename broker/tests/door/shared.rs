//! Shared subscriptions: one of many, whoever has time.

use quartier_broker::Config;

use crate::harness::Door;
use crate::wire::{Connect, Wire};

const PUBACK: u8 = 0x40;

async fn publish(door: &Door, topic: &str, count: usize) {
    let mut publisher = door.v3("publisher").await;
    for n in 0..count {
        publisher.publish(topic, &n.to_string(), 1, 1).await;
        publisher.expect(PUBACK, &[0, 1]).await;
    }
    publisher.leave().await;
}

/// Payloads of the messages that wait, each acknowledged.
async fn take(client: &mut Wire) -> Vec<String> {
    let mut got = vec![];
    client.send(&[0xC0, 0]).await;
    loop {
        let (first, body) = client.packet().await.expect("open");
        if first == 0xD0 {
            return got;
        }
        let at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
        let pkid = u16::from_be_bytes([body[at], body[at + 1]]);
        client.ack(PUBACK, pkid).await;
        let payload_at = at + 2 + usize::from(client.level == 5) * (1 + usize::from(body[at + 2]));
        got.push(String::from_utf8_lossy(&body[payload_at..]).into_owned());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_goes_to_one_member_and_to_all_alike() {
    let door = Door::open().await;
    for filter in ["$share/g/a/b", "$share/g/a/+"] {
        let mut members = vec![];
        for connect in [
            Connect::v3("m1"),
            Connect::v5("m2"),
            Connect::v5("m3").lasting(),
        ] {
            let mut member = Wire::join(door.port, connect).await;
            member.subscribe(1, filter, 1).await;
            members.push(member);
        }
        let mut plain = door.v5("plain").await;
        plain.subscribe(1, "a/#", 1).await;
        publish(&door, "a/b", 30).await;
        let mut all = vec![];
        for mut member in members {
            let got = take(&mut member).await;
            assert_eq!(got.len(), 10, "{filter}");
            all.extend(got);
            member.unsubscribe(2, filter).await;
            member.leave().await;
        }
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 30);
        assert_eq!(take(&mut plain).await.len(), 30);
        plain.leave().await;
    }
    assert!(!door.broker.publisher().anyone_for("a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_announced_gets_nothing_retained_and_keeps_its_identifier() {
    let door = Door::open().await;
    let mut member = door.v5("m").await;
    assert!(member.connack.windows(2).any(|pair| pair == [0x2A, 1]));
    member.publish_with("a", "retained", 1, 0, &[]).await;
    assert_eq!(
        member.try_subscribe(1, "$share/g/a", 1, &[0x0B, 7]).await,
        1
    );
    member.expect_silence().await;
    member.publish("a", "live", 0, 0).await;
    let got = member.message().await;
    assert_eq!(
        (got.payload.as_str(), &got.properties[..]),
        ("live", &[0x0B, 7][..])
    );
    // [MQTT-3.8.3-4]
    member
        .send(&crate::wire::packet(
            0x82,
            &[&[0, 9, 0][..], &crate::wire::text("$share/g/a"), &[0x05]].concat(),
        ))
        .await;
    member.expect_end(0x82).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_member_leaves_unacknowledged_goes_to_another_one() {
    let door = Door::open().await;
    for connect in [Connect::v5("dies"), Connect::v5("dies").lasting()] {
        let mut lives = door.v5("lives").await;
        lives.subscribe(1, "$share/g/x/+", 1).await;
        let mut connect = connect;
        connect.properties.extend([0x21, 0, 2]);
        let mut dies = Wire::join(door.port, connect).await;
        dies.subscribe(1, "$share/g/x/+", 1).await;
        publish(&door, "x/y", 10).await;
        let mut got = take(&mut lives).await;
        assert_eq!(
            got.len(),
            8,
            "a full window is passed over while another has room"
        );
        let (one, two) = (dies.message().await, dies.message().await);
        dies.ack(PUBACK, one.pkid).await;
        dies.expect_silence().await;
        got.push(one.payload);
        drop(dies);
        door.until("it is gone", |d| d.stats().connections == 1)
            .await;
        door.v5("dies").await.leave().await;
        let handed_on = lives.message().await;
        lives.ack(PUBACK, handed_on.pkid).await;
        assert_eq!(handed_on.payload, two.payload);
        got.push(handed_on.payload);
        got.extend(take(&mut lives).await);
        got.sort();
        assert_eq!(got, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
        lives.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_all_are_away_messages_wait_and_survive_a_kill() {
    let door = Door::open().await;
    for id in ["m1", "m2"] {
        let mut member = Wire::join(door.port, Connect::v5(id).lasting()).await;
        member.subscribe(1, "$share/g/x/#", 1).await;
        member.leave().await;
    }
    publish(&door, "x", 10).await;
    let mut publisher = door.v3("p").await;
    publisher.publish("x", "QoS 0 waits for nobody", 0, 0).await;
    publisher.expect_silence().await;
    let second = door.killed().await;
    let mut one = Wire::join(second.port, Connect::v5("m1").lasting()).await;
    let mut got = take(&mut one).await;
    assert_eq!(got.len(), 5);
    // The other session ends, after a restart too, and its messages are handed on.
    second.v5("m2").await.leave().await;
    for _ in 0..5 {
        let message = one.message().await;
        one.ack(PUBACK, message.pkid).await;
        got.push(message.payload);
    }
    got.sort();
    assert_eq!(got, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    one.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_does_not_read_stalls_nobody() {
    let config = Config {
        max_queue_messages: 20,
        max_inflight: 5,
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let mut slow = door.v5("slow").await;
    slow.subscribe(1, "$share/g/x", 1).await;
    let mut quick = door.v5("quick").await;
    quick.subscribe(1, "$share/g/x", 1).await;
    let mut publisher = door.v3("p").await;
    let mut got = 0;
    for n in 0..200 {
        publisher.publish("x", &n.to_string(), 1, 1).await;
        publisher.expect(PUBACK, &[0, 1]).await;
        got += take(&mut quick).await.len();
    }
    assert!(got >= 200 - 5, "{got}");
    assert_eq!(
        (door.stats().slow_clients, door.stats().dropped_queue_full),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qos_2_message_that_was_sent_goes_to_nobody_else() {
    let door = Door::open().await;
    let mut first = Wire::join(door.port, Connect::v5("first").lasting()).await;
    first.subscribe(1, "$share/g/x", 2).await;
    let mut publisher = door.v3("p").await;
    publisher.publish("x", "1", 2, 1).await;
    publisher.expect(0x50, &[0, 1]).await;
    let sent = first.message().await;
    let mut second = door.v5("second").await;
    second.subscribe(1, "$share/g/x", 2).await;
    let mut back = Wire::join(door.port, Connect::v5("first").lasting()).await;
    assert_eq!(back.message().await.pkid, sent.pkid, "[MQTT-4.8.2-4]");
    door.v5("first").await;
    second.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_a_member_refuses_goes_to_nobody_else() {
    let door = Door::open().await;
    let mut publisher = door.v3("p").await;
    for (qos, ack) in [(1, PUBACK), (2, 0x50)] {
        let mut refuses = Wire::join(door.port, Connect::v5("refuses").lasting()).await;
        refuses.subscribe(1, "$share/g/x", qos).await;
        publisher.publish("x", "1", qos, 1).await;
        publisher.packet().await.unwrap();
        let [high, low] = refuses.message().await.pkid.to_be_bytes();
        let mut second = door.v5("second").await;
        second.subscribe(1, "$share/g/x", qos).await;
        refuses.send(&[ack, 3, high, low, 0x80]).await;
        refuses.expect_silence().await;
        door.v5("refuses").await.leave().await;
        second.expect_silence().await;
        second.leave().await;
    }
}
