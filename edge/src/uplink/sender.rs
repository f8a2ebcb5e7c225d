//! What goes up, in order of urgency: alerts, commands and health; newest values while the entries
//! are behind; entries.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quartier_twin::backoff::Backoff;
use quartier_twin::uplink::{Chain, Cursor, NEWS, News, STATE, StateWriter, UPLINK_CURSOR};
use rumqttc::v5::AsyncClient;
use rumqttc::v5::mqttbytes::QoS;
use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio::time::{sleep_until, timeout};

use super::Uplink;
use super::connection::{Ended, Wire, status_topic, uplink_topic};
use super::health::health;
use super::incoming::Incoming;
use super::pace::Pace;
use super::source::Source;

/// The city says where it is on subscribing.
const FIRST_WORD: Duration = Duration::from_secs(15);
/// Entries behind from which on values are told ahead.
const BEHIND: u64 = 2_000;
/// Between two messages of values.
const VALUES: Duration = Duration::from_millis(250);
/// Between two batches that are not full: a reading waits so long at most, and a batch has many.
const LINGER: Duration = Duration::from_millis(50);
/// After a connection the time is learned and told of before entries, whose times may be guessed.
const TIME: Duration = Duration::from_secs(2);
/// Batches that the city has not told of: taken, maybe, and not folded.
const UNFOLDED: usize = 8;
/// Messages of news on their way.
const NEWS_WINDOW: usize = 4;

/// A connection's sending half.
struct Sending {
    source: Source,
    pace: Pace,
    cursor: watch::Receiver<Option<Cursor>>,
    /// What it said last.
    heard: Option<Cursor>,
    /// Ends of batches that the city has not spoken of yet, in order.
    ends: VecDeque<Chain>,
    /// The whole state, behind the last batch, where the city wants it; and where it was last.
    state: Option<StateWriter>,
    stated: u64,
    next_batch: Instant,
    /// Entries with guessed times wait until then for the time.
    time_due: Instant,
    next_values: Instant,
    next_health: Instant,
}

