//! The answer to a batch, and what a failure was.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::types::{Output, Reason};

/// How much a line of log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For the makers of the rule.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is odd.
    Warn,
    /// Something is wrong.
    Error,
}

impl Level {
    /// The name in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// What kind of failure it was that set a batch aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The fuel of a call was used up: a loop.
    Fuel,
    /// The deadline of a call passed. Not reproducible.
    Deadline,
    /// More memory or a larger table than the quota.
    Memory,
    /// A larger state than the quota.
    State,
    /// The host was asked for more than one call may ask for: a flood of log.
    HostCalls,
    /// Any other trap: a crash, a recursion without end.
    Trap,
    /// The plugin said no.
    Refused,
    /// The host had no room for an instance. Not the plugin's doing, not reproducible.
    NoRoom,
}

impl FailureKind {
    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fuel => "fuel",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::State => "state",
            Self::HostCalls => "host_calls",
            Self::Trap => "trap",
            Self::Refused => "refused",
            Self::NoRoom => "no_room",
        }
    }
}

/// The answer to a batch.
///
/// `state_before` and `state_after` identify the plugin's state without its bytes: a chain over
/// what the plugin is and every batch it answered, with the bytes themselves at every 64th batch.
/// The same batches give the same chain, also after a restart.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Answer {
    /// What was decided and passed the checks; empty where there is a failure.
    pub output: Output,
    /// Rows that did not pass, by reason ascending.
    pub dropped: Vec<(Reason, u32)>,
    /// Fuel that the successful attempt used; 0 where there is a failure. It depends on how the
    /// plugin's memory lies, so it may differ a little after a restart.
    pub fuel: u64,
    /// Why the batch is to be set aside; the plugin's state is as before the batch.
    pub failure: Option<String>,
    /// SHA-256 of the batch as the plugin got it: with the changed assets of failed batches before.
    pub input: Digest,
    /// SHA-256 of `output` and `dropped`.
    pub output_hash: Digest,
    /// The state that the batch met.
    pub state_before: Digest,
    /// The state that it left; the same where there is a failure.
    pub state_after: Digest,
    /// What the plugin said; at most 16 lines of 500 characters for each call.
    pub log: Vec<(Level, String)>,
    /// The failure was the deadline, or no room for an instance: it is not reproducible.
    pub wall_clock: bool,
}
