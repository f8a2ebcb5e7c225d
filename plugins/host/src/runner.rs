//! One plugin in one quarter, contained: whatever it does, the answer comes within a bounded time
//! and the next batch is served.
//!
//! A call that fails costs the instance. A new one is restored from the last snapshot, sees the
//! batches since then again (what it answers to them is thrown away: it was answered before), and
//! the batch is tried once more. If that fails too the batch is to be set aside; the plugin's state
//! is as before it. After [`QUARANTINE`] failed batches in a row the plugin is called no more.

use std::borrow::Cow;
use std::time::Instant;

use hashbrown::HashSet;

use crate::check::{Allowed, Check};
use crate::engine::Host;
use crate::instance::{Failure, Instance};
use crate::plugin::Plugin;
use crate::saved::Saved;
use crate::types::{Answer, Asset, Batch, Dictionary};

/// Batches that are kept to be run again; then the plugin's state is saved.
const KEEP: usize = 64;

/// Failed batches in a row after which a plugin is called no more.
pub const QUARANTINE: u32 = 5;

/// A runner could not be made, saved or restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunnerError {
    /// The dictionary lacks a name of the manifest.
    #[error("plugin {plugin}: the dictionary has no {name}")]
    Dictionary {
        /// Id of the plugin.
        plugin: String,
        /// What is missing.
        name: String,
    },
    /// A key that the manifest's `[config]` does not have.
    #[error("plugin {plugin}: unknown configuration key {key}")]
    Config {
        /// Id of the plugin.
        plugin: String,
        /// The key.
        key: String,
    },
    /// The bytes are not a snapshot of this version.
    #[error("plugin {plugin}: not a snapshot of this version of the host")]
    Snapshot {
        /// Id of the plugin.
        plugin: String,
    },
    /// The plugin failed.
    #[error("plugin {plugin}: {failure}")]
    Failed {
        /// Id of the plugin.
        plugin: String,
        /// How.
        failure: String,
    },
}

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
    /// Batches answered since `saved`.
    since: Vec<Batch>,
    /// Assets the plugin may speak of.
    known: HashSet<u32>,
    stats: Stats,
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
        let manifest = plugin.manifest();
        let id = || manifest.id.clone();
        let allowed = Allowed::new(manifest, &dict)
            .map_err(|name| RunnerError::Dictionary { plugin: id(), name })?;
        let config = manifest
            .configuration(config)
            .map_err(|key| RunnerError::Config { plugin: id(), key })?;
        let mut runner = Self {
            plugin: plugin.clone(),
            dict,
            config,
            allowed,
            instance: None,
            saved: Saved::default(),
            since: Vec::new(),
            known: HashSet::new(),
            stats: Stats::default(),
        };
        runner
            .recover()
            .map_err(|failure| runner.failed(&failure))?;
        Ok(runner)
    }

    /// Goes on from a snapshot of [`snapshot`](Self::snapshot); what the runner knew is dropped.
    ///
    /// # Errors
    /// The bytes are not a snapshot, or the plugin does not take its state back; then the runner
    /// stays as it was.
    pub fn restore(&mut self, snapshot: &[u8]) -> Result<(), RunnerError> {
        let saved = Saved::decode(snapshot).ok_or_else(|| RunnerError::Snapshot {
            plugin: self.plugin.manifest().id.clone(),
        })?;
        let saved = std::mem::replace(&mut self.saved, saved);
        let since = std::mem::take(&mut self.since);
        self.instance = None;
        if !self.quarantined()
            && let Err(failure) = self.recover()
        {
            (self.saved, self.since) = (saved, since);
            return Err(self.failed(&failure));
        }
        self.known = self.saved.assets.keys().copied().collect();
        let owed = std::mem::take(&mut self.saved.owed);
        self.learn(&owed);
        self.saved.owed = owed;
        Ok(())
    }

    /// Everything that decides what the runner will answer, as bytes. Of a quarantined plugin: its
    /// last saved state.
    ///
    /// # Errors
    /// The plugin fails or its state is larger than its quota.
    pub fn snapshot(&mut self) -> Result<Vec<u8>, RunnerError> {
        if !self.quarantined() {
            self.save().map_err(|failure| {
                self.lose();
                self.failed(&failure)
            })?;
        }
        self.saved.encode().map_err(|error| RunnerError::Failed {
            plugin: self.plugin.manifest().id.clone(),
            failure: error.to_string(),
        })
    }

    /// Runs one batch. Bounded by the fuel of at most two attempts, each with the batches since the
    /// last saved state, and by the deadline of each call.
    pub fn run(&mut self, batch: &Batch) -> Answer {
        if self.quarantined() {
            return refused("quarantined".to_owned());
        }
        if !batch.is_rectangular() {
            return refused("the batch's columns differ in length".to_owned());
        }
        let started = Instant::now();
        let batch = self.with_owed(batch);
        self.learn(&batch.changed);
        let answer = match self.attempt(&batch).or_else(|_| self.attempt(&batch)) {
            Ok(answer) => {
                self.saved.owed.clear();
                self.saved.failed = 0;
                self.since.push(batch.into_owned());
                answer
            }
            Err(failure) => {
                self.saved.owed = batch.into_owned().changed;
                self.saved.failed += 1;
                refused(failure.to_string())
            }
        };
        self.stats.calls += 1;
        self.stats.fuel += answer.fuel;
        self.stats.ns += u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        answer
    }

    /// Whether the plugin is called no more.
    pub fn quarantined(&self) -> bool {
        self.saved.failed >= QUARANTINE
    }

    /// Counters since the runner was made.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The plugin it runs.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    fn failed(&self, failure: &Failure) -> RunnerError {
        let plugin = self.plugin.manifest().id.clone();
        RunnerError::Failed {
            plugin,
            failure: failure.to_string(),
        }
    }

    fn with_owed<'a>(&self, batch: &'a Batch) -> Cow<'a, Batch> {
        if self.saved.owed.is_empty() {
            return Cow::Borrowed(batch);
        }
        let changed = self
            .saved
            .owed
            .iter()
            .chain(&batch.changed)
            .cloned()
            .collect();
        Cow::Owned(Batch {
            changed,
            ..batch.clone()
        })
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

    fn attempt(&mut self, batch: &Batch) -> Result<Answer, Failure> {
        let answer = self.try_batch(batch);
        if answer.is_err() {
            self.lose();
        }
        answer
    }

    fn lose(&mut self) {
        self.instance = None;
        self.stats.traps += 1;
    }

    fn try_batch(&mut self, batch: &Batch) -> Result<Answer, Failure> {
        if self.since.len() >= KEEP {
            self.save()?;
        }
        self.live()?;
        let Some(instance) = self.instance.as_mut() else {
            return Err(Failure::Refused("start", "no instance".to_owned()));
        };
        let mut check = Check::new(&self.allowed, &self.known, batch.rows());
        let fuel = feed(instance, batch, |answer, by_time| {
            check.take(answer, by_time)
        })?;
        let Check {
            output, dropped, ..
        } = check;
        Ok(Answer {
            output,
            dropped: dropped.into_iter().collect(),
            fuel,
            failure: None,
        })
    }

    /// Saves the plugin's state and forgets the batches before it.
    fn save(&mut self) -> Result<(), Failure> {
        self.live()?;
        let Some(instance) = self.instance.as_mut() else {
            return Err(Failure::Refused("start", "no instance".to_owned()));
        };
        let state = instance.snapshot()?;
        self.saved.advance(state, self.since.drain(..));
        Ok(())
    }

    fn live(&mut self) -> Result<(), Failure> {
        if self.instance.is_none() {
            self.recover()
        } else {
            Ok(())
        }
    }

    /// A new instance in the state after the last batch answered.
    fn recover(&mut self) -> Result<(), Failure> {
        self.instance = None;
        let mut instance = Instance::new(&self.plugin)?;
        instance.init(&self.dict, &self.config)?;
        if !self.saved.assets.is_empty() {
            instance.on_assets(&self.saved.assets.values().collect::<Vec<_>>())?;
        }
        if let Some(state) = &self.saved.state {
            instance.restore(state)?;
        }
        for batch in &self.since {
            feed(&mut instance, batch, |_, _| {})?;
        }
        self.instance = Some(instance);
        Ok(())
    }
}

/// Gives a batch to an instance: changed assets, rows, then the tick; the sum of the fuel.
fn feed(
    instance: &mut Instance,
    batch: &Batch,
    mut take: impl FnMut(crate::bindings::quartier::rule::types::Output, bool),
) -> Result<u64, Failure> {
    let mut fuel = 0;
    if !batch.changed.is_empty() {
        fuel += instance
            .on_assets(&batch.changed.iter().collect::<Vec<_>>())?
            .1;
    }
    if batch.rows() > 0 {
        let (answer, used) = instance.on_batch(batch)?;
        fuel += used;
        take(answer, false);
    }
    if batch.tick {
        let (answer, used) = instance.on_tick(batch.now_ms)?;
        fuel += used;
        take(answer, true);
    }
    Ok(fuel)
}

fn refused(failure: String) -> Answer {
    Answer {
        failure: Some(failure),
        ..Answer::default()
    }
}
