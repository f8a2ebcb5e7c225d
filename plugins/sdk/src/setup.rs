//! What a rule is started with: the dictionary of names and the configuration, both from the
//! manifest. Every error names the key and what to do.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use crate::hysteresis::{Direction, Limit, Margin};
use crate::ids::{CommandId, Metric, Prop, Topic};

/// A name with its number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// Unique among the entries of its kind.
    pub id: u32,
    /// Name in the vocabulary or in the manifest.
    pub urn: String,
    /// UCUM code; empty for topics and commands.
    pub unit: String,
}

/// Names and numbers of all kinds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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

/// The manifest or the configuration does not fit the rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupError {
    /// What it is about: `metric no2`, `config clear_after`.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl SetupError {
    /// For what only the rule can check: `SetupError::new("config bands", "not ascending")`.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        let (key, message) = (key.into(), message.into());
        Self { key, message }
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

impl std::error::Error for SetupError {}

/// What a rule is started with.
#[derive(Debug, Clone)]
pub struct Setup {
    dict: Dictionary,
    config: BTreeMap<String, String>,
}

impl Setup {
    /// From what `init` gets; a rule is handed one.
    #[must_use]
    pub fn new(dict: Dictionary, config: Vec<(String, String)>) -> Self {
        let config = config.into_iter().collect();
        Self { dict, config }
    }

    /// A metric that the manifest reads or derives, in the unit that the rule counts in.
    ///
    /// # Errors
    /// The manifest does not name it, or the vocabulary gives it another unit.
    pub fn metric(&self, name: &str, unit: &str) -> Result<Metric, SetupError> {
        let places = "reads.metrics, reads.windows or emits.derived";
        let entry = entry(&self.dict.metrics, "metric", name, places)?;
        if entry.unit == unit {
            return Ok(Metric(entry.id));
        }
        let message = format!(
            "its unit is {:?}, the rule counts in {unit:?}: change the one or the other",
            entry.unit
        );
        Err(SetupError::new(format!("metric {name}"), message))
    }

    /// A property of `reads.properties`.
    ///
    /// # Errors
    /// The manifest does not name it.
    pub fn prop(&self, name: &str) -> Result<Prop, SetupError> {
        let entry = entry(&self.dict.props, "property", name, "reads.properties")?;
        Ok(Prop(entry.id))
    }

    /// An alert topic of `emits.alerts`.
    ///
    /// # Errors
    /// The manifest does not name it.
    pub fn topic(&self, name: &str) -> Result<Topic, SetupError> {
        let entry = entry(&self.dict.topics, "topic", name, "emits.alerts")?;
        Ok(Topic(entry.id))
    }

    /// A command of `commands`.
    ///
    /// # Errors
    /// The manifest does not name it.
    pub fn command(&self, name: &str) -> Result<CommandId, SetupError> {
        let entry = entry(&self.dict.commands, "command", name, "commands")?;
        Ok(CommandId(entry.id))
    }

    /// A limit of `emits.alerts` with its patience: passed above it, itself not included.
    ///
    /// The patience comes from `[config]`: `raise_after.{topic}`, else `raise_after`, else 2;
    /// likewise `clear_after`, else 3; `clear_margin`, a share of the limit, else 0.1; and
    /// `clear_margin_absolute`, in the limit's unit, which goes before the share.
    ///
    /// # Errors
    /// The manifest has no such code, or a key is not what it should be.
    pub fn limit(&self, topic: &str, code: u32) -> Result<Limit, SetupError> {
        let key = format!("limit.{topic}.{code}");
        let Some(limit) = self.config.get(&key) else {
            let message = "the manifest has no such limit: add the code under emits.alerts";
            return Err(SetupError::new(key, message));
        };
        let finite = f64::MIN..=f64::MAX;
        let limit = parse(&key, limit, &finite)?;
        let count = |name: &str, default: f64| {
            let count = self.for_topic(name, topic, &(1.0..=100_000.0))?;
            let count = count.unwrap_or((name.to_owned(), default));
            whole(&count.0, count.1).map(|count| count as u32)
        };
        let share = self.for_topic("clear_margin", topic, &(0.0..=1.0))?;
        let absolute = self.for_topic("clear_margin_absolute", topic, &(0.0..=f64::MAX))?;
        Ok(Limit {
            code,
            limit,
            raise_after: count("raise_after", 2.0)?,
            clear_after: count("clear_after", 3.0)?,
            clear_margin: match (absolute, share) {
                (Some((_, by)), _) => Margin::Absolute(by),
                (None, Some((_, share))) => Margin::Share(share),
                (None, None) => Margin::Share(0.1),
            },
            inclusive: false,
            direction: Direction::Above,
        })
    }

