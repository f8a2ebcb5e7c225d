//! A thread for each run of a plugin: batches in, decisions to the journal.
//!
//! Batches of one run are answered in order, and versions take over from one another between two
//! of them, on the run's own thread. After a restart what was asked since the snapshot is done
//! again: the plugin's state needs it, what it answers is in the journal already.
//!
//! The fold never waits for a plugin. One that has more than [`MOST_WAITING`] rows to do is parked
//! by an event: the fold cuts no more batches for it, and it answers what it was given.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};
use quartier_plugin_host::RunnerError;

use super::at_work::{AtWork, Ready, begin};
use super::recover::{Queued, Recovered};
use crate::clock::Clock;
use crate::event::{Entry, Event, Parked, PluginRecord, Stage};
use crate::journal::{Batch, Journal};
use crate::plugins::{ArtifactError, Artifacts, Logs};
use crate::snapshots::PluginState;
use crate::state::{PluginBatch, PluginJob, Start, Twin};
use crate::store::Store;

/// Rows that may wait for one plugin: some seconds of a whole city, and some tens of megabytes.
const MOST_WAITING: u64 = 1 << 20;
/// How long a snapshot waits for a plugin's state.
const STATE_WAIT: Duration = Duration::from_secs(30);

/// What a run's thread does next.
pub(super) enum Job {
    Batch {
        batch: Box<PluginBatch>,
        failed: bool,
    },
    /// Another version takes over this run.
    Swap(Box<Start>),
    /// Another run begins with this one's state.
    Fork(Box<Start>, SyncSender<Ready>),
    Snapshot(SyncSender<Option<PluginState>>),
}

/// What the figures of one run are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorkerStats {
    /// Id of the quarter.
    pub quarter: String,
    /// Id of the plugin.
    pub plugin: String,
    /// Version.
    pub version: String,
    /// Stage of the version.
    pub stage: Stage,
    /// Line of batches.
    pub run: u64,
    /// Batches answered.
    pub batches: u64,
    /// Rows in them.
    pub rows: u64,
    /// Time spent, nanoseconds.
    pub busy_ns: u64,
    /// Fuel used.
    pub fuel: u64,
    /// Rows of answers that the manifest does not allow.
    pub dropped: u64,
    /// Batches set aside.
    pub failures: u64,
    /// Rows that wait.
    pub waiting: u64,
    /// Set aside for good.
    pub quarantined: bool,
    /// Why it does not run, or runs without the state of the version before.
    pub note: Option<String>,
}

impl WorkerStats {
    /// Of a version that does not run.
    fn not_running(run: u64, record: &PluginRecord, why: String) -> Self {
        Self {
            quarter: record.quarter.clone(),
            plugin: record.plugin.clone(),
            version: record.version.clone(),
            stage: record.stage,
            run,
            quarantined: true,
            note: Some(why),
            ..Self::default()
        }
    }
}

/// A plugin cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Its program.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Its configuration or its state.
    #[error(transparent)]
    Runner(Box<RunnerError>),
}

struct Worker {
    jobs: Sender<Job>,
    waiting: Arc<AtomicU64>,
    /// That it is too slow has been said.
    told: bool,
}

/// All plugins of a node.
pub struct Workers {
    workers: HashMap<u64, Worker>,
    threads: Vec<JoinHandle<()>>,
    live: bool,
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) clock: Arc<Clock>,
    pub(super) store: Arc<Store>,
    pub(super) twin: Arc<RwLock<Twin>>,
    pub(super) artifacts: Arc<Artifacts>,
    pub(super) logs: Arc<Logs>,
    in_flight: AtomicU64,
    pub(super) stop: AtomicBool,
    pub(super) stats: Mutex<HashMap<u64, WorkerStats>>,
}

