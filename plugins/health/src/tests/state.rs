//! The state: the same however rows are cut into batches, whole after a restart; and the manifest.

use quartier_sdk::testing::{Lab, Row};

use super::{alerts, at, lab};
use crate::Health;
use crate::clock::{DAY, HOUR};

/// A street with everything, and a tree.
fn street() -> Lab<Health> {
    let mut lab = lab();
    lab.asset(
        "street",
        "room",
        &[("ta_laerm", "mixed"), ("traffic_noise", "mixed")],
    );
    lab.asset("tree", "city_tree", &[]);
    lab.relate("tree", "measured_by", "street");
    lab
}

/// Some days of all streams, in the order in which their windows close.
fn rows() -> Vec<Row> {
    let begin = at(2026, 12, 29, 23);
    let wave = |n: u64, phase: u64, top: f64| top * ((n + phase) % 12) as f64 / 11.0;
    let mut rows = Vec::new();
    for n in 1..=96 {
        let end = begin + n * HOUR;
        let streams = [
            ("co2", 600, wave(n, 1, 2500.0)),
            ("humidity", 3600, 60.0),
            ("laeq", 3600, 40.0 + wave(n, 2, 40.0)),
            ("no2", 3600, wave(n, 3, 600.0)),
            ("o3", 3600, wave(n, 4, 260.0)),
            ("o3", 28_800, wave(n, 5, 140.0)),
            ("pm10", 3600, wave(n, 6, 160.0)),
            ("temperature", 3600, 15.0 + wave(n, 7, 18.0)),
            ("utci", 3600, wave(n, 8, 50.0)),
        ];
        for (metric, span_s, mean) in streams {
            rows.push(Row::window("street", metric, span_s, mean, end));
        }
        if end % DAY == 23 * HOUR {
            rows.push(Row::window("street", "pm10", 86_400, 55.0, end));
        }
    }
    rows
}

#[test]
fn how_rows_are_cut_into_batches_and_restarts_change_nothing() {
    let said = street().same_in_all_cuts(&rows());
    let topics: Vec<_> = alerts(&said).iter().map(|alert| alert.0).collect();
    for topic in [
        "eaqi_poor",
        "no2_alarm",
        "ta_laerm_night",
        "utci_heat",
        "co2_indoor",
        "no2_hours",
    ] {
        assert!(topics.contains(&topic), "{topic}: {topics:?}");
    }
}

#[test]
fn a_year_of_one_station_is_kept_in_less_than_two_kilobytes() {
    let mut lab = lab();
    for n in 1..=8784 {
        let end = at(2023, 12, 31, 23) + n * HOUR;
        for metric in [
            "pm2_5",
            "pm10",
            "no2",
            "o3",
            "so2",
            "temperature",
            "humidity",
        ] {
            lab.row(Row::window("street", metric, 3600, 100.0, end));
        }
        lab.row(Row::window("street", "o3", 28_800, 100.0, end));
    }
    let size = lab.snapshot().len();
    assert!(size < 2048, "{size} bytes");
}

#[test]
fn a_missing_or_senseless_number_is_named() {
    let mut lab = lab();
    lab.set("clear_after", "soon");
    let error = lab.start().unwrap_err().to_string();
    assert!(
        error.contains("clear_after") && error.contains("soon"),
        "{error}"
    );
}
