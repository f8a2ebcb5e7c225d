//! The clients that people use: rumqttc in both versions, on one port.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::harness::{Door, soon};

#[tokio::test(flavor = "multi_thread")]
async fn rumqttc_in_both_versions_talk_to_each_other() {
    let door = Door::open().await;
    door.intake.all_durable();
    let mut options = rumqttc::MqttOptions::new("old", "127.0.0.1", door.port);
    options
        .set_keep_alive(Duration::from_secs(5))
        .set_credentials("u", "p");
    let (old, mut old_loop) = rumqttc::AsyncClient::new(options, 10);
    let mut options = rumqttc::v5::MqttOptions::new("new", "127.0.0.1", door.port);
    options.set_keep_alive(Duration::from_secs(5));
    let (new, mut new_loop) = rumqttc::v5::AsyncClient::new(options, 10);

    old.subscribe("to/old/+", rumqttc::QoS::ExactlyOnce)
        .await
        .unwrap();
    new.subscribe("to/new/x", rumqttc::v5::mqttbytes::QoS::ExactlyOnce)
        .await
        .unwrap();
    let (to_old, mut at_old) = mpsc::unbounded_channel();
    let (to_new, mut at_new) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let text = match old_loop.poll().await.unwrap() {
                rumqttc::Event::Incoming(rumqttc::Packet::SubAck(_)) => "SUBACK".into(),
                rumqttc::Event::Incoming(rumqttc::Packet::Publish(publish)) => publish.payload,
                _ => continue,
            };
            to_old.send(text).unwrap();
        }
    });
    tokio::spawn(async move {
        use rumqttc::v5::mqttbytes::v5::Packet;
        loop {
            let text = match new_loop.poll().await.unwrap() {
                rumqttc::v5::Event::Incoming(Packet::SubAck(_)) => "SUBACK".into(),
                rumqttc::v5::Event::Incoming(Packet::Publish(publish)) => publish.payload,
                _ => continue,
            };
            to_new.send(text).unwrap();
        }
    });
    assert_eq!(soon("SUBACK", at_old.recv()).await.unwrap(), "SUBACK");
    assert_eq!(soon("SUBACK", at_new.recv()).await.unwrap(), "SUBACK");

    let exactly = rumqttc::QoS::ExactlyOnce;
    old.publish("to/new/x", exactly, false, "hello")
        .await
        .unwrap();
    old.publish("dt/q/a", rumqttc::QoS::AtLeastOnce, false, "21.5")
        .await
        .unwrap();
    let at_least = rumqttc::v5::mqttbytes::QoS::AtLeastOnce;
    new.publish("to/old/x", at_least, false, "and back")
        .await
        .unwrap();
    assert_eq!(soon("a message", at_old.recv()).await.unwrap(), "and back");
    assert_eq!(soon("a message", at_new.recv()).await.unwrap(), "hello");
    door.until("telemetry is taken", |d| d.intake.payloads() == ["21.5"])
        .await;
}
