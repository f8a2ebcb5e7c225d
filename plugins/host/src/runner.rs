//! One plugin in one quarter, contained: whatever it does, the answer comes within a bounded time
//! and the next batch is served.
//!
//! A call that fails costs the instance. A new one is restored from the last snapshot, sees the
//! batches since then again (what it answers to them is thrown away: it was answered before), and
//! the batch is tried once more. If that fails too the batch is to be set aside; the plugin's state
//! is as before it. After [`QUARANTINE`] failed batches in a row the plugin is called no more: after
//! ten attempts at the latest, each with fewer than [`CHECKPOINT`] batches run again.
//!
//! Every answered batch is a link of the chain that identifies the state; see [`Answer`].

mod attempt;
mod error;
mod succeed;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;

use hashbrown::HashSet;

pub use self::error::RunnerError;
pub use self::succeed::Kept;
use crate::answer::{Answer, FailureKind};
use crate::check::Allowed;
use crate::digest::Digest;
use crate::engine::Host;
use crate::instance::{Failure, Instance};
use crate::plugin::Plugin;
use crate::saved::Saved;
use crate::types::{Asset, Batch, Dictionary, Reason};

/// Every so many answered batches the plugin's state itself enters the chain, and is kept so that
/// the batches before it are not run again.
pub const CHECKPOINT: u64 = 64;

/// Failed batches in a row after which a plugin is called no more.
pub const QUARANTINE: u32 = 5;

/// The failure of a batch that a plugin in quarantine does not get.
pub const QUARANTINED: &str = "quarantined";

/// Counters since the runner was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Batches run.
    pub calls: u64,
    /// Wall-clock time they took, nanoseconds, checks and recovery included.
    pub ns: u64,
    /// Fuel of the successful attempts.
    pub fuel: u64,
    /// Instances lost.
    pub traps: u64,
}

/// One long-lived instance of a plugin for one quarter.
pub struct Runner {
    plugin: Plugin,
    dict: Dictionary,
    config: Vec<(String, String)>,
    allowed: Allowed,
    instance: Option<Instance>,
    saved: Saved,
    /// Assets the plugin may speak of.
    known: HashSet<u32>,
    stats: Stats,
    failures: BTreeMap<FailureKind, u64>,
    dropped: BTreeMap<Reason, u64>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("plugin", &self.plugin)
            .finish_non_exhaustive()
    }
}

impl Runner {
    /// Starts an instance. `config` goes over the manifest's defaults.
    ///
    /// # Errors
    /// The dictionary or the configuration does not fit the manifest, or `init` fails.
    pub fn new(
        _host: &Host,
        plugin: &Plugin,
        dict: Dictionary,
        config: Vec<(String, String)>,
    ) -> Result<Self, RunnerError> {
        let mut runner = Self::without_instance(plugin, dict, config)?;
        runner
            .recover()
            .map_err(|failure| runner.failed(&failure))?;
        Ok(runner)
    }

    /// A runner that goes on from a snapshot, after a restart. A plugin that does not take its state
    /// back costs nobody the start: it fails at its next batches, as after any instance lost.
    ///
    /// # Errors
    /// The bytes are not a snapshot, or the dictionary or the configuration does not fit the
    /// manifest.
    pub fn resume(
        _host: &Host,
        plugin: &Plugin,
        dict: Dictionary,
        config: Vec<(String, String)>,
        snapshot: &[u8],
    ) -> Result<Self, RunnerError> {
        let mut runner = Self::without_instance(plugin, dict, config)?;
        let genesis = genesis(plugin, &runner.config);
        let saved = Saved::decode(snapshot, genesis).ok_or_else(|| RunnerError::Snapshot {
            plugin: plugin.manifest().id.clone(),
        })?;
        runner.saved = saved;
        runner.known = runner.saved.all_assets().into_keys().collect();
        if !runner.quarantined()
            && let Err(failure) = runner.recover()
        {
            let plugin = &plugin.manifest().id;
            tracing::warn!(plugin, %failure, "the plugin does not take its state back");
            runner.lose();
        }
        Ok(runner)
    }

    fn without_instance(
        plugin: &Plugin,
        dict: Dictionary,
        config: Vec<(String, String)>,
    ) -> Result<Self, RunnerError> {
        let manifest = plugin.manifest();
        let id = || manifest.id.clone();
        let allowed = Allowed::new(manifest, &dict)
            .map_err(|name| RunnerError::Dictionary { plugin: id(), name })?;
        let config = manifest
            .configuration(config)
            .map_err(|key| RunnerError::Config { plugin: id(), key })?;
        let saved = Saved {
            chain: genesis(plugin, &config),
            ..Saved::default()
        };
        Ok(Self {
            plugin: plugin.clone(),
            dict,
            config,
            allowed,
            instance: None,
            saved,
            known: HashSet::new(),
            stats: Stats::default(),
            failures: BTreeMap::new(),
            dropped: BTreeMap::new(),
        })
    }

