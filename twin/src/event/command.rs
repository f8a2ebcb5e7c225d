//! What the journal holds of commands to devices.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Stamp;
use crate::model::Millis;

/// A plugin asks for a command; range and declaration were checked, the rest is the fold's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CommandIntent {
    /// Id of the asset in the decision's quarter.
    pub asset: String,
    /// Name of the command in the manifest.
    pub command: String,
    /// Wanted value of the command's property.
    pub value: f64,
    /// No longer wanted from then on, milliseconds since 1970.
    #[schema(value_type = i64)]
    pub expires: Millis,
    /// The same key of the same plugin, asset and command: the same intent, carried out once.
    pub key: u64,
    /// Index in `causes`; absent: time passed.
    #[schema(required)]
    pub cause: Option<u32>,
}

/// A command is not sent while the asset's newest value of a metric is beyond a limit.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Interlock {
    /// Asset kind it is for; empty: every one.
    pub kind: String,
    /// Property it guards; empty: every one.
    pub property: String,
    /// Metric that is looked at, of the same asset; empty: `min` and `max` only.
    pub metric: String,
    /// Held while the metric is above.
    pub above: Option<f64>,
    /// Held while the metric is below.
    pub below: Option<f64>,
    /// Smallest value that may be commanded at all.
    pub min: Option<f64>,
    /// Largest value that may be commanded at all.
    pub max: Option<f64>,
    /// For people.
    pub reason: String,
}

/// How much a person's wish weighs against another person's.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
    ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Comfort and habits.
    Routine,
    /// The usual one.
    #[default]
    Normal,
    /// The grid or a building needs it now.
    Urgent,
    /// Somebody could come to harm.
    Emergency,
}

impl Priority {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Routine => "routine",
            Self::Normal => "normal",
            Self::Urgent => "urgent",
            Self::Emergency => "emergency",
        }
    }
}

/// A person asks for a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandAsked {
    /// Id of the quarter.
    pub quarter: String,
    /// Id of the asset.
    pub asset: String,
    /// Property to set.
    pub property: String,
    /// Wanted value.
    pub value: f64,
    /// No longer wanted from then on.
    pub expires: Millis,
    /// Against other wishes for the same property.
    pub priority: Priority,
    /// When it was asked for, in the order of what people knew of one another.
    pub stamp: Stamp,
    /// User who asked.
    pub by: String,
    /// Reason given.
    pub why: String,
}

/// What a person says of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// It may be sent.
    Approve,
    /// It is not sent.
    Reject,
    /// It is wanted no more, sent or not.
    Withdraw,
}

/// A person judges a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandJudged {
    /// Id of the command.
    pub id: String,
    /// What is said of it.
    pub judgement: Judgement,
    /// User who said it.
    pub by: String,
    /// Reason given.
    pub why: String,
}
