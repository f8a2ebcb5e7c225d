//! What the labs' rules decide on recorded data equals what is computed here from the files, by
//! other code: each plugin as it is delivered, in `quartier plugin test`, under its limits.
//!
//! The command itself runs a rule four times and fails where cuts of batches or a restart change
//! what it decides; so every test here says that of its data too.

mod hours;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use jiff::Timestamp;
use quartier_tests::{data, health_plugin, mobility_plugin, quartier, run, workspace};
use serde_json::Value;

use crate::replay::{self, Points, Values, eaqi, rows, utc};

const LONG: Duration = Duration::from_secs(300);

/// Values of one metric by asset and time.
type Derived = BTreeMap<(String, i64), f64>;

/// What `quartier plugin test --json` printed.
struct Tested(Value);

/// Runs it; every reading must be used, every row allowed, and the rule must answer to readings only.
fn tested(plugin: &Path, tell: impl FnOnce(&mut Command)) -> Tested {
    let mut command = Command::new(quartier());
    command
        .args(["plugin", "test", "--json"])
        .arg(plugin)
        .current_dir(workspace().join("deploy/replay"));
    tell(&mut command);
    let done = run(&mut command, LONG);
    let said = serde_json::from_str(&done.stdout);
    let said: Value = said.unwrap_or_else(|error| panic!("{error}: {}", done.stderr));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!((&said["ok"], &said["rejected"]), (&true.into(), &0.into()));
    for wrong in ["dropped", "failures"] {
        assert_eq!(said[wrong].as_array(), Some(&Vec::new()), "{wrong}");
    }
    Tested(said)
}

fn time(output: &Value) -> i64 {
    let time: Timestamp = output["time"].as_str().unwrap().parse().unwrap();
    time.as_millisecond()
}

impl Tested {
    fn of<'a>(&'a self, kind: &'a str, name: &'a str) -> impl Iterator<Item = &'a Value> {
        let outputs = self.0["outputs"].as_array().unwrap().iter();
        outputs.filter(move |output| output["kind"] == kind && output["name"] == name)
    }

    fn derived(&self, metric: &str) -> Derived {
        let value = |output: &Value| {
            let asset = output["asset"].as_str().unwrap().to_owned();
            ((asset, time(output)), output["value"].as_f64().unwrap())
        };
        self.of("derived", metric).map(value).collect()
    }

    fn values(&self, metric: &str) -> Values {
        let derived = self.derived(metric).into_iter();
        derived.map(|((_, time), value)| (time, value)).collect()
    }

    /// Asset and time of what was raised.
    fn raised(&self, rule: &str) -> BTreeSet<(String, i64)> {
        let raised = self
            .of("alert", rule)
            .filter(|alert| alert["raise"] == true);
        let asset = |alert: &Value| alert["asset"].as_str().unwrap().to_owned();
        raised.map(|alert| (asset(alert), time(alert))).collect()
    }
}

/// The same keys, and values that differ by rounding only.
fn assert_same<K: Ord + std::fmt::Debug>(
    what: &str,
    came: &BTreeMap<K, f64>,
    expected: &BTreeMap<K, f64>,
) {
    let near = |a: &f64, b: &f64| (a - b).abs() <= 1e-9 * b.abs().max(1.0);
    let keys: BTreeSet<&K> = came.keys().chain(expected.keys()).collect();
    let differ = keys.into_iter().filter(|key| {
        let both = came.get(key).zip(expected.get(key));
        !both.is_some_and(|(a, b)| near(a, b))
    });
    let differ: Vec<_> = differ.collect();
    let first = differ.iter().take(5);
    let first: Vec<_> = first
        .map(|key| (key, came.get(key), expected.get(key)))
        .collect();
    assert!(
        differ.is_empty(),
        "{what}: {} of {} differ; (key, came, expected): {first:?}",
        differ.len(),
        expected.len()
    );
}

