//! The clients that people use: rumqttc in both versions, on one port.

use std::time::Duration;

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
    soon("SUBACK", async {
        while !matches!(
            old_loop.poll().await.unwrap(),
            rumqttc::Event::Incoming(rumqttc::Packet::SubAck(_))
        ) {}
        while !matches!(
            new_loop.poll().await.unwrap(),
            rumqttc::v5::Event::Incoming(rumqttc::v5::mqttbytes::v5::Packet::SubAck(_))
        ) {}
    })
    .await;

    old.publish("to/new/x", rumqttc::QoS::ExactlyOnce, false, "hello")
        .await
        .unwrap();
    old.publish("dt/q/a", rumqttc::QoS::AtLeastOnce, false, "21.5")
        .await
        .unwrap();
    let quality = rumqttc::v5::mqttbytes::QoS::AtLeastOnce;
    new.publish("to/old/x", quality, false, "and back")
        .await
        .unwrap();

    let from_new = async {
        loop {
            if let rumqttc::Event::Incoming(rumqttc::Packet::Publish(publish)) =
                old_loop.poll().await.unwrap()
            {
                return publish.payload;
            }
        }
    };
    let from_old = async {
        loop {
            if let rumqttc::v5::Event::Incoming(rumqttc::v5::mqttbytes::v5::Packet::Publish(
                publish,
            )) = new_loop.poll().await.unwrap()
            {
                return publish.payload;
            }
        }
    };
    let (one, two) = soon("messages", async { tokio::join!(from_new, from_old) }).await;
    assert_eq!((&one[..], &two[..]), (&b"and back"[..], &b"hello"[..]));
    door.until("telemetry is taken", |d| d.intake.payloads() == ["21.5"])
        .await;
}
