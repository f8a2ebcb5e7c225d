//! Recorded load: a year of 15-minute means, and standard load profiles.

use std::fs;
use std::path::{Path, PathBuf};

use quartier_energy::holidays::DayClass;
use quartier_energy::time::{date_of, day_of, day_span};
use quartier_sdk::testing::{Said, values};

use crate::{QUARTER, derived, lab};

fn data(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/load")
        .join(file);
    if !path.is_file() {
        eprintln!("SKIPPED: there is no {}", path.display());
        return None;
    }
    Some(path)
}

/// P and Q of the year 2018, relative to the rated power; a row is stamped at its start, in
/// Central European Time the year round.
fn year() -> Option<Vec<(u64, f64, f64)>> {
    let text = fs::read_to_string(data("simbench_G0_15min_2018.csv")?).unwrap();
    let start = day_of(2018, 1, 1) as u64 * 86_400_000 - 3_600_000;
    let row = |(i, line): (usize, &str)| {
        let mut fields = line
            .split(';')
            .skip(1)
            .map(|field| field.trim().parse::<f64>().unwrap());
        let (p, q) = (fields.next().unwrap(), fields.next().unwrap());
        (start + (i as u64 + 1) * QUARTER, p, q)
    };
    Some(text.lines().skip(1).enumerate().map(row).collect())
}

#[test]
fn a_recorded_year_gives_its_own_peaks_and_loading() {
    let Some(rows) = year() else { return };
    assert_eq!(rows.len(), 35_040);
    let mut lab = lab();
    lab.asset("f", "feeder", &[("rated_kva", "400")]);
    let mut said: Vec<Said> = Vec::new();
    for (end, p, q) in &rows {
        said.extend(lab.window("f", "active_power", 900, 400.0 * p, *end));
        said.extend(lab.window("f", "reactive_power", 900, 400.0 * q, *end));
    }
    let highest = rows.iter().map(|(_, p, _)| 400.0 * p).fold(0.0, f64::max);
    let peaks = values(&said, "peak_load");
    assert_eq!(peaks.iter().copied().fold(0.0, f64::max), highest);
    let loading = values(&said, "load_factor");
    let expected = rows.iter().map(|(_, p, q)| 100.0 * (p * p + q * q).sqrt());
    assert_eq!(loading.len(), rows.len());
    assert!(
        loading
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() < 1e-9)
    );
    assert_eq!(
        values(&said, "load_substituted"),
        [0.0; 0],
        "nothing is missing"
    );
}

/// Cuts a day out of every other week of the recorded year and looks how far the substitutes are
/// from what was there.
#[test]
fn substitutes_of_recorded_load_are_closer_than_the_mean_of_all_values() {
    let Some(rows) = year() else { return };
    let mut lab = lab();
    lab.asset("f", "feeder", &[]);
    let cut = |i: usize| i > 30 * 96 && (i / 96) % 14 == 3 && i % 96 < 80;
    let mut said: Vec<Said> = Vec::new();
    for (_, (end, p, _)) in rows.iter().enumerate().filter(|(i, _)| !cut(*i)) {
        said.extend(lab.window("f", "active_power", 900, *p, *end));
    }
    let all = rows.iter().map(|(_, p, _)| p).sum::<f64>() / rows.len() as f64;
    let (mut ours, mut flat, mut count) = (0.0, 0.0, 0);
    let profile: std::collections::BTreeMap<u64, f64> = said
        .iter()
        .filter_map(|said| match said {
            Said::Derived {
                metric,
                value,
                time_ms,
                ..
            } if metric == "load_profile" => Some((*time_ms, *value)),
            _ => None,
        })
        .collect();
    assert_eq!(
        profile.len(),
        rows.len(),
        "no quarter of an hour is left open"
    );
    for (_, (end, p, _)) in rows.iter().enumerate().filter(|(i, _)| cut(*i)) {
        ours += (profile[end] - p).abs();
        flat += (all - p).abs();
        count += 1;
    }
    assert_eq!(
        derived(&said, "load_substituted")
            .iter()
            .filter(|(_, flag)| *flag == 2.0)
            .count(),
        count
    );
    assert!(ours < 0.8 * flat, "{ours} {flat} over {count}");
}

/// A standard load profile repeats by class of day within a month, so that a substitute equals
/// what was there.
#[test]
fn substitutes_of_a_standard_load_profile_are_the_profile() {
    let Some(path) = data("bdew_g25.csv") else {
        return;
    };
    let text = fs::read_to_string(path).unwrap();
    let table: Vec<Vec<f64>> = text
        .lines()
        .skip(2)
        .map(|line| {
            line.split(',')
                .skip(1)
                .map(|field| field.parse().unwrap())
                .collect()
        })
        .collect();
    assert_eq!(table.len(), 96);
    let value = |day: i64, slot: usize| {
        let class = match DayClass::of(day) {
            DayClass::Saturday => 0,
            DayClass::Sunday => 1,
            DayClass::Workday => 2,
        };
        let month = date_of(day).1 as usize - 1;
        table[slot][month * 3 + class]
    };
    let mut lab = lab();
    lab.asset("m", "meter", &[]);
    let (first, last) = (day_of(2026, 11, 1), day_of(2026, 11, 30));
    let mut found = std::collections::BTreeMap::new();
    for day in first..=last {
        // 18 November is Buß- und Bettag, a Wednesday; 23 November a Monday.
        let gone = |slot: usize| {
            [day_of(2026, 11, 18), day_of(2026, 11, 23)].contains(&day) && (10..80).contains(&slot)
        };
        for slot in (0..96).filter(|slot| !gone(*slot)) {
            let end = day_span(day).start + (slot as u64 + 1) * QUARTER;
            for said in lab.window("m", "active_power", 900, value(day, slot), end) {
                if let Said::Derived {
                    metric,
                    value,
                    time_ms,
                    ..
                } = said
                    && metric == "load_profile"
                {
                    found.insert(time_ms, value);
                }
            }
        }
    }
    for day in first..=last {
        for slot in 0..96 {
            let end = day_span(day).start + (slot as u64 + 1) * QUARTER;
            let (found, expected) = (found[&end], value(day, slot));
            assert!(
                (found - expected).abs() < 1e-9,
                "{:?} {slot}: {found} {expected}",
                date_of(day)
            );
        }
    }
}