impl Workers {
    /// Brings every plugin that ran at the snapshot to its state there. One that cannot be taken up
    /// does not run, and is no reason to keep the others waiting.
    ///
    /// # Errors
    /// The operating system has no thread left.
    pub fn start(
        recovered: &Recovered,
        (journal, clock): (Arc<dyn Journal>, Arc<Clock>),
        store: Arc<Store>,
        artifacts: Arc<Artifacts>,
        logs: Arc<Logs>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            journal,
            clock,
            store,
            twin: Arc::clone(&recovered.twin),
            artifacts,
            logs,
            in_flight: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            stats: Mutex::new(HashMap::new()),
        });
        let mut workers = Self {
            workers: HashMap::new(),
            threads: Vec::new(),
            live: false,
            shared,
        };
        for deployment in &recovered.running {
            let (run, record) = (deployment.run, &deployment.record);
            let state = recovered.states.iter().find(|state| state.run == run);
            let state = state.map(|state| state.state.as_slice());
            let ready = begin(&workers.shared, record, state);
            workers.spawn(run, record, move || ready)?;
        }
        Ok(workers)
    }

    /// From now on a plugin that falls too far behind is parked.
    pub fn is_live(&mut self) {
        self.live = true;
    }

    /// Does what the fold asks, or has it done; never waits for a plugin.
    pub fn give(&mut self, queued: Queued) {
        let Queued { job, failed } = queued;
        match job {
            PluginJob::Batch(batch) => self.send(batch, failed),
            PluginJob::Start(start) => self.start_run(start),
            PluginJob::Stop(run) => drop(self.workers.remove(&run)),
        }
    }

    fn send(&mut self, batch: Box<PluginBatch>, failed: bool) {
        let (run, rows) = (batch.run, batch.batch.rows() as u64);
        let Some(worker) = self.workers.get_mut(&run) else {
            return;
        };
        let waiting = worker.waiting.fetch_add(rows, Ordering::AcqRel) + rows;
        self.shared.in_flight.fetch_add(1, Ordering::AcqRel);
        if worker.jobs.send(Job::Batch { batch, failed }).is_err() {
            self.shared.in_flight.fetch_sub(1, Ordering::AcqRel);
            tracing::error!(run, "a plugin's thread is gone");
        }
        if self.live && waiting > MOST_WAITING && !worker.told {
            worker.told = self
                .shared
                .append(Event::PluginParked(Parked { run, waiting }));
        }
    }

    fn start_run(&mut self, start: Box<Start>) {
        let run = start.run;
        match start.from {
            Some(from) if from == run => {
                if let Some(worker) = self.workers.get_mut(&run) {
                    worker.told = false;
                    let _ = worker.jobs.send(Job::Swap(start));
                }
            }
            from => {
                let shared = Arc::clone(&self.shared);
                let source = from.and_then(|from| self.workers.get(&from));
                let record = start.record.clone();
                let spawned = match source {
                    Some(source) => {
                        let (answer, ready) = sync_channel(1);
                        let _ = source.jobs.send(Job::Fork(start, answer));
                        let fresh = record.clone();
                        self.spawn(run, &record, move || {
                            let ready = ready.recv().map(Ok);
                            ready.unwrap_or_else(|_| begin(&shared, &fresh, None))
                        })
                    }
                    None => self.spawn(run, &record, move || begin(&shared, &start.record, None)),
                };
                if let Err(error) = spawned {
                    tracing::error!(%error, "no thread for a plugin");
                }
            }
        }
    }

    /// Starts the thread of a run; `ready` makes its instance there.
    fn spawn(
        &mut self,
        run: u64,
        record: &PluginRecord,
        ready: impl FnOnce() -> Result<Ready, WorkerError> + Send + 'static,
    ) -> std::io::Result<()> {
        let (jobs, receiver) = channel();
        let waiting = Arc::new(AtomicU64::new(0));
        let (shared, rows) = (Arc::clone(&self.shared), Arc::clone(&waiting));
        let first = record.clone();
        let thread = thread::Builder::new()
            .name(format!("rule-{}", record.plugin))
            .spawn(move || {
                let mut at_work = take_up(run, &first, ready(), &shared);
                for job in receiver {
                    match (job, &mut at_work) {
                        // What does not run has no state to hand over.
                        (Job::Swap(start), None) => {
                            let ready = begin(&shared, &start.record, None);
                            at_work = take_up(run, &start.record, ready, &shared);
                        }
                        (job, at_work) => work(at_work.as_mut(), job, &shared, &rows),
                    }
                }
                shared.stats.lock().remove(&run);
            })?;
        self.threads.push(thread);
        let worker = Worker {
            jobs,
            waiting,
            told: false,
        };
        self.workers.insert(run, worker);
        Ok(())
    }

    /// Batches not yet answered and recorded.
    pub fn in_flight(&self) -> u64 {
        self.shared.in_flight.load(Ordering::Acquire)
    }

    /// Asks every plugin for its state behind what it has been sent so far.
    pub fn ask_for_states(&self) -> States {
        let ask = |worker: &Worker| {
            let (answer, state) = sync_channel(1);
            let sent = worker.jobs.send(Job::Snapshot(answer));
            sent.is_ok().then_some(state)
        };
        States(self.workers.values().map(ask).collect())
    }

    /// A way to read the figures from elsewhere.
    pub fn stats(&self) -> impl Fn() -> Vec<WorkerStats> + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || {
            let mut stats: Vec<_> = shared.stats.lock().values().cloned().collect();
            stats.sort_by(|a, b| {
                (&a.quarter, &a.plugin, a.run).cmp(&(&b.quarter, &b.plugin, b.run))
            });
            stats
        }
    }

    /// Ends all threads after the batch they are at.
    pub fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.workers.clear();
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("a plugin's thread ended in a panic");
            }
        }
    }
}

