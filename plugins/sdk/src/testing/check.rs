//! Names and numbers: rows against what the manifest reads, outputs against what it allows.

use super::{Lab, Row, Said};
use crate::context::{Alert, Command, Output};
use crate::ids::AssetId;
use crate::rule::Rule;
use crate::setup::Entry;
use crate::testing::row::What;

/// Bytes of an alert's text that the host takes.
const MAX_TEXT: usize = 1024;

impl<R: Rule> Lab<R> {
    /// Numbers of asset and metric of a row.
    pub(super) fn numbers(&mut self, row: &Row) -> (AssetId, u32) {
        let Row { asset, metric, .. } = row;
        let reads = match row.what {
            What::Reading { .. } => self.manifest.metrics.contains(metric),
            What::Window { span_s, .. } => {
                let mut windows = self.manifest.windows.iter();
                windows.any(|(name, span)| name == metric && *span == span_s)
            }
        };
        assert!(
            reads,
            "{row:?}: the manifest does not name it in reads.metrics or reads.windows"
        );
        let id = self.id(asset);
        let gone = self.assets.get(asset).is_none_or(|a| a.kind.is_empty());
        assert!(!gone, "{row:?}: the asset was removed");
        let entries = &self.run().dict.metrics;
        let entry = entries.iter().find(|entry| entry.urn == *metric);
        let entry = entry.unwrap_or_else(|| panic!("{row:?}: the metric has no number"));
        (id, entry.id)
    }

    /// What was said, by name.
    pub(super) fn named(&mut self, output: Output) -> Vec<Said> {
        let metrics = self.run().dict.metrics.clone();
        let topics = self.run().dict.topics.clone();
        let commands = self.run().dict.commands.clone();
        let places = output.asset.iter().zip(&output.metric);
        let values = output.value.iter().zip(&output.ts_ms);
        let mut said = Vec::new();
        for ((&asset, &metric), (&value, &time_ms)) in places.zip(values) {
            let metric = name(&metrics, metric, "metric");
            assert!(
                self.manifest.derived.contains(&metric),
                "derive: the manifest does not name {metric} in emits.derived"
            );
            assert!(value.is_finite(), "derive {metric}: the value is {value}");
            said.push(Said::Derived {
                asset: self.urn(AssetId(asset)),
                metric,
                value,
                time_ms,
            });
        }
        said.extend(output.alerts.into_iter().map(|a| self.alert(&topics, a)));
        let ask = |command: &Command| self.command(&commands, command);
        said.extend(output.commands.iter().map(ask));
        said
    }

    fn urn(&self, id: AssetId) -> String {
        let mut there = self.assets.values().filter(|asset| !asset.kind.is_empty());
        let asset = there.find(|asset| asset.id == id);
        let asset = asset.unwrap_or_else(|| panic!("the rule speaks of no asset: {id:?}"));
        asset.urn.clone()
    }

    fn alert(&self, topics: &[Entry], alert: Alert) -> Said {
        let rule = name(topics, alert.topic.0, "topic");
        let Alert {
            code,
            severity,
            value,
            text,
            ..
        } = alert;
        let mut declared = self.manifest.topics.iter();
        assert!(
            declared.any(|(topic, codes)| *topic == rule && codes.contains_key(&code)),
            "alert {rule}: the manifest has no code {code} for it"
        );
        assert!(value.is_finite(), "alert {rule}: the value is {value}");
        assert!(
            text.len() <= MAX_TEXT,
            "alert {rule}: a text of {} bytes, more than {MAX_TEXT}",
            text.len()
        );
        let asset = self.urn(alert.asset);
        match alert.raise {
            true => Said::Raised {
                asset,
                rule,
                code,
                severity,
                value,
                text,
            },
            false => Said::Cleared {
                asset,
                rule,
                code,
                value,
                text,
            },
        }
    }

    fn command(&self, commands: &[Entry], command: &Command) -> Said {
        let name = name(commands, command.command.0, "command");
        let mut rules = self.manifest.commands.iter();
        let arg = command.arg;
        assert!(
            rules.any(|rule| rule.name == name && (rule.min..=rule.max).contains(&arg)),
            "command {name}: {arg} is outside the manifest's range"
        );
        Said::Command {
            asset: self.urn(command.asset),
            command: name,
            arg,
            expires_ms: command.expires_ms,
            dedup_key: command.dedup_key,
        }
    }
}

fn name(entries: &[Entry], id: u32, what: &str) -> String {
    let entry = entries.iter().find(|entry| entry.id == id);
    let entry = entry.unwrap_or_else(|| panic!("no {what} has the number {id}"));
    entry.urn.clone()
}
