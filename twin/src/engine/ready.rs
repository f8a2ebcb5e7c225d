//! A version at work in a line of batches: its instance, and the names behind its numbers. The
//! node's threads and a rerun of the journal use the same, so they decide the same.

use quartier_plugin_host::{Answer, Dictionary, Kept, Plugin, Runner, RunnerError};

use super::decide::Decider;
use super::worker::WorkerError;
use crate::event::{PluginRecord, Started};
use crate::plugins::Artifacts;
use crate::snapshots::PluginState;
use crate::state::{PluginBatch, Start};

/// An instance, and the names behind its numbers.
pub(crate) struct Ready {
    pub(crate) decider: Decider,
    pub(crate) runner: Runner,
}

impl Ready {
    /// An instance of a record, in `state` or without any. `names`: the numbers of the twin for the
    /// names of a manifest.
    pub(crate) fn begin(
        artifacts: &Artifacts,
        record: &PluginRecord,
        state: Option<&[u8]>,
        names: impl FnOnce(&Plugin) -> Dictionary,
    ) -> Result<Self, WorkerError> {
        let plugin = artifacts.get(record)?;
        let names = names(&plugin);
        let ready = Self::restored(artifacts, plugin, record, state, names);
        ready.map_err(|error| WorkerError::Runner(Box::new(error)))
    }

    fn restored(
        artifacts: &Artifacts,
        plugin: Plugin,
        record: &PluginRecord,
        state: Option<&[u8]>,
        names: Dictionary,
    ) -> Result<Self, RunnerError> {
        let (host, config) = (artifacts.host(), record.config.clone());
        let runner = match state {
            Some(state) => Runner::resume(host, &plugin, names.clone(), config, state),
            None => Runner::new(host, &plugin, names.clone(), config),
        }?;
        Ok(Self {
            decider: Decider::new(plugin, record.clone(), names),
            runner,
        })
    }

    /// Another version that goes on where this one is; this one stays as it is.
    pub(crate) fn succeed(
        &mut self,
        artifacts: &Artifacts,
        record: &PluginRecord,
        names: impl FnOnce(&Plugin) -> Dictionary,
    ) -> Result<(Self, Kept), String> {
        let plugin = artifacts.get(record).map_err(|error| error.to_string())?;
        let names = names(&plugin);
        let (runner, kept) = Runner::succeed(
            &mut self.runner,
            artifacts.host(),
            &plugin,
            names.clone(),
            record.config.clone(),
        )
        .map_err(|error| error.to_string())?;
        let decider = Decider::new(plugin, record.clone(), names);
        Ok((Self { decider, runner }, kept))
    }

    /// Answers a batch, and whether the plugin is called no more from this one on.
    pub(crate) fn answer(&mut self, batch: &PluginBatch) -> (Answer, bool) {
        let before = self.runner.quarantined();
        let answer = self.runner.run(&batch.batch);
        (answer, self.runner.quarantined() && !before)
    }

    pub(crate) fn state(&mut self, run: u64) -> Result<PluginState, RunnerError> {
        let state = self.runner.snapshot()?;
        Ok(PluginState { run, state })
    }
}

/// What is to be recorded of a hand-over.
pub(crate) fn started(start: &Start, kept: Result<Kept, String>) -> Started {
    let (fresh, failed) = match kept {
        Ok(Kept::State) => (None, None),
        Ok(Kept::Fresh(why)) => (Some(why), None),
        Err(why) => (None, Some(why)),
    };
    Started {
        run: start.run,
        version: start.record.version.clone(),
        fresh,
        failed,
    }
}
