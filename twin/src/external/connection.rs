//! The connection to the external broker: made again for ever, one event loop each time.
//!
//! Invariant: the event loop's `poll` is cancelled only with its connection. Cancelled in the
//! middle it may lose a packet that it has half sent.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, counter, gauge};
use parking_lot::Mutex;
use quartier_broker::{Intake, Message, RetainedSource};
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Filter, Packet, PubAck, PubAckReason, Publish, SubAck, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::flight::Flight;
use super::incoming::{Incoming, Stopped};
use super::options::{Options, RECEIVE, WINDOW};
use super::outbox::Outbox;
use crate::backoff::Backoff;
use crate::topics::may_be_kept;

/// Pauses between attempts to connect.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(15);
/// For a packet to leave, twice the keep-alive. Until it has, rumqttc neither reads nor pings, and
/// TCP gives a dead connection up after a quarter of an hour only.
const STUCK: Duration = Duration::from_secs(30);
/// For the last words of a node that ends.
const DRAIN: Duration = Duration::from_secs(3);
/// Requests to the client: acknowledgements, publishes, SUBSCRIBE, DISCONNECT. It is never full.
const REQUESTS: usize = RECEIVE as usize + WINDOW as usize + 16;

/// The broker elsewhere.
pub struct External {
    options: Options,
    will: (String, Vec<u8>),
    incoming: Incoming,
    retained: Arc<dyn RetainedSource>,
    outbox: Outbox,
    /// Why there is no connection; `None` with one.
    trouble: Mutex<Option<String>>,
    figures: Figures,
}

struct Figures {
    connects: Counter,
    sent: Counter,
    refused: Counter,
    too_large: Counter,
}

/// Why a connection ended.
enum Ended {
    /// The node ends.
    Done,
    Lost(String),
    /// Not worth another try before a restart.
    JournalFailed,
}

/// What the broker offers.
struct Offer {
    window: u16,
    max_packet: usize,
    retain: bool,
}

impl External {
    /// `will`: topic and payload of the node's status when it goes without a word. `retained`: what
    /// a broker that knows nothing of this node is told.
    pub fn new(
        options: Options,
        will: (String, Vec<u8>),
        intake: Arc<dyn Intake>,
        retained: Arc<dyn RetainedSource>,
    ) -> Self {
        let dropped = |reason| counter!("quartier_external_dropped_total", "reason" => reason);
        Self {
            incoming: Incoming::new(intake, options.address.to_string()),
            trouble: Mutex::new(Some("not connected yet".to_owned())),
            options,
            will,
            retained,
            outbox: Outbox::default(),
            figures: Figures {
                connects: counter!("quartier_external_connects_total"),
                sent: counter!("quartier_external_sent_total"),
                refused: dropped("refused"),
                too_large: dropped("too_large"),
            },
        }
    }

    /// What is to be published; never waits.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// `host:port`.
    pub fn name(&self) -> String {
        self.options.address.to_string()
    }

    /// Why there is no connection at the moment.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Takes telemetry until `closed`, sends until `ended` and until nothing waits any more (a few
    /// seconds at most), and reconnects for ever meanwhile.
    pub async fn run(
        self: Arc<Self>,
        closed: watch::Receiver<bool>,
        mut ended: watch::Receiver<bool>,
    ) {
        let mut backoff = Backoff::new(FIRST_RETRY, LONGEST_RETRY);
        let mut told = false;
        loop {
            let connection = self.connection(&mut told, &mut backoff, &closed, ended.clone());
            let end = tokio::select! {
                end = connection => end,
                () = last_words(ended.clone()) => Ended::Done,
            };
            gauge!("quartier_external_connected").set(0.0);
            match end {
                Ended::Done => break,
                Ended::Lost(why) => self.lost(why),
                Ended::JournalFailed => {
                    self.lost("left it because the journal failed".to_owned());
                    let _ = ended.wait_for(|ended| *ended).await;
                    break;
                }
            }
            tokio::select! {
                () = sleep(backoff.next(None)) => {}
                _ = ended.wait_for(|ended| *ended) => break,
            }
        }
        let left = self.outbox.len();
        if left > 0 {
            tracing::warn!(
                left,
                "ended with messages that the external broker did not take"
            );
        }
    }

