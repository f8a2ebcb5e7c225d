//! A run at work: an instance answers batches, and its versions take over from one another.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge};
use quartier_plugin_host::{Answer, Kept};

use super::decide::failure_letter;
pub(super) use super::ready::Ready;
use super::ready::started;
use super::worker::{Shared, WorkerError, WorkerStats};
use crate::event::{Digest, Entry, Event, PluginRecord, Started};
use crate::journal::Batch;
use crate::model::Millis;
use crate::plugins::{LogLine, dictionary};
use crate::snapshots::PluginState;
use crate::state::{PluginBatch, Start};

/// Pause before a decision is offered again to a full journal.
const RETRY: Duration = Duration::from_millis(200);

/// An instance of a record, in `state` or without any.
pub(super) fn begin(
    shared: &Shared,
    record: &PluginRecord,
    state: Option<&[u8]>,
) -> Result<Ready, WorkerError> {
    Ready::begin(&shared.artifacts, record, state, |plugin| {
        dictionary(plugin, &shared.twin.read())
    })
}

pub(super) struct AtWork {
    run: u64,
    ready: Ready,
    shared: Arc<Shared>,
    /// Batches below this number are in the journal already.
    decided: u64,
    /// Hash of the last decision of the run.
    previous: Digest,
    stats: WorkerStats,
    figures: Figures,
}

struct Figures {
    batches: Counter,
    rows: Counter,
    busy: Counter,
    failures: Counter,
    dropped: Counter,
    quarantined: Gauge,
}

impl AtWork {
    pub(super) fn new(run: u64, ready: Ready, shared: &Arc<Shared>) -> Self {
        let (decided, previous) = shared.twin.read().recorded(run);
        let record = ready.decider.record();
        let labels = [
            ("quarter", record.quarter.clone()),
            ("plugin", record.plugin.clone()),
            ("stage", record.stage.as_str().to_owned()),
        ];
        let mut at_work = Self {
            run,
            shared: Arc::clone(shared),
            decided,
            previous,
            stats: WorkerStats::default(),
            figures: Figures {
                batches: metrics::counter!("quartier_plugin_batches_total", &labels),
                rows: metrics::counter!("quartier_plugin_rows_total", &labels),
                busy: metrics::counter!("quartier_plugin_busy_nanoseconds_total", &labels),
                failures: metrics::counter!("quartier_plugin_failures_total", &labels),
                dropped: metrics::counter!("quartier_plugin_dropped_rows_total", &labels),
                quarantined: metrics::gauge!("quartier_plugin_quarantined", &labels),
            },
            ready,
        };
        at_work.name_stats();
        at_work
    }

    fn name_stats(&mut self) {
        let record = self.ready.decider.record();
        self.stats.quarter = record.quarter.clone();
        self.stats.plugin = record.plugin.clone();
        self.stats.version = record.version.clone();
        self.stats.stage = record.stage;
        self.stats.run = self.run;
        self.note_quarantine();
    }

    fn note_quarantine(&mut self) {
        let quarantined = self.ready.runner.quarantined();
        self.stats.quarantined = quarantined;
        let gauge = &self.figures.quarantined;
        gauge.set(if quarantined { 1.0 } else { 0.0 });
        self.publish_stats();
    }

    /// Answers a batch. `failed`: it was set aside before a restart.
    pub(super) fn batch(&mut self, batch: &PluginBatch, failed: bool, waiting: u64) {
        if failed {
            self.ready.runner.skip(&batch.batch);
            return self.note_quarantine();
        }
        let started = Instant::now();
        let (answer, newly) = self.ready.answer(batch);
        let spent = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.stats.waiting = waiting;
        self.stats.stage = batch.stage;
        self.count(batch, &answer, spent);
        self.log(batch, &answer);
        if batch.number < self.decided {
            return;
        }
        let decision = {
            let twin = self.shared.twin.read();
            let decider = &self.ready.decider;
            decider.decide(batch, answer, newly, self.previous, &twin)
        };
        if let Some(decision) = decision {
            if let Some(letter) = failure_letter(&decision, self.shared.clock.now()) {
                self.shared.store.put_dead_letter(letter);
            }
            self.previous = decision.hash();
            self.record(Event::Decided(decision));
        }
    }

