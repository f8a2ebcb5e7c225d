//! A year of an official station: what is counted equals a plain count over the file.

use std::collections::BTreeMap;

use quartier_sdk::testing::{Lab, Row, Said, values};

use super::{at, data, lab};
use crate::Health;
use crate::clock::{DAY, HOUR};

/// Hourly values by end, milliseconds; the file's clock is Central European Time all year.
type Hours = BTreeMap<u64, f64>;

fn column(file: &std::path::Path, name: &str) -> Hours {
    let mut reader = csv::Reader::from_path(file).unwrap();
    let header = reader.headers().unwrap().clone();
    let place = |name| header.iter().position(|column| column == name).unwrap();
    let (date, time, value) = (place("Datum"), place("Zeit"), place(name));
    let mut hours = Hours::new();
    for record in reader.records() {
        let record = record.unwrap();
        let Ok(value) = record[value].trim().parse::<f64>() else {
            continue;
        };
        if record[time].is_empty() || !value.is_finite() {
            continue;
        }
        let part = |text: &str, range: std::ops::Range<usize>| text[range].parse::<u64>().unwrap();
        let date = &record[date];
        let day = at(part(date, 0..4), part(date, 5..7), part(date, 8..10), 0);
        hours.insert(day + part(&record[time], 0..2) * HOUR - HOUR, value);
    }
    hours
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Values of the hours that end within (`end` - `length`, `end`].
fn within(hours: &Hours, end: u64, length: u64) -> Vec<f64> {
    hours
        .range(end - length + 1..=end)
        .map(|(_, value)| *value)
        .collect()
}

const STREET: &str = "street";
/// Midnight with which 2018 begins.
fn begin() -> u64 {
    at(2017, 12, 31, 23)
}

/// A window of the values that an hour each stands for.
fn window(metric: &str, hours: u64, values: &[f64], end: u64) -> Option<Row> {
    let coverage = values.len() as f64 / hours as f64;
    let row = || Row::window(STREET, metric, (hours * 3600) as u32, mean(values), end);
    (!values.is_empty()).then(|| row().coverage(coverage))
}

/// What is said to windows, and how often a plain count finds each limit passed.
#[derive(Default)]
struct Year {
    said: Vec<Said>,
    expected: BTreeMap<&'static str, f64>,
}

impl Year {
    fn row(&mut self, lab: &mut Lab<Health>, row: Option<Row>) {
        self.said
            .extend(row.into_iter().flat_map(|row| lab.row(row)));
    }

    fn count(&mut self, name: &'static str, above: bool) {
        *self.expected.entry(name).or_default() += f64::from(above);
    }

    fn day(
        &mut self,
        lab: &mut Lab<Health>,
        metric: &str,
        hours: &Hours,
        end: u64,
        over: [(&'static str, f64); 2],
    ) {
        let values = within(hours, end, DAY);
        self.row(lab, window(metric, 24, &values, end));
        for (name, limit) in over {
            self.count(name, values.len() >= 18 && mean(&values) >= limit);
        }
    }

    fn ozone(&mut self, lab: &mut Lab<Health>, hours: &Hours, end: u64) {
        let mut highest = Vec::new();
        for hour in 1..=24 {
            let end = end - DAY + hour * HOUR;
            let values = within(hours, end, 8 * HOUR);
            self.row(lab, window("o3", 8, &values, end));
            if values.len() >= 6 {
                highest.push(mean(&values));
            }
        }
        let top = highest.iter().copied().fold(0.0, f64::max);
        let enough = highest.len() >= 18;
        self.count("o3_days_over_120", enough && top >= 120.5);
        self.count("o3_days_over_100", enough && top >= 100.5);
    }
}

#[test]
fn a_year_of_dresden_nord_has_as_many_days_above_as_a_plain_count_finds() {
    let Some(folder) = data("air_dresden") else {
        return;
    };
    let file = folder.join("nord_2018.csv");
    let (pm10, no2, o3) = (
        column(&file, "PM10_TEOM"),
        column(&file, "NO2"),
        column(&file, "O3"),
    );
    let (mut lab, mut year) = (lab(), Year::default());
    for day in 1..=365 {
        let end = begin() + day * DAY;
        year.ozone(&mut lab, &o3, end);
        let over = [("pm10_days_over_45", 45.5), ("pm10_days_over_50", 50.5)];
        year.day(&mut lab, "pm10", &pm10, end, over);
        let over = [("no2_days_over_25", 25.5), ("no2_days_over_50", 50.5)];
        year.day(&mut lab, "no2", &no2, end, over);
    }
    let last = |name: &&'static str| values(&year.said, name).last().copied().unwrap_or(f64::NAN);
    let found: BTreeMap<_, _> = year
        .expected
        .keys()
        .map(|name| (*name, last(name)))
        .collect();
    assert_eq!(found, year.expected);
    assert!(
        found["pm10_days_over_50"] > 0.0 && found["o3_days_over_120"] > 0.0,
        "{found:?}"
    );
}

#[test]
fn the_mean_of_a_recorded_year_is_that_of_its_hours() {
    let Some(folder) = data("air_dresden") else {
        return;
    };
    let no2 = column(&folder.join("nord_2018.csv"), "NO2");
    let (mut lab, mut year) = (lab(), Year::default());
    for (end, value) in &no2 {
        year.row(&mut lab, window("no2", 1, &[*value], *end));
    }
    year.row(
        &mut lab,
        window("no2", 1, &[9.0], begin() + 365 * DAY + HOUR),
    );
    let hours = within(&no2, begin() + 365 * DAY, 365 * DAY);
    assert!(hours.len() > 7884, "{} hours", hours.len());
    let [found] = values(&year.said, "no2_year_mean")[..] else {
        panic!("one mean");
    };
    assert!((found - mean(&hours)).abs() < 1e-9, "{found}");
}
