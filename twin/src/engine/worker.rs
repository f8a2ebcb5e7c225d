//! A thread for each plugin of each quarter: batches in, decisions to the journal.
//!
//! Batches of one plugin are run in order. After a restart those that were cut since the snapshot
//! are run again: the plugin's state needs them, what it answers is in the journal already.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use metrics::{Counter, Gauge};
use parking_lot::{Mutex, RwLock};
use quartier_plugin_host::Runner;

use super::decide::{Decider, failure_letter};
use crate::event::{Entry, Event};
use crate::journal::{Batch, Journal};
use crate::model::Millis;
use crate::snapshots::PluginState;
use crate::state::{PluginBatch, Twin};
use crate::store::Store;

/// Batches that may wait for one plugin; then the fold waits. A plugin that hangs is quarantined
/// after a few deadlines, long before.
const QUEUE: usize = 1024;
/// How long a snapshot waits for a plugin's state.
const STATE_WAIT: Duration = Duration::from_secs(30);
/// Pause before a decision is offered again to a full journal.
const RETRY: Duration = Duration::from_millis(200);

enum Job {
    Batch(Box<PluginBatch>),
    Snapshot(SyncSender<Option<PluginState>>),
}

/// What the figures of one plugin are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorkerStats {
    /// Id of the quarter.
    pub quarter: String,
    /// Id of the plugin.
    pub plugin: String,
    /// Version.
    pub version: String,
    /// Batches answered.
    pub batches: u64,
    /// Rows in them.
    pub rows: u64,
    /// Time spent, nanoseconds.
    pub busy_ns: u64,
    /// Batches set aside.
    pub failures: u64,
    /// Set aside for good.
    pub quarantined: bool,
}

/// One plugin of one quarter, ready to run.
pub struct Assignment {
    /// Turns answers into decisions.
    pub decider: Decider,
    /// The instance.
    pub runner: Runner,
    /// Batches below this number are in the journal already.
    pub decided: u64,
}

struct Worker {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// All plugins of a node.
pub struct Workers {
    workers: HashMap<(String, String), Worker>,
    shared: Arc<Shared>,
}

struct Shared {
    journal: Arc<dyn Journal>,
    store: Arc<Store>,
    twin: Arc<RwLock<Twin>>,
    in_flight: AtomicU64,
    stop: AtomicBool,
    stats: Mutex<HashMap<(String, String), WorkerStats>>,
}

/// Starts a thread for each assignment.
///
/// # Errors
/// The operating system has no thread left.
pub fn start(
    assignments: Vec<Assignment>,
    journal: Arc<dyn Journal>,
    store: Arc<Store>,
    twin: Arc<RwLock<Twin>>,
) -> std::io::Result<Workers> {
    let shared = Arc::new(Shared {
        journal,
        store,
        twin,
        in_flight: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        stats: Mutex::new(HashMap::new()),
    });
    let mut workers = HashMap::new();
    for assignment in assignments {
        let key = assignment.decider.key();
        let (jobs, receiver) = sync_channel(QUEUE);
        let mut at_work = AtWork::new(assignment, Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name(format!("rule-{}", key.1))
            .spawn(move || at_work.run(&receiver))?;
        workers.insert(
            key,
            Worker {
                jobs: Some(jobs),
                thread: Some(thread),
            },
        );
    }
    Ok(Workers { workers, shared })
}

impl Workers {
    /// Hands a batch to its plugin; waits while that plugin has [`QUEUE`] batches to do.
    pub fn send(&self, batch: PluginBatch) {
        let key = (batch.quarter.clone(), batch.plugin.clone());
        let Some(jobs) = self
            .workers
            .get(&key)
            .and_then(|worker| worker.jobs.as_ref())
        else {
            return;
        };
        self.shared.in_flight.fetch_add(1, Ordering::AcqRel);
        if jobs.send(Job::Batch(Box::new(batch))).is_err() {
            self.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
            tracing::error!(
                quarter = key.0,
                plugin = key.1,
                "the plugin's thread is gone"
            );
        }
    }

    /// Batches not yet answered and recorded.
    pub fn in_flight(&self) -> u64 {
        self.shared.in_flight.load(Ordering::Acquire)
    }

    /// Asks every plugin for its state behind what it has been sent so far.
    pub fn ask_for_states(&self) -> States {
        let ask = |worker: &Worker| {
            let (answer, state) = sync_channel(1);
            let jobs = worker.jobs.as_ref();
            jobs.is_some_and(|jobs| jobs.send(Job::Snapshot(answer)).is_ok())
                .then_some(state)
        };
        States(self.workers.values().map(ask).collect())
    }

    /// A way to read the figures from elsewhere.
    pub fn stats(&self) -> impl Fn() -> Vec<WorkerStats> + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || {
            let mut stats: Vec<_> = shared.stats.lock().values().cloned().collect();
            stats.sort_by(|a, b| (&a.quarter, &a.plugin).cmp(&(&b.quarter, &b.plugin)));
            stats
        }
    }

    /// Ends all threads after the batch they are at.
    pub fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        for worker in self.workers.values_mut() {
            worker.jobs = None;
        }
        for worker in self.workers.values_mut() {
            if let Some(thread) = worker.thread.take() {
                thread.thread().unpark();
                if thread.join().is_err() {
                    tracing::error!("a plugin's thread ended in a panic");
                }
            }
        }
    }
}