    fn lost(&self, why: String) {
        let mut trouble = self.trouble.lock();
        if trouble.as_ref() != Some(&why) {
            tracing::warn!(broker = %self.name(), why, "no connection to the external broker");
        }
        *trouble = Some(why);
    }

    /// `told`: whether this process has told the broker all retained messages.
    async fn connection(
        self: &Arc<Self>,
        told: &mut bool,
        backoff: &mut Backoff,
        closed: &watch::Receiver<bool>,
        ended: watch::Receiver<bool>,
    ) -> Ended {
        let (client, mut events) = AsyncClient::new(self.options.mqtt(&self.will), REQUESTS);
        let offer = match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(connack))) => {
                if !*told || !connack.session_present {
                    self.tell_everything();
                    *told = true;
                }
                match Offer::of(&connack) {
                    Ok(offer) => offer,
                    Err(why) => return Ended::Lost(why),
                }
            }
            Ok(other) => return Ended::Lost(format!("instead of a CONNACK: {other:?}")),
            Err(error) => return Ended::Lost(error.to_string()),
        };
        let filters = self.options.filters.iter();
        let filters: Vec<_> = filters.map(|f| Filter::new(f, QoS::AtLeastOnce)).collect();
        if !filters.is_empty() && client.try_subscribe_many(filters).is_err() {
            return Ended::Lost("a filter is not valid".to_owned());
        }
        backoff.reset();
        *self.trouble.lock() = None;
        self.figures.connects.increment(1);
        gauge!("quartier_external_connected").set(1.0);
        tracing::info!(broker = %self.name(), "connected to the external broker");

        // Both are bounded by the receive maximum.
        let (received, publishes) = unbounded_channel();
        let (written, acknowledgements) = unbounded_channel();
        let flight = Mutex::new(Flight::default());
        let room = Semaphore::new(offer.window.into());
        let stopped = tokio::select! {
            end = self.poll(&mut events, &received, (&flight, &room)) => Err(end),
            end = self.incoming.take(publishes, written, closed.clone()) => Ok(end),
            end = self.incoming.acknowledge(acknowledgements, &client) => Ok(end),
            end = self.send(&client, &offer, (&flight, &room), ended) => Err(end),
        };
        self.outbox
            .put_back(flight.into_inner().into_unacknowledged());
        match stopped {
            Err(end) => end,
            Ok(Stopped::JournalFailed) => Ended::JournalFailed,
            Ok(Stopped::Gone) => Ended::Lost("the connection ended".to_owned()),
        }
    }

    /// A broker that has no session of this node may have lost what was retained, and a node that
    /// starts may have changed what it has not published.
    fn tell_everything(self: &Arc<Self>) {
        let this = Arc::clone(self);
        // `offer` runs under the lock of what is read, so nothing newer can be sent before it.
        spawn_blocking(move || {
            this.retained.matching("#", &mut |topic, payload| {
                // Commands are sent again anyway, and a broker must not keep them.
                if may_be_kept(&topic) {
                    this.outbox.offer(Message {
                        topic,
                        payload,
                        retain: true,
                    });
                }
            });
        });
    }

    async fn poll(
        &self,
        events: &mut EventLoop,
        received: &UnboundedSender<Publish>,
        (flight, room): (&Mutex<Flight>, &Semaphore),
    ) -> Ended {
        loop {
            let Ok(event) = timeout(STUCK, events.poll()).await else {
                return Ended::Lost("nothing can be sent".to_owned());
            };
            match event {
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    if publish.qos == QoS::AtMostOnce {
                        self.incoming.take_unacknowledged(&publish);
                    } else if received.send(publish).is_err() {
                        return Ended::Lost("nobody takes telemetry".to_owned());
                    }
                }
                Ok(Event::Incoming(Packet::PubAck(ack))) => {
                    self.acknowledged(&ack, flight);
                    room.add_permits(1);
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    if let Some(why) = refused(&ack) {
                        return Ended::Lost(why);
                    }
                }
                Ok(Event::Outgoing(Outgoing::Publish(identifier))) => {
                    flight.lock().sent(identifier);
                }
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return Ended::Done,
                Ok(_) => {}
                Err(error) => return Ended::Lost(error.to_string()),
            }
        }
    }

    fn acknowledged(&self, ack: &PubAck, flight: &Mutex<Flight>) {
        let message = flight.lock().acknowledged(ack.pkid);
        self.outbox.done();
        match ack.reason {
            PubAckReason::Success | PubAckReason::NoMatchingSubscribers => {
                self.figures.sent.increment(1);
            }
            reason => {
                self.figures.refused.increment(1);
                let topic = message.map(|message| message.topic).unwrap_or_default();
                tracing::warn!(topic, ?reason, "the external broker refuses a message");
            }
        }
    }

    /// Sends what is queued; once `ended`, says goodbye when all of it is acknowledged.
    async fn send(
        &self,
        client: &AsyncClient,
        offer: &Offer,
        (flight, room): (&Mutex<Flight>, &Semaphore),
        mut ended: watch::Receiver<bool>,
    ) -> Ended {
        let gone = |_| Ended::Lost("the connection ended".to_owned());
        loop {
            let more = self.outbox.more();
            let Some(message) = self.outbox.pop() else {
                if *ended.borrow() {
                    let _all = room.acquire_many(offer.window.into()).await;
                    return match client.try_disconnect() {
                        // `poll` sees it go and ends the connection.
                        Ok(()) => std::future::pending().await,
                        Err(error) => gone(error),
                    };
                }
                tokio::select! {
                    () = more => {}
                    _ = ended.changed() => {}
                }
                continue;
            };
            if message.topic.len() + message.payload.len() + OVERHEAD > offer.max_packet {
                self.figures.too_large.increment(1);
                self.outbox.done();
                continue;
            }
            let (topic, payload) = (message.topic.clone(), message.payload.clone());
            let retain = message.retain && offer.retain;
            // In the flight before anything is awaited: what is in neither queue would be lost.
            flight.lock().queue(message);
            match room.acquire().await {
                Ok(permit) => permit.forget(),
                Err(_) => return Ended::Lost("the connection ended".to_owned()),
            }
            if let Err(error) = client.try_publish(topic, QoS::AtLeastOnce, retain, payload) {
                return gone(error);
            }
        }
    }
}

