//! From a data folder to a twin that is up to date: snapshot, replay, and the events that bring
//! the registry and the plugins to what the configuration says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use crate::clock::Clock;
use crate::event::{Decision, Entry, Event};
use crate::journal::{AppendError, Batch, Journal, ReadError, Reader};
use crate::model::Millis;
use crate::snapshots::{PluginState, Snapshots};
use crate::state::{Deployment, Effects, PluginJob, SnapshotError, Twin};

/// How long the registry's events may take to reach the disk.
const WAIT: Duration = Duration::from_secs(30);

/// Why a node cannot take up its data.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The folder of the snapshots.
    #[error("snapshots: {0}")]
    Snapshots(#[from] std::io::Error),
    /// A snapshot of another version.
    #[error("{0}; move the folder snapshots aside to replay the whole journal")]
    Snapshot(#[from] SnapshotError),
    /// No snapshot, and the journal's beginning was released.
    #[error(
        "there is no snapshot, and the journal begins at {0}: what the twin knew before is not \
         there; bring back the folder snapshots, or begin anew with an empty data folder"
    )]
    NoSnapshot(u64),
    /// The journal.
    #[error("journal: {0}")]
    Read(#[from] ReadError),
    /// The registry's events do not fit.
    #[error("journal: {0}")]
    Append(#[from] AppendError),
    /// An event of the registry is larger than an entry may be.
    #[error("journal: an event of the registry cannot be encoded: {0}")]
    Encode(#[from] postcard::Error),
    /// The disk did not take the registry's events.
    #[error("journal: the registry's events were not on disk within {} s", WAIT.as_secs())]
    TimedOut,
}

/// A twin that is up to date.
pub struct Recovered {
    /// The twin.
    pub twin: Arc<RwLock<Twin>>,
    /// Stands behind the last entry folded.
    pub reader: Box<dyn Reader>,
    /// What ran at the snapshot.
    pub running: Vec<Deployment>,
    /// What was asked of the plugins since: they need it to come up to date too.
    pub backlog: Vec<Queued>,
    /// States of the plugins at the snapshot.
    pub states: Vec<PluginState>,
    /// Position of the snapshot; 0 without one.
    pub snapshot: u64,
    /// Entries replayed behind it.
    pub replayed: u64,
    /// What followed from entries that the twin's topics may not have told yet.
    pub untold: Effects,
}

/// A job of a plugin with what is known of its outcome.
#[derive(Debug)]
pub struct Queued {
    /// What is to be done.
    pub job: PluginJob,
    /// The batch was set aside before the restart; it must not be tried again, because its
    /// failure may have been a matter of time.
    pub failed: bool,
}

impl From<PluginJob> for Queued {
    fn from(job: PluginJob) -> Self {
        Self { job, failed: false }
    }
}

/// Reads the newest snapshot, replays the journal behind it, and appends and folds what
/// `registry` says is to be changed. `told`: up to where the twin's topics have reached their
/// subscribers. `clock` begins behind the newest entry. `audit` sees every decision on the way:
/// what a power cut took of the audit comes back.
///
/// # Errors
/// See [`RecoverError`]; nothing that was acknowledged is lost by any of them.
pub fn recover(
    snapshots: &Snapshots,
    journal: &Arc<dyn Journal>,
    clock: &Clock,
    told: u64,
    registry: impl FnOnce(&Twin) -> Vec<Event<'static>>,
    mut audit: impl FnMut(u64, &Decision),
) -> Result<Recovered, RecoverError> {
    let (mut twin, states) = match snapshots.newest(told, journal.stats().first)? {
        Some(snapshot) => (Twin::from_bytes(&snapshot.twin)?, snapshot.plugins),
        None => (Twin::new(), Vec::new()),
    };
    let snapshot = twin.position();
    let running = twin.deployments().cloned().collect();
    let mut reader = reader_behind(snapshot, journal.as_ref())?;
    let mut pending = Pending::default();
    pending.fold(&mut twin, reader.as_mut(), told, &mut audit)?;
    let replayed = twin.position() - snapshot;
    clock.begin(twin.clock().newest());
    let events = registry(&twin);
    if !events.is_empty() {
        append(journal, clock.now(), events)?;
        pending.fold(&mut twin, reader.as_mut(), told, &mut audit)?;
    }
    let twin = Arc::new(RwLock::new(twin));
    Ok(Recovered {
        twin,
        reader,
        running,
        backlog: pending.backlog,
        states,
        snapshot,
        replayed,
        untold: pending.untold,
    })
}

/// Damage at the journal's beginning is a gap as everywhere else: the rest is served.
fn reader_behind(snapshot: u64, journal: &dyn Journal) -> Result<Box<dyn Reader>, RecoverError> {
    match journal.reader(snapshot + 1) {
        Err(ReadError::Gone { oldest, .. }) if snapshot > 0 || journal.stats().lost > 0 => {
            let (first, last) = (snapshot + 1, oldest - 1);
            tracing::error!(
                first,
                last,
                "what the journal had behind the snapshot is gone; the twin goes on behind it"
            );
            Ok(journal.reader(oldest)?)
        }
        Err(ReadError::Gone { oldest, .. }) => Err(RecoverError::NoSnapshot(oldest)),
        reader => Ok(reader?),
    }
}

fn append(
    journal: &Arc<dyn Journal>,
    at: Millis,
    events: Vec<Event<'static>>,
) -> Result<(), RecoverError> {
    let mut last = 0;
    let mut batch = Batch::new();
    for event in events {
        let entry = Entry { at, event };
        batch.push_with(|writer| postcard::to_io(&entry, writer).map(|_| ()))?;
        if batch.size() > 1 << 20 {
            last = journal.append(&batch)?;
            batch.clear();
        }
    }
    if !batch.is_empty() {
        last = journal.append(&batch)?;
    }
    let deadline = Instant::now() + WAIT;
    while Instant::now() < deadline {
        if journal.wait_past(last - 1, Duration::from_millis(100)) >= last {
            return Ok(());
        }
    }
    Err(RecoverError::TimedOut)
}

/// What follows from the entries replayed.
#[derive(Default)]
struct Pending {
    backlog: Vec<Queued>,
    untold: Effects,
}

impl Pending {
    fn fold(
        &mut self,
        twin: &mut Twin,
        reader: &mut dyn Reader,
        told: u64,
        audit: &mut dyn FnMut(u64, &Decision),
    ) -> Result<(), ReadError> {
        let effects = &mut self.untold;
        loop {
            match reader.next() {
                Ok(Some(frame)) => {
                    for (position, bytes) in frame.entries() {
                        match postcard::from_bytes::<Entry<'_>>(bytes) {
                            Ok(entry) => twin.fold(position, &entry, effects),
                            Err(error) => {
                                tracing::error!(position, %error, "an entry cannot be decoded");
                            }
                        }
                        let decisions = effects.decisions.iter();
                        for (_, decision) in decisions.filter(|(at, _)| *at == position) {
                            audit(position, decision);
                            if decision.failure.is_some() {
                                mark(&mut self.backlog, decision);
                            }
                        }
                        self.backlog
                            .extend(effects.jobs.drain(..).map(Queued::from));
                        if position <= told {
                            effects.clear();
                        }
                    }
                }
                Ok(None) => return Ok(()),
                Err(error @ ReadError::Gap { .. }) => {
                    tracing::error!(%error, "the journal has a gap; the twin goes on behind it");
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Remembers of a batch that it was set aside.
fn mark(backlog: &mut [Queued], decision: &Decision) {
    let batch = |queued: &&mut Queued| match &queued.job {
        PluginJob::Batch(batch) => (batch.run, batch.number) == (decision.run, decision.batch),
        _ => false,
    };
    if let Some(queued) = backlog.iter_mut().rev().find(batch) {
        queued.failed = true;
    }
}
