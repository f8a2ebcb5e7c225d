//! The loop: collect a batch, deliver it, settle it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::config::{ConfigError, InfluxApi, InfluxConfig};
use super::deliver::{Delivered, Deliverer};
use super::lines::Lines;
use super::post::Post;
use super::state::SinkState;
use super::v1::V1;
use super::v2::V2;

/// Where the lines come from: a reader of the journal at the sink's own cursor.
pub trait Source: Send + 'static {
    /// Position after the last entry that was read, or the cursor at the start.
    fn position(&self) -> u64;

    /// Reads on and appends the lines of what it reads, until `out` has `max_lines` lines or
    /// nothing is left for now. An entry is not divided, so it may be a few more. The position
    /// moves over entries that give no line too. It may block.
    ///
    /// # Errors
    /// The journal cannot be read; the sink tries again later, from the same position.
    fn fill(&mut self, out: &mut Lines, max_lines: usize) -> Result<(), StoreError>;
}

/// Where the sink keeps how far it has come.
pub trait Ledger: Send + Sync + 'static {
    /// Durably, and in one step, keeps the dead letters and moves the cursor to `position`. It may
    /// block. After a fault the same call comes again.
    ///
    /// # Errors
    /// It cannot be written; the sink tries again later.
    fn settle(&self, position: u64, dead: &[DeadLetter]) -> Result<(), StoreError>;
}

/// A line that no server will take, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Line protocol without the newline.
    pub line: String,
    /// What the server said.
    pub reason: String,
}

/// Why a [`Source`] or a [`Ledger`] could not do its part just now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// Why the sink ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The source or the ledger panicked. The cursor stands where it was.
    #[error("the InfluxDB sink lost its journal reader or ledger: {0}")]
    Panicked(String),
}

/// Runs until `shutdown` is true, or its sender is gone. It then sends what is left as long as the
/// server takes it, and gives up after [`InfluxConfig::drain`]; the cursor has moved only over what
/// was acknowledged.
///
/// # Errors
/// A configuration that [`InfluxConfig::check`] would not pass, or a panic in source or ledger.
pub async fn run(
    config: InfluxConfig,
    source: Box<dyn Source>,
    ledger: Arc<dyn Ledger>,
    state: Arc<SinkState>,
    shutdown: watch::Receiver<bool>,
) -> Result<(), RunError> {
    config.check()?;
    let drain = config.drain;
    let deadline = {
        let shutdown = shutdown.clone();
        async move {
            stopped(shutdown).await;
            sleep(drain).await;
        }
    };
    match config.api.clone() {
        InfluxApi::V1 {
            database,
            user,
            password_file,
        } => {
            let post = V1::new(&config, &database, user, password_file)?;
            let sink = Sink::new(&config, post, source, ledger, state, shutdown);
            until(deadline, sink.run()).await
        }
        InfluxApi::V2 {
            org,
            bucket,
            token_file,
        } => {
            let post = V2::new(&config, org, bucket, token_file)?;
            let sink = Sink::new(&config, post, source, ledger, state, shutdown);
            until(deadline, sink.run()).await
        }
    }
}

/// Returns when `stop` is true or nobody is left who could make it so.
async fn stopped(mut stop: watch::Receiver<bool>) {
    let _true_or_gone = stop.wait_for(|stop| *stop).await;
}

async fn until(
    deadline: impl Future<Output = ()>,
    work: impl Future<Output = Result<(), RunError>>,
) -> Result<(), RunError> {
    tokio::select! {
        biased;
        result = work => result,
        () = deadline => {
            tracing::warn!("InfluxDB took too long at shutdown; the rest waits in the journal");
            Ok(())
        }
    }
}

struct Sink<P> {
    deliverer: Deliverer<P>,
    /// Away while it reads.
    source: Option<Box<dyn Source>>,
    ledger: Arc<dyn Ledger>,
    state: Arc<SinkState>,
    head: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
    settled: u64,
    batch_lines: usize,
    batch_delay: Duration,
}

impl<P: Post> Sink<P> {
    fn new(
        config: &InfluxConfig,
        post: P,
        source: Box<dyn Source>,
        ledger: Arc<dyn Ledger>,
        state: Arc<SinkState>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let settled = source.position();
        state.set_delivered(settled);
        Self {
            deliverer: Deliverer::new(post, config, Arc::clone(&state), stop.clone()),
            source: Some(source),
            ledger,
            head: state.head.clone(),
            state,
            stop,
            settled,
            batch_lines: config.batch_lines,
            batch_delay: config.batch_delay,
        }
    }

