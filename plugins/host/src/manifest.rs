//! The manifest of a plugin: what it reads, what it may emit, what it may use up.
//!
//! `manifest.toml` beside the component; unknown keys are errors. Limits of alerts stand here only:
//! the plugin gets them as configuration `limit.{topic}.{code}`.

mod check;
mod lookup;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The interface this host speaks.
pub const WIT: &str = "quartier:rule@1.0.0";

/// Largest linear memory that a quota may grant, bytes.
pub const MAX_MEMORY: u64 = 256 << 20;

/// A manifest is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not TOML, an unknown key, a missing one or one of the wrong type.
    #[error("line {line}: {message}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What is wrong and, for an unknown key, which ones there are.
        message: String,
    },
    /// A value that makes no sense.
    #[error("{key}: {message}")]
    Value {
        /// Dotted path of the key.
        key: String,
        /// What is wrong.
        message: String,
    },
}

/// A plugin as its makers describe it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// One topic level, unique in a quarter.
    pub id: String,
    /// Of the plugin, `1.2.0`.
    pub version: String,
    /// Interface it was built for: [`WIT`].
    pub wit: String,
    /// The quarter lab that owns it.
    pub lab: String,
    /// SHA-256 of the component, 64 lowercase hex digits. Without it a manifest cannot be signed.
    #[serde(default)]
    pub component_sha256: Option<String>,
    /// Shown to the public.
    pub description: String,
    /// Where its thresholds come from; shown to the public.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// What it gets.
    pub reads: Reads,
    /// What it may decide.
    #[serde(default)]
    pub emits: Emits,
    /// What it may ask for.
    #[serde(default)]
    pub commands: Vec<CommandRule>,
    /// Configuration with defaults; a deployment may set these keys and no others.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// What the keys of `config` mean, by key; shown to the public.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// Examples that the rule is tested with; shown to the public.
    #[serde(default)]
    pub vectors: Vec<TestVector>,
    /// What it may use up.
    pub quotas: Quotas,
}

/// A source of thresholds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// For people.
    pub title: String,
    /// Where to read it.
    pub url: String,
}

/// What a plugin gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reads {
    /// Metrics whose readings it gets.
    #[serde(default)]
    pub metrics: Vec<String>,
    /// Closed windows it gets.
    #[serde(default)]
    pub windows: Vec<WindowRule>,
    /// Asset kinds it sees; empty: all.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Metrics whose newest value of a row's asset comes with the row.
    #[serde(default)]
    pub properties: Vec<String>,
    /// Seconds of logical time between two ticks at least, 1 to 86400; `None`: no ticks asked for.
    #[serde(default)]
    pub tick_s: Option<u32>,
    /// Readings and windows per batch at most.
    #[serde(default = "Reads::default_batch")]
    pub batch: u32,
}

impl Reads {
    fn default_batch() -> u32 {
        256
    }
}

/// A window a plugin gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowRule {
    /// Of which metric.
    pub metric: String,
    /// 600, 900, 3600, 28800 or 86400 seconds.
    pub span_s: u32,
}

/// What a plugin may decide.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emits {
    /// Metrics it may derive.
    #[serde(default)]
    pub derived: Vec<String>,
    /// Alerts it may raise.
    #[serde(default)]
    pub alerts: Vec<AlertRule>,
}

/// An alert topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertRule {
    /// One topic level.
    pub topic: String,
    /// Shown to the public; may be empty.
    #[serde(default)]
    pub description: String,
    /// Its limits.
    pub codes: Vec<Limit>,
}

/// One limit of an alert topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Unique in its topic.
    pub code: u32,
    /// In `unit`; finite.
    pub limit: f64,
    /// UCUM code.
    pub unit: String,
    /// Law, norm or reasoning.
    pub source: String,
}

/// A command a plugin may ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandRule {
    /// Name, unique in the manifest.
    pub name: String,
    /// Asset kind it is for.
    pub kind: String,
    /// Property it sets.
    pub property: String,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Commands an hour and asset at most.
    pub rate_per_hour: u32,
    /// Whether a person must approve each.
    pub requires_approval: bool,
    /// Shown to the public; may be empty.
    #[serde(default)]
    pub description: String,
    /// States of the asset in which the command is not sent.
    #[serde(default)]
    pub interlocks: Vec<Interlock>,
}

/// A command is not sent while the newest value of a metric of its asset is beyond a bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interlock {
    /// Metric of the commanded asset.
    pub metric: String,
    /// Holds the command back above this value, in the metric's unit.
    #[serde(default)]
    pub above: Option<f64>,
    /// Holds the command back below this value, in the metric's unit.
    #[serde(default)]
    pub below: Option<f64>,
    /// For people: why.
    pub reason: String,
}

impl Interlock {
    /// Whether `value` is beyond a bound; NaN, an unknown value, is not.
    pub fn holds_back(&self, value: f64) -> bool {
        self.above.is_some_and(|bound| value > bound)
            || self.below.is_some_and(|bound| value < bound)
    }
}

/// What a key of the configuration means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// For people.
    pub title: String,
    /// UCUM code; empty for a number without one and for text.
    #[serde(default)]
    pub unit: String,
    /// Law, norm or reasoning; empty: none is known.
    #[serde(default)]
    pub source: String,
}

/// An example in plain words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestVector {
    /// What it shows.
    pub title: String,
    /// What comes in.
    pub given: String,
    /// What the rule answers.
    pub then: String,
}

/// What a plugin may use up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quotas {
    /// Fuel for a batch whatever its size.
    pub fuel_per_batch: u64,
    /// Fuel for each reading, window and changed asset of a batch, on top.
    pub fuel_per_reading: u64,
    /// Wall-clock time for a call; a stop for hangs, not a measure.
    pub deadline_ms: u64,
    /// Linear memory; at most [`MAX_MEMORY`].
    pub memory_bytes: u64,
    /// What `snapshot` may return.
    pub state_bytes: u64,
    /// Rows of all kinds in the answer to a batch.
    pub outputs_per_batch: u32,
}

impl Manifest {
    /// Reads and checks the text of a manifest.
    ///
    /// # Errors
    /// Names the line or the key, and what is wrong.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count();
            ManifestError::Syntax {
                line,
                message: error.message().to_owned(),
            }
        })?;
        manifest.check()?;
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests;
