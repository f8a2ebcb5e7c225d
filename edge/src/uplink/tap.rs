//! What the fold changed and the city should know at once. Filled on the fold's thread, emptied by
//! the uplink; bounded by the size of the twin, because of each thing only the newest counts.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quartier_twin::engine::Observer;
use quartier_twin::event::{Digest, OrderTaken};
use quartier_twin::state::{Alert, AlertKey, CommandId, Correction, Effects, Twin};
use quartier_twin::uplink::{News, NewsValue};
use tokio::sync::Notify;

/// Between two digests of the state, and a hundred times what one takes.
const CHECKPOINT: Duration = Duration::from_secs(10);
const SHARE: u32 = 100;
/// Digests that wait to be sent.
const CHECKPOINTS: usize = 64;
/// Values of one message.
const VALUES: usize = 5_000;

/// See the module.
#[derive(Default)]
pub(crate) struct Tap {
    waiting: Mutex<Waiting>,
    /// Whether values are wanted: only while the ordered entries are behind.
    values: AtomicBool,
    urgent: Notify,
}

#[derive(Default)]
struct Waiting {
    told: u64,
    alerts: BTreeMap<AlertKey, Option<Alert>>,
    commands: BTreeSet<CommandId>,
    values: HashSet<u32>,
    orders: Vec<OrderTaken>,
    corrections: Vec<Correction>,
    /// Where the newest correction was made that is told or waits.
    corrected: u64,
    checkpoints: VecDeque<(u64, Digest)>,
    /// The city wants the state itself of the next checkpoint.
    wants_state: bool,
    state: Option<(u64, Vec<u8>)>,
    next_checkpoint: Option<Instant>,
}

impl Observer for Tap {
    fn changed(&self, twin: &Twin, effects: &Effects) {
        let mut waiting = self.waiting.lock();
        waiting.told = twin.position();
        for (key, alert) in &effects.alerts {
            waiting.alerts.insert(key.clone(), alert.clone());
        }
        waiting.commands.extend(effects.commands.iter().copied());
        if self.values.load(Ordering::Relaxed) {
            waiting
                .values
                .extend(effects.changes.iter().map(|change| change.stream));
        }
        waiting.checkpoint(twin);
        waiting.orders.extend(effects.taken.iter().cloned());
        waiting.correct(twin);
        if waiting.is_urgent() {
            self.urgent.notify_one();
        }
    }
}

impl Waiting {
    fn is_urgent(&self) -> bool {
        !(self.alerts.is_empty()
            && self.commands.is_empty()
            && self.orders.is_empty()
            && self.corrections.is_empty())
    }

    fn correct(&mut self, twin: &Twin) {
        let all = twin.clock().corrections().rev();
        let mut new: Vec<_> = all
            .take_while(|found| found.until > self.corrected)
            .collect();
        new.reverse();
        self.corrected = new.last().map_or(self.corrected, |newest| newest.until);
        self.corrections.extend(new);
    }

    fn checkpoint(&mut self, twin: &Twin) {
        let now = Instant::now();
        if self.next_checkpoint.is_some_and(|next| now < next) {
            return;
        }
        let Ok(bytes) = twin.to_bytes() else {
            return;
        };
        if self.checkpoints.len() == CHECKPOINTS {
            self.checkpoints.pop_front();
        }
        self.checkpoints
            .push_back((twin.position(), Digest::of(&bytes)));
        if std::mem::take(&mut self.wants_state) {
            self.state = Some((twin.position(), bytes));
        }
        let pause = CHECKPOINT.max(now.elapsed() * SHARE);
        self.next_checkpoint = Some(now + pause);
    }
}

impl Tap {
    /// Whether values are to be collected.
    pub(crate) fn want_values(&self, wanted: bool) {
        if self.values.swap(wanted, Ordering::Relaxed) && !wanted {
            self.waiting.lock().values.clear();
        }
    }

    /// Returns when an alert or a command has changed.
    pub(crate) async fn urgent(&self) {
        self.urgent.notified().await;
    }

    /// Whether an alert or a command waits.
    pub(crate) fn is_urgent(&self) -> bool {
        self.waiting.lock().is_urgent()
    }

    /// Whether values wait.
    pub(crate) fn has_values(&self) -> bool {
        !self.waiting.lock().values.is_empty()
    }

    /// The digest of the state at the next position behind `position`, where there is one.
    pub(crate) fn checkpoint_after(&self, position: u64) -> Option<(u64, Digest)> {
        let mut waiting = self.waiting.lock();
        while waiting.checkpoints.front()?.0 <= position {
            waiting.checkpoints.pop_front();
        }
        waiting.checkpoints.front().copied()
    }

    /// The state of the next checkpoint is kept, until it is taken.
    pub(crate) fn want_state(&self) {
        let mut waiting = self.waiting.lock();
        waiting.wants_state = waiting.state.is_none();
    }

    /// The state behind `position`, where it was kept. An earlier one is of no use any more.
    pub(crate) fn state_at(&self, position: u64) -> Option<Vec<u8>> {
        let mut waiting = self.waiting.lock();
        let (found, bytes) = waiting.state.take_if(|(found, _)| *found <= position)?;
        (found == position).then_some(bytes)
    }

    /// Takes what waits into `news`; with `whole`, everything that is active instead.
    pub(crate) fn take(&self, twin: &Twin, whole: bool, news: &mut News) {
        let mut waiting = self.waiting.lock();
        // After a start nothing was folded yet: then the twin is as the snapshot and the journal
        // left it.
        waiting.told = match waiting.told {
            0 => twin.position(),
            told => told,
        };
        news.told = waiting.told;
        news.whole = whole;
        let alerts = std::mem::take(&mut waiting.alerts);
        let commands = std::mem::take(&mut waiting.commands);
        let orders = std::mem::take(&mut waiting.orders);
        let corrections = std::mem::take(&mut waiting.corrections);
        if whole {
            let all = twin.alerts().iter();
            news.alerts = all
                .map(|(key, alert)| (key.clone(), Some(alert.clone())))
                .collect();
            news.commands = twin.commands().open().cloned().collect();
            news.orders = twin.orders_taken().recent().cloned().collect();
            news.corrections = twin.clock().corrections().copied().collect();
        } else {
            news.alerts = alerts.into_iter().collect();
            let known = commands
                .into_iter()
                .filter_map(|id| twin.commands().get(id));
            news.commands = known.cloned().collect();
            news.orders = orders;
            news.corrections = corrections;
        }
        let some: Vec<u32> = waiting.values.iter().copied().take(VALUES).collect();
        for stream in some {
            waiting.values.remove(&stream);
            news.values.extend(value(twin, stream));
        }
    }
}

fn value(twin: &Twin, index: u32) -> Option<NewsValue> {
    let stream = twin.streams().get(index as usize)?;
    let asset = twin.assets().get(stream.asset as usize)?;
    let metric = twin.metric_of(stream)?;
    Some(NewsValue {
        asset: asset.id.to_string(),
        metric: metric.name.to_string(),
        unit: (!metric.known).then(|| metric.unit.clone()),
        value: stream.value,
        time: stream.time,
        quality: stream.quality,
        place: asset.place,
    })
}
