//! The energy rules as a component: an overloaded feeder, and a day in any cuts.

use std::collections::BTreeMap;

use quartier_plugin_host::{Asset, Batch, Output, Plugin, Relation, Runner, Windows};

use crate::support::{host, plugin};

/// Monday, 1 June 2026, 00:00 in Berlin.
const MONDAY: u64 = 1_780_264_800_000;

const FEEDER: u32 = 1;
const HOUSE: u32 = 2;
const BOXES: [u32; 2] = [3, 4];
const HOMES: u32 = 10;

/// The rules on their own, with the numbers of metrics.
struct Quarter {
    runner: Runner,
    metrics: BTreeMap<String, u32>,
}

fn units() -> BTreeMap<String, String> {
    let text = include_str!("../../../../twin/metrics.toml");
    let quoted = |line: &str, key: &str| {
        let value = line.strip_prefix(key)?.strip_prefix(" = \"")?;
        value.strip_suffix('"').map(str::to_owned)
    };
    let mut units = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(found) = quoted(line, "name") {
            name = found;
        }
        if let Some(unit) = quoted(line, "unit") {
            units.insert(name.clone(), unit);
        }
    }
    units
}

fn start(plugin: &Plugin) -> Quarter {
    let units = units();
    let mut metrics = BTreeMap::new();
    let dictionary = plugin.manifest().dictionary(|name| {
        let id = 100 + metrics.len() as u32;
        metrics.insert(name.to_owned(), id);
        (id, units[name].clone())
    });
    let runner = Runner::new(host(), plugin, dictionary, vec![]).unwrap();
    Quarter { runner, metrics }
}

fn asset(id: u32, kind: &str, attributes: &[(&str, &str)], relations: &[(&str, u32)]) -> Asset {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let relation = |&(kind, target): &(&str, u32)| Relation {
        kind: kind.to_owned(),
        target,
    };
    Asset {
        id,
        urn: format!("asset-{id}"),
        kind: kind.to_owned(),
        attributes: attributes.iter().map(pair).collect(),
        relations: relations.iter().map(relation).collect(),
        ..Asset::default()
    }
}

fn assets() -> Vec<Asset> {
    let mut all = vec![
        asset(
            FEEDER,
            "feeder",
            &[("rated_kva", "100")],
            &[("feeds", HOUSE)],
        ),
        asset(
            HOUSE,
            "connection_point",
            &[("ems", "true")],
            &BOXES.map(|id| ("connects", id)),
        ),
    ];
    all.extend(BOXES.map(|id| asset(id, "wallbox", &[("rated_kw", "11")], &[])));
    all.extend((HOMES..HOMES + 6).map(|id| asset(id, "meter", &[], &[])));
    all
}

