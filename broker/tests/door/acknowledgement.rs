//! Telemetry is acknowledged when it is durable, in order, and taken once.

use quartier_broker::Config;

use crate::harness::Door;
use crate::wire::{Connect, Wire, publish};

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;

#[tokio::test(flavor = "multi_thread")]
async fn a_puback_is_withheld_until_its_publish_is_durable() {
    let door = Door::open().await;
    for mut device in [door.v3("a").await, door.v5("b").await] {
        let before = door.intake.count() as u64;
        device.publish("dt/q/a", "1", 1, 7).await;
        door.until("one taken", |d| d.intake.count() as u64 == before + 1)
            .await;
        device.publish("dt/q/a", "2", 1, 8).await;
        door.until("both taken", |d| d.intake.count() as u64 == before + 2)
            .await;
        device.expect_silence().await;
        door.intake.set_durable(before + 1);
        device.expect(PUBACK, &[0, 7]).await;
        device.expect_silence().await;
        door.intake.set_durable(before + 2);
        device.expect(PUBACK, &[0, 8]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_keep_the_order_of_the_publishes() {
    let door = Door::open().await;
    let mut device = door.v3("a").await;
    device.publish("dt/q/a", "1", 1, 1).await;
    device.publish("other", "2", 1, 2).await;
    device.publish("dt/q/a", "3", 2, 3).await;
    device.publish("other", "4", 2, 4).await;
    door.until("both taken", |d| d.intake.count() == 2).await;
    device.expect_silence().await;
    door.intake.all_durable();
    device.expect(PUBACK, &[0, 1]).await;
    device.expect(PUBACK, &[0, 2]).await;
    device.expect(PUBREC, &[0, 3]).await;
    device.expect(PUBREC, &[0, 4]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_taken_in_runs_and_acknowledged_at_once() {
    let door = Door::open().await;
    let mut device = door.v3("a").await;
    let burst: Vec<u8> = (1..=100)
        .flat_map(|pkid| publish(4, "dt/q/a", b"1", 2, pkid, &[]))
        .collect();
    device.send(&burst).await;
    door.until("all taken", |d| d.intake.count() == 100).await;
    assert!(door.intake.runs().len() < 50, "{:?}", door.intake.runs());
    door.intake.all_durable();
    for pkid in 1..=100u8 {
        device.expect(PUBACK, &[0, pkid]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_qos_2_publish_is_taken_once() {
    let door = Door::open().await;
    let mut device = door.v3("a").await;
    device.publish("dt/q/a", "1", 2, 7).await;
    device.publish_with("dt/q/a", "1", 0x0C, 7, &[]).await;
    device.expect_silence().await;
    assert_eq!(door.intake.count(), 1);
    door.intake.set_durable(1);
    device.expect(PUBREC, &[0, 7]).await;
    device.expect(PUBREC, &[0, 7]).await;
    device.ack(PUBREL, 7).await;
    device.expect(PUBCOMP, &[0, 7]).await;
    device.publish("dt/q/a", "2", 2, 7).await;
    door.until("the next with this identifier", |d| d.intake.count() == 2)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_qos_2_publish_repeated_on_a_new_connection_is_taken_once_and_waits_for_its_position() {
    let door = Door::open().await;
    let mut device = Wire::join(door.port, Connect::v5("a").lasting()).await;
    device.publish("dt/q/a", "1", 2, 7).await;
    door.until("taken", |d| d.intake.count() == 1).await;
    drop(device);
    let mut device = Wire::join(door.port, Connect::v5("a").lasting()).await;
    assert!(device.session_present());
    device.publish_with("dt/q/a", "1", 0x0C, 7, &[]).await;
    device.expect_silence().await;
    door.intake.set_durable(1);
    device.expect(PUBREC, &[0, 7]).await;
    assert_eq!(door.intake.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_intake_is_told_to_mqtt_5_and_ends_a_3_1_1_connection() {
    let door = Door::open().await;
    door.intake.set_full();
    let mut new = door.v5("a").await;
    new.publish("dt/q/a", "1", 0, 0).await;
    new.publish("dt/q/a", "2", 1, 1).await;
    new.publish("dt/q/a", "3", 2, 2).await;
    new.expect(PUBACK, &[0, 1, 0x97]).await;
    new.expect(PUBREC, &[0, 2, 0x97]).await;
    assert_eq!(door.stats().dropped_intake_full, 1);
    let mut old = door.v3("b").await;
    old.publish("dt/q/a", "1", 1, 1).await;
    old.expect_end(0).await;
    door.intake.set_ready();
    door.intake.all_durable();
    new.publish("dt/q/a", "3", 2, 2).await;
    new.expect(PUBREC, &[0, 2]).await;
    assert_eq!(door.intake.payloads(), ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_intake_acknowledges_nothing_and_ends_the_connection() {
    let door = Door::open().await;
    door.intake.set_failed();
    let mut device = door.v5("a").await;
    device.publish("dt/q/a", "1", 1, 1).await;
    device
        .expect(0xE0, &disconnect(0x80, "the log failed"))
        .await;
}

fn disconnect(reason: u8, text: &str) -> Vec<u8> {
    let mut body = vec![reason, text.len() as u8 + 3, 0x1F];
    body.extend(crate::wire::text(text));
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_too_much_pending_is_not_read_until_it_drains() {
    let config = Config {
        max_pending: 4,
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let mut device = door.v3("a").await;
    for pkid in 1..=10 {
        device.publish("dt/q/a", "1", 1, pkid).await;
    }
    for (durable, taken) in [(0, 4), (4, 8), (8, 10)] {
        door.intake.set_durable(durable);
        for pkid in durable.saturating_sub(3).max(1)..=durable {
            device.expect(PUBACK, &[0, pkid as u8]).await;
        }
        door.until("more is taken", |d| d.intake.count() >= taken)
            .await;
        assert_eq!(door.intake.count(), taken);
    }
    door.intake.all_durable();
    for pkid in 9..=10 {
        device.expect(PUBACK, &[0, pkid]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_acknowledges_what_becomes_durable_in_time() {
    let door = Door::open().await;
    let mut device = door.v5("a").await;
    let mut idle = door.v3("b").await;
    device.publish("dt/q/a", "1", 1, 1).await;
    door.until("taken", |d| d.intake.count() == 1).await;
    let broker = door.broker.clone();
    let down =
        tokio::spawn(async move { broker.shutdown(std::time::Duration::from_secs(10)).await });
    idle.expect_end(0).await;
    door.intake.all_durable();
    device.expect(PUBACK, &[0, 1]).await;
    device.expect_end(0x8B).await;
    crate::harness::soon("the end of the shutdown", down)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_does_not_wait_longer_than_its_deadline() {
    let door = Door::open().await;
    let mut device = door.v5("a").await;
    device.publish("dt/q/a", "1", 1, 1).await;
    door.until("taken", |d| d.intake.count() == 1).await;
    let shutdown = door.broker.shutdown(std::time::Duration::from_millis(50));
    crate::harness::soon("the end of the shutdown", shutdown).await;
    device.expect_end(0x8B).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_alias_stands_for_its_topic() {
    let door = Door::open().await;
    let mut device = door.v5("a").await;
    device
        .publish_with("dt/q/a", "1", 0, 0, &[0x23, 0, 3])
        .await;
    device.publish_with("", "2", 0, 0, &[0x23, 0, 3]).await;
    door.until("both taken", |d| d.intake.payloads() == ["1", "2"])
        .await;
    device.publish_with("", "3", 0, 0, &[0x23, 0, 4]).await;
    device.expect_end(0x82).await;
    let mut device = door.v5("a").await;
    device
        .publish_with("dt/q/a", "1", 0, 0, &[0x23, 0xFF, 0xFF])
        .await;
    device.expect_end(0x94).await;
}
