//! Two months of citizen sensors in Aberdeen against the reference station 2 km away.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use quartier_sdk::testing::{Row, Said};

use super::lab;
use crate::raw::{HOUR, hour_of};

/// The sensors' interval, milliseconds.
const INTERVAL: u64 = 150_000;

fn folder() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/air_lowcost");
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: there is no {}", path.display());
    None
}

/// Milliseconds of `2019-01-01T00:00:00` or with a space, in January or February.
fn millis(stamp: &str) -> u64 {
    let number = |at: std::ops::Range<usize>| stamp[at].parse::<u64>().unwrap();
    assert_eq!(number(0..4), 2019);
    const JANUARY: u64 = 1_546_300_800;
    let day = (number(5..7) - 1) * 31 + number(8..10) - 1;
    let second = (day * 24 + number(11..13)) * 3600 + number(14..16) * 60 + number(17..19);
    (JANUARY + second) * 1000
}

fn lines(file: PathBuf) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().skip(1).map(str::to_owned).collect()
}

/// PM2.5 of the reference: hourly means, stamped at the end of the hour.
fn reference(folder: &Path) -> Vec<(u64, f64)> {
    let mut hours = Vec::new();
    for line in lines(folder.join("aberdeen_errol_place_reference_2019-01_02.csv")) {
        let cells: Vec<&str> = line.split(';').collect();
        if let Ok(mean) = cells[4].parse::<f64>() {
            hours.push((millis(cells[0]), mean));
        }
    }
    hours
}

/// PM2.5 of a sensor, by time.
fn readings(folder: &Path, sensor: &str) -> BTreeMap<u64, f64> {
    let mut readings = BTreeMap::new();
    for line in lines(folder.join("aberdeen_sds011_2019-01_02.csv")) {
        let cells: Vec<&str> = line.split(',').collect();
        if cells[0] == sensor
            && let Ok(value) = cells[5].parse::<f64>()
        {
            readings.insert(millis(cells[3]), value);
        }
    }
    readings
}

/// Hours `[start, end)` of at least one reading: plain mean, and readings times interval over hour.
fn counted(readings: &BTreeMap<u64, f64>) -> Vec<(u64, f64, f64)> {
    let mut hours: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (time, value) in readings {
        hours
            .entry((time / HOUR + 1) * HOUR)
            .or_default()
            .push(*value);
    }
    let hour = |(end, values): (u64, Vec<f64>)| {
        let n = values.len() as f64;
        let coverage = (n * INTERVAL as f64 / HOUR as f64).min(1.0);
        (end, values.iter().sum::<f64>() / n, coverage)
    };
    hours.into_iter().map(hour).collect()
}

/// Hours as a node closes them: a reading covers its interval, back to the reading before at most.
fn covered(readings: &BTreeMap<u64, f64>) -> Vec<(u64, f64, f64)> {
    let mut hours: BTreeMap<u64, (u64, f64)> = BTreeMap::new();
    let mut before = 0;
    for (&time, value) in readings {
        let mut from = before.max(time - INTERVAL);
        while from < time {
            let end = hour_of(from + 1);
            let part = end.min(time) - from;
            let (covered, sum) = hours.entry(end).or_default();
            *covered += part;
            *sum += *value * part as f64;
            from += part;
        }
        before = time;
    }
    let hour = |(end, (covered, sum)): (u64, (u64, f64))| {
        (end, sum / covered as f64, covered as f64 / HOUR as f64)
    };
    hours.into_iter().map(hour).collect()
}

/// The last regression that the rule tells: n, R2, slope, intercept.
fn regression(reference: &[(u64, f64)], hours: &[(u64, f64, f64)]) -> [f64; 4] {
    let mut lab = lab();
    lab.asset("station", "reference_station", &[]);
    lab.asset("box", "sensor_box", &[])
        .relate("box", "calibrated_by", "station");
    let station =
        |(end, mean): &(u64, f64)| (*end, Row::window("station", "pm2_5", 3600, *mean, *end));
    let own = |(end, mean, coverage): &(u64, f64, f64)| {
        (
            *end,
            Row::window("box", "pm2_5", 3600, *mean, *end).coverage(*coverage),
        )
    };
    let mut rows: Vec<(u64, Row)> = reference.iter().map(station).collect();
    rows.extend(hours.iter().map(own));
    rows.sort_by_key(|(end, _)| *end);
    let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    let said = lab.in_batches(256, &rows);
    let last = |metric: &str| {
        said.iter()
            .rev()
            .find_map(|said: &Said| said.derived(metric))
            .unwrap()
    };
    ["n", "r2", "slope", "intercept"].map(|what| last(&format!("calibration_{what}")))
}

fn assert_near(got: [f64; 4], want: [f64; 4]) {
    let steps = [0.5, 0.0005, 0.0005, 0.005];
    for ((got, want), step) in got.into_iter().zip(want).zip(steps) {
        assert!((got - want).abs() <= step, "{got} is not {want}");
    }
}

#[test]
fn two_sensors_in_aberdeen_have_the_regressions_known_for_them() {
    let Some(folder) = folder() else { return };
    let reference = reference(&folder);
    for (sensor, want) in [
        ("8554", [1039.0, 0.697, 1.013, 2.50]),
        ("5331", [1217.0, 0.671, 0.875, 2.74]),
    ] {
        let hours = counted(&readings(&folder, sensor));
        assert_near(regression(&reference, &hours), want);
    }
}

/// A node weighs readings by what they cover, so that its pairs are some others: 1035 and 1214. The
/// figures were computed apart, by another program.
#[test]
fn the_windows_of_a_node_give_the_same_to_two_percent() {
    let Some(folder) = folder() else { return };
    let reference = reference(&folder);
    for (sensor, want) in [
        ("8554", [1035.0, 0.6965, 1.0148, 2.499]),
        ("5331", [1214.0, 0.6675, 0.8718, 2.758]),
    ] {
        let hours = covered(&readings(&folder, sensor));
        assert_near(regression(&reference, &hours), want);
    }
}
