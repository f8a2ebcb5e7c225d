//! Telemetry from the external broker: into the journal, and acknowledged when it is durable.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, counter};
use quartier_broker::{Client, Intake, Peer, Taken, Telemetry};
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Publish;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::sleep;

/// Publishes handed to the intake at once.
const RUN: usize = 64;
/// Pause before a full journal is asked again. What waits meanwhile is bounded by the receive
/// maximum.
const FULL: Duration = Duration::from_millis(200);

/// Why taking ended.
pub(super) enum Stopped {
    /// The journal failed, and takes nothing until a restart.
    JournalFailed,
    /// The connection is gone.
    Gone,
}

/// A publish that is in the journal: packet identifier, and the position that must be durable.
pub(super) type Written = (u16, u64);

/// The way into the journal.
pub(super) struct Incoming {
    intake: Arc<dyn Intake>,
    client: Client,
    received: Counter,
    dropped_full: Counter,
}

impl Incoming {
    /// `broker`: what dead letters name as their source.
    pub(super) fn new(intake: Arc<dyn Intake>, broker: String) -> Self {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Self {
            intake,
            client: Client {
                id: broker.into(),
                user: None,
                credential: None,
                roles: Arc::from([]),
                peer: Peer {
                    address: nowhere,
                    certificate: None,
                },
            },
            received: counter!("quartier_external_received_total"),
            dropped_full: counter!("quartier_external_dropped_total", "reason" => "journal_full"),
        }
    }

    /// QoS 0: taken or dropped, nobody waits for an answer.
    pub(super) fn take_unacknowledged(&self, publish: &Publish) {
        self.received.increment(1);
        if matches!(self.hand_over(std::slice::from_ref(publish)), Taken::Full) {
            self.dropped_full.increment(1);
        }
    }

    /// Takes QoS 1 publishes in the order received. A full journal is asked again until it has
    /// room. Once `closed`, nothing is taken any more: it stays with the broker, unacknowledged.
    pub(super) async fn take(
        &self,
        mut publishes: UnboundedReceiver<Publish>,
        written: UnboundedSender<Written>,
        closed: watch::Receiver<bool>,
    ) -> Stopped {
        let mut run = Vec::with_capacity(RUN);
        loop {
            if run.is_empty() && publishes.recv_many(&mut run, RUN).await == 0 {
                return Stopped::Gone;
            }
            if *closed.borrow() {
                run.clear();
                continue;
            }
            // A run may be more than there is room for where a single publish is not.
            let mut count = run.len();
            let position = loop {
                match self.hand_over(run.get(..count).unwrap_or_default()) {
                    Taken::At(position) => break Some(position),
                    Taken::Failed => return Stopped::JournalFailed,
                    Taken::Full if count > 1 => count /= 2,
                    Taken::Full => break None,
                }
            };
            let Some(position) = position else {
                sleep(FULL).await;
                continue;
            };
            self.received.increment(count as u64);
            for publish in run.drain(..count) {
                if written.send((publish.pkid, position)).is_err() {
                    return Stopped::Gone;
                }
            }
        }
    }

    /// Acknowledges in the order received [MQTT-4.6.0-2] what is durable; ends with the connection.
    pub(super) async fn acknowledge(
        &self,
        mut written: UnboundedReceiver<Written>,
        client: &AsyncClient,
    ) -> Stopped {
        let mut durable = self.intake.durable();
        while let Some((identifier, position)) = written.recv().await {
            if durable
                .wait_for(|durable| *durable >= position)
                .await
                .is_err()
            {
                return Stopped::JournalFailed;
            }
            let publish = Publish {
                pkid: identifier,
                qos: QoS::AtLeastOnce,
                ..Publish::default()
            };
            if client.try_ack(&publish).is_err() {
                return Stopped::Gone;
            }
        }
        Stopped::Gone
    }

    /// What is no telemetry counts as dealt with.
    fn hand_over<'a>(&self, publishes: &'a [Publish]) -> Taken {
        let telemetry = |publish: &'a Publish| {
            let Publish { topic, payload, .. } = publish;
            let topic = std::str::from_utf8(topic).ok()?;
            let wanted = self.intake.wants(topic);
            wanted.then_some(Telemetry { topic, payload })
        };
        let run: Vec<_> = publishes.iter().filter_map(telemetry).collect();
        if run.is_empty() {
            return Taken::At(0);
        }
        self.intake.take(&self.client, &run)
    }
}
