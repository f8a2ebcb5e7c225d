//! From a plugin's answer, in numbers, to a decision, in names.

use quartier_plugin_host::{Answer, Dictionary, Host, NO_ROW, Plugin, Runner};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::recover::Recovered;
use super::worker::Assignment;
use crate::event::{AlertChange, Decision, DerivedReading, PluginRecord, Severity};
use crate::model::Millis;
use crate::node::StartError;
use crate::state::{PluginBatch, Twin};
use crate::store::DeadLetter;

/// Rule under which a quarantine is alerted; the asset is the plugin.
const QUARANTINE_RULE: &str = "plugin_quarantined";

/// Makes an instance of every plugin and brings it to the state of the snapshot.
///
/// # Errors
/// A plugin that does not start or does not take its state.
pub fn assign(
    host: &Host,
    plugins: Vec<(Plugin, PluginRecord)>,
    recovered: &Recovered,
) -> Result<Vec<Assignment>, StartError> {
    let twin = recovered.twin.read();
    plugins
        .into_iter()
        .map(|(plugin, record)| {
            let failed = |why: String| StartError::Instance {
                quarter: record.quarter.clone(),
                plugin: record.plugin.clone(),
                why,
            };
            let dictionary = plugin.manifest().dictionary(|name| {
                let index = twin.metric_index(name);
                let metric = index.and_then(|index| twin.metrics().get(usize::from(index)));
                (
                    index.map_or(u32::MAX, u32::from),
                    metric.map_or_else(String::new, |m| m.unit.clone()),
                )
            });
            let mut runner = Runner::new(host, &plugin, dictionary.clone(), Vec::new())
                .map_err(|error| failed(error.to_string()))?;
            let of_plugin = |state: &&crate::snapshots::PluginState| {
                state.quarter == record.quarter && state.plugin == record.plugin
            };
            if let Some(state) = recovered.states.iter().find(of_plugin) {
                runner
                    .restore(&state.state)
                    .map_err(|error| failed(error.to_string()))?;
            }
            let deployment = twin.deployment(&record.quarter, &record.plugin);
            let decided = deployment.map_or(0, |deployment| deployment.decided);
            Ok(Assignment {
                decider: Decider {
                    plugin,
                    record,
                    dictionary,
                },
                runner,
                decided,
            })
        })
        .collect()
}

/// Knows the names behind a plugin's numbers.
pub struct Decider {
    plugin: Plugin,
    record: PluginRecord,
    dictionary: Dictionary,
}

impl Decider {
    /// Quarter and plugin.
    pub(super) fn key(&self) -> (String, String) {
        (self.record.quarter.clone(), self.record.plugin.clone())
    }

    pub(super) fn version(&self) -> &str {
        &self.record.version
    }

    /// The decision for the journal; none where the plugin had nothing to say.
    pub(super) fn decide(
        &self,
        batch: &PluginBatch,
        answer: Answer,
        newly_quarantined: bool,
        twin: &Twin,
    ) -> Option<Decision> {
        if answer.failure.is_none() && answer.output.rows() == 0 {
            return None;
        }
        let mut alerts: Vec<AlertChange> = answer
            .output
            .alerts
            .iter()
            .filter_map(|alert| self.alert(alert, batch, twin))
            .collect();
        if newly_quarantined {
            alerts.push(self.quarantine(batch, answer.failure.as_deref()));
        }
        Some(Decision {
            quarter: self.record.quarter.clone(),
            plugin: self.record.plugin.clone(),
            version: self.record.version.clone(),
            digest: self.record.digest.clone(),
            batch: batch.number,
            from: batch.from,
            to: batch.to,
            input_hash: hash(&batch.batch),
            output_hash: hash(&answer.output),
            fuel: answer.fuel,
            failure: answer.failure,
            derived: self.derived(&answer.output.derived, twin),
            alerts,
        })
    }

    fn derived(&self, derived: &quartier_plugin_host::Derived, twin: &Twin) -> Vec<DerivedReading> {
        let columns = derived
            .asset
            .iter()
            .zip(&derived.metric)
            .zip(&derived.value)
            .zip(&derived.ts_ms);
        columns
            .filter_map(|(((asset, metric), value), time)| {
                let metric = self
                    .dictionary
                    .metrics
                    .iter()
                    .find(|entry| entry.id == *metric)?;
                Some(DerivedReading {
                    asset: twin.assets().get(*asset as usize)?.id.to_string(),
                    metric: metric.urn.clone(),
                    value: *value,
                    time: millis(*time),
                })
            })
            .collect()
    }

    fn alert(
        &self,
        alert: &quartier_plugin_host::Alert,
        batch: &PluginBatch,
        twin: &Twin,
    ) -> Option<AlertChange> {
        let topic = self
            .dictionary
            .topics
            .iter()
            .find(|entry| entry.id == alert.topic)?;
        let limit = self.plugin.manifest().limit(&topic.urn, alert.code);
        Some(AlertChange {
            asset: twin.assets().get(alert.asset as usize)?.id.to_string(),
            rule: topic.urn.clone(),
            severity: alert.severity,
            code: alert.code,
            raise: alert.raise,
            value: alert.value,
            limit: limit.map(|limit| limit.limit),
            text: alert.text.clone().unwrap_or_default(),
            time: cause_time(batch, alert.cause),
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
        }
    }
}

/// Event time of the row that caused an output; the batch's time where no row did.
fn cause_time(batch: &PluginBatch, cause: u32) -> Millis {
    let rows = &batch.batch;
    let readings = rows.ts_ms.len();
    let row = cause as usize;
    let time = match (cause, row.checked_sub(readings)) {
        (NO_ROW, _) => None,
        (_, None) => rows.ts_ms.get(row),
        (_, Some(window)) => rows.windows.end_ms.get(window),
    };
    millis(time.copied().unwrap_or(rows.now_ms))
}

fn millis(ms: u64) -> Millis {
    Millis(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// SHA-256 of the postcard bytes, hex: the same rows give the same hash on every machine.
fn hash(value: &impl Serialize) -> String {
    let bytes = postcard::to_allocvec(value).unwrap_or_default();
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A batch that was set aside is a dead letter too.
pub(super) fn failure_letter(decision: &Decision) -> Option<DeadLetter> {
    let failure = decision.failure.as_ref()?;
    Some(DeadLetter {
        at: Millis::now(),
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