impl Uplink {
    /// Sends until the connection or the node ends.
    pub(super) async fn send(
        &mut self,
        client: &AsyncClient,
        wire: &Wire,
        incoming: &Incoming,
        backoff: &mut Backoff,
    ) -> Ended {
        let mut sending = match self.begin(incoming).await {
            Ok(sending) => sending,
            Err(why) => return Ended::Lost(why),
        };
        backoff.reset();
        self.state.connected();
        if let Err(ended) = self.greet(client, wire, &mut sending) {
            return ended;
        }
        let mut folded = self.handles.status.folded.clone();
        let mut closing = self.handles.ended.clone();
        loop {
            for (sent, after) in wire.done() {
                if let Some(full) = sent.batch {
                    sending.pace.acknowledged(after, full);
                }
            }
            if let Err(why) = self.hear(&mut sending, wire) {
                return Ended::Lost(why);
            }
            let upto = *folded.borrow_and_update();
            let behind = upto.saturating_sub(sending.source.position());
            self.state
                .behind(upto.saturating_sub(self.place.chain().position));
            self.tap.want_values(behind > BEHIND);
            match self.next(client, wire, &mut sending, upto) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(ended) => return ended,
            }
            let done = behind == 0 && wire.under_way().1 == 0;
            if *closing.borrow() && done {
                let _ = client.try_disconnect();
            }
            let entries = behind > 0 || sending.state.is_some();
            let wake = sending.wake(entries, self.tap.has_values());
            tokio::select! {
                () = self.tap.urgent() => {}
                () = wire.acknowledged.notified() => {}
                _ = sending.cursor.changed() => {}
                _ = folded.changed(), if behind == 0 => {}
                _ = closing.changed() => {}
                () = sleep_until(wake.into()) => {}
            }
        }
    }

    /// Waits for the city's cursor, and shows that both speak of the same journal.
    async fn begin(&self, incoming: &Incoming) -> Result<Sending, String> {
        let mut cursor = incoming.cursor();
        let said = timeout(FIRST_WORD, cursor.wait_for(Option::is_some));
        let said = match said.await {
            Ok(Ok(said)) => said.clone(),
            _ => None,
        };
        let Some(said) = said else {
            return Err("the city does not know this box: enrol it".to_owned());
        };
        let own = self.place.journal();
        if said.journal.is_some_and(|journal| journal != own) {
            let why = "the city knows this box with another journal: retire it and enrol it anew";
            return Err(why.to_owned());
        }
        let city = said.chain.unwrap_or_else(|| Chain::start(own));
        let journal = Arc::clone(&self.handles.status.journal);
        let known = self.place.chain();
        let source = block_in_place(|| Source::resume(journal, own, known, city));
        let now = Instant::now();
        Ok(Sending {
            source: source.map_err(|error| error.to_string())?,
            pace: Pace::new(self.bits_per_s()),
            cursor,
            heard: None,
            ends: VecDeque::new(),
            state: None,
            stated: 0,
            next_batch: now,
            time_due: now + TIME,
            next_values: now,
            next_health: now,
        })
    }

    /// What the city has set goes before the configuration.
    fn bits_per_s(&self) -> u64 {
        let set = self.handles.status.twin.read().settings().bits_per_s;
        set.unwrap_or(self.configured.bits_per_s)
    }

    fn guesses(&self) -> bool {
        let twin = self.handles.status.twin.read();
        twin.clock().guessed_since().is_some()
    }

    fn health_every(&self) -> Duration {
        let set = self.handles.status.twin.read().settings().health_s;
        let seconds = set.unwrap_or(self.configured.health_s);
        Duration::from_secs(seconds.max(1).into())
    }

    /// The first words of a connection: all that is active, and that the box is there.
    fn greet(&self, client: &AsyncClient, wire: &Wire, sending: &mut Sending) -> Result<(), Ended> {
        let online = self.handles.status.online();
        let online = serde_json::to_vec(&online).unwrap_or_default();
        wire.queue(None);
        client
            .try_publish(status_topic(&self.node), QoS::AtLeastOnce, true, online)
            .map_err(|error| Ended::Lost(error.to_string()))?;
        self.tell(client, wire, sending, true)
    }

    /// Sends one message if there is one to send now.
    fn next(
        &self,
        client: &AsyncClient,
        wire: &Wire,
        sending: &mut Sending,
        upto: u64,
    ) -> Result<bool, Ended> {
        let now = Instant::now();
        let (batches, all) = wire.under_way();
        let free = now >= sending.pace.free_at();
        let values = self.tap.has_values() && now >= sending.next_values && free;
        let news = self.tap.is_urgent() || values || now >= sending.next_health;
        if news && all - batches < NEWS_WINDOW {
            self.tell(client, wire, sending, false)?;
            return Ok(true);
        }
        // What is on the city's disk and not folded would make news wait there.
        let room = batches < sending.pace.window() && sending.ends.len() < UNFOLDED;
        if !room || !free || now < sending.next_batch {
            return Ok(false);
        }
        if now < sending.time_due && self.guesses() {
            sending.next_batch = now + LINGER;
            return Ok(false);
        }
        let bytes = sending.pace.bytes();
        if let Some(part) = sending
            .state
            .as_mut()
            .and_then(|state| state.next_part(bytes))
        {
            let topic = format!("{}/{STATE}", uplink_topic(&self.node));
            self.publish(client, wire, sending, (topic, part), Some(true))?;
            return Ok(true);
        }
        sending.state = None;
        let checkpoint = self.tap.checkpoint_after(sending.source.position());
        let ready = block_in_place(|| sending.source.next(bytes, upto, checkpoint))
            .map_err(|error| Ended::Lost(error.to_string()))?;
        let Some(ready) = ready else {
            return Ok(false);
        };
        let full = ready.bytes >= bytes;
        if !full {
            sending.next_batch = now + LINGER;
        }
        sending.ends.push_back(ready.chain);
        let position = ready.chain.position;
        if let Some(state) = self.tap.state_at(position) {
            sending.stated = position;
            match StateWriter::new(self.place.journal(), position, &state) {
                Ok(writer) => sending.state = Some(writer),
                Err(error) => tracing::error!(%error, "the state cannot be sent to the city"),
            }
        }
        let message = (uplink_topic(&self.node), ready.payload);
        self.publish(client, wire, sending, message, Some(full))?;
        Ok(true)
    }

    /// `batch`: see [`Wire::queue`].
    fn publish(
        &self,
        client: &AsyncClient,
        wire: &Wire,
        sending: &mut Sending,
        (topic, payload): (String, Vec<u8>),
        batch: Option<bool>,
    ) -> Result<(), Ended> {
        sending.pace.sent(payload.len());
        wire.queue(batch);
        client
            .try_publish(topic, QoS::AtLeastOnce, false, payload)
            .map_err(|error| Ended::Lost(error.to_string()))
    }

    fn tell(
        &self,
        client: &AsyncClient,
        wire: &Wire,
        sending: &mut Sending,
        whole: bool,
    ) -> Result<(), Ended> {
        let now = Instant::now();
        let mut news = News {
            journal: self.place.journal(),
            head: self.handles.status.journal.stats().durable,
            sent: self.handles.status.clock.asked(),
            ..News::default()
        };
        self.tap
            .take(&self.handles.status.twin.read(), whole, &mut news);
        if whole || now >= sending.next_health {
            news.health = Some(health(&self.handles, &self.data));
            sending.next_health = now + self.health_every();
            sending.pace.limit(self.bits_per_s());
        }
        sending.next_values = now + VALUES;
        let topic = format!("{}/{NEWS}", uplink_topic(&self.node));
        self.publish(client, wire, sending, (topic, news.encode()), None)
    }

    /// The city says how far it is.
    fn hear(&mut self, sending: &mut Sending, wire: &Wire) -> Result<(), String> {
        let said = sending.cursor.borrow_and_update().clone();
        let Some(said) = said.filter(|said| sending.heard.as_ref() != Some(said)) else {
            return Ok(());
        };
        sending.heard = Some(said.clone());
        if let Some(echo) = said.echo {
            self.handles.status.clock.learned(echo);
        }
        if let Some(chain) = said.chain {
            if said.wants_state && sending.state.is_none() && chain.position > sending.stated {
                self.tap.want_state();
            }
            while let Some(end) = sending.ends.front().copied() {
                if end.position > chain.position {
                    break;
                }
                sending.ends.pop_front();
                if end.position == chain.position && end.value != chain.value {
                    return Err("the city has other entries than this box has sent".to_owned());
                }
            }
            if chain.position > self.place.chain().position {
                let kept = block_in_place(|| self.place.reached(chain));
                self.release(kept);
            }
        }
        // What was refused does not come by itself: begin where the city is.
        match said.refused {
            Some(why) if wire.under_way().0 == 0 => Err(format!("the city refuses: {why}")),
            _ => Ok(()),
        }
    }

    /// Puts on disk how far the city is.
    pub(super) fn keep_place(&mut self) {
        let kept = block_in_place(|| self.place.write());
        self.release(kept);
    }

    fn release(&self, kept: Option<u64>) {
        let Some(position) = kept else {
            return;
        };
        if let Err(error) = self.handles.store.set_cursor(UPLINK_CURSOR, position) {
            tracing::warn!(%error, "the uplink's cursor was not kept; the journal waits");
        }
    }
}

impl Sending {
    /// When there is something to do at the latest.
    fn wake(&self, entries: bool, values: bool) -> Instant {
        let mut wake = self.next_health;
        if entries {
            wake = wake.min(self.next_batch.max(self.pace.free_at()));
        }
        if values {
            wake = wake.min(self.next_values.max(self.pace.free_at()));
        }
        // What waits for an acknowledgement is woken by it.
        wake.max(Instant::now() + Duration::from_millis(1))
    }
}
