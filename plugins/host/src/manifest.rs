//! The manifest of a plugin: what it reads, what it may emit, what it may use up.
//!
//! `manifest.toml` beside the component; unknown keys are errors. Limits of alerts stand here only:
//! the plugin gets them as configuration `limit.{topic}.{code}`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use serde::Deserialize;

use crate::types::{Dictionary, Entry};

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
#[derive(Debug, Clone, PartialEq, Deserialize)]
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
    /// What it may use up.
    pub quotas: Quotas,
}

/// A source of thresholds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// For people.
    pub title: String,
    /// Where to read it.
    pub url: String,
}

/// What a plugin gets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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
    /// Twin properties it may ask for.
    #[serde(default)]
    pub properties: Vec<String>,
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowRule {
    /// Of which metric.
    pub metric: String,
    /// 600, 900, 3600, 28800 or 86400 seconds.
    pub span_s: u32,
}

/// What a plugin may decide.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertRule {
    /// One topic level.
    pub topic: String,
    /// Its limits.
    pub codes: Vec<Limit>,
}

/// One limit of an alert topic.
#[derive(Debug, Clone, PartialEq, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Deserialize)]
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
}

/// What a plugin may use up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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

    fn check(&self) -> Result<(), ManifestError> {
        level("id", &self.id)?;
        ensure(self.wit == WIT, "wit", || {
            format!("{:?}; this host speaks {WIT}", self.wit)
        })?;
        for window in &self.reads.windows {
            ensure(
                [600, 900, 3600, 28_800, 86_400].contains(&window.span_s),
                "reads.windows",
                || {
                    format!(
                        "span_s {} is none of 600, 900, 3600, 28800, 86400",
                        window.span_s
                    )
                },
            )?;
        }
        ensure(
            (1..=65_536).contains(&self.reads.batch),
            "reads.batch",
            || "not from 1 to 65536".to_owned(),
        )?;
        self.check_emits()?;
        unique(
            "commands.name",
            self.commands.iter().map(|command| command.name.as_str()),
        )?;
        for command in &self.commands {
            ensure(command.min <= command.max, "commands.min", || {
                format!(
                    "{}: {} is not below max {}",
                    command.name, command.min, command.max
                )
            })?;
        }
        let quotas = &self.quotas;
        ensure(
            (1..=MAX_MEMORY).contains(&quotas.memory_bytes),
            "quotas.memory_bytes",
            || format!("not from 1 to {MAX_MEMORY}"),
        )?;
        ensure(
            quotas.state_bytes <= quotas.memory_bytes,
            "quotas.state_bytes",
            || "more than memory_bytes".to_owned(),
        )?;
        ensure(
            (1..=60_000).contains(&quotas.deadline_ms),
            "quotas.deadline_ms",
            || "not from 1 to 60000".to_owned(),
        )
    }

    fn check_emits(&self) -> Result<(), ManifestError> {
        unique(
            "emits.derived",
            self.emits.derived.iter().map(String::as_str),
        )?;
        unique(
            "emits.alerts.topic",
            self.emits.alerts.iter().map(|alert| alert.topic.as_str()),
        )?;
        for alert in &self.emits.alerts {
            level("emits.alerts.topic", &alert.topic)?;
            for limit in &alert.codes {
                ensure(limit.limit.is_finite(), "emits.alerts.codes.limit", || {
                    format!("{}, code {}: not finite", alert.topic, limit.code)
                })?;
                let same = alert
                    .codes
                    .iter()
                    .filter(|other| other.code == limit.code)
                    .count();
                ensure(same == 1, "emits.alerts.codes.code", || {
                    format!("{}: {} stands there twice", alert.topic, limit.code)
                })?;
            }
        }
        Ok(())
    }

    /// Every metric that it reads or derives, each once, in the order of the manifest.
    pub fn metrics(&self) -> Vec<&str> {
        let reads = &self.reads;
        let windows = reads.windows.iter().map(|window| &window.metric);
        let mut names: Vec<&str> = Vec::new();
        for name in reads
            .metrics
            .iter()
            .chain(windows)
            .chain(&self.emits.derived)
        {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// The dictionary for a runner: `metric` gives number and unit of a metric of
    /// [`metrics`](Self::metrics); properties, topics and commands are numbered from 0 in the
    /// order of the manifest.
    pub fn dictionary(&self, mut metric: impl FnMut(&str) -> (u32, String)) -> Dictionary {
        let number = |names: Vec<&String>| {
            let entry = |(id, urn): (u32, &String)| Entry {
                id,
                urn: urn.clone(),
                unit: String::new(),
            };
            (0..).zip(names).map(entry).collect()
        };
        let named = |urn: &str| {
            let (id, unit) = metric(urn);
            Entry {
                id,
                urn: urn.to_owned(),
                unit,
            }
        };
        Dictionary {
            metrics: self.metrics().into_iter().map(named).collect(),
            props: number(self.reads.properties.iter().collect()),
            topics: number(self.emits.alerts.iter().map(|alert| &alert.topic).collect()),
            commands: number(self.commands.iter().map(|command| &command.name).collect()),
        }
    }

    /// The limit of a code of a topic.
    pub fn limit(&self, topic: &str, code: u32) -> Option<&Limit> {
        let alert = self
            .emits
            .alerts
            .iter()
            .find(|alert| alert.topic == topic)?;
        alert.codes.iter().find(|limit| limit.code == code)
    }

    /// What `init` gets: limits, and the defaults with `set` over them; sorted by key.
    ///
    /// # Errors
    /// The key of `set` that the manifest does not have.
    pub(crate) fn configuration(
        &self,
        set: Vec<(String, String)>,
    ) -> Result<Vec<(String, String)>, String> {
        let mut config = self.config.clone();
        for (key, value) in set {
            match config.entry(key) {
                Slot::Occupied(mut slot) => slot.insert(value),
                Slot::Vacant(slot) => return Err(slot.into_key()),
            };
        }
        for alert in &self.emits.alerts {
            for limit in &alert.codes {
                config.insert(
                    format!("limit.{}.{}", alert.topic, limit.code),
                    limit.limit.to_string(),
                );
            }
        }
        Ok(config.into_iter().collect())
    }
}

fn ensure(holds: bool, key: &str, message: impl FnOnce() -> String) -> Result<(), ManifestError> {
    match holds {
        true => Ok(()),
        false => Err(ManifestError::Value {
            key: key.to_owned(),
            message: message(),
        }),
    }
}

/// A name that can be one level of a topic.
fn level(key: &str, name: &str) -> Result<(), ManifestError> {
    let bad = |c: char| matches!(c, '/' | '+' | '#') || c.is_control() || c.is_whitespace();
    let good = (1..=128).contains(&name.len()) && !name.starts_with('$') && !name.contains(bad);
    ensure(good, key, || format!("{name:?} cannot be a topic level"))
}

fn unique<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Result<(), ManifestError> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        ensure(seen.insert(name), key, || {
            format!("{name:?} stands there twice")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
