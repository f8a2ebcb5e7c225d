//! The connection to the city: made again for ever, one event loop each time.
//!
//! Invariant: the event loop's `poll` is cancelled only with its connection. Cancelled in the
//! middle it may lose a packet that it has half sent.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;
use quartier_twin::backoff::Backoff;
use quartier_twin::clock::Clock;
use quartier_twin::config::Uplink as Configured;
use quartier_twin::external::{Address, ClientFiles, FileError, client_config_by_clock};
use quartier_twin::uplink::{DOWNLINK, UPLINK};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, Filter, LastWill, Packet, PubAck, PubAckReason, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use rumqttc::{Outgoing, TlsConfiguration, Transport};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::Uplink;
use super::incoming::Incoming;

/// Pauses between attempts to connect.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(8);
/// A city that is silent for twice as long counts as gone.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// For a packet to leave. Until it has, rumqttc neither reads nor pings, and TCP gives a dead
/// connection up after a quarter of an hour only. Twenty seconds are 160 kB at 64 kbit/s, and a new
/// connection begins with small batches.
const STUCK: Duration = Duration::from_secs(20);
/// Seconds for a connection, TLS and CONNACK included.
const CONNECT: u64 = 10;
/// For what is left when the node ends.
pub(super) const DRAIN: Duration = Duration::from_secs(3);
/// Requests to the client at once; the sender keeps far below.
const REQUESTS: usize = 256;
/// A package's chunk and more.
const MAX_PACKET: u32 = 1 << 20;

/// What a connection is made with.
pub(crate) struct Options {
    node: String,
    city: Address,
    tls: Option<TlsConfiguration>,
}

impl Options {
    /// Reads the identity.
    ///
    /// # Errors
    /// A file cannot be read or does not hold what it should.
    pub(super) fn read(
        node: &str,
        configured: &Configured,
        clock: Arc<Clock>,
    ) -> Result<Self, FileError> {
        let identity = configured
            .cert_file
            .as_deref()
            .zip(configured.key_file.as_deref());
        let files = ClientFiles {
            prefix: "uplink.",
            ca: configured.ca_file.as_deref(),
            identity,
        };
        let tls = configured.city.is_tls();
        let tls = tls.then(|| client_config_by_clock(files, clock));
        Ok(Self {
            node: node.to_owned(),
            city: configured.city.clone(),
            tls: tls.transpose()?.map(TlsConfiguration::Rustls),
        })
    }

    fn mqtt(&self) -> MqttOptions {
        let mut options = MqttOptions::new(&self.node, self.city.host(), self.city.port());
        let will = LastWill::new(
            status_topic(&self.node),
            OFFLINE,
            QoS::AtLeastOnce,
            true,
            None,
        );
        options
            .set_keep_alive(KEEP_ALIVE)
            .set_connection_timeout(CONNECT)
            .set_clean_start(true)
            .set_max_packet_size(Some(MAX_PACKET))
            .set_last_will(will);
        if let Some(tls) = &self.tls {
            options.set_transport(Transport::tls_with_config(tls.clone()));
        }
        options
    }
}

const OFFLINE: &str =
    r#"{"status":"offline","position":0,"lag":{"twin":0},"warnings":["the connection was lost"]}"#;

/// Topic of the box's status at the city.
pub(super) fn status_topic(node: &str) -> String {
    format!("node/v1/{node}/status")
}

/// Why a connection ended.
pub(super) enum Ended {
    /// The node ends.
    Done,
    Lost(String),
}

/// What is on its way, to know how long it takes.
#[derive(Default)]
pub(super) struct Flight {
    /// Handed to the client, without a packet identifier yet.
    queued: VecDeque<Sent>,
    sent: HashMap<u16, Sent>,
    /// Acknowledged, for the sender to see.
    done: Vec<(Sent, Duration)>,
}

/// A message on its way.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) at: Instant,
    /// A batch of entries; whether it was as large as it may be.
    pub(super) batch: Option<bool>,
}

/// Shared by the two halves of a connection.
#[derive(Default)]
pub(super) struct Wire {
    flight: Mutex<Flight>,
    pub(super) acknowledged: Notify,
}

impl Wire {
    pub(super) fn queue(&self, batch: Option<bool>) {
        let at = Instant::now();
        self.flight.lock().queued.push_back(Sent { at, batch });
    }

    /// Batches on their way, and all messages.
    pub(super) fn under_way(&self) -> (usize, usize) {
        let flight = self.flight.lock();
        let all = || flight.queued.iter().chain(flight.sent.values());
        (
            all().filter(|sent| sent.batch.is_some()).count(),
            all().count(),
        )
    }

    /// What was acknowledged since the last call, and after how long.
    pub(super) fn done(&self) -> Vec<(Sent, Duration)> {
        std::mem::take(&mut self.flight.lock().done)
    }

