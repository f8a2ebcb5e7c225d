//! From a plugin's answer, in numbers, to a decision, in names.

use hashbrown::HashMap;
use quartier_plugin_host::{Answer, Dictionary, Entry, NO_ROW, Plugin, QUARANTINED};

use crate::event::{
    AlertChange, Cause, CommandIntent, Decision, DerivedReading, Digest, PluginRecord, Severity,
};
use crate::model::Millis;
use crate::state::{PluginBatch, QUARANTINE_RULE, Twin};
use crate::store::DeadLetter;

/// Rows that are named as the causes of one value.
const OF_A_VALUE: usize = 8;

/// Knows the names behind a plugin's numbers.
#[derive(Debug, Clone)]
pub struct Decider {
    plugin: Plugin,
    record: PluginRecord,
    dictionary: Dictionary,
    config: Digest,
}

impl Decider {
    /// For one version in one quarter.
    pub fn new(plugin: Plugin, record: PluginRecord, dictionary: Dictionary) -> Self {
        let config = Digest::of_value(&record.config);
        Self {
            plugin,
            record,
            dictionary,
            config,
        }
    }

    /// What it decides for.
    pub fn record(&self) -> &PluginRecord {
        &self.record
    }

    /// The decision for the journal; none where the plugin had nothing to say. `previous`: hash of
    /// the decision before it in its run.
    pub fn decide(
        &self,
        batch: &PluginBatch,
        answer: Answer,
        newly_quarantined: bool,
        previous: Digest,
        twin: &Twin,
    ) -> Option<Decision> {
        // One that is called no more decides nothing; its last failures and the alert say why.
        if answer.failure.as_deref() == Some(QUARANTINED) {
            return None;
        }
        if answer.failure.is_none() && answer.output.rows() == 0 && answer.dropped.is_empty() {
            return None;
        }
        let names = Names {
            decider: self,
            twin,
        };
        let mut causes = Causes::new(batch);
        let output = &answer.output;
        let mut alerts: Vec<AlertChange> = output
            .alerts
            .iter()
            .filter_map(|alert| names.alert(alert, &mut causes))
            .collect();
        if newly_quarantined {
            alerts.push(self.quarantine(batch, answer.failure.as_deref()));
        }
        let commands = output.commands.iter();
        let commands = commands.filter_map(|command| names.command(command, &mut causes));
        let commands = commands.collect();
        let derived = names.derived(&output.derived, &mut causes);
        let dropped = answer.dropped.iter();
        Some(Decision {
            quarter: self.record.quarter.clone(),
            plugin: self.record.plugin.clone(),
            version: self.record.version.clone(),
            stage: batch.stage,
            digest: self.record.digest,
            manifest: self.record.manifest,
            config: self.config,
            run: batch.run,
            batch: batch.number,
            from: batch.from,
            to: batch.to,
            input_hash: answer.input,
            output_hash: answer.output_hash,
            state_before: answer.state_before,
            state_after: answer.state_after,
            previous,
            fuel: answer.fuel,
            failure: answer.failure,
            wall_clock: answer.wall_clock,
            dropped: dropped
                .map(|(reason, rows)| (reason.as_str().to_owned(), *rows))
                .collect(),
            causes: names.causes(&causes),
            derived,
            alerts,
            commands,
        })
    }

    fn quarantine(&self, batch: &PluginBatch, failure: Option<&str>) -> AlertChange {
        AlertChange {
            asset: self.record.plugin.clone(),
            rule: QUARANTINE_RULE.to_owned(),
            severity: Severity::Major,
            code: 0,
            raise: true,
            value: f64::from(quartier_plugin_host::QUARANTINE),
            limit: Some(f64::from(quartier_plugin_host::QUARANTINE)),
            text: format!(
                "plugin {} {} failed too often and is no longer called: {}",
                self.record.plugin,
                self.record.version,
                failure.unwrap_or_default()
            ),
            time: millis(batch.batch.now_ms),
            cause: None,
        }
    }
}

/// Rows of the batch that outputs name, each once, in the order in which they are named.
struct Causes<'a> {
    batch: &'a PluginBatch,
    rows: Vec<usize>,
    by_row: HashMap<usize, u32>,
    /// Rows of each asset, made when a value needs one.
    by_asset: Option<HashMap<u32, Vec<usize>>>,
}

impl<'a> Causes<'a> {
    fn new(batch: &'a PluginBatch) -> Self {
        Self {
            batch,
            rows: Vec::new(),
            by_row: HashMap::new(),
            by_asset: None,
        }
    }