    fn count(&mut self, batch: &PluginBatch, answer: &Answer, spent: u64) {
        let rows = batch.batch.rows() as u64;
        let dropped: u64 = answer
            .dropped
            .iter()
            .map(|(_, rows)| u64::from(*rows))
            .sum();
        let failed = u64::from(answer.failure.is_some());
        let stats = &mut self.stats;
        stats.batches += 1;
        stats.rows += rows;
        stats.busy_ns += spent;
        stats.fuel += answer.fuel;
        stats.dropped += dropped;
        stats.failures += failed;
        let figures = &self.figures;
        figures.batches.increment(1);
        figures.rows.increment(rows);
        figures.busy.increment(spent);
        figures.failures.increment(failed);
        figures.dropped.increment(dropped);
        self.note_quarantine();
    }

    fn log(&self, batch: &PluginBatch, answer: &Answer) {
        let time = i64::try_from(batch.batch.now_ms).unwrap_or(i64::MAX);
        for (level, text) in &answer.log {
            self.shared.logs.push(LogLine {
                time: Millis(time).to_string(),
                quarter: batch.quarter.clone(),
                plugin: batch.plugin.clone(),
                version: batch.version.clone(),
                batch: batch.number,
                level: *level,
                text: text.clone(),
            });
        }
    }

    /// Appends; a full journal is asked again until it has room or the node ends.
    fn record(&self, event: Event<'_>) {
        let entry = Entry {
            at: self.shared.clock.now(),
            event,
        };
        let mut batch = Batch::new();
        if let Err(error) = batch.push_with(|writer| postcard::to_io(&entry, writer).map(|_| ())) {
            tracing::error!(%error, "a decision cannot be encoded");
            return;
        }
        loop {
            match self.shared.journal.append(&batch) {
                Ok(_) => return,
                Err(error) if error.is_passing() && !self.shared.stop.load(Ordering::Acquire) => {
                    thread::park_timeout(RETRY);
                }
                Err(error) => {
                    tracing::error!(%error, "a decision was not recorded");
                    return;
                }
            }
        }
    }

    /// Another version takes over this run; where it does not start, this one goes on.
    pub(super) fn swap(&mut self, start: &Start) {
        let kept = self.succeed(start).map(|(ready, kept)| {
            self.ready = ready;
            kept
        });
        if let Err(why) = &kept {
            tracing::error!(plugin = start.record.plugin, version = start.record.version, %why,
                "the version does not start; the one before goes on");
        }
        let started = started(start, kept);
        self.stats.note = started.failed.clone().or_else(|| started.fresh.clone());
        self.name_stats();
        self.tell(start, started);
    }

    /// A run that begins with this one's state.
    pub(super) fn fork(&mut self, start: &Start) -> Option<Ready> {
        match self.succeed(start) {
            Ok((ready, kept)) => {
                self.tell(start, started(start, Ok(kept)));
                Some(ready)
            }
            Err(why) => {
                tracing::error!(plugin = start.record.plugin, version = start.record.version, %why,
                    "the version does not start");
                None
            }
        }
    }

    fn succeed(&mut self, start: &Start) -> Result<(Ready, Kept), String> {
        let Shared {
            artifacts, twin, ..
        } = &*self.shared;
        self.ready.succeed(artifacts, &start.record, |plugin| {
            dictionary(plugin, &twin.read())
        })
    }

    /// Records how a hand-over went, once.
    fn tell(&self, start: &Start, started: Started) {
        let known = {
            let twin = self.shared.twin.read();
            let deployment = twin.run(start.run);
            deployment.is_none_or(|deployment| deployment.started > start.position)
        };
        if !known {
            self.record(Event::PluginStarted(started));
        }
    }

    pub(super) fn state(&mut self) -> Option<PluginState> {
        match self.ready.state(self.run) {
            Ok(state) => Some(state),
            Err(error) => {
                let record = self.ready.decider.record();
                tracing::error!(quarter = record.quarter, plugin = record.plugin, %error,
                    "the plugin gives no state");
                None
            }
        }
    }

    fn publish_stats(&self) {
        let mut stats = self.shared.stats.lock();
        stats.insert(self.run, self.stats.clone());
    }
}
