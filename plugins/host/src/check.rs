//! Every row a plugin gives out is held against its manifest and the batch it answers: a row that
//! does not pass is dropped and counted by reason, the others stand.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use crate::bindings::quartier::rule::types as raw;
use crate::manifest::Manifest;
use crate::types::{Alert, Command, Dictionary, Entry, NO_ROW, Output, Reason, Severity};

/// Bytes of an alert's text at most.
pub const MAX_TEXT: usize = 1024;

/// What the manifest allows, by the numbers of the dictionary.
#[derive(Debug)]
pub(crate) struct Allowed {
    metrics: HashSet<u32>,
    /// Codes by topic.
    topics: HashMap<u32, HashSet<u32>>,
    /// Smallest and largest argument by command.
    commands: HashMap<u32, (f64, f64)>,
    rows: usize,
    /// Numbers of the columns of properties, in the order of the manifest.
    pub(crate) props: Vec<u32>,
}

impl Allowed {
    /// # Errors
    /// A name of the manifest that the dictionary does not have.
    pub(crate) fn new(manifest: &Manifest, dict: &Dictionary) -> Result<Self, String> {
        let id = |entries: &[Entry], name: &str| {
            let entry = entries.iter().find(|entry| entry.urn == name);
            entry.map(|entry| entry.id).ok_or_else(|| name.to_owned())
        };
        for metric in manifest.metrics() {
            id(&dict.metrics, metric)?;
        }
        let derived = manifest
            .emits
            .derived
            .iter()
            .map(|name| id(&dict.metrics, name));
        let topic = |alert: &crate::manifest::AlertRule| {
            let codes = alert.codes.iter().map(|limit| limit.code).collect();
            Ok((id(&dict.topics, &alert.topic)?, codes))
        };
        let command = |command: &crate::manifest::CommandRule| {
            Ok((
                id(&dict.commands, &command.name)?,
                (command.min, command.max),
            ))
        };
        Ok(Self {
            metrics: derived.collect::<Result<_, _>>()?,
            topics: manifest
                .emits
                .alerts
                .iter()
                .map(topic)
                .collect::<Result<_, String>>()?,
            commands: manifest
                .commands
                .iter()
                .map(command)
                .collect::<Result<_, String>>()?,
            props: manifest
                .reads
                .properties
                .iter()
                .map(|name| id(&dict.props, name))
                .collect::<Result<_, _>>()?,
            rows: manifest.quotas.outputs_per_batch as usize,
        })
    }
}

/// Collects what passes of the answers to one batch.
pub(crate) struct Check<'a> {
    pub(crate) allowed: &'a Allowed,
    /// Assets that the plugin was told of.
    pub(crate) known: &'a HashSet<u32>,
    /// Rows of the batch.
    pub(crate) rows: usize,
    pub(crate) output: Output,
    pub(crate) dropped: BTreeMap<Reason, u32>,
}

impl<'a> Check<'a> {
    pub(crate) fn new(allowed: &'a Allowed, known: &'a HashSet<u32>, rows: usize) -> Self {
        Self {
            allowed,
            known,
            rows,
            output: Output::default(),
            dropped: BTreeMap::new(),
        }
    }

    /// Takes one answer. Alerts come first, so that a flood of values does not crowd them out.
    /// `by_time`: the answer to a tick, whose rows have no cause in the batch.
    pub(crate) fn take(&mut self, answer: raw::Output, by_time: bool) {
        for alert in answer.alerts {
            match self.alert(&alert, by_time) {
                Ok(()) => self.output.alerts.push(Alert {
                    asset: alert.asset,
                    topic: alert.topic,
                    severity: severity(alert.severity),
                    code: alert.code,
                    raise: alert.raise,
                    value: alert.value,
                    text: alert.text,
                    cause: if by_time { NO_ROW } else { alert.cause },
                }),
                Err(reason) => self.drop(reason, 1),
            }
        }
        for command in answer.commands {
            match self.command(&command, by_time) {
                Ok(()) => self.output.commands.push(Command {
                    asset: command.asset,
                    command: command.command,
                    arg: command.arg,
                    expires_ms: command.expires_ms,
                    dedup_key: command.dedup_key,
                    cause: if by_time { NO_ROW } else { command.cause },
                }),
                Err(reason) => self.drop(reason, 1),
            }
        }
        self.derived(&answer.derived);
    }