/// Bytes of a PUBLISH beside topic and payload, at most.
const OVERHEAD: usize = 16;

impl Offer {
    fn of(connack: &ConnAck) -> Result<Self, String> {
        let Some(properties) = &connack.properties else {
            return Ok(Self {
                window: WINDOW,
                max_packet: usize::MAX,
                retain: true,
            });
        };
        if properties.max_qos == Some(0) {
            return Err("it offers QoS 0 only, and telemetry needs QoS 1".to_owned());
        }
        let max_packet = properties.max_packet_size.map(usize::try_from);
        Ok(Self {
            window: properties.receive_max.unwrap_or(WINDOW).min(WINDOW),
            max_packet: max_packet.and_then(Result::ok).unwrap_or(usize::MAX),
            retain: properties.retain_available != Some(0),
        })
    }
}

fn refused(ack: &SubAck) -> Option<String> {
    let granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(qos) if *qos != QoS::AtMostOnce);
    let code = ack.return_codes.iter().find(|code| !granted(code))?;
    Some(format!(
        "it refuses the subscription to telemetry: {code:?}; see its access rules"
    ))
}

/// Ready when the time for last words is over.
async fn last_words(mut ended: watch::Receiver<bool>) {
    let _ = ended.wait_for(|ended| *ended).await;
    sleep(DRAIN).await;
}