    /// A number of `[config]`.
    ///
    /// # Errors
    /// The key is missing, no number or out of range.
    pub fn number(&self, key: &str, range: RangeInclusive<f64>) -> Result<f64, SetupError> {
        parse(key, self.text(key)?, &range)
    }

    /// A whole number of `[config]`.
    ///
    /// # Errors
    /// The key is missing, no whole number or out of range.
    pub fn integer(&self, key: &str, range: RangeInclusive<u64>) -> Result<u64, SetupError> {
        let text = self.text(key)?;
        let number = text.trim().parse().ok().filter(|n| range.contains(n));
        number.ok_or_else(|| {
            let (min, max) = range.into_inner();
            let message = format!("{text:?} is not a whole number from {min} to {max}");
            SetupError::new(format!("config {key}"), message)
        })
    }

    /// `true` or `false` of `[config]`.
    ///
    /// # Errors
    /// The key is missing or something else.
    pub fn flag(&self, key: &str) -> Result<bool, SetupError> {
        let text = self.text(key)?;
        text.trim().parse().map_err(|_| {
            let message = format!("{text:?} is neither true nor false");
            SetupError::new(format!("config {key}"), message)
        })
    }

    /// A key of `[config]` as it stands there.
    ///
    /// # Errors
    /// The key is missing.
    pub fn text(&self, key: &str) -> Result<&str, SetupError> {
        let found = self.config.get(key).map(String::as_str);
        found.ok_or_else(|| {
            let message = "missing: give it a default in the manifest under [config]";
            SetupError::new(format!("config {key}"), message)
        })
    }

    /// The key's own value for a topic, else its value for all; with the key it was found at.
    fn for_topic(
        &self,
        name: &str,
        topic: &str,
        range: &RangeInclusive<f64>,
    ) -> Result<Option<(String, f64)>, SetupError> {
        for key in [format!("{name}.{topic}"), name.to_owned()] {
            if let Some(text) = self.config.get(&key) {
                let number = parse(&key, text, range)?;
                return Ok(Some((key, number)));
            }
        }
        Ok(None)
    }
}

fn entry<'a>(
    entries: &'a [Entry],
    what: &str,
    name: &str,
    place: &str,
) -> Result<&'a Entry, SetupError> {
    let found = entries.iter().find(|entry| entry.urn == name);
    found.ok_or_else(|| {
        let message = format!("the manifest does not name it: add it to {place}");
        SetupError::new(format!("{what} {name}"), message)
    })
}

fn parse(key: &str, text: &str, range: &RangeInclusive<f64>) -> Result<f64, SetupError> {
    let number = text.trim().parse().ok().filter(|n| range.contains(n));
    number.ok_or_else(|| {
        let (min, max) = (range.start(), range.end());
        let message = match *max {
            f64::MAX => format!("{text:?} is not a number of at least {min}"),
            _ => format!("{text:?} is not a number from {min} to {max}"),
        };
        SetupError::new(format!("config {key}"), message)
    })
}

fn whole(key: &str, number: f64) -> Result<f64, SetupError> {
    match number.fract() == 0.0 {
        true => Ok(number),
        false => {
            let message = format!("{number} is not a whole number");
            Err(SetupError::new(format!("config {key}"), message))
        }
    }
}

#[cfg(test)]
mod tests;
