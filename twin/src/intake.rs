//! From a telemetry publish to the journal: decode, encode, append. Runs on the connection's own
//! task and never waits for a disk; what cannot be decoded goes to the dead letters.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hashbrown::{HashMap, HashSet};
use metrics::Counter;
use quartier_broker::{Client, Intake, Taken, Telemetry};
use tokio::sync::watch;

use crate::clock::{Clock, Moment};
use crate::decode::{Reason, Rejection, Texts, decode};
use crate::engine::Observer;
use crate::event::{EdgeNews, EdgeState, Entry, Event, Uplinked};
use crate::journal::{AppendError, Batch, Journal};
use crate::model::{Millis, Observed};
use crate::state::{Effects, Twin};
use crate::store::{DeadLetter, Store};
use crate::uplink::{NEWS, STATE, UPLINK};
use crate::vocabulary::Vocabulary;

/// First level of telemetry topics, with its separator.
const TELEMETRY: &str = "dt/";

/// Takes telemetry for the quarters of this node.
pub struct TelemetryIntake {
    journal: Arc<dyn Journal>,
    clock: Arc<Clock>,
    store: Arc<Store>,
    vocabulary: &'static Vocabulary,
    quarters: HashSet<String>,
    /// Takes nothing new: a box that is drained.
    draining: AtomicBool,
    readings: Counter,
    payloads: Counter,
    rejected: HashMap<&'static str, Counter>,
}

impl TelemetryIntake {
    /// For the quarters named.
    pub fn new(
        journal: Arc<dyn Journal>,
        clock: Arc<Clock>,
        store: Arc<Store>,
        quarters: impl IntoIterator<Item = String>,
    ) -> Self {
        let rejected = Reason::ALL
            .iter()
            .map(|reason| {
                let label = reason.as_str();
                (
                    label,
                    metrics::counter!("quartier_intake_rejected_total", "reason" => label),
                )
            })
            .collect();
        Self {
            journal,
            clock,
            store,
            vocabulary: Vocabulary::builtin(),
            quarters: quarters.into_iter().collect(),
            draining: AtomicBool::new(false),
            readings: metrics::counter!("quartier_intake_readings_total"),
            payloads: metrics::counter!("quartier_intake_payloads_total"),
            rejected,
        }
    }

    /// Takes from the twin whether anything new is taken.
    pub fn follow(&self, twin: &Twin) {
        let draining = twin.settings().draining.unwrap_or(false);
        self.draining.store(draining, Ordering::Relaxed);
    }

    fn encode(
        &self,
        client: &Client,
        moment: &Moment<'_>,
        telemetry: &Telemetry<'_>,
        (batch, texts): (&mut Batch, &mut Texts),
    ) {
        let Telemetry { topic, payload } = *telemetry;
        let at = moment.at;
        if let Some(event) = of_box(topic, payload) {
            self.write(client, telemetry, &Entry { at, event }, batch);
            return;
        }
        let mut decoded = match decode(topic, payload, moment, self.vocabulary, texts) {
            Ok(decoded) => decoded,
            Err(rejection) => return self.reject(client, at, telemetry, &rejection),
        };
        for rejection in std::mem::take(&mut decoded.rejected) {
            self.reject(client, at, telemetry, &rejection);
        }
        let mut observed = decoded.observed;
        if !self.quarters.contains(observed.quarter) {
            let detail = format!("quarter {:?} is not one of this node's", observed.quarter);
            return self.reject(
                client,
                at,
                telemetry,
                &Rejection {
                    reason: Reason::Topic,
                    detail,
                },
            );
        }
        let alone = observed.readings.is_empty() && !decoded.untimed.is_empty();
        let untimed = Observed {
            place: observed.place.take_if(|_| alone),
            readings: decoded.untimed,
            ..observed
        };
        let events = [
            (
                untimed.readings.len(),
                untimed.place,
                Event::Untimed(untimed),
            ),
            (
                observed.readings.len(),
                observed.place,
                Event::Observed(observed),
            ),
        ];
        for (count, place, event) in events {
            let nothing = count == 0 && place.is_none();
            if !nothing && self.write(client, telemetry, &Entry { at, event }, batch) {
                self.readings.increment(count as u64);
            }
        }
    }

    /// Adds the entry, or sets its message aside.
    fn write(
        &self,
        client: &Client,
        telemetry: &Telemetry<'_>,
        entry: &Entry<'_>,
        batch: &mut Batch,
    ) -> bool {
        let written = batch.push_with(|writer| postcard::to_io(entry, writer).map(|_| ()));
        if let Err(error) = &written {
            let rejection = Rejection {
                reason: Reason::TooLarge,
                detail: error.to_string(),
            };
            self.reject(client, entry.at, telemetry, &rejection);
        }
        written.is_ok()
    }

    fn reject(&self, client: &Client, at: Millis, telemetry: &Telemetry<'_>, why: &Rejection) {
        if let Some(counter) = self.rejected.get(why.reason.as_str()) {
            counter.increment(1);
        }
        self.store.put_dead_letter(DeadLetter {
            at,
            source: client.user.as_ref().unwrap_or(&client.id).to_string(),
            topic: telemetry.topic.to_owned(),
            reason: why.reason.as_str().to_owned(),
            detail: why.detail.clone(),
            payload: telemetry.payload.to_vec(),
        });
    }
}

/// What a box sent, where the topic is one of boxes. That the node in the topic is who sends it is
/// a matter of the access rules; what it says is looked at by the fold.
fn of_box<'a>(topic: &'a str, payload: &'a [u8]) -> Option<Event<'a>> {
    let rest = topic.strip_prefix(UPLINK)?;
    match rest.split_once('/') {
        None => Some(Event::Uplinked(Uplinked {
            node: rest,
            batch: payload,
        })),
        Some((node, NEWS)) => Some(Event::EdgeNews(EdgeNews {
            node,
            news: payload,
        })),
        Some((node, STATE)) => Some(Event::EdgeState(EdgeState {
            node,
            part: payload,
        })),
        Some(_) => None,
    }
}

thread_local! {
    /// Keep their memory between runs.
    static SCRATCH: RefCell<(Batch, Texts)> = RefCell::default();
}

impl Observer for TelemetryIntake {
    fn changed(&self, twin: &Twin, _: &Effects) {
        self.follow(twin);
    }
}

impl Intake for TelemetryIntake {
    fn wants(&self, topic: &str) -> bool {
        topic.starts_with(TELEMETRY) || topic.starts_with(UPLINK)
    }

    fn take(&self, client: &Client, run: &[Telemetry<'_>]) -> Taken {
        if self.draining.load(Ordering::Relaxed) {
            return Taken::Full;
        }
        SCRATCH.with_borrow_mut(|(batch, texts)| {
            batch.clear();
            // Held until the entries are in the journal.
            let moment = self.clock.moment();
            for telemetry in run {
                self.encode(client, &moment, telemetry, (batch, texts));
            }
            self.payloads.increment(run.len() as u64);
            if batch.is_empty() {
                return Taken::At(0);
            }
            match self.journal.append(batch) {
                Ok(position) => Taken::At(position),
                Err(error @ AppendError::TooLarge { .. }) => {
                    tracing::warn!(%error, client = %client.id, "a run of telemetry was set aside");
                    Taken::Full
                }
                Err(error) if error.is_passing() => Taken::Full,
                Err(_) => Taken::Failed,
            }
        })
    }

    fn durable(&self) -> watch::Receiver<u64> {
        self.journal.durable()
    }
}