/// States on their way.
pub struct States(Vec<Option<Receiver<Option<PluginState>>>>);

impl States {
    /// All of them, or none where one plugin has none to give in time.
    pub fn wait(self) -> Option<Vec<PluginState>> {
        let deadline = Instant::now() + STATE_WAIT;
        let wait = |receiver: Receiver<Option<PluginState>>| {
            receiver
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .ok()
                .flatten()
        };
        let mut states = self
            .0
            .into_iter()
            .map(|r| r.and_then(wait))
            .collect::<Option<Vec<_>>>()?;
        states.sort_by(|a, b| (&a.quarter, &a.plugin).cmp(&(&b.quarter, &b.plugin)));
        Some(states)
    }
}

struct AtWork {
    assignment: Assignment,
    shared: Arc<Shared>,
    stats: WorkerStats,
    batches: Counter,
    rows: Counter,
    busy: Counter,
    failures: Counter,
    quarantined: Gauge,
}

impl AtWork {
    fn new(assignment: Assignment, shared: Arc<Shared>) -> Self {
        let (quarter, plugin) = assignment.decider.key();
        let labels = [("quarter", quarter.clone()), ("plugin", plugin.clone())];
        let version = assignment.decider.version().to_owned();
        Self {
            assignment,
            shared,
            stats: WorkerStats {
                quarter,
                plugin,
                version,
                ..WorkerStats::default()
            },
            batches: metrics::counter!("quartier_plugin_batches_total", &labels),
            rows: metrics::counter!("quartier_plugin_rows_total", &labels),
            busy: metrics::counter!("quartier_plugin_busy_nanoseconds_total", &labels),
            failures: metrics::counter!("quartier_plugin_failures_total", &labels),
            quarantined: metrics::gauge!("quartier_plugin_quarantined", &labels),
        }
    }

    fn run(&mut self, jobs: &Receiver<Job>) {
        self.publish_stats();
        while let Ok(job) = jobs.recv() {
            match job {
                Job::Batch(batch) => {
                    self.batch(&batch);
                    self.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
                }
                Job::Snapshot(answer) => {
                    let _ = answer.send(self.state());
                }
            }
        }
    }

    fn batch(&mut self, batch: &PluginBatch) {
        let started = Instant::now();
        let was_quarantined = self.stats.quarantined;
        let answer = self.assignment.runner.run(&batch.batch);
        let spent = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let rows = (batch.batch.asset.len() + batch.batch.windows.asset.len()) as u64;
        let failed = answer.failure.is_some();
        self.stats.batches += 1;
        self.stats.rows += rows;
        self.stats.busy_ns += spent;
        self.stats.failures += u64::from(failed);
        self.stats.quarantined = self.assignment.runner.quarantined();
        self.batches.increment(1);
        self.rows.increment(rows);
        self.busy.increment(spent);
        self.failures.increment(u64::from(failed));
        self.quarantined
            .set(if self.stats.quarantined { 1.0 } else { 0.0 });
        self.publish_stats();
        let newly = self.stats.quarantined && !was_quarantined;
        let decision = {
            let twin = self.shared.twin.read();
            self.assignment.decider.decide(batch, answer, newly, &twin)
        };
        if let Some(decision) = decision.filter(|d| d.batch >= self.assignment.decided) {
            if let Some(letter) = failure_letter(&decision) {
                self.shared.store.put_dead_letter(letter);
            }
            self.record(Entry {
                at: Millis::now(),
                event: Event::Decided(decision),
            });
        }
    }

    /// Appends the decision; a full journal is asked again until it has room or the node ends.
    fn record(&self, entry: Entry<'_>) {
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

    fn state(&mut self) -> Option<PluginState> {
        let (quarter, plugin) = self.assignment.decider.key();
        match self.assignment.runner.snapshot() {
            Ok(state) => Some(PluginState {
                quarter,
                plugin,
                state,
            }),
            Err(error) => {
                tracing::error!(quarter, plugin, %error, "the plugin gives no state");
                None
            }
        }
    }

    fn publish_stats(&self) {
        let key = self.assignment.decider.key();
        self.shared.stats.lock().insert(key, self.stats.clone());
    }
}
