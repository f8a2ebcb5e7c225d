//! The energy rules as a component: an overloaded feeder, and a day in any cuts.

use quartier_plugin_host::{Answer, Asset, Batch};

use crate::bench::{Bench, Row, asset, reproducible};

/// Monday, 1 June 2026, 00:00 in Berlin.
const MONDAY: u64 = 1_780_264_800_000;
const QUARTER: u64 = 900_000;

const FEEDER: u32 = 1;
const HOUSE: u32 = 2;
const BOXES: [u32; 2] = [3, 4];
const HOMES: std::ops::Range<u32> = 10..16;

fn with(mut asset: Asset, key: &str, value: &str) -> Asset {
    asset.attributes.push((key.to_owned(), value.to_owned()));
    asset
}

/// A feeder, a house with two wallboxes and an EMS, six homes.
fn assets() -> Vec<Asset> {
    let behind = BOXES.map(|id| ("connects", id));
    let mut all = vec![
        with(
            asset(FEEDER, "feeder", &[("feeds", HOUSE)]),
            "rated_kva",
            "100",
        ),
        with(asset(HOUSE, "connection_point", &behind), "ems", "true"),
    ];
    all.extend(BOXES.map(|id| with(asset(id, "wallbox", &[]), "rated_kw", "11")));
    all.extend(HOMES.map(|id| asset(id, "meter", &[])));
    all
}

fn quarter(n: u64, kw: f64) -> Vec<Row<'static>> {
    let end = MONDAY + n * QUARTER;
    let mut rows: Vec<Row> = BOXES.map(|id| (id, "charging_power", 11.0, end)).to_vec();
    rows.push((FEEDER, "active_power", kw, end));
    rows.push((FEEDER, "reactive_power", 10.0, end));
    let gone = |id: &u32| (n + u64::from(*id)).is_multiple_of(9);
    let homes = HOMES.filter(|id| !gone(id));
    rows.extend(homes.map(|id| (id, "household_power", (n * 7 % 23) as f64 / 10.0, end)));
    rows
}

fn day() -> Vec<Row<'static>> {
    let kw = |n| {
        if (40..60).contains(&n) {
            150.0
        } else {
            40.0 + n as f64 / 10.0
        }
    };
    (1..=96).flat_map(|n| quarter(n, kw(n))).collect()
}

fn batches(n: usize) -> Vec<Batch> {
    let bench = Bench::new("energy");
    let day = day();
    let cut = day.chunks(n).map(|rows| bench.batch(&[], 900, rows));
    let mut batches: Vec<Batch> = cut.collect();
    batches[0].changed = assets();
    batches
}

/// Values, alerts and commands apart, without causes: those count in the batch.
fn said(answers: &[Answer]) -> [Vec<String>; 3] {
    let mut said = [Vec::new(), Vec::new(), Vec::new()];
    for output in answers.iter().map(|answer| &answer.output) {
        let d = &output.derived;
        let values = d
            .asset
            .iter()
            .zip(&d.metric)
            .zip(d.value.iter().zip(&d.ts_ms));
        said[0].extend(values.map(|value| format!("{value:?}")));
        let alert =
            |a: &quartier_plugin_host::Alert| format!("{} {:?} {:?}", a.asset, a.text, a.raise);
        said[1].extend(output.alerts.iter().map(alert));
        let command =
            |c: &quartier_plugin_host::Command| format!("{} {} {}", c.asset, c.arg, c.dedup_key);
        said[2].extend(output.commands.iter().map(command));
    }
    said
}

#[test]
fn the_second_quarter_of_an_hour_past_the_rating_proposes_the_guaranteed_limits() {
    let mut bench = Bench::new("energy");
    let first = Batch {
        changed: assets(),
        ..bench.batch(&[], 900, &quarter(1, 150.0))
    };
    let first = bench.runner.run(&first);
    assert_eq!((first.failure, first.output.commands), (None, vec![]));
    let second = bench.batch(&[], 900, &quarter(2, 150.0));
    let second = bench.runner.run(&second);
    let commands = &second.output.commands;
    let limits: Vec<_> = commands
        .iter()
        .map(|command| (command.asset, command.arg))
        .collect();
    assert_eq!(limits, [(3, 3.78), (4, 3.78)]);
    assert_eq!(commands[0].cause, 3, "the row of the reactive power");
    assert_eq!(bench.alerts(&second), [(FEEDER, "grid_load", 2, true)]);
    assert_eq!(second.dropped.len(), 0);
}

#[test]
fn cuts_and_restarts_of_a_day_change_nothing() {
    let whole = reproducible("energy", &batches(64));
    let expected = said(&whole);
    assert!(expected.iter().all(|said| said.len() >= 2), "{expected:?}");
    for n in [7, 4096] {
        let mut bench = Bench::new("energy");
        let answers: Vec<Answer> = batches(n)
            .iter()
            .map(|batch| bench.runner.run(batch))
            .collect();
        assert_eq!(said(&answers), expected, "batches of {n}");
    }
    let (fuel, rows) = (
        whole.iter().map(|answer| answer.fuel).sum::<u64>(),
        day().len() as u64,
    );
    assert!(fuel / rows < 100_000, "{} of fuel a window", fuel / rows);
}
