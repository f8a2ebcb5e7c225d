//! A lab's plugin with the units of the vocabulary, and batches of rows by name.

use std::collections::BTreeMap;
use std::path::Path;

use quartier_plugin_host::{Answer, Asset, Batch, Relation, Runner};

use crate::support::{host, plugin};

/// A row: asset, metric, value, milliseconds since 1970.
pub(crate) type Row<'a> = (u32, &'a str, f64, u64);

/// A plugin that runs.
pub(crate) struct Bench {
    pub(crate) runner: Runner,
    /// Numbers of metrics, from 100 in the order of the manifest.
    metrics: BTreeMap<String, u32>,
    topics: BTreeMap<u32, String>,
}

impl Bench {
    pub(crate) fn new(name: &str) -> Self {
        let plugin = plugin(name);
        let units = units();
        let mut id = 99;
        let dict = plugin.manifest().dictionary(|metric| {
            id += 1;
            (id, units.get(metric).cloned().unwrap_or_default())
        });
        let metrics = dict.metrics.iter().map(|e| (e.urn.clone(), e.id)).collect();
        let topics = dict.topics.iter().map(|e| (e.id, e.urn.clone())).collect();
        let runner = Runner::new(host(), &plugin, dict, Vec::new()).unwrap();
        Self {
            runner,
            metrics,
            topics,
        }
    }

    /// A batch of readings, then of windows of a span.
    pub(crate) fn batch(&self, readings: &[Row<'_>], span_s: u32, windows: &[Row<'_>]) -> Batch {
        let mut batch = Batch::default();
        for &(asset, metric, value, time) in readings {
            batch.asset.push(asset);
            batch.metric.push(self.metrics[metric]);
            batch.value.push(value);
            batch.ts_ms.push(time);
            batch.quality.push(0);
        }
        let w = &mut batch.windows;
        for &(asset, metric, mean, end) in windows {
            w.asset.push(asset);
            w.metric.push(self.metrics[metric]);
            w.span_s.push(span_s);
            w.end_ms.push(end);
            for column in [&mut w.mean, &mut w.minimum, &mut w.maximum, &mut w.last] {
                column.push(mean);
            }
            w.coverage.push(1.0);
        }
        batch
    }

    /// What an answer derived of a metric: asset and value, in order.
    pub(crate) fn derived(&self, answer: &Answer, metric: &str) -> Vec<(u32, f64)> {
        let (rows, id) = (&answer.output.derived, self.metrics[metric]);
        let all = rows.asset.iter().zip(&rows.metric).zip(&rows.value);
        all.filter(|((_, metric), _)| **metric == id)
            .map(|((asset, _), value)| (*asset, *value))
            .collect()
    }

    /// The alerts of an answer: asset, topic, code, raised or cleared.
    pub(crate) fn alerts(&self, answer: &Answer) -> Vec<(u32, &str, u32, bool)> {
        let alerts = answer.output.alerts.iter();
        alerts
            .map(|a| (a.asset, self.topics[&a.topic].as_str(), a.code, a.raise))
            .collect()
    }
}

/// An asset with its relations.
pub(crate) fn asset(id: u32, kind: &str, relations: &[(&str, u32)]) -> Asset {
    let relation = |&(kind, target): &(&str, u32)| Relation {
        kind: kind.to_owned(),
        target,
    };
    Asset {
        id,
        urn: format!("{kind}-{id}"),
        kind: kind.to_owned(),
        relations: relations.iter().map(relation).collect(),
        ..Asset::default()
    }
}

/// Runs batches in a new instance of a plugin, twice, and once more with a restart before each
/// batch: all give the same outputs. Nothing fails, nothing is dropped; the answers.
pub(crate) fn reproducible(name: &str, batches: &[Batch]) -> Vec<Answer> {
    let run = |runner: &mut Runner| -> Vec<Answer> {
        batches.iter().map(|batch| runner.run(batch)).collect()
    };
    let first = run(&mut Bench::new(name).runner);
    assert_eq!(first, run(&mut Bench::new(name).runner), "outputs or fuel");
    let mut saved: Option<Vec<u8>> = None;
    for (batch, answer) in batches.iter().zip(&first) {
        assert_eq!(answer.failure, None);
        assert!(answer.dropped.is_empty(), "{:?}", answer.dropped);
        let mut bench = Bench::new(name);
        if let Some(saved) = &saved {
            bench.runner.restore(saved).unwrap();
        }
        let changed = batches[0].changed.clone();
        let batch = Batch {
            changed,
            ..batch.clone()
        };
        assert_eq!(bench.runner.run(&batch).output, answer.output);
        saved = Some(bench.runner.snapshot().unwrap());
    }
    first
}

fn units() -> BTreeMap<String, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../twin/metrics.toml");
    let table: toml::Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
    let text = |metric: &toml::Value, key: &str| metric[key].as_str().unwrap().to_owned();
    let metrics = table["metric"].as_array().unwrap();
    let pair = |metric: &toml::Value| (text(metric, "name"), text(metric, "unit"));
    metrics.iter().map(pair).collect()
}
