//! Sound levels measured in a street: hourly rows against a plain computation from the file.

use std::collections::BTreeMap;

use super::{HOUR, MINUTE, Windows, feed, spans};
use crate::vocabulary::MeanKind;

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../shared/data/noise/laeq_1min.csv"
);

/// The minutes of the file, (end of the minute, dB); stamps are the middle of the minute, and are
/// taken as UTC. `None`: the file is not there.
fn minutes() -> Option<Vec<(i64, f64)>> {
    let mut file = match csv::Reader::from_path(FILE) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("SKIPPED: {FILE}: {error}");
            return None;
        }
    };
    let minutes = file.records().map(|record| {
        let record = record.unwrap();
        let stamp: jiff::civil::DateTime = record[0].replace(' ', "T").parse().unwrap();
        let middle = stamp.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
        (
            middle.as_millisecond() + MINUTE / 2,
            record[1].parse().unwrap(),
        )
    });
    Some(minutes.collect())
}

fn level(levels: &[f64]) -> f64 {
    let energy: f64 = levels.iter().map(|level| 10f64.powf(level / 10.0)).sum();
    10.0 * (energy / levels.len() as f64).log10()
}

#[test]
fn hourly_levels_and_lden_of_a_measured_street_equal_a_plain_computation() {
    let Some(minutes) = minutes() else { return };
    let mut hours: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for &(end, level) in &minutes {
        hours
            .entry((end + HOUR - 1).div_euclid(HOUR) * HOUR)
            .or_default()
            .push(level);
    }
    let mut windows = Windows::new(5 * MINUTE);
    windows.watch(0, spans(&[3600]), MeanKind::Energetic, Some(MINUTE), "UTC");
    let mut rows = feed(&mut windows, minutes.iter().copied());
    windows.tick(super::LATER.plus(HOUR + 6 * MINUTE), &mut rows);

    assert_eq!(rows.len(), hours.len());
    for row in &rows {
        let levels = &hours[&row.end.0];
        assert!((row.mean - level(levels)).abs() < 1e-9, "{row:?}");
        assert_eq!(row.coverage, levels.len() as f64 / 60.0);
        assert_eq!(row.last, levels[levels.len() - 1]);
    }

    // The published figures are over the whole days of the file; its last day ends at 10:30.
    let whole_days = super::instant("2025-04-01T00:00:00Z");
    let period = |from: i64, to: i64| {
        let within = |end: i64| {
            if end > whole_days {
                return false;
            }
            let hour = (end - 1).div_euclid(HOUR).rem_euclid(24);
            if from < to {
                (from..to).contains(&hour)
            } else {
                hour >= from || hour < to
            }
        };
        let (energy, weight) = rows.iter().filter(|row| within(row.end.0)).fold(
            (0.0, 0.0),
            |(energy, weight), row| {
                (
                    energy + row.coverage * 10f64.powf(row.mean / 10.0),
                    weight + row.coverage,
                )
            },
        );
        10.0 * (energy / weight).log10()
    };
    let (day, evening, night) = (period(6, 18), period(18, 22), period(22, 6));
    let part = |hours: f64, level: f64| hours * 10f64.powf(level / 10.0);
    let sum = part(12.0, day) + part(4.0, evening + 5.0) + part(8.0, night + 10.0);
    let lden = 10.0 * (sum / 24.0).log10();
    let found = [day, evening, night, lden].map(|level| (level * 100.0).round() / 100.0);
    assert_eq!(found, [51.83, 50.48, 48.62, 55.77]);
}