/// Asset, metric, seconds, end, mean.
type Row = (u32, &'static str, u32, u64, f64);

impl Quarter {
    fn batch(&self, seq: u64, rows: &[Row]) -> Batch {
        let mut w = Windows::default();
        for &(asset, metric, span_s, end_ms, mean) in rows {
            w.asset.push(asset);
            w.metric.push(self.metrics[metric]);
            w.span_s.push(span_s);
            w.end_ms.push(end_ms);
            for column in [&mut w.mean, &mut w.minimum, &mut w.maximum, &mut w.last] {
                column.push(mean);
            }
            w.coverage.push(1.0);
        }
        let changed = if seq == 0 { assets() } else { vec![] };
        Batch {
            seq,
            changed,
            windows: w,
            ..Batch::default()
        }
    }
}

/// A day of a feeder, two wallboxes and six homes, some of whose values are missing.
fn day() -> Vec<Row> {
    let mut rows = Vec::new();
    for n in 1..=96u64 {
        let end = MONDAY + n * 900_000;
        let wave = ((n * 7) % 23) as f64;
        let kw = if (40..60).contains(&n) {
            120.0 + wave
        } else {
            40.0 + wave
        };
        rows.extend(BOXES.map(|id| (id, "charging_power", 900, end, 11.0)));
        rows.push((FEEDER, "active_power", 900, end, kw));
        rows.push((FEEDER, "reactive_power", 900, end, 10.0));
        for id in (HOMES..HOMES + 6).filter(|id| !(n + u64::from(*id)).is_multiple_of(9)) {
            rows.push((id, "household_power", 900, end, wave / 10.0));
        }
        for phase in ["voltage_l1", "voltage_l2", "voltage_l3"] {
            rows.push((FEEDER, phase, 600, MONDAY + n * 600_000, 228.0 + wave));
        }
    }
    rows
}

/// What is said to rows in batches of `n`, with the causes left out: they count in the batch.
fn run(plugin: &Plugin, n: usize, restart: bool) -> (Vec<Output>, Vec<u8>, u64) {
    let mut quarter = start(plugin);
    let mut outputs = Vec::new();
    let mut fuel = 0;
    for (seq, rows) in (0..).zip(day().chunks(n)) {
        if restart && seq > 0 {
            let saved = quarter.runner.snapshot().unwrap();
            quarter = start(plugin);
            let told = Batch {
                changed: assets(),
                ..Batch::default()
            };
            assert_eq!(quarter.runner.run(&told).failure, None);
            quarter.runner.restore(&saved).unwrap();
        }
        let answer = quarter.runner.run(&quarter.batch(seq, rows));
        assert_eq!(answer.failure, None);
        assert!(answer.dropped.is_empty(), "{:?}", answer.dropped);
        fuel += answer.fuel;
        let mut output = answer.output;
        output.alerts.iter_mut().for_each(|alert| alert.cause = 0);
        output
            .commands
            .iter_mut()
            .for_each(|command| command.cause = 0);
        outputs.push(output);
    }
    (outputs, quarter.runner.snapshot().unwrap(), fuel)
}

fn joined(outputs: &[Output]) -> String {
    let mut all = [String::new(), String::new(), String::new()];
    for output in outputs {
        let d = &output.derived;
        for i in 0..d.asset.len() {
            all[0] += &format!(
                "{} {} {:?} {}\n",
                d.asset[i], d.metric[i], d.value[i], d.ts_ms[i]
            );
        }
        output
            .alerts
            .iter()
            .for_each(|alert| all[1] += &format!("{alert:?}\n"));
        output
            .commands
            .iter()
            .for_each(|command| all[2] += &format!("{command:?}\n"));
    }
    all.concat()
}

#[test]
fn the_second_quarter_of_an_hour_past_the_rating_proposes_limits_that_are_guaranteed() {
    let mut quarter = start(&plugin("energy"));
    let mut said = Vec::new();
    for n in 1..=2 {
        let end = MONDAY + n * 900_000;
        let mut rows: Vec<Row> = BOXES
            .map(|id| (id, "charging_power", 900, end, 11.0))
            .to_vec();
        rows.push((FEEDER, "active_power", 900, end, 150.0));
        rows.push((FEEDER, "reactive_power", 900, end, 0.0));
        said.push(quarter.runner.run(&quarter.batch(n - 1, &rows)));
    }
    assert!(
        said.iter()
            .all(|answer| answer.failure.is_none() && answer.dropped.is_empty())
    );
    assert_eq!(said[0].output.commands, []);
    let commands = &said[1].output.commands;
    let limits: Vec<_> = commands
        .iter()
        .map(|command| (command.asset, command.arg))
        .collect();
    assert_eq!(limits, [(3, 3.78), (4, 3.78)]);
    assert_eq!(said[1].output.alerts.len(), 1);
    assert_eq!(commands[0].cause, 3, "the reactive power's row");
}

#[test]
fn cuts_and_restarts_of_a_day_change_nothing() {
    let plugin = plugin("energy");
    let (whole, state, fuel) = run(&plugin, 4096, false);
    let expected = joined(&whole);
    for (n, restart) in [(1, false), (7, false), (128, false), (64, true)] {
        let (outputs, same, _) = run(&plugin, n, restart);
        assert_eq!(joined(&outputs), expected, "batches of {n}");
        assert_eq!(same, state, "batches of {n}");
    }
    let commands: usize = whole.iter().map(|output| output.commands.len()).sum();
    assert!(commands >= 4, "{commands}");
    let rows = day().len() as u64;
    assert!(fuel / rows < 100_000, "{} of fuel a window", fuel / rows);
}
