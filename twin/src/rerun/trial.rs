//! A plugin on recorded readings: what it decides, and whether that is the same after a restart and
//! however batches are cut. A rule must answer to readings, not to how they were packed.

use quartier_plugin_host::Plugin;

use super::fork::{Fork, RestartError, Work};
use super::outputs::{Changed, Outputs};
use super::script::Script;
use super::{WATCHED, Watch};
use crate::event::{Entry, Event, PluginRecord};
use crate::model::Millis;
use crate::plugins::Artifacts;
use crate::state::{SnapshotError, Twin};

/// Batches are cut at so many rows too.
const CUTS: [u32; 2] = [1, 7];

/// The plugin could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// It does not start.
    #[error("the plugin does not start: {0}")]
    Start(String),
    /// It does not go on after a restart.
    #[error("the plugin cannot be taken up after a restart: {0}")]
    Restart(#[from] RestartError),
    /// The twin that the trial begins with.
    #[error(transparent)]
    Twin(#[from] SnapshotError),
    /// An entry of the script.
    #[error("an entry cannot be decoded: {0}")]
    Entry(#[from] postcard::Error),
}

/// What came of it.
#[derive(Debug)]
pub struct Trial {
    /// What was decided, with batches cut as the manifest says.
    pub outputs: Outputs,
    /// What it took.
    pub work: Work,
    /// By the number of rows at which batches were cut otherwise: what differed then.
    pub cuts: Vec<(u32, Vec<Changed>)>,
    /// Decisions that differ when the plugin is restarted half-way; `None`: none.
    pub restart: Option<u64>,
}

impl Trial {
    /// Whether the rule answers to readings only.
    pub fn is_good(&self) -> bool {
        self.restart.is_none() && self.cuts.iter().all(|(_, changes)| changes.is_empty())
    }
}

/// Runs a plugin on a script, from a twin on; several times. It must be among the artifacts.
///
/// # Errors
/// See [`TrialError`]; outputs that differ are none.
pub fn trial(
    artifacts: &Artifacts,
    begin: &Twin,
    record: &PluginRecord,
    script: &Script,
    watch: Watch<'_>,
) -> Result<Trial, TrialError> {
    let begin = begin.to_bytes()?;
    let stage = Stage {
        artifacts,
        begin: &begin,
        record,
        script,
    };
    let runs = 2 + CUTS.iter().filter(|cut| **cut != record.batch).count() as u64;
    let total = runs * script.len() as u64;
    let mut done = 0;
    let mut step = |entries: u64| {
        done += entries;
        watch("running", done, Some(total));
    };
    let whole = stage.run(record.batch, false, &mut step)?;
    let restarted = stage.run(record.batch, true, &mut step)?;
    let pairs = whole.hashes().iter().zip(restarted.hashes());
    let unlike = pairs.filter(|(one, other)| one != other).count() as u64;
    let missing = whole.hashes().len().abs_diff(restarted.hashes().len()) as u64;
    drop(restarted);
    let mut cuts = Vec::new();
    for cut in CUTS.into_iter().filter(|cut| *cut != record.batch) {
        let other = stage.run(cut, false, &mut step)?;
        cuts.push((cut, whole.outputs().changes(other.outputs())));
    }
    Ok(Trial {
        work: whole.work(),
        outputs: whole.into_outputs(),
        cuts,
        restart: Some(unlike + missing).filter(|decisions| *decisions > 0),
    })
}

struct Stage<'a> {
    artifacts: &'a Artifacts,
    begin: &'a [u8],
    record: &'a PluginRecord,
    script: &'a Script,
}

impl<'a> Stage<'a> {
    fn run(
        &self,
        batch: u32,
        restart: bool,
        step: &mut dyn FnMut(u64),
    ) -> Result<Fork<'a>, TrialError> {
        let twin = Twin::from_bytes(self.begin)?;
        let mut fork = Fork::alone(self.artifacts, twin, &self.record.quarter);
        let record = PluginRecord {
            batch,
            ..self.record.clone()
        };
        let half = self.script.len() / 2;
        let (mut begun, mut last) = (false, None);
        for (number, bytes) in self.script.entries.iter().enumerate() {
            let entry: Entry<'_> = postcard::from_bytes(bytes)?;
            if !begun && fork.twin().quarter_index(&record.quarter).is_some() {
                begun = true;
                deploy(&mut fork, entry.at, &record)?;
            }
            if restart && number == half {
                fork = fork.restarted()?;
            }
            fork.take(&entry);
            last = Some(entry.at);
            if (number as u64).is_multiple_of(WATCHED) {
                step(WATCHED.min((self.script.len() - number) as u64));
            }
        }
        // A window of a journal ends between two ticks: what waits there is answered by every cut.
        if let Some(at) = last {
            let event = Event::Ticked;
            fork.take(&Entry { at, event });
        }
        Ok(fork)
    }
}

fn deploy(fork: &mut Fork<'_>, at: Millis, record: &PluginRecord) -> Result<(), TrialError> {
    fork.deploy(at, record.clone()).map_err(TrialError::Start)
}

/// A record for a trial of a plugin.
impl Trial {
    /// What is deployed for a trial: the plugin as it would act in a quarter.
    pub fn record(plugin: &Plugin, quarter: &str, config: Vec<(String, String)>) -> PluginRecord {
        crate::plugins::record_of(
            plugin,
            quarter,
            crate::event::Stage::Quarter,
            crate::event::Origin::Api,
            config,
        )
    }
}
