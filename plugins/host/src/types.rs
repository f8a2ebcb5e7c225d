//! What goes into a plugin and what comes out, as plain data that a snapshot can hold.

use serde::{Deserialize, Serialize};

/// A name with the number that stands for it in batches.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Unique among the entries of its kind.
    pub id: u32,
    /// Name in the vocabulary or in the manifest.
    pub urn: String,
    /// UCUM code; empty for topics and commands.
    pub unit: String,
}

/// The numbers a plugin sees in place of names; see [`Manifest::dictionary`].
///
/// [`Manifest::dictionary`]: crate::Manifest::dictionary
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Dictionary {
    /// Metrics that the plugin reads or derives.
    pub metrics: Vec<Entry>,
    /// Properties that it reads.
    pub props: Vec<Entry>,
    /// Alert topics.
    pub topics: Vec<Entry>,
    /// Commands.
    pub commands: Vec<Entry>,
}

/// A typed edge to another asset of the quarter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Relation {
    /// `feeds`, `part_of`.
    pub kind: String,
    /// Number of the other asset.
    pub target: u32,
}

/// What a plugin may know of an asset beside numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Asset {
    /// Number in the quarter.
    pub id: u32,
    /// Name in the quarter.
    pub urn: String,
    /// `meter`, `sensor_box`; empty: the asset is gone.
    pub kind: String,
    /// H3 cell, 0 where the position is not known.
    pub cell: u64,
    /// Facts that rarely change.
    pub attributes: Vec<(String, String)>,
    /// To other assets.
    pub relations: Vec<Relation>,
}

/// Closed windows, in columns of the same length.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Windows {
    /// Asset numbers.
    pub asset: Vec<u32>,
    /// Metric numbers.
    pub metric: Vec<u32>,
    /// Length in seconds: 600, 900, 3600, 28800 or 86400.
    pub span_s: Vec<u32>,
    /// End, milliseconds since 1970.
    pub end_ms: Vec<u64>,
    /// Mean of the metric's kind.
    pub mean: Vec<f64>,
    /// Smallest value.
    pub minimum: Vec<f64>,
    /// Largest value.
    pub maximum: Vec<f64>,
    /// Latest value.
    pub last: Vec<f64>,
    /// Share of the window that readings stand for, 0 to 1.
    pub coverage: Vec<f64>,
}

/// What a plugin gets at once: readings in columns of the same length, windows, changed assets.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Batch {
    /// First position in the quarter's log.
    pub seq: u64,
    /// Logical time, milliseconds since 1970; the only clock a plugin has.
    pub now_ms: u64,
    /// Asset numbers.
    pub asset: Vec<u32>,
    /// Metric numbers.
    pub metric: Vec<u32>,
    /// In the metric's unit.
    pub value: Vec<f64>,
    /// Event times, milliseconds since 1970.
    pub ts_ms: Vec<u64>,
    /// 0 good, 1 uncertain, 2 bad.
    pub quality: Vec<u8>,
    /// Closed windows.
    pub windows: Windows,
    /// Delivered before the readings; in the first batch: all assets of the plugin.
    pub changed: Vec<Asset>,
    /// Whether the plugin is told that time passed, after the readings.
    pub tick: bool,
    /// Newest values of the manifest's `reads.properties` of each row's asset, NaN where there is
    /// none: a row for each reading, then for each window; a column for each property.
    pub props: Vec<f64>,
}

impl Batch {
    /// Readings and windows; a row's number is its cause: readings first, then windows.
    pub fn rows(&self) -> usize {
        self.asset.len() + self.windows.asset.len()
    }

    /// Assets of the rows, readings first.
    pub(crate) fn row_assets(&self) -> impl Iterator<Item = u32> {
        self.asset.iter().chain(&self.windows.asset).copied()
    }

