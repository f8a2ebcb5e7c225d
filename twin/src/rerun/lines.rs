//! The lines of batches of a rerun, each with an instance: what the node's threads do, done at once.

use hashbrown::HashMap;
use quartier_plugin_host::{Plugin, RunnerError};

use crate::engine::{Ready, started};
use crate::event::{Decision, Digest, PluginRecord, Started};
use crate::plugins::{Artifacts, dictionary};
use crate::snapshots::PluginState;
use crate::state::{PluginBatch, Start, Twin};

/// Instances by their line of batches.
pub(super) struct Lines<'a> {
    artifacts: &'a Artifacts,
    lines: HashMap<u64, Ready>,
    /// Why a line has no instance.
    broken: HashMap<u64, String>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(artifacts: &'a Artifacts) -> Self {
        Self {
            artifacts,
            lines: HashMap::new(),
            broken: HashMap::new(),
        }
    }

    /// An instance for every plugin of the twin that is `wanted`, in its state.
    pub(super) fn resume(
        artifacts: &'a Artifacts,
        twin: &Twin,
        states: &[PluginState],
        wanted: impl Fn(&PluginRecord) -> bool,
    ) -> Self {
        let mut lines = Self::new(artifacts);
        for deployment in twin.deployments().filter(|d| wanted(&d.record)) {
            let state = states.iter().find(|state| state.run == deployment.run);
            let state = state.map(|state| state.state.as_slice());
            lines.begin(deployment.run, &deployment.record, state, twin);
        }
        lines
    }

    fn begin(&mut self, run: u64, record: &PluginRecord, state: Option<&[u8]>, twin: &Twin) {
        let names = |plugin: &Plugin| dictionary(plugin, twin);
        match Ready::begin(self.artifacts, record, state, names) {
            Ok(ready) => drop(self.lines.insert(run, ready)),
            Err(error) => drop(self.broken.insert(run, error.to_string())),
        }
    }

    /// A version runs from here on; what a node records of the hand-over.
    pub(super) fn start(&mut self, start: &Start, twin: &Twin) -> Option<Started> {
        let names = |plugin: &Plugin| dictionary(plugin, twin);
        let own = start.from == Some(start.run);
        let from = start.from.and_then(|from| self.lines.get_mut(&from));
        let Some(from) = from else {
            if !own {
                self.begin(start.run, &start.record, None, twin);
            }
            return None;
        };
        match from.succeed(self.artifacts, &start.record, names) {
            Ok((ready, kept)) => {
                self.lines.insert(start.run, ready);
                Some(started(start, Ok(kept)))
            }
            Err(why) if own => Some(started(start, Err(why))),
            Err(why) => {
                self.broken.insert(start.run, why);
                None
            }
        }
    }

    pub(super) fn stop(&mut self, run: u64) {
        self.lines.remove(&run);
    }

    /// Why a line has no instance, where it should have one.
    pub(super) fn broken(&self, run: u64) -> Option<&str> {
        self.broken.get(&run).map(String::as_str)
    }

    /// What is decided for a batch; `previous`: hash of the decision before it.
    pub(super) fn answer(
        &mut self,
        batch: &PluginBatch,
        previous: Digest,
        twin: &Twin,
    ) -> Option<Decision> {
        let ready = self.lines.get_mut(&batch.run)?;
        let (answer, newly) = ready.answer(batch);
        ready.decider.decide(batch, answer, newly, previous, twin)
    }

    /// The same for a batch that failed when it was recorded: afterwards the line is as the node's
    /// was. `try_it`: whether the answer is asked for, on an instance beside.
    pub(super) fn failed(
        &mut self,
        batch: &PluginBatch,
        try_it: bool,
        twin: &Twin,
    ) -> Option<Result<Option<Decision>, RunnerError>> {
        if self.lines.get(&batch.run)?.runner.quarantined() {
            return Some(Ok(self.answer(batch, Digest::default(), twin)));
        }
        let answer = match try_it {
            true => self.answer_beside(batch, twin),
            false => None,
        };
        let ready = self.lines.get_mut(&batch.run)?;
        ready.runner.skip(&batch.batch);
        answer
    }

    fn answer_beside(
        &mut self,
        batch: &PluginBatch,
        twin: &Twin,
    ) -> Option<Result<Option<Decision>, RunnerError>> {
        let ready = self.lines.get_mut(&batch.run)?;
        let state = match ready.state(batch.run) {
            Ok(state) => state.state,
            Err(error) => return Some(Err(error)),
        };
        let record = ready.decider.record().clone();
        let names = |plugin: &Plugin| dictionary(plugin, twin);
        // What can be started once can be started again; where not, the line itself shows it.
        let mut beside = Ready::begin(self.artifacts, &record, Some(&state), names).ok()?;
        let (answer, newly) = beside.answer(batch);
        let decider = &beside.decider;
        Some(Ok(decider.decide(
            batch,
            answer,
            newly,
            Digest::default(),
            twin,
        )))
    }

    /// The state of every line.
    pub(super) fn states(&mut self) -> Result<Vec<PluginState>, RunnerError> {
        let lines = self.lines.iter_mut();
        let states = lines.map(|(run, ready)| ready.state(*run));
        let mut states = states.collect::<Result<Vec<_>, _>>()?;
        states.sort_by_key(|state| state.run);
        Ok(states)
    }
}
