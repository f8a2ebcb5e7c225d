//! The engine: one thread that folds the journal into the twin and hands out what follows.
//!
//! It is the twin's only writer. Plugins run on threads of their own beside it; what they answer
//! comes back through the journal.

mod at_work;
mod decide;
mod ready;
mod recover;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::event::{Decision, Entry};
use crate::journal::{Frame, Journal, ReadError, Reader};
use crate::mqtt::Mqtt;
use crate::snapshots::{Snapshot, Snapshots};
use crate::state::{Effects, Twin};
use crate::store::Store;
use crate::topics;

pub use decide::Decider;
pub(crate) use ready::{Ready, started};
pub use recover::{Queued, RecoverError, Recovered, recover};
pub use worker::{WorkerError, WorkerStats, Workers};

/// Entries folded under one lock: readers of the twin wait for one such run at most.
const RUN: usize = 512;
/// Bytes of entries folded under one lock, and one entry more: those of a box's uplink hold many.
const RUN_BYTES: usize = 64 << 10;
/// How long the thread waits for new entries before it looks whether it should end.
const WAIT: Duration = Duration::from_millis(100);
/// So many snapshots at least are written while the journal's quota fills once: a journal that drops
/// its oldest entries still reaches from a snapshot on.
const SNAPSHOTS_IN_QUOTA: u64 = 8;
/// Name of the cursor behind which the journal is no longer needed for recovery.
pub const SNAPSHOT_CURSOR: &str = "snapshot";

/// Name of the cursor up to which the twin's topics have reached their subscribers: what follows
/// from later entries is told again after a crash.
pub const TOPICS_CURSOR: &str = "topics";

/// What the engine works with.
pub struct Parts {
    /// The journal and the twin as recovered.
    pub recovered: Recovered,
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// Where cursors are kept.
    pub store: Arc<Store>,
    /// Where snapshots are kept.
    pub snapshots: Snapshots,
    /// Entries between two snapshots.
    pub snapshot_entries: u64,
    /// Where twin topics go.
    pub mqtt: Mqtt,
    /// The plugins.
    pub workers: Workers,
    /// Who else hears what follows, after the topics.
    pub observers: Vec<Arc<dyn Observer>>,
}

/// Hears what the fold changed, on the fold's thread: must be quick.
pub trait Observer: Send + Sync + 'static {
    /// `twin` is folded up to its position, and `effects` came of the last entries.
    fn changed(&self, twin: &Twin, effects: &Effects);
}

/// The running engine.
pub struct Engine {
    twin: Arc<RwLock<Twin>>,
    folded: watch::Receiver<u64>,
    skipped: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system has no thread left.
    pub fn start(parts: Parts) -> std::io::Result<Self> {
        let Parts {
            recovered,
            journal,
            store,
            snapshots,
            snapshot_entries,
            mqtt,
            workers,
            observers,
        } = parts;
        let twin = recovered.twin;
        let position = twin.read().position();
        let snapshot_bytes = journal.stats().quota / SNAPSHOTS_IN_QUOTA;
        let (folded_tx, folded) = watch::channel(position);
        let stop = Arc::new(AtomicBool::new(false));
        let skipped = Arc::new(AtomicU64::new(0));
        let mut fold = FoldThread {
            twin: Arc::clone(&twin),
            journal,
            reader: recovered.reader,
            mqtt,
            workers,
            observers,
            snapshots: Arc::new(snapshots),
            store,
            snapshot_entries,
            snapshot_bytes,
            last_snapshot: recovered.snapshot,
            bytes_since: 0,
            writing: None,
            effects: Effects::default(),
            folded: folded_tx,
            skipped: Arc::clone(&skipped),
        };
        let ending = Arc::clone(&stop);
        let (backlog, untold) = (recovered.backlog, recovered.untold);
        let thread = thread::Builder::new()
            .name("twin".to_owned())
            .spawn(move || fold.run(backlog, &untold, &ending))?;
        Ok(Self {
            twin,
            folded,
            skipped,
            stop,
            thread: Some(thread),
        })
    }

    /// The twin; only the engine writes it.
    pub fn twin(&self) -> Arc<RwLock<Twin>> {
        Arc::clone(&self.twin)
    }

    /// The position up to which the twin is folded.
    pub fn folded(&self) -> watch::Receiver<u64> {
        self.folded.clone()
    }

    /// Entries that could not be read and were passed over.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Folds what is left, waits for the plugins, writes a snapshot and ends. Blocks.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the twin's thread ended in a panic");
        }
    }
}

struct FoldThread {
    twin: Arc<RwLock<Twin>>,
    journal: Arc<dyn Journal>,
    reader: Box<dyn Reader>,
    mqtt: Mqtt,
    workers: Workers,
    observers: Vec<Arc<dyn Observer>>,
    snapshots: Arc<Snapshots>,
    store: Arc<Store>,
    snapshot_entries: u64,
    snapshot_bytes: u64,
    last_snapshot: u64,
    /// Bytes of entries since the last snapshot.
    bytes_since: u64,
    writing: Option<JoinHandle<()>>,
    effects: Effects,
    folded: watch::Sender<u64>,
    skipped: Arc<AtomicU64>,
}

/// How long the end may take: plugins still at work, decisions still to be written.
const DRAIN: Duration = Duration::from_secs(5);