    /// Whether all columns of a table have the same length, and each row its `properties`.
    pub(crate) fn is_rectangular(&self, properties: usize) -> bool {
        let (n, w) = (self.asset.len(), &self.windows);
        let readings = [
            self.metric.len(),
            self.value.len(),
            self.ts_ms.len(),
            self.quality.len(),
        ];
        let windows = [
            w.metric.len(),
            w.span_s.len(),
            w.end_ms.len(),
            w.mean.len(),
            w.minimum.len(),
            w.maximum.len(),
            w.last.len(),
            w.coverage.len(),
        ];
        readings.iter().all(|&len| len == n)
            && windows.iter().all(|&len| len == w.asset.len())
            && self.props.len() == self.rows() * properties
    }
}

/// How bad an alert is, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// A limit is near or passed for a while.
    Warning,
    /// A limit is passed.
    Major,
    /// People or equipment are in danger.
    Critical,
}

/// The cause of an output that no row caused: time passed.
pub const NO_ROW: u32 = u32::MAX;

/// An alert raised or cleared; every field was checked against the manifest and the batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Asset number.
    pub asset: u32,
    /// Topic number.
    pub topic: u32,
    /// How bad it is.
    pub severity: Severity,
    /// Which limit of the topic.
    pub code: u32,
    /// Raised, or cleared.
    pub raise: bool,
    /// Value that decided; finite.
    pub value: f64,
    /// For people; at most [`MAX_TEXT`](crate::MAX_TEXT) bytes.
    pub text: Option<String>,
    /// Row of the batch, or [`NO_ROW`].
    pub cause: u32,
}

/// An intent to set a property of an asset; rate, expiry and approval are still to be judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Asset number.
    pub asset: u32,
    /// Command number.
    pub command: u32,
    /// Within the manifest's range.
    pub arg: f64,
    /// Milliseconds since 1970.
    pub expires_ms: u64,
    /// The same key: the same intent.
    pub dedup_key: u64,
    /// Row of the batch, or [`NO_ROW`].
    pub cause: u32,
}

/// Values derived, in columns of the same length.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Derived {
    /// Asset numbers.
    pub asset: Vec<u32>,
    /// Metric numbers.
    pub metric: Vec<u32>,
    /// Finite.
    pub value: Vec<f64>,
    /// Event times, milliseconds since 1970.
    pub ts_ms: Vec<u64>,
}

/// What a plugin decided for a batch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Output {
    /// Values derived.
    pub derived: Derived,
    /// Alerts raised and cleared.
    pub alerts: Vec<Alert>,
    /// Intents.
    pub commands: Vec<Command>,
}

impl Output {
    /// Rows of all kinds.
    pub fn rows(&self) -> usize {
        self.derived.asset.len() + self.alerts.len() + self.commands.len()
    }
}

/// Why a row of an output was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The manifest does not name the metric among `emits.derived`.
    UndeclaredMetric,
    /// The manifest does not name the topic.
    UndeclaredTopic,
    /// The manifest does not name the code of the topic.
    UndeclaredCode,
    /// The manifest does not name the command.
    UndeclaredCommand,
    /// NaN or infinite.
    NotFinite,
    /// The columns of `derived` differ in length: none of its rows is taken.
    ColumnLengths,
    /// The plugin was told of no such asset.
    UnknownAsset,
    /// The batch has no such row.
    CauseOutOfRange,
    /// An event time that no calendar has.
    TimeOutOfRange,
    /// Outside the command's range.
    ArgumentOutOfRange,
    /// Text longer than [`MAX_TEXT`](crate::MAX_TEXT).
    TextTooLong,
    /// More rows than the quota `outputs_per_batch`.
    TooMany,
}

impl Reason {
    /// The name in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UndeclaredMetric => "undeclared_metric",
            Self::UndeclaredTopic => "undeclared_topic",
            Self::UndeclaredCode => "undeclared_code",
            Self::UndeclaredCommand => "undeclared_command",
            Self::NotFinite => "not_finite",
            Self::ColumnLengths => "column_lengths",
            Self::UnknownAsset => "unknown_asset",
            Self::CauseOutOfRange => "cause_out_of_range",
            Self::TimeOutOfRange => "time_out_of_range",
            Self::ArgumentOutOfRange => "argument_out_of_range",
            Self::TextTooLong => "text_too_long",
            Self::TooMany => "too_many",
        }
    }
}
