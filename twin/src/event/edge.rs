//! What the journal holds of edge boxes: in the city's, who they are, what they sent and what they
//! are to do; in the box's, what it did of that and what became known of its clock.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CommandAsked, CommandJudged, Deployed, Digest, Interlock, Removed};
use crate::model::{AssetRecord, Millis};

/// A box that may connect: its identity and its quarter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EdgeEnrolled {
    /// Name of its node, which is the common name of its certificate.
    pub node: String,
    /// The quarter whose home it is.
    pub quarter: String,
    /// SHA-256 of the certificate, DER: another one of the same name does not let anybody in.
    pub certificate: Digest,
    /// User who invited it.
    pub by: String,
    /// Reason given.
    pub why: String,
}

/// What a person says of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EdgeJudgement {
    /// It is to send all it has and take nothing new.
    Drain,
    /// It may take readings again.
    Resume,
    /// It is refused from now on, for ever: stolen, broken, replaced.
    Retire,
}

/// A person judges a box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeJudged {
    /// Name of its node.
    pub node: String,
    /// What is said of it.
    pub judgement: EdgeJudgement,
    /// User who said it.
    pub by: String,
    /// Reason given.
    pub why: String,
}

/// A box sent entries of its journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uplinked<'a> {
    /// Name of its node, from its login.
    pub node: &'a str,
    /// As sent: see [`crate::uplink::Batch`].
    pub batch: &'a [u8],
}

/// A box said what must not wait behind its backlog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeNews<'a> {
    /// Name of its node, from its login.
    pub node: &'a str,
    /// As sent: see [`crate::uplink::News`].
    pub news: &'a [u8],
}

/// A box sent a part of its whole state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeState<'a> {
    /// Name of its node, from its login.
    pub node: &'a str,
    /// As sent: see [`crate::uplink::StatePart`].
    pub part: &'a [u8],
}

/// A moment of the hybrid logical clock: ordered by time, then count, then node. Of two wishes the
/// one whose author knew of the other is the later one, whatever the clocks of both say.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, ToSchema,
)]
pub struct Stamp {
    /// Greatest wall clock that its author knew of, milliseconds since 1970.
    #[schema(value_type = i64)]
    pub time: Millis,
    /// Distinguishes stamps of the same time.
    pub count: u32,
    /// Node that made it.
    pub node: String,
}

/// The city wants something of a box. Its number is the position of this event in the city's
/// journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeOrdered {
    /// Name of the box's node.
    pub node: String,
    /// What.
    pub order: Order,
    /// When, for the order among wishes.
    pub stamp: Stamp,
    /// User who wants it; empty: the configuration.
    pub by: String,
    /// Reason given.
    pub why: String,
}

/// What a city can want of a box.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Assets of the registry, added or changed.
    Assets(Vec<AssetRecord>),
    /// A command to a device.
    Command(CommandAsked),
    /// A word on a command of the box.
    Judge(CommandJudged),
    /// The operator's safety limits of commands; they replace those before.
    Interlocks(Vec<Interlock>),
    /// A version of a plugin is to run: deployed, promoted or brought back.
    Deploy(DeployOrder),
    /// A plugin runs no more.
    Remove(Removed),
    /// Settings of the box; those that are `None` stay.
    Settings(EdgeSettings),
}

/// Orders of one lane are taken in the order of their numbers. A plugin's package may take minutes on
/// a thin link, and no command waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lane {
    /// What is to run: it may need a package.
    Plugins,
    /// Everything else: it is taken at once.
    Wishes,
}

impl Order {
    /// Where it queues.
    pub fn lane(&self) -> Lane {
        match self {
            Self::Deploy(_) | Self::Remove(_) => Lane::Plugins,
            Self::Assets(_)
            | Self::Command(_)
            | Self::Judge(_)
            | Self::Interlocks(_)
            | Self::Settings(_) => Lane::Wishes,
        }
    }
}

/// A version of a plugin for a box. The package comes in chunks, by the digests of the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeployOrder {
    /// What is to run, and by whose word. The box makes the record anew from the package and holds
    /// it against this one.
    pub deployed: Deployed,
    /// Bytes of the package as it is sent.
    pub bytes: u64,
}

/// What a city may set of a box while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EdgeSettings {
    /// Bits a second that the uplink may send; 0: any.
    pub bits_per_s: Option<u64>,
    /// Seconds between two reports of health.
    pub health_s: Option<u32>,
    /// Take nothing new, and send what there is.
    pub draining: Option<bool>,
}

/// The box did what the city wants, or says why not. What it did follows in the same commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderTaken {
    /// Number of the order.
    pub order: u64,
    /// Where it queued.
    pub lane: Lane,
    /// Why it was not done; `None`: it was.
    pub refused: Option<String>,
}

/// Who says what time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimeSource {
    /// Nobody: from here on the node guesses.
    Guess,
    /// The box's own clock, which NTP has just set.
    Ntp,
    /// The city, over the uplink.
    City,
    /// The wall clock of a server, which is always believed.
    Wall,
}

impl TimeSource {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Guess => "guess",
            Self::Ntp => "ntp",
            Self::City => "city",
            Self::Wall => "wall",
        }
    }
}

/// The node's time is known from here on, or is not. [`Entry::at`](super::Entry) of this entry is
/// still by the clock as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSet {
    /// The time now, as the source says.
    pub time: Millis,
    /// Milliseconds to add to times that were guessed before this entry.
    pub offset_ms: i64,
    /// Who says so.
    pub source: TimeSource,
}
