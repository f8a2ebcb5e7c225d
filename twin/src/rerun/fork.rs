//! A twin that went its own way: recorded entries go in, but the decisions of one quarter are its
//! own, folded right behind the entry that cut their batch. Positions are the fork's own.

use std::collections::VecDeque;

use quartier_plugin_host::RunnerError;

use super::lines::Lines;
use super::outputs::Outputs;
use crate::event::{Decision, Deployed, Digest, Entry, Event, How, PluginRecord, Removed};
use crate::model::Millis;
use crate::plugins::Artifacts;
use crate::snapshots::PluginState;
use crate::state::{Effects, PluginJob, SnapshotError, Twin};

/// Jobs done for one entry at most; the rest waits for the next. A rule that reads what it derives
/// would else never come to an end.
const MOST_JOBS: usize = 4096;

/// What a fork did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Batches answered.
    pub batches: u64,
    /// Rows in them.
    pub rows: u64,
    /// Fuel of the decisions.
    pub fuel: u64,
}

/// A twin of one quarter that went its own way.
pub struct Fork<'a> {
    twin: Twin,
    lines: Lines<'a>,
    artifacts: &'a Artifacts,
    quarter: String,
    /// The plugin that was changed: what the record says of its deployment is left out.
    changed: Option<String>,
    jobs: VecDeque<PluginJob>,
    effects: Effects,
    outputs: Outputs,
    /// Of each decision, without fuel: the same for the same batches.
    hashes: Vec<Digest>,
    work: Work,
    /// Why a version that was started does not run.
    failed: Option<String>,
}

impl<'a> Fork<'a> {
    /// From a twin, with the plugins of `quarter` in their states there.
    pub fn new(
        artifacts: &'a Artifacts,
        twin: Twin,
        states: &[PluginState],
        quarter: &str,
    ) -> Self {
        let here = |record: &PluginRecord| record.quarter == quarter;
        let lines = Lines::resume(artifacts, &twin, states, here);
        Self::with(artifacts, twin, lines, quarter)
    }

    fn with(artifacts: &'a Artifacts, twin: Twin, lines: Lines<'a>, quarter: &str) -> Self {
        Self {
            twin,
            lines,
            artifacts,
            quarter: quarter.to_owned(),
            changed: None,
            jobs: VecDeque::new(),
            effects: Effects::default(),
            outputs: Outputs::default(),
            hashes: Vec::new(),
            work: Work::default(),
            failed: None,
        }
    }

    /// From a twin, without any plugin of the quarter.
    pub(super) fn alone(artifacts: &'a Artifacts, twin: Twin, quarter: &str) -> Self {
        let at = twin.now();
        let deployed = twin.deployments().map(|deployment| &deployment.record);
        let here = deployed.filter(|record| record.quarter == quarter);
        let gone: Vec<Removed> = here
            .map(|record| Removed {
                quarter: record.quarter.clone(),
                plugin: record.plugin.clone(),
                ..Removed::default()
            })
            .collect();
        let mut fork = Self::with(artifacts, twin, Lines::new(artifacts), quarter);
        for removed in gone {
            fork.fold(at, Event::PluginRemoved(removed));
        }
        fork
    }

    /// The twin.
    pub fn twin(&self) -> &Twin {
        &self.twin
    }

    /// What the plugins decided.
    pub fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// What it did.
    pub fn work(&self) -> Work {
        self.work
    }

    pub(super) fn hashes(&self) -> &[Digest] {
        &self.hashes
    }

    pub(super) fn into_outputs(self) -> Outputs {
        self.outputs
    }

    /// Another version or other settings from here on, with the state of what runs now. What the
    /// record says of this plugin's deployment no longer counts.
    ///
    /// # Errors
    /// The version does not start; the text says why.
    pub fn deploy(&mut self, at: Millis, record: PluginRecord) -> Result<(), String> {
        let plugin = record.plugin.clone();
        self.failed = None;
        self.fold(
            at,
            Event::PluginDeployed(Deployed {
                record: record.clone(),
                how: How::Deploy,
                ..Deployed::default()
            }),
        );
        self.changed = Some(plugin.clone());
        let mut running = self.twin.deployments_of(&self.quarter, &plugin);
        let running = running.find(|deployment| deployment.record.same_program(&record));
        let broken = running.map(|deployment| self.lines.broken(deployment.run));
        match (self.failed.take(), broken) {
            (Some(why), _) => Err(why),
            (None, Some(Some(why))) => Err(why.to_owned()),
            (None, Some(None)) => Ok(()),
            (None, None) => Err(format!(
                "quarter {} is unknown there, or has no room for another plugin",
                self.quarter
            )),
        }
    }

