//! A command: which, from whom, how far.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::{Interlock, Judgement, Priority, Stamp};
use crate::model::Millis;

/// Which command: journal position of the decision, or of a person's wish, and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommandId {
    pub(super) position: u64,
    pub(super) index: u32,
}

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.position, self.index)
    }
}

/// Not `{position}-{index}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of a command is two numbers with a dash, as in 4711-0")]
pub struct BadCommandId;

impl FromStr for CommandId {
    type Err = BadCommandId;

    fn from_str(text: &str) -> Result<Self, BadCommandId> {
        let (position, index) = text.split_once('-').ok_or(BadCommandId)?;
        let position = position.parse().map_err(|_| BadCommandId)?;
        let index = index.parse().map_err(|_| BadCommandId)?;
        let id = Self { position, index };
        // `+7-00` is not a second name of a command.
        (id.to_string() == text).then_some(id).ok_or(BadCommandId)
    }
}

impl CommandId {
    /// The command that a person asked for at a journal position.
    pub fn asked_at(position: u64) -> Self {
        Self { position, index: 0 }
    }

    /// Journal position of the decision or the wish.
    pub fn position(self) -> u64 {
        self.position
    }
}

/// How far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CommandState {
    /// A person must approve it.
    Waiting,
    /// An interlock forbids to send it now.
    Held,
    /// Sent, and sent again until the device reports the value.
    Sent,
    /// The device reported the value.
    Done,
    /// The device did not report the value in time, or nobody approved it in time.
    Expired,
    /// A person said no.
    Rejected,
    /// A person wanted it no more.
    Withdrawn,
    /// Another command for the same property goes before it.
    Superseded,
    /// It may not be: rate, range, expiry, asset, kind.
    Refused,
}

impl CommandState {
    /// All of them, in order of life.
    pub const ALL: [Self; 9] = [
        Self::Waiting,
        Self::Held,
        Self::Sent,
        Self::Done,
        Self::Expired,
        Self::Rejected,
        Self::Withdrawn,
        Self::Superseded,
        Self::Refused,
    ];

    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Sent => "sent",
            Self::Done => "done",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Superseded => "superseded",
            Self::Refused => "refused",
        }
    }

    /// Whether something may still become of it.
    pub fn is_open(self) -> bool {
        self <= Self::Sent
    }
}

/// Who wants a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Asker {
    /// A plugin; the command's position is that of its decision.
    Plugin {
        /// Id of the plugin.
        plugin: String,
        /// Version that decided.
        version: String,
        /// Name of the command in its manifest.
        command: String,
    },
    /// A person.
    Person {
        /// User.
        user: String,
        /// Reason given.
        why: String,
    },
}

/// What a person said of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// Journal position.
    pub position: u64,
    /// What was said.
    pub judgement: Judgement,
    /// User.
    pub by: String,
    /// Reason given.
    pub why: String,
    /// When.
    pub at: Millis,
}

/// A command and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Which.
    pub id: CommandId,
    /// Id of the quarter.
    pub quarter: String,
    /// Id of the asset.
    pub asset: String,
    /// Property to set; empty where the manifest does not know the command.
    pub property: String,
    /// Wanted value.
    pub value: f64,
    /// When it was asked for.
    pub asked: Millis,
    /// No longer wanted from then on.
    pub expires: Millis,
    /// Against other persons' wishes for the same property; a plugin's is below all of them.
    pub priority: Priority,
    /// When a person asked for it, in the order of what people knew of one another.
    pub stamp: Stamp,
    /// Who wants it.
    pub by: Asker,
    /// The manifest's own interlocks.
    pub interlocks: Vec<Interlock>,
    /// How far it is.
    pub state: CommandState,
    /// Why it is there, where the state does not say it.
    pub reason: String,
    /// Since when it is there.
    pub since: Millis,
    /// When it was sent first.
    pub sent: Option<Millis>,
    /// How often it was sent.
    pub attempts: u32,
    /// When it is sent again.
    pub(super) next: Millis,
    /// What a person said of it.
    pub judged: Option<Judged>,
}

impl Command {
    /// Whether a person wants it.
    pub fn is_persons(&self) -> bool {
        matches!(self.by, Asker::Person { .. })
    }
}
