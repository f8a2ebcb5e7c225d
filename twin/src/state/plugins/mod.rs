//! The plugins of a quarter as the fold sees them: who runs, which readings they get, what they
//! decided.
//!
//! A **run** is a line of batches, named by the journal position at which it began. A version that
//! replaces another takes over its run; a shadow has a run of its own, which goes on when the
//! shadow is promoted. What is still to be answered of a run that ended counts when it comes.

mod cut;
mod deploy;
mod recorded;
mod route;

use std::collections::BTreeMap;

use quartier_plugin_host::Batch;
use serde::{Deserialize, Serialize};

pub use deploy::QUARANTINE_RULE;
pub(super) use recorded::Standing;

use super::{Alert, AlertKey, Twin};
use crate::event::{Digest, How, PluginRecord, Stage};
use crate::model::Millis;

/// Plugins a quarter can run at once, shadows included: a stream's routes are a bit each.
pub const MAX_PLUGINS: usize = 16;
/// Versions that a rollback can go back.
const HISTORY: usize = 8;
/// Changes that are told of a plugin.
const CHANGES: usize = 64;
/// Ended runs of which answers may still come.
const RETIRED: usize = 32;

/// A plugin in its slot of a quarter, with the batch that is filling up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// As deployed.
    pub record: PluginRecord,
    /// Journal position at which its line of batches began.
    pub run: u64,
    /// Journal position at which this version came.
    pub since: u64,
    /// Number of the batch that is filling up.
    pub next: u64,
    /// Every batch below this number is recorded or decided nothing worth a record.
    pub decided: u64,
    /// Hash of the last decision recorded.
    pub chain: Digest,
    /// It fell too far behind and gets nothing more.
    pub parked: bool,
    /// Journal position at which it was recorded how the last hand-over went; 0: none was yet.
    pub started: u64,
    /// Alerts of a shadow: what it would have raised.
    pub shadow_alerts: BTreeMap<AlertKey, Alert>,
    /// Position of the first entry of the batch that is filling up; 0 while it is empty.
    from: u64,
    pending: Batch,
    seen: Seen,
    /// Logical time of the last tick it was given.
    ticked: Millis,
    /// Assets to hand out with the next batch, in order of change.
    changed: Vec<u32>,
}

/// Properties beside the rows of the batch that is filling up.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Seen {
    readings: Vec<f64>,
    windows: Vec<f64>,
}

/// What became of a plugin in a quarter, beside what runs now.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Past {
    /// Versions that acted before, the latest last.
    pub history: Vec<PluginRecord>,
    /// What the configuration last declared, see [`PluginRecord::declaration`].
    pub declared: Option<Digest>,
    /// What was done, the latest last.
    pub changes: Vec<Change>,
    /// By version, the latest last.
    faults: Vec<(String, Faults)>,
    retired: Vec<Retired>,
}

/// How often a version failed since it was deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Faults {
    /// Batches that it answered, or failed to.
    pub batches: u64,
    /// Batches that were set aside.
    pub failed: u64,
}

impl Past {
    /// Of a version; none where it never ran, or long ago.
    pub fn faults(&self, version: &str) -> Faults {
        let mut all = self.faults.iter();
        let found = all.find(|(known, _)| known == version);
        found.map(|(_, faults)| *faults).unwrap_or_default()
    }

    /// A version answered so many batches, the last of them with or without success.
    fn count(&mut self, version: &str, batches: u64, failed: bool) {
        let mut faults = self.faults(version);
        faults.batches += batches;
        faults.failed += u64::from(failed);
        self.faults.retain(|(known, _)| known != version);
        self.faults.push((version.to_owned(), faults));
        self.faults
            .drain(..self.faults.len().saturating_sub(RETIRED));
    }

    /// A version is deployed anew: what was counted of it before counts no more.
    fn forget_faults(&mut self, version: &str) {
        self.faults.retain(|(known, _)| known != version);
    }
}

