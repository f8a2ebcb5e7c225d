//! Events that somebody asks for while the node runs: into the journal, and back when they are on
//! disk and folded, so that whoever asked sees what became of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::event::{Entry, Event, Stamp};
use crate::hlc::Hlc;
use crate::journal::{AppendError, Batch, Journal};
use crate::model::Millis;

/// How long an event may take to be on disk and folded.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why an event was not recorded, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It does not fit into an entry.
    #[error("{0}")]
    Encode(#[from] postcard::Error),
    /// The journal does not take it.
    #[error("journal: {0}")]
    Journal(#[from] AppendError),
    /// It was not folded in time; it may still be.
    #[error("not folded within {} s; it may still be: look at the state", PATIENCE.as_secs())]
    TimedOut,
}

/// Appends events and waits for them.
#[derive(Clone)]
pub struct Recorder {
    journal: Arc<dyn Journal>,
    folded: watch::Receiver<u64>,
    hlc: Arc<Hlc>,
    clock: Arc<Clock>,
}

impl Recorder {
    /// `folded`: how far the twin is.
    pub fn new(
        journal: Arc<dyn Journal>,
        folded: watch::Receiver<u64>,
        hlc: Arc<Hlc>,
        clock: Arc<Clock>,
    ) -> Self {
        Self {
            journal,
            folded,
            hlc,
            clock,
        }
    }

    /// The time as well as the node knows it.
    pub fn time(&self) -> Millis {
        self.clock.time()
    }

    /// A stamp for a wish that is made now.
    pub fn stamp(&self) -> Stamp {
        self.hlc.now(self.clock.time())
    }

    /// Somebody else's wish is known from now on.
    pub fn seen(&self, stamp: &Stamp) {
        self.hlc.seen(stamp, self.clock.time());
    }

    /// Returns when all that is in the journal by now is folded, or will never be because the node
    /// ends.
    pub async fn settled(&self) {
        let last = self.journal.stats().last;
        let mut folded = self.folded.clone();
        let _ = folded.wait_for(|folded| *folded >= last).await;
    }

    /// The position of the last event, once all are on disk and folded.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub async fn record(&self, events: Vec<Event<'static>>) -> Result<u64, RecordError> {
        let at = self.clock.now();
        let mut batch = Batch::new();
        for event in events {
            let entry = Entry { at, event };
            batch.push_with(|writer| postcard::to_io(&entry, writer).map(|_| ()))?;
        }
        let position = self.journal.append(&batch)?;
        let mut folded = self.folded.clone();
        let waited = timeout(PATIENCE, folded.wait_for(|folded| *folded >= position)).await;
        match waited {
            Ok(Ok(_)) => Ok(position),
            _ => Err(RecordError::TimedOut),
        }
    }
}