/// What there is of an instance; where there is none, log and figures say why.
fn take_up(
    run: u64,
    record: &PluginRecord,
    ready: Result<Ready, WorkerError>,
    shared: &Arc<Shared>,
) -> Option<AtWork> {
    match ready {
        Ok(ready) => Some(AtWork::new(run, ready, shared)),
        Err(error) => {
            let (quarter, plugin) = (&record.quarter, &record.plugin);
            tracing::error!(quarter, plugin, %error, "a plugin does not run");
            let stats = WorkerStats::not_running(run, record, error.to_string());
            shared.stats.lock().insert(run, stats);
            None
        }
    }
}

fn work(at_work: Option<&mut AtWork>, job: Job, shared: &Shared, waiting: &AtomicU64) {
    match (job, at_work) {
        (Job::Batch { batch, failed }, at_work) => {
            if let Some(at_work) = at_work
                && !shared.stop.load(Ordering::Acquire)
            {
                at_work.batch(&batch, failed, waiting.load(Ordering::Acquire));
            }
            waiting.fetch_sub(batch.batch.rows() as u64, Ordering::AcqRel);
            shared.in_flight.fetch_sub(1, Ordering::AcqRel);
        }
        (Job::Swap(start), Some(at_work)) => at_work.swap(&start),
        (Job::Fork(start, answer), Some(at_work)) => {
            if let Some(ready) = at_work.fork(&start) {
                let _ = answer.send(ready);
            }
        }
        // A run that could not begin has no state; one whose plugin gives none spoils the snapshot.
        (Job::Snapshot(answer), None) => {
            let _ = answer.send(None);
        }
        (Job::Snapshot(answer), Some(at_work)) => {
            if let Some(state) = at_work.state() {
                let _ = answer.send(Some(state));
            }
        }
        (Job::Swap(_) | Job::Fork(..), None) => {}
    }
}

impl Shared {
    /// Appends an event; whether the journal took it.
    pub(super) fn append(&self, event: Event<'_>) -> bool {
        let at = self.clock.now();
        let entry = Entry { at, event };
        let mut batch = Batch::new();
        let encoded = batch.push_with(|writer| postcard::to_io(&entry, writer).map(|_| ()));
        encoded.is_ok() && self.journal.append(&batch).is_ok()
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
        };
        let states = self.0.into_iter().map(|r| r.and_then(wait));
        let states = states.collect::<Option<Vec<_>>>()?;
        let mut states: Vec<PluginState> = states.into_iter().flatten().collect();
        states.sort_by_key(|state| state.run);
        Some(states)
    }
}