    /// Goes on from a snapshot of [`snapshot`](Self::snapshot); what the runner knew is dropped.
    ///
    /// # Errors
    /// The bytes are not a snapshot, or the plugin does not take its state back; then the runner
    /// stays as it was.
    pub fn restore(&mut self, snapshot: &[u8]) -> Result<(), RunnerError> {
        let genesis = genesis(&self.plugin, &self.config);
        let saved = Saved::decode(snapshot, genesis).ok_or_else(|| RunnerError::Snapshot {
            plugin: self.plugin.manifest().id.clone(),
        })?;
        let saved = std::mem::replace(&mut self.saved, saved);
        self.instance = None;
        if !self.quarantined()
            && let Err(failure) = self.recover()
        {
            self.saved = saved;
            return Err(self.failed(&failure));
        }
        self.known = self.saved.all_assets().into_keys().collect();
        Ok(())
    }

    /// Everything that decides what the runner will answer, as bytes. A plugin that does not give
    /// its state, or that is in quarantine, costs nobody a snapshot: its last state stands, with
    /// the batches answered since.
    ///
    /// # Errors
    /// The bytes cannot be encoded.
    pub fn snapshot(&mut self) -> Result<Vec<u8>, RunnerError> {
        if !self.quarantined()
            && !self.saved.since.is_empty()
            && let Err(failure) = self.save()
        {
            let plugin = &self.plugin.manifest().id;
            tracing::warn!(plugin, %failure, "the plugin's last state is kept, with the batches since");
            self.lose();
        }
        self.saved.encode().map_err(|error| RunnerError::Failed {
            plugin: self.plugin.manifest().id.clone(),
            failure: error.to_string(),
        })
    }

    /// Runs one batch. Bounded by the fuel of at most two attempts, each with the batches since the
    /// last saved state, and by the deadline of each call.
    pub fn run(&mut self, batch: &Batch) -> Answer {
        if !batch.is_rectangular(self.allowed.props.len()) {
            return self.refused(batch, "the batch's columns differ in length");
        }
        if self.quarantined() {
            self.pass_by(batch);
            return self.refused(batch, QUARANTINED);
        }
        let started = Instant::now();
        let batch = self.with_owed(batch);
        self.learn(&batch.changed);
        let input = Digest::of_value(&*batch);
        let attempt = self
            .attempt(&batch, input)
            .or_else(|_| self.attempt(&batch, input));
        let answer = match attempt {
            Ok(done) => self.answered(batch.into_owned(), done),
            Err((failure, log)) => self.set_aside(batch.into_owned(), input, &failure, log),
        };
        self.stats.calls += 1;
        self.stats.fuel += answer.fuel;
        self.stats.ns += u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        answer
    }

    /// Takes note of a batch that was recorded as failed before a restart: it is not run, and the
    /// runner is as it was behind it.
    pub fn skip(&mut self, batch: &Batch) {
        if !batch.is_rectangular(self.allowed.props.len()) {
            return;
        }
        if !self.quarantined() {
            self.saved.failed += 1;
        }
        self.pass_by(batch);
    }

    /// Whether the plugin is called no more.
    pub fn quarantined(&self) -> bool {
        self.saved.failed >= QUARANTINE
    }

    /// Counters since the runner was made.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Batches set aside since the runner was made, by the kind of failure.
    pub fn failures(&self) -> &BTreeMap<FailureKind, u64> {
        &self.failures
    }

    /// Rows dropped since the runner was made, by reason.
    pub fn dropped(&self) -> &BTreeMap<Reason, u64> {
        &self.dropped
    }

    /// The plugin it runs.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Identity of the plugin's state; see [`Answer`].
    pub fn state(&self) -> Digest {
        self.saved.chain
    }

    fn failed(&self, failure: &Failure) -> RunnerError {
        let plugin = self.plugin.manifest().id.clone();
        RunnerError::Failed {
            plugin,
            failure: failure.to_string(),
        }
    }

    /// The answer to a batch that the plugin does not get.
    fn refused(&self, batch: &Batch, failure: &str) -> Answer {
        let input = Digest::of_value(batch);
        self.nothing(input, failure.to_owned())
    }

    fn nothing(&self, input: Digest, failure: String) -> Answer {
        let mut answer = Answer {
            failure: Some(failure),
            input,
            state_before: self.saved.chain,
            state_after: self.saved.chain,
            ..Answer::default()
        };
        answer.output_hash = Digest::of_value(&(&answer.output, &answer.dropped));
        answer
    }

    fn with_owed<'a>(&self, batch: &'a Batch) -> Cow<'a, Batch> {
        if self.saved.owed.is_empty() {
            return Cow::Borrowed(batch);
        }
        Cow::Owned(Batch {
            changed: self.saved.owed_with(&batch.changed),
            ..batch.clone()
        })
    }

    /// The plugin does not see the batch; its assets come later.
    fn pass_by(&mut self, batch: &Batch) {
        self.learn(&batch.changed);
        if !batch.changed.is_empty() {
            self.saved.owed = self.saved.owed_with(&batch.changed);
        }
    }

    fn learn(&mut self, changed: &[Asset]) {
        for asset in changed {
            if asset.kind.is_empty() {
                self.known.remove(&asset.id);
            } else {
                self.known.insert(asset.id);
            }
        }
    }
}

/// Identity of a state that has only begun: of the component, the manifest and the configuration.
fn genesis(plugin: &Plugin, config: &[(String, String)]) -> Digest {
    Digest::of_value(&(plugin.digest(), plugin.manifest_digest(), config))
}