    async fn run(mut self) -> Result<(), RunError> {
        let mut lines = Lines::default();
        while let Some(position) = self.collect(&mut lines).await? {
            let batch = Arc::new(lines);
            match self.deliverer.deliver(Arc::clone(&batch)).await {
                Delivered::Stopped => return Ok(()),
                Delivered::Stuck => {
                    // Comes again with more lines, so that one the server takes can be among them.
                    lines = Arc::try_unwrap(batch).map_err(|_| {
                        RunError::Panicked("a batch is still being compressed".into())
                    })?;
                    let why = "500 to every line, though /ping is well";
                    if !self.deliverer.pause(why).await {
                        return Ok(());
                    }
                }
                Delivered::Done(dead) => {
                    self.state.count_skipped(batch.skipped());
                    if !self.settle(position, dead).await? {
                        return Ok(());
                    }
                    lines = Arc::try_unwrap(batch).unwrap_or_default();
                    lines.clear();
                }
            }
        }
        Ok(())
    }

    /// Adds lines until there are enough, or until [`InfluxConfig::batch_delay`] after there was
    /// something; tells the position after them. `None`: told to stop, and nothing is left.
    async fn collect(&mut self, lines: &mut Lines) -> Result<Option<u64>, RunError> {
        loop {
            self.head.mark_unchanged();
            let Some(position) = self.fill(lines).await? else {
                return Ok(None);
            };
            if lines.len() >= self.batch_lines {
                return Ok(Some(position));
            }
            if position != self.settled || !lines.is_empty() {
                tokio::select! {
                    () = sleep(self.batch_delay) => {}
                    () = stopped(self.stop.clone()) => {}
                }
                return self.fill(lines).await;
            }
            tokio::select! {
                changed = self.head.changed() => if changed.is_err() { return Ok(None) },
                () = stopped(self.stop.clone()) => {
                    let position = self.fill(lines).await?;
                    return Ok(position.filter(|position| *position != self.settled));
                }
            }
        }
    }

    /// Reads on once and tells the position; `None`: told to stop while the source fails.
    async fn fill(&mut self, lines: &mut Lines) -> Result<Option<u64>, RunError> {
        let mut failed = false;
        loop {
            let Some(mut source) = self.source.take() else {
                return Err(RunError::Panicked("the source is gone".into()));
            };
            let mut out = std::mem::take(lines);
            let max_lines = self.batch_lines;
            let filled = spawn_blocking(move || {
                let result = source.fill(&mut out, max_lines);
                (source, out, result)
            });
            let (source, out, result) = filled
                .await
                .map_err(|error| RunError::Panicked(error.to_string()))?;
            let position = source.position();
            self.source = Some(source);
            *lines = out;
            match result {
                Ok(()) => {
                    self.well_after(failed);
                    return Ok(Some(position));
                }
                Err(error) => failed = self.pauses("journal", &error).await,
            }
            if !failed {
                return Ok(None);
            }
        }
    }

    /// `false`: told to stop while the ledger fails; the lines will be sent again.
    async fn settle(&mut self, position: u64, dead: Vec<DeadLetter>) -> Result<bool, RunError> {
        let dead: Arc<[DeadLetter]> = dead.into();
        let mut failed = false;
        loop {
            let (ledger, letters) = (Arc::clone(&self.ledger), Arc::clone(&dead));
            let settled = spawn_blocking(move || ledger.settle(position, &letters)).await;
            match settled.map_err(|error| RunError::Panicked(error.to_string()))? {
                Ok(()) => {
                    self.settled = position;
                    self.state.count_dead(dead.len());
                    self.well_after(failed);
                    self.state.set_delivered(position);
                    return Ok(true);
                }
                Err(error) => failed = self.pauses("cursor", &error).await,
            }
            if !failed {
                return Ok(false);
            }
        }
    }

    /// `false`: told to stop.
    async fn pauses(&mut self, what: &str, error: &StoreError) -> bool {
        self.deliverer.pause(&format!("{what}: {error}")).await
    }

    fn well_after(&self, failed: bool) {
        if failed {
            self.state.well();
        }
    }
}