/// Free spaces and capacity of each report of a car park whose capacity is known.
fn parking(folder: &Path) -> BTreeMap<String, BTreeMap<i64, (f64, f64)>> {
    let mut capacities = BTreeMap::new();
    rows(&folder.join("lots.csv"), |column| {
        capacities.insert(column("place_id"), column("capacity").parse().unwrap());
    });
    let mut reports: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    rows(&folder.join("free_2026-06-01_07.csv"), |column| {
        let (lot, time) = (column("place_id"), utc(&column("timestamp")).unwrap());
        let Some(capacity) = capacities.get(&lot) else {
            return;
        };
        let report = (column("free").parse().unwrap(), *capacity);
        reports.entry(lot).or_default().insert(time, report);
    });
    reports
}

/// When an alert is raised: by the second value in a row above a limit; it is gone after three in a
/// row at least a tenth below.
fn raises(shares: impl Iterator<Item = (i64, f64)>, limit: f64) -> Vec<i64> {
    let (mut above, mut below, mut on, mut raised) = (0, 0, false, Vec::new());
    for (time, share) in shares {
        above = if share > limit { above + 1 } else { 0 };
        below = if share < 0.9 * limit { below + 1 } else { 0 };
        if !on && above == 2 {
            on = true;
            raised.push(time);
        }
        on &= below < 3;
    }
    raised
}

#[test]
fn a_week_of_car_parks_has_the_occupancies_and_stale_capacities_of_its_file() {
    let (Some(folder), Some(plugin)) = (data("parking_dresden"), mobility_plugin()) else {
        return;
    };
    let (mut occupancy, mut stale) = (Derived::new(), Derived::new());
    let mut raised = BTreeSet::new();
    for (lot, reports) in parking(&folder) {
        for (time, (free, capacity)) in &reports {
            let key = (lot.clone(), *time);
            occupancy.insert(key.clone(), 100.0 * (1.0 - free / capacity));
            stale.insert(key, f64::from(u8::from(free > capacity)));
        }
        let shares = reports.iter().map(|(time, (f, c))| (*time, 100.0 * f / c));
        let times = raises(shares, 100.0).into_iter();
        raised.extend(times.map(|time| (lot.clone(), time)));
    }
    let tested = tested(&plugin, |command| {
        command.args(["--mapping", "parking_dresden.toml", "--file"]);
        command.arg(folder.join("free_2026-06-01_07.csv"));
    });
    assert_same(
        "occupancy",
        &tested.derived("parking_occupancy"),
        &occupancy,
    );
    assert_same("stale", &tested.derived("parking_capacity_stale"), &stale);
    assert_eq!(tested.raised("parking_capacity_stale"), raised);
    let counted = stale.values().filter(|stale| **stale == 1.0).count();
    eprintln!(
        "{counted} of {} reports are stale, {} alerts",
        stale.len(),
        raised.len()
    );
    assert_eq!((stale.len(), counted), (25_597, 2266));
}

#[test]
fn a_year_of_a_station_has_the_index_of_its_file_in_every_hour() {
    let (Some(folder), Some(plugin)) = (data("air_dresden"), health_plugin()) else {
        return;
    };
    let (name, file) = ("dresden-nord", folder.join("nord_2018.csv"));
    let mut points = Points::new();
    replay::station(&mut points, name, &file);
    let expected = eaqi(&points, name);
    assert!(expected.len() > 8000, "{} hours", expected.len());
    let files = tempfile::tempdir().unwrap();
    let assets = files.path().join("stations.json");
    fs::write(&assets, replay::stations()).unwrap();
    let tested = tested(&plugin, |command| {
        command
            .arg("--file")
            .arg(&file)
            .arg("--assets")
            .arg(&assets);
        command.args([
            "--mapping",
            "air_dresden.toml",
            "--set",
            "asset=dresden-nord",
        ]);
    });
    assert_same("eaqi", &tested.values("eaqi"), &expected);
    eprintln!("the index of {} hours is as computed here", expected.len());
}
