//! What can happen to a twin: the closed set of events that the journal holds.
//!
//! An entry is postcard of [`Entry`]. A variant's number and a field's order are part of the
//! format: new ones go to the end, and [`FORMAT`] rises when an old journal could be misread.

pub use quartier_plugin_host::Severity;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{AssetRecord, Millis, Observed, QuarterRecord};

/// Version of the entry format, kept in the data folder.
pub const FORMAT: u32 = 1;

/// One entry of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry<'a> {
    /// Wall clock when the entry was made; the only clock the fold ever sees.
    pub at: Millis,
    /// What happened.
    #[serde(borrow)]
    pub event: Event<'a>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event<'a> {
    /// A device reported readings.
    #[serde(borrow)]
    Observed(Observed<'a>),
    /// Time passed; nothing else happened.
    Ticked,
    /// A quarter was added or changed.
    QuarterPut(QuarterRecord),
    /// An asset was added or changed by the registry.
    AssetPut(AssetRecord),
    /// A plugin version runs in a quarter from here on.
    PluginDeployed(PluginRecord),
    /// A plugin no longer runs in a quarter.
    PluginRemoved {
        /// Id of the quarter.
        quarter: String,
        /// Id of the plugin.
        plugin: String,
    },
    /// A plugin answered a batch.
    Decided(Decision),
}

/// A deployed plugin version, as far as the fold needs it to cut batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginRecord {
    /// Id of the quarter.
    pub quarter: String,
    /// Id of the plugin, from its manifest.
    pub plugin: String,
    /// Version, from its manifest.
    pub version: String,
    /// SHA-256 of the component, hex.
    pub digest: String,
    /// Metrics whose readings it gets.
    pub metrics: Vec<String>,
    /// Windows it gets: metric and span in seconds.
    pub windows: Vec<(String, u32)>,
    /// Metrics it derives.
    pub derives: Vec<String>,
    /// Asset kinds it sees; empty: all.
    pub kinds: Vec<String>,
    /// Readings per batch at most.
    pub batch: u32,
}

/// What a plugin answered for one batch; only batches that decided something are recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// Id of the quarter.
    pub quarter: String,
    /// Id of the plugin.
    pub plugin: String,
    /// Version that decided.
    pub version: String,
    /// SHA-256 of the component, hex.
    pub digest: String,
    /// Number of the batch, counted from 0 for each plugin and quarter.
    pub batch: u64,
    /// Journal positions of the first and the last entry of the batch.
    pub from: u64,
    /// See `from`.
    pub to: u64,
    /// SHA-256 of the batch as the plugin got it, hex.
    pub input_hash: String,
    /// SHA-256 of what it answered, hex.
    pub output_hash: String,
    /// Fuel it used.
    pub fuel: u64,
    /// Why the batch was set aside; then nothing else was decided.
    #[schema(required)]
    pub failure: Option<String>,
    /// Values it derived.
    pub derived: Vec<DerivedReading>,
    /// Alerts it raised or cleared.
    pub alerts: Vec<AlertChange>,
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
}
