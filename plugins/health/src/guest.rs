//! The rule as a component of `quartier:rule`.

wit_bindgen::generate!({ path: "../wit", world: "lab-rule" });

use std::cell::RefCell;
use std::collections::BTreeSet;

use exports::quartier::rule::rule::Guest;
use quartier::rule::types::{
    Alert, Asset, Batch, Derived, Dictionary, Output, RuleError, Severity, TwinView, Windows,
};

use crate::bytes;
use crate::rule::{Finding, Rule, Window};
use crate::settings::Settings;
use crate::tables::{self, Level, Measure, Pollutant, TOPICS};

const HOUR_S: u32 = 3600;
const UNIT: &str = "ug/m3";

struct Ids {
    pollutants: Vec<(u32, Pollutant)>,
    topics: Vec<u32>,
    eaqi: u32,
    lqi: u32,
}

struct Health {
    ids: Ids,
    rule: Rule,
}

thread_local! {
    static HEALTH: RefCell<Option<Health>> = const { RefCell::new(None) };
}

fn with<T>(f: impl FnOnce(&mut Health) -> Result<T, RuleError>) -> Result<T, RuleError> {
    HEALTH.with_borrow_mut(|health| match health {
        Some(health) => f(health),
        None => Err(RuleError::Internal("init was not called".to_owned())),
    })
}

impl Ids {
    fn of(dict: &Dictionary) -> Result<Self, String> {
        let metric = |name: &str| {
            let entry = dict.metrics.iter().find(|entry| entry.urn == name);
            entry.ok_or_else(|| format!("metric {name}: not in the dictionary"))
        };
        let topic = |name: &&str| {
            let entry = dict.topics.iter().find(|entry| entry.urn == *name);
            entry
                .map(|entry| entry.id)
                .ok_or_else(|| format!("topic {name}: not in the dictionary"))
        };
        let pollutant = |pollutant: Pollutant| {
            let entry = metric(pollutant.metric())?;
            match entry.unit == UNIT {
                true => Ok((entry.id, pollutant)),
                false => Err(format!(
                    "metric {}: unit {}, not {UNIT}",
                    entry.urn, entry.unit
                )),
            }
        };
        Ok(Self {
            pollutants: Pollutant::ALL
                .into_iter()
                .map(pollutant)
                .collect::<Result<_, _>>()?,
            topics: TOPICS.iter().map(topic).collect::<Result<_, _>>()?,
            eaqi: metric("eaqi")?.id,
            lqi: metric("lqi")?.id,
        })
    }
}

/// The hourly windows of the pollutants; the cause of a window is its row after all readings.
fn hourly(ids: &Ids, readings: usize, w: &Windows) -> Vec<Window> {
    let rows = (0..w.asset.len()).filter(|&i| w.span_s[i] == HOUR_S);
    let window = |i: usize| {
        let (_, pollutant) = *ids.pollutants.iter().find(|(id, _)| *id == w.metric[i])?;
        Some(Window {
            row: (readings + i) as u32,
            asset: w.asset[i],
            pollutant,
            end_ms: w.end_ms[i],
            mean: w.mean[i],
            coverage: w.coverage[i],
        })
    };
    rows.filter_map(window).collect()
}

fn text(level: &Level, raise: bool, value: f64, rule: &Rule) -> String {
    let past = if raise { "since" } else { "no longer" };
    let at = tables::LEVELS
        .iter()
        .position(|l| l == level)
        .unwrap_or_default();
    let threshold = &rule.settings.thresholds[at];
    let (limit, hours) = (threshold.limit, threshold.raise_after);
    match level.measure {
        Measure::Eaqi => format!("EAQI class {value}, {past} {hours} h at {limit} or worse"),
        Measure::Mean(p) => {
            format!(
                "{} {value:.0} {UNIT}, {past} {hours} h above {limit} {UNIT}",
                p.label()
            )
        }
    }
}

fn output(ids: &Ids, rule: &Rule, findings: &[Finding]) -> Output {
    let empty = || Derived {
        asset: vec![],
        metric: vec![],
        value: vec![],
        ts_ms: vec![],
    };
    let mut out = Output {
        derived: empty(),
        alerts: vec![],
        commands: vec![],
    };
    for finding in findings {
        match *finding {
            Finding::Index {
                asset,
                end_ms,
                index,
            } => {
                for (metric, class) in [(ids.eaqi, index.eaqi), (ids.lqi, index.lqi)] {
                    out.derived.asset.push(asset);
                    out.derived.metric.push(metric);
                    out.derived.value.push(f64::from(class));
                    out.derived.ts_ms.push(end_ms);
                }
            }
            Finding::Alert {
                asset,
                topic,
                level,
                raise,
                value,
                cause,
            } => out.alerts.push(Alert {
                asset,
                topic: ids.topics[topic],
                severity: match level.severity {
                    tables::Severity::Warning => Severity::Warning,
                    tables::Severity::Major => Severity::Major,
                    tables::Severity::Critical => Severity::Critical,
                },
                code: level.code,
                raise,
                value,
                text: Some(text(&level, raise, value, rule)),
                cause,
            }),
        }
    }
    out
}

impl Guest for Health {
    fn init(dict: Dictionary, config: Vec<(String, String)>) -> Result<(), RuleError> {
        let ids = Ids::of(&dict).map_err(RuleError::BadConfig)?;
        let settings = Settings::parse(&config).map_err(RuleError::BadConfig)?;
        HEALTH.set(Some(Health {
            ids,
            rule: Rule::new(settings),
        }));
        Ok(())
    }

    fn on_batch(b: Batch, w: Windows, _: TwinView) -> Result<Output, RuleError> {
        with(|health| {
            let windows = hourly(&health.ids, b.asset.len(), &w);
            let findings = health.rule.evaluate(windows);
            Ok(output(&health.ids, &health.rule, &findings))
        })
    }

    fn on_assets(changed: Vec<Asset>) -> Result<(), RuleError> {
        let gone: BTreeSet<u32> = changed
            .iter()
            .filter(|asset| asset.kind.is_empty())
            .map(|asset| asset.id)
            .collect();
        with(|health| {
            if !gone.is_empty() {
                health.rule.forget(&gone);
            }
            Ok(())
        })
    }

    fn on_tick(_: u64) -> Result<Output, RuleError> {
        with(|health| Ok(output(&health.ids, &health.rule, &[])))
    }

    fn snapshot() -> Vec<u8> {
        HEALTH.with_borrow(|health| {
            health
                .as_ref()
                .map(|health| bytes::encode(&health.rule.assets))
                .unwrap_or_default()
        })
    }

    fn restore(state: Vec<u8>) -> Result<(), RuleError> {
        let assets = bytes::decode(&state).ok_or_else(|| {
            RuleError::Internal("state is not of version 1 or not whole".to_owned())
        })?;
        with(|health| {
            health.rule.assets = assets;
            Ok(())
        })
    }
}

export!(Health);