    fn acknowledge(&self, ack: &PubAck) -> Result<(), String> {
        let mut flight = self.flight.lock();
        if let Some(sent) = flight.sent.remove(&ack.pkid) {
            flight.done.push((sent, sent.at.elapsed()));
        }
        drop(flight);
        self.acknowledged.notify_one();
        match ack.reason {
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Ok(()),
            PubAckReason::QuotaExceeded => Err("the city's journal is full; it waits".to_owned()),
            reason => Err(format!("the city refuses what the box sends: {reason:?}")),
        }
    }
}

impl Uplink {
    /// Sends and takes orders until the node ends, and reconnects for ever meanwhile.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
        let mut ended = self.handles.ended.clone();
        loop {
            let mut last = ended.clone();
            let last_words = async move {
                let _ = last.wait_for(|ended| *ended).await;
                sleep(DRAIN).await;
            };
            let end = tokio::select! {
                end = self.connection(&mut backoff) => end,
                () = last_words => Ended::Done,
            };
            match end {
                Ended::Done => break,
                Ended::Lost(why) => self.state.lost(why),
            }
            // What happens meanwhile is in the journal, and what is active is told anew.
            self.tap.want_values(false);
            self.state.behind(self.behind());
            tokio::select! {
                () = sleep(backoff.next(None)) => {}
                _ = ended.wait_for(|ended| *ended) => break,
            }
        }
        self.keep_place();
    }

    /// Entries that the city has not, as far as it has told.
    pub(super) fn behind(&self) -> u64 {
        let folded = *self.handles.status.folded.borrow();
        folded.saturating_sub(self.place.chain().position)
    }

    async fn connection(&mut self, backoff: &mut Backoff) -> Ended {
        let (client, mut events) = AsyncClient::new(self.options.mqtt(), REQUESTS);
        let connect = timeout(Duration::from_secs(CONNECT), events.poll());
        match connect.await {
            Err(_) => return Ended::Lost("no answer in time".to_owned()),
            Ok(Err(error)) => return Ended::Lost(refused(&error)),
            Ok(Ok(Event::Incoming(Packet::ConnAck(_)))) => {}
            Ok(Ok(other)) => return Ended::Lost(format!("instead of a CONNACK: {other:?}")),
        }
        let mine =
            |what: &str| Filter::new(format!("{DOWNLINK}{}/{what}", self.node), QoS::AtLeastOnce);
        if client
            .try_subscribe_many([mine("cursor"), mine("order/#")])
            .is_err()
        {
            return Ended::Lost("the client takes no request".to_owned());
        }
        let wire = Arc::new(Wire::default());
        let incoming = Arc::new(Incoming::new(&self.node, client.clone()));
        let poll = poll(&mut events, &wire, &incoming);
        let orders = Arc::clone(&self.orders);
        tokio::select! {
            end = poll => end,
            () = orders.run(&incoming) => Ended::Lost("the connection ended".to_owned()),
            end = self.send(&client, &wire, &incoming, backoff) => end,
        }
    }
}

async fn poll(events: &mut EventLoop, wire: &Wire, incoming: &Incoming) -> Ended {
    loop {
        let Ok(event) = timeout(STUCK, events.poll()).await else {
            return Ended::Lost("nothing can be sent".to_owned());
        };
        match event {
            Ok(Event::Incoming(Packet::Publish(publish))) => incoming.take(&publish),
            Ok(Event::Incoming(Packet::PubAck(ack))) => {
                if let Err(why) = wire.acknowledge(&ack) {
                    return Ended::Lost(why);
                }
            }
            Ok(Event::Incoming(Packet::SubAck(ack))) => {
                let granted = ack
                    .return_codes
                    .iter()
                    .all(|code| matches!(code, SubscribeReasonCode::Success(_)));
                if !granted {
                    return Ended::Lost("the city does not let the box subscribe".to_owned());
                }
            }
            Ok(Event::Incoming(Packet::Disconnect(disconnect))) => {
                return Ended::Lost(format!(
                    "the city sent it away: {:?}",
                    disconnect.reason_code
                ));
            }
            Ok(Event::Outgoing(Outgoing::Publish(identifier))) => {
                let mut flight = wire.flight.lock();
                if let Some(sent) = flight.queued.pop_front() {
                    flight.sent.insert(identifier, sent);
                }
            }
            Ok(Event::Outgoing(Outgoing::Disconnect)) => return Ended::Done,
            Ok(_) => {}
            Err(error) => return Ended::Lost(refused(&error)),
        }
    }
}

fn refused(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(
            code @ (ConnectReturnCode::NotAuthorized
            | ConnectReturnCode::BadUserNamePassword
            | ConnectReturnCode::Banned),
        ) => format!("the city refuses this box ({code:?}): is it enrolled, or was it retired?"),
        other => other.to_string(),
    }
}

/// Topic of the box's entries.
pub(super) fn uplink_topic(node: &str) -> String {
    format!("{UPLINK}{node}")
}
