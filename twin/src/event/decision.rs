//! What a plugin decided, as the audit keeps it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CommandIntent, Digest, Severity, Stage};
use crate::model::Millis;

/// What a plugin answered for one batch; only batches that decided something are recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// Id of the quarter.
    pub quarter: String,
    /// Id of the plugin.
    pub plugin: String,
    /// Version that decided.
    pub version: String,
    /// Stage of that version when the batch was cut; a shadow's decisions change nothing.
    pub stage: Stage,
    /// SHA-256 of the component, hex.
    #[schema(value_type = String)]
    pub digest: Digest,
    /// SHA-256 of the manifest, hex.
    #[schema(value_type = String)]
    pub manifest: Digest,
    /// SHA-256 of the settings, hex.
    #[schema(value_type = String)]
    pub config: Digest,
    /// The line of batches: journal position at which it began. Versions that take over from one
    /// another share a line.
    pub run: u64,
    /// Number of the batch, counted from 0 in its line.
    pub batch: u64,
    /// Journal positions of the first and the last entry of the batch.
    pub from: u64,
    /// See `from`.
    pub to: u64,
    /// SHA-256 of the batch as the plugin got it, hex.
    #[schema(value_type = String)]
    pub input_hash: Digest,
    /// SHA-256 of what it answered, hex.
    #[schema(value_type = String)]
    pub output_hash: Digest,
    /// Identity of the plugin's state before the batch, hex: a chain over its inputs, into which
    /// the state itself is hashed at every 64th batch.
    #[schema(value_type = String)]
    pub state_before: Digest,
    /// The same after the batch.
    #[schema(value_type = String)]
    pub state_after: Digest,
    /// SHA-256 of the decision before this one in its line, hex; zeros: it is the first.
    #[schema(value_type = String)]
    pub previous: Digest,
    /// Fuel it used.
    pub fuel: u64,
    /// Why the batch was set aside; then nothing else was decided.
    #[schema(required)]
    pub failure: Option<String>,
    /// The failure was a matter of wall-clock time: a replay may do better.
    pub wall_clock: bool,
    /// Rows that the manifest does not allow: reason and number.
    pub dropped: Vec<(String, u32)>,
    /// Rows of the batch that outputs name as their cause, by number.
    pub causes: Vec<Cause>,
    /// Values it derived.
    pub derived: Vec<DerivedReading>,
    /// Alerts it raised or cleared.
    pub alerts: Vec<AlertChange>,
    /// Commands it asked for.
    pub commands: Vec<CommandIntent>,
}

/// A row of the batch that caused an output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cause {
    /// Id of the asset in the decision's quarter.
    pub asset: String,
    /// Name of the metric.
    pub metric: String,
    /// The reading, or the mean of the window, in the metric's unit.
    pub value: f64,
    /// Event time of the reading or end of the window, milliseconds since 1970.
    #[schema(value_type = i64)]
    pub time: Millis,
    /// Length of the window in seconds; 0: a reading.
    pub span_s: u32,
    /// Share of the window that readings stand for; 1 for a reading.
    pub coverage: f64,
}

/// A value a plugin derived; it becomes a reading of the asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DerivedReading {
    /// Id of the asset in the decision's quarter.
    pub asset: String,
    /// Name of the metric, declared in the manifest.
    pub metric: String,
    /// In the metric's unit; finite.
    pub value: f64,
    /// Event time, milliseconds since 1970.
    #[schema(value_type = i64)]
    pub time: Millis,
    /// Indices in `causes`. The interface has no cause for values: named are the rows of the batch
    /// of this asset and time, eight at most, else its last row; none: the batch has none of it.
    pub causes: Vec<u32>,
}

/// An alert raised or cleared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertChange {
    /// Id of the asset in the decision's quarter.
    pub asset: String,
    /// Name of the rule, one topic level, declared in the manifest.
    pub rule: String,
    /// How bad it is.
    #[schema(value_type = String, pattern = "^(info|warning|major|critical)$")]
    pub severity: Severity,
    /// The rule's own code: which limit of several.
    pub code: u32,
    /// Raised, or cleared.
    pub raise: bool,
    /// Value that decided.
    pub value: f64,
    /// Limit it was held against, where the manifest names one for `code`.
    #[schema(required)]
    pub limit: Option<f64>,
    /// For people.
    pub text: String,
    /// Event time of the row that caused it, milliseconds since 1970.
    #[schema(value_type = i64)]
    pub time: Millis,
    /// Index in `causes`; absent: time passed.
    #[schema(required)]
    pub cause: Option<u32>,
}