    /// Takes a recorded entry, as far as it concerns the fork.
    pub fn take(&mut self, entry: &Entry<'_>) {
        if self.counts(&entry.event) {
            self.fold_entry(entry);
        }
    }

    fn counts(&self, event: &Event<'_>) -> bool {
        let here = |quarter: &str| quarter == self.quarter;
        let own = |plugin: &String| self.changed.as_ref() == Some(plugin);
        match event {
            Event::Observed(observed) | Event::Untimed(observed) => here(observed.quarter),
            Event::Ticked | Event::InterlocksPut(_) | Event::ClockSet(_) => true,
            Event::QuarterPut(record) => here(&record.id),
            Event::AssetPut(record) => here(&record.quarter),
            Event::PluginDeployed(deployed) => {
                here(&deployed.record.quarter) && !own(&deployed.record.plugin)
            }
            Event::PluginRemoved(removed) => here(&removed.quarter) && !own(&removed.plugin),
            Event::CommandAsked(asked) => here(&asked.quarter),
            // The fork's own come in their place; ids of commands are the record's own.
            Event::Decided(_)
            | Event::PluginStarted(_)
            | Event::PluginParked(_)
            | Event::CommandJudged(_)
            | Event::EdgeEnrolled(_)
            | Event::EdgeJudged(_)
            | Event::Uplinked(_)
            | Event::EdgeNews(_)
            | Event::EdgeState(_)
            | Event::EdgeOrdered(_)
            | Event::OrderTaken(_)
            | Event::SettingsPut(_) => false,
        }
    }

    /// A decision that was made before the fork and is not folded yet.
    pub(super) fn decided(&mut self, at: Millis, mut decision: Decision) {
        decision.previous = self.twin.recorded(decision.run).1;
        self.fold(at, Event::Decided(decision));
    }

    fn fold(&mut self, at: Millis, event: Event<'static>) {
        self.fold_entry(&Entry { at, event });
    }

    fn fold_entry(&mut self, entry: &Entry<'_>) {
        let at = entry.at;
        self.apply(entry);
        for _ in 0..MOST_JOBS {
            let Some(job) = self.jobs.pop_front() else {
                return;
            };
            if let Some(event) = self.answer(at, job) {
                self.apply(&Entry { at, event });
            }
        }
    }

    fn apply(&mut self, entry: &Entry<'_>) {
        let position = self.twin.position() + 1;
        self.twin.fold(position, entry, &mut self.effects);
        self.jobs.extend(self.effects.jobs.drain(..));
        self.effects.clear();
    }

    fn answer(&mut self, at: Millis, job: PluginJob) -> Option<Event<'static>> {
        match job {
            PluginJob::Stop(run) => {
                self.lines.stop(run);
                None
            }
            PluginJob::Start(start) => {
                if start.record.quarter != self.quarter {
                    return None;
                }
                let started = self.lines.start(&start, &self.twin)?;
                self.failed.clone_from(&started.failed);
                Some(Event::PluginStarted(started))
            }
            PluginJob::Batch(batch) => {
                if batch.quarter != self.quarter {
                    return None;
                }
                self.work.batches += 1;
                self.work.rows += batch.batch.rows() as u64;
                let previous = self.twin.recorded(batch.run).1;
                let decision = self.lines.answer(&batch, previous, &self.twin)?;
                self.work.fuel += decision.fuel;
                if decision.stage.acts() {
                    self.outputs.take(at, &decision);
                }
                let bare = Decision {
                    previous: Digest::default(),
                    fuel: 0,
                    ..decision.clone()
                };
                self.hashes.push(bare.hash());
                Some(Event::Decided(decision))
            }
        }
    }

    /// The same fork as a node would find it after a restart: from bytes.
    ///
    /// # Errors
    /// A plugin gives no state, or the bytes are not read back.
    pub(super) fn restarted(mut self) -> Result<Self, RestartError> {
        let states = self.lines.states()?;
        let twin = Twin::from_bytes(&self.twin.to_bytes()?)?;
        let quarter = &self.quarter;
        let here = |record: &PluginRecord| record.quarter == *quarter;
        let lines = Lines::resume(self.artifacts, &twin, &states, here);
        Ok(Self {
            twin,
            lines,
            ..self
        })
    }
}

/// A fork cannot be taken up again.
#[derive(Debug, thiserror::Error)]
pub enum RestartError {
    /// A plugin gives no state.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The twin.
    #[error(transparent)]
    Twin(#[from] SnapshotError),
}
