//! What plugins say while they work: the newest lines, and those to come.

use std::collections::VecDeque;

use parking_lot::Mutex;
use quartier_plugin_host::Level;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use utoipa::ToSchema;

/// Lines kept of all plugins together.
const KEPT: usize = 4096;
/// Lines a follower may be behind; then it is told how many it missed.
const BEHIND: usize = 1024;

/// A line of a plugin's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Logical time of the batch, RFC 3339.
    pub time: String,
    /// Id of the quarter.
    pub quarter: String,
    /// Id of the plugin.
    pub plugin: String,
    /// Version that said it.
    pub version: String,
    /// Number of the batch at which it was said.
    pub batch: u64,
    /// How much it matters.
    #[schema(value_type = String, pattern = "^(debug|info|warn|error)$")]
    pub level: Level,
    /// What was said.
    pub text: String,
}

/// The lines of all plugins of a node.
#[derive(Debug)]
pub struct Logs {
    kept: Mutex<VecDeque<LogLine>>,
    new: broadcast::Sender<LogLine>,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            new: broadcast::Sender::new(BEHIND),
        }
    }
}

impl Logs {
    /// Keeps a line and hands it to those who follow.
    pub fn push(&self, line: LogLine) {
        // Nobody listening is no fault.
        let _ = self.new.send(line.clone());
        let mut kept = self.kept.lock();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(line);
    }

    /// The newest `most` lines of a plugin, oldest first.
    pub fn of(&self, quarter: &str, plugin: &str, most: usize) -> Vec<LogLine> {
        let kept = self.kept.lock();
        let wanted = |line: &&LogLine| line.quarter == quarter && line.plugin == plugin;
        let mut lines: Vec<LogLine> = kept
            .iter()
            .rev()
            .filter(wanted)
            .take(most)
            .cloned()
            .collect();
        lines.reverse();
        lines
    }

    /// Lines from now on, of all plugins.
    pub fn follow(&self) -> broadcast::Receiver<LogLine> {
        self.new.subscribe()
    }
}