impl FoldThread {
    fn run(&mut self, backlog: Vec<Queued>, untold: &Effects, stop: &AtomicBool) {
        topics::publish(&self.twin.read(), untold, &self.mqtt);
        for (node, position, decision) in &untold.edge_decisions {
            self.audit(node, *position, decision);
        }
        for queued in backlog {
            self.workers.give(queued);
        }
        self.workers.is_live();
        while !stop.load(Ordering::Acquire) {
            self.journal.wait_past(self.position(), WAIT);
            self.catch_up();
            self.maybe_snapshot();
        }
        self.drain();
        if let Some(writing) = self.writing.take() {
            let _ = writing.join();
        }
        self.snapshot();
        if let Some(writing) = self.writing.take() {
            let _ = writing.join();
        }
        self.workers.stop();
    }

    /// In data order: fold what is durable, let the plugins answer it, fold their answers.
    fn drain(&mut self) {
        let deadline = Instant::now() + DRAIN;
        while Instant::now() < deadline {
            self.catch_up();
            let idle = self.workers.in_flight() == 0;
            let stats = self.journal.stats();
            if (idle && stats.last == self.position()) || stats.failed.is_some() {
                return;
            }
            self.journal
                .wait_past(self.position(), Duration::from_millis(5));
        }
        tracing::warn!(
            plugins = self.workers.in_flight(),
            "ended before all plugins had answered"
        );
    }

    fn position(&self) -> u64 {
        *self.folded.borrow()
    }

    fn catch_up(&mut self) {
        loop {
            match self.reader.next() {
                Ok(Some(frame)) => self.fold_frame(&frame),
                Ok(None) => return,
                Err(error @ ReadError::Gap { .. }) => {
                    tracing::error!(%error, "the journal has a gap; the twin goes on behind it");
                    self.skipped.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    tracing::error!(%error, "the journal cannot be read");
                    return;
                }
            }
        }
    }

    fn fold_frame(&mut self, frame: &Frame) {
        let mut entries = frame.entries().peekable();
        while entries.peek().is_some() {
            let mut last = self.position();
            {
                let mut twin = self.twin.write();
                let mut folded = 0;
                for (position, bytes) in entries.by_ref().take(RUN) {
                    last = position;
                    folded += bytes.len();
                    match postcard::from_bytes::<Entry<'_>>(bytes) {
                        Ok(entry) => twin.fold(position, &entry, &mut self.effects),
                        Err(error) => {
                            tracing::error!(position, %error, "an entry cannot be decoded");
                            self.skipped.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    if folded > RUN_BYTES {
                        break;
                    }
                }
                self.bytes_since += folded as u64;
            }
            self.tell();
            for (position, decision) in &self.effects.decisions {
                self.audit("", *position, decision);
            }
            for (node, position, decision) in &self.effects.edge_decisions {
                self.audit(node, *position, decision);
            }
            for job in self.effects.jobs.drain(..) {
                self.workers.give(job.into());
            }
            self.effects.clear();
            self.folded.send_replace(last);
        }
    }

    fn tell(&self) {
        let twin = self.twin.read();
        topics::publish(&twin, &self.effects, &self.mqtt);
        for observer in &self.observers {
            observer.changed(&twin, &self.effects);
        }
    }

    fn audit(&self, node: &str, position: u64, decision: &Decision) {
        if let Err(error) = self.store.put_decision(node, position, decision) {
            tracing::error!(position, %error, "a decision is missing in the audit until a restart");
        }
    }

    fn maybe_snapshot(&mut self) {
        if self
            .writing
            .as_ref()
            .is_some_and(|writing| !writing.is_finished())
        {
            return;
        }
        let entries = self.position().saturating_sub(self.last_snapshot);
        if entries >= self.snapshot_entries || self.bytes_since >= self.snapshot_bytes {
            self.snapshot();
        }
    }

    /// Takes the twin's bytes now and asks every plugin for its state behind the batches it has
    /// been sent; a thread of its own waits for these and writes the file.
    fn snapshot(&mut self) {
        let (position, bytes) = {
            let twin = self.twin.read();
            (twin.position(), twin.to_bytes())
        };
        let twin = match bytes {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(%error, "no snapshot");
                return;
            }
        };
        let states = self.workers.ask_for_states();
        let oldest = self.journal.stats().first;
        let (snapshots, store) = (Arc::clone(&self.snapshots), Arc::clone(&self.store));
        let write = move || {
            let Some(plugins) = states.wait() else {
                tracing::warn!("a plugin did not hand out its state; no snapshot this time");
                return;
            };
            let snapshot = Snapshot {
                position,
                twin,
                plugins,
            };
            let written = snapshots.write(&snapshot, oldest);
            // Decisions and cursors are on disk before the journal behind them may go.
            let kept = written.map(|needed| {
                store.flush()?;
                store.set_cursor(SNAPSHOT_CURSOR, needed)
            });
            match kept {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "the snapshot's cursor was not kept"),
                Err(error) => tracing::error!(%error, "a snapshot cannot be written"),
            }
        };
        self.last_snapshot = position;
        self.bytes_since = 0;
        match thread::Builder::new()
            .name("snapshot".to_owned())
            .spawn(write)
        {
            Ok(writing) => self.writing = Some(writing),
            Err(error) => tracing::error!(%error, "no thread for a snapshot"),
        }
    }
}