    fn derived(&mut self, d: &raw::Derived) {
        let lengths = [d.asset.len(), d.metric.len(), d.value.len(), d.ts_ms.len()];
        if lengths.iter().any(|&len| len != d.asset.len()) {
            let longest = lengths.into_iter().max().unwrap_or_default();
            return self.drop(Reason::ColumnLengths, longest);
        }
        let places = d.asset.iter().zip(&d.metric);
        for ((&asset, &metric), (&value, &ts_ms)) in places.zip(d.value.iter().zip(&d.ts_ms)) {
            match self.value(asset, metric, value, ts_ms) {
                Ok(()) => {
                    self.output.derived.asset.push(asset);
                    self.output.derived.metric.push(metric);
                    self.output.derived.value.push(value);
                    self.output.derived.ts_ms.push(ts_ms);
                }
                Err(reason) => self.drop(reason, 1),
            }
        }
    }

    fn value(&self, asset: u32, metric: u32, value: f64, ts_ms: u64) -> Result<(), Reason> {
        require(
            self.allowed.metrics.contains(&metric),
            Reason::UndeclaredMetric,
        )?;
        require(value.is_finite(), Reason::NotFinite)?;
        require(ts_ms <= LAST_MS, Reason::TimeOutOfRange)?;
        self.common(asset)
    }

    fn alert(&self, alert: &raw::Alert, by_time: bool) -> Result<(), Reason> {
        let codes = self
            .allowed
            .topics
            .get(&alert.topic)
            .ok_or(Reason::UndeclaredTopic)?;
        require(codes.contains(&alert.code), Reason::UndeclaredCode)?;
        require(alert.value.is_finite(), Reason::NotFinite)?;
        require(
            alert.text.as_ref().is_none_or(|t| t.len() <= MAX_TEXT),
            Reason::TextTooLong,
        )?;
        require(
            by_time || (alert.cause as usize) < self.rows,
            Reason::CauseOutOfRange,
        )?;
        self.common(alert.asset)
    }

    fn command(&self, command: &raw::Command, by_time: bool) -> Result<(), Reason> {
        let range = self.allowed.commands.get(&command.command);
        let (min, max) = *range.ok_or(Reason::UndeclaredCommand)?;
        require(command.arg.is_finite(), Reason::NotFinite)?;
        require(
            (min..=max).contains(&command.arg),
            Reason::ArgumentOutOfRange,
        )?;
        require(command.expires_ms <= LAST_MS, Reason::TimeOutOfRange)?;
        require(
            by_time || (command.cause as usize) < self.rows,
            Reason::CauseOutOfRange,
        )?;
        self.common(command.asset)
    }

    fn common(&self, asset: u32) -> Result<(), Reason> {
        require(self.known.contains(&asset), Reason::UnknownAsset)?;
        require(self.output.rows() < self.allowed.rows, Reason::TooMany)
    }

    fn drop(&mut self, reason: Reason, rows: usize) {
        let count = self.dropped.entry(reason).or_default();
        *count = count.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
    }
}

/// 9999-12-31T23:59:59.999Z.
const LAST_MS: u64 = 253_402_300_799_999;

fn require(holds: bool, reason: Reason) -> Result<(), Reason> {
    if holds { Ok(()) } else { Err(reason) }
}

fn severity(raw: raw::Severity) -> Severity {
    match raw {
        raw::Severity::Info => Severity::Info,
        raw::Severity::Warning => Severity::Warning,
        raw::Severity::Major => Severity::Major,
        raw::Severity::Critical => Severity::Critical,
    }
}