    fn name(&mut self, row: usize) -> u32 {
        let Self { rows, by_row, .. } = self;
        *by_row.entry(row).or_insert_with(|| {
            rows.push(row);
            u32::try_from(rows.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn given(&mut self, cause: u32) -> Option<u32> {
        let row = cause as usize;
        (cause != NO_ROW && row < self.batch.batch.rows()).then(|| self.name(row))
    }

    /// The rows of this asset and time, else the last of this asset.
    fn of_value(&mut self, asset: u32, time_ms: u64) -> Vec<u32> {
        let batch = self.batch;
        let by_asset = self.by_asset.get_or_insert_with(|| rows_by_asset(batch));
        let rows = by_asset.get(&asset).map(Vec::as_slice).unwrap_or_default();
        let at = |row: &usize| time_of(batch, *row) == Some(time_ms);
        let mut named: Vec<usize> = rows.iter().copied().filter(at).take(OF_A_VALUE).collect();
        if named.is_empty() {
            named.extend(rows.last());
        }
        named.into_iter().map(|row| self.name(row)).collect()
    }
}

fn rows_by_asset(batch: &PluginBatch) -> HashMap<u32, Vec<usize>> {
    let rows = &batch.batch;
    let mut by_asset: HashMap<u32, Vec<usize>> = HashMap::new();
    for (row, asset) in rows.asset.iter().chain(&rows.windows.asset).enumerate() {
        by_asset.entry(*asset).or_default().push(row);
    }
    by_asset
}

/// Event time of a reading, end of a window.
fn time_of(batch: &PluginBatch, row: usize) -> Option<u64> {
    let rows = &batch.batch;
    match row.checked_sub(rows.ts_ms.len()) {
        None => rows.ts_ms.get(row).copied(),
        Some(window) => rows.windows.end_ms.get(window).copied(),
    }
}

/// Turns numbers into names.
struct Names<'a> {
    decider: &'a Decider,
    twin: &'a Twin,
}

impl Names<'_> {
    fn asset(&self, index: u32) -> Option<String> {
        let asset = self.twin.assets().get(index as usize)?;
        Some(asset.id.to_string())
    }

    fn derived(
        &self,
        derived: &quartier_plugin_host::Derived,
        causes: &mut Causes<'_>,
    ) -> Vec<DerivedReading> {
        let places = derived.asset.iter().zip(&derived.metric);
        let columns = places.zip(derived.value.iter().zip(&derived.ts_ms));
        columns
            .filter_map(|((asset, metric), (value, time))| {
                Some(DerivedReading {
                    asset: self.asset(*asset)?,
                    metric: named(&self.decider.dictionary.metrics, *metric)?,
                    value: *value,
                    time: millis(*time),
                    causes: causes.of_value(*asset, *time),
                })
            })
            .collect()
    }

    fn alert(
        &self,
        alert: &quartier_plugin_host::Alert,
        causes: &mut Causes<'_>,
    ) -> Option<AlertChange> {
        let rule = named(&self.decider.dictionary.topics, alert.topic)?;
        let limit = self.decider.plugin.manifest().limit(&rule, alert.code);
        let batch = causes.batch;
        let row = (alert.cause != NO_ROW).then_some(alert.cause as usize);
        let time = row.and_then(|row| time_of(batch, row));
        Some(AlertChange {
            asset: self.asset(alert.asset)?,
            rule,
            severity: alert.severity,
            code: alert.code,
            raise: alert.raise,
            value: alert.value,
            limit: limit.map(|limit| limit.limit),
            text: alert.text.clone().unwrap_or_default(),
            time: millis(time.unwrap_or(batch.batch.now_ms)),
            cause: causes.given(alert.cause),
        })
    }

    fn command(
        &self,
        command: &quartier_plugin_host::Command,
        causes: &mut Causes<'_>,
    ) -> Option<CommandIntent> {
        Some(CommandIntent {
            asset: self.asset(command.asset)?,
            command: named(&self.decider.dictionary.commands, command.command)?,
            value: command.arg,
            expires: millis(command.expires_ms),
            key: command.dedup_key,
            cause: causes.given(command.cause),
        })
    }

    fn causes(&self, causes: &Causes<'_>) -> Vec<Cause> {
        let rows = &causes.batch.batch;
        let reading = |row: usize| {
            Some(Cause {
                asset: self.asset(*rows.asset.get(row)?)?,
                metric: self.metric(*rows.metric.get(row)?),
                value: *rows.value.get(row)?,
                time: millis(*rows.ts_ms.get(row)?),
                span_s: 0,
                coverage: 1.0,
            })
        };
        let windows = &rows.windows;
        let window = |row: usize| {
            Some(Cause {
                asset: self.asset(*windows.asset.get(row)?)?,
                metric: self.metric(*windows.metric.get(row)?),
                value: *windows.mean.get(row)?,
                time: millis(*windows.end_ms.get(row)?),
                span_s: *windows.span_s.get(row)?,
                coverage: *windows.coverage.get(row)?,
            })
        };
        let cause = |row: &usize| match row.checked_sub(rows.ts_ms.len()) {
            None => reading(*row),
            Some(row) => window(row),
        };
        // A row of a batch names assets and metrics that the twin has, so none is left out and
        // the numbers that outputs give stay right.
        causes.rows.iter().filter_map(cause).collect()
    }

    fn metric(&self, index: u32) -> String {
        let metric = self.twin.metrics().get(index as usize);
        metric.map_or_else(String::new, |metric| metric.name.to_string())
    }
}

fn named(entries: &[Entry], id: u32) -> Option<String> {
    let entry = entries.iter().find(|entry| entry.id == id)?;
    Some(entry.urn.clone())
}

fn millis(ms: u64) -> Millis {
    Millis(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// A batch that was set aside is a dead letter too.
pub(super) fn failure_letter(decision: &Decision, at: Millis) -> Option<DeadLetter> {
    let failure = decision.failure.as_ref()?;
    Some(DeadLetter {
        at,
        source: format!("plugin {} in {}", decision.plugin, decision.quarter),
        topic: String::new(),
        reason: "plugin".to_owned(),
        detail: format!(
            "batch {}, entries {} to {}: {failure}",
            decision.batch, decision.from, decision.to
        ),
        payload: Vec::new(),
    })
}