/// Something that was done with a plugin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Journal position.
    pub position: u64,
    /// Wall clock.
    pub at: Millis,
    /// What; `None`: it was removed.
    pub how: Option<How>,
    /// Version it was done with.
    pub version: String,
    /// Stage of that version then.
    pub stage: Stage,
    /// User; empty: the configuration.
    pub by: String,
    /// Reason given.
    pub why: String,
}

/// A run that ended while answers may still come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Retired {
    run: u64,
    decided: u64,
    chain: Digest,
    /// Its place was taken by a promoted shadow, which saw the same readings.
    succeeded: bool,
}

/// What a plugin's thread is to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum PluginJob {
    /// Answer a batch.
    Batch(Box<PluginBatch>),
    /// A version runs from here on.
    Start(Box<Start>),
    /// A run ends behind the batches it was given.
    Stop(u64),
}

/// A version runs from here on.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// What runs.
    pub record: PluginRecord,
    /// In which line of batches.
    pub run: u64,
    /// Whose state it takes: its own run's, another's, nobody's.
    pub from: Option<u64>,
    /// Journal position of the deployment.
    pub position: u64,
}

/// A batch for one plugin of one quarter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginBatch {
    /// Id of the quarter.
    pub quarter: String,
    /// Id of the plugin.
    pub plugin: String,
    /// Version it is for.
    pub version: String,
    /// Stage of that version.
    pub stage: Stage,
    /// Line of batches.
    pub run: u64,
    /// Counted from 0 in its line.
    pub number: u64,
    /// Journal positions of its first and last entry.
    pub from: u64,
    /// See `from`.
    pub to: u64,
    /// What the plugin gets.
    pub batch: Batch,
}

impl Twin {
    /// The version of a plugin that acts in a quarter.
    pub fn deployment(&self, quarter: &str, plugin: &str) -> Option<&Deployment> {
        let index = self.quarter_index(quarter)?;
        let slots = &self.quarters.get(usize::from(index))?.deployments;
        let acts = |d: &&Deployment| d.record.plugin == plugin && d.record.stage.acts();
        slots.iter().flatten().find(acts)
    }

    /// All versions of a plugin in a quarter, shadows included.
    pub fn deployments_of<'a>(
        &'a self,
        quarter: &str,
        plugin: &'a str,
    ) -> impl Iterator<Item = &'a Deployment> {
        let quarter = self
            .quarter_index(quarter)
            .and_then(|index| self.quarters.get(usize::from(index)));
        let slots = quarter
            .map(|q| q.deployments.as_slice())
            .unwrap_or_default();
        slots
            .iter()
            .flatten()
            .filter(move |deployment| deployment.record.plugin == plugin)
    }

    /// All plugins, by quarter and slot.
    pub fn deployments(&self) -> impl Iterator<Item = &Deployment> {
        self.quarters
            .iter()
            .flat_map(|q| q.deployments.iter().flatten())
    }

    /// The deployment of a run that has not ended.
    pub fn run(&self, run: u64) -> Option<&Deployment> {
        self.deployments().find(|deployment| deployment.run == run)
    }

    /// What became of a plugin in a quarter before.
    pub fn past(&self, quarter: &str, plugin: &str) -> Option<&Past> {
        let index = self.quarter_index(quarter)?;
        self.quarters.get(usize::from(index))?.past.get(plugin)
    }

    pub(super) fn shadow_alerts_mut(&mut self, run: u64) -> Option<&mut BTreeMap<AlertKey, Alert>> {
        let slots = self.quarters.iter_mut().flat_map(|q| &mut q.deployments);
        let found = slots.flatten().find(|deployment| deployment.run == run);
        found.map(|deployment| &mut deployment.shadow_alerts)
    }

    fn deployment_mut(&mut self, quarter: usize, slot: usize) -> Option<&mut Deployment> {
        self.quarters
            .get_mut(quarter)?
            .deployments
            .get_mut(slot)?
            .as_mut()
    }
}
