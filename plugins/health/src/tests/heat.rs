//! Humidex, hot days, tropical nights, bands of the UTCI.

use quartier_sdk::prelude::Severity;
use quartier_sdk::testing::{Lab, Row, Said, values};

use super::{alerts, at, derived, hour, lab};
use crate::Health;
use crate::clock::HOUR;
use crate::heat::humidex;

#[test]
fn humidex_is_that_of_the_published_table() {
    // Environment Canada's examples: dew point 15 Cel (39.9 % at 30 Cel) 34, 25 Cel (74.6 %) 42.
    assert_eq!(humidex(30.0, 39.9).round(), 34.0);
    assert_eq!(humidex(30.0, 74.6).round(), 42.0);
    assert!((humidex(30.0, 70.0) - 40.907).abs() < 1e-3);
}

#[test]
fn humidex_is_said_once_both_halves_of_an_hour_are_there_whichever_comes_first() {
    let t = at(2026, 7, 1, 12);
    for swap in [false, true] {
        let mut lab = lab();
        let mut rows = [hour("temperature", 30.0, t), hour("humidity", 70.0, t)];
        if swap {
            rows.reverse();
        }
        let [first, second] = rows;
        assert_eq!(values(&lab.row(first), "humidex"), [0.0; 0]);
        let said = lab.row(second);
        assert_eq!(derived(&said, "humidex").len(), 1);
        assert_eq!(derived(&said, "humidex")[0].0, t);
    }
}

#[test]
fn there_is_no_humidex_of_cold_or_thinly_covered_air_or_of_two_hours() {
    let t = at(2026, 7, 1, 12);
    let pair = |temperature: Row, humidity: Row| {
        let mut lab = lab();
        lab.row(temperature);
        values(&lab.row(humidity), "humidex").len()
    };
    let warm = hour("temperature", 20.0, t);
    assert_eq!(pair(warm.clone(), hour("humidity", 70.0, t)), 1);
    assert_eq!(
        pair(hour("temperature", 19.9, t), hour("humidity", 70.0, t)),
        0
    );
    assert_eq!(
        pair(warm.clone().coverage(0.7), hour("humidity", 70.0, t)),
        0
    );
    assert_eq!(
        pair(warm.clone(), hour("humidity", 70.0, t).coverage(0.7)),
        0
    );
    assert_eq!(pair(warm, hour("humidity", 70.0, t + HOUR)), 0);
}

#[test]
fn a_day_is_hot_from_30_degrees_on_and_not_hot_only_with_enough_data() {
    let day = |highest: f64, coverage: f64| {
        let end = at(2026, 7, 1, 22);
        let row = Row::window("street", "temperature", 86_400, 25.0, end);
        let row = row.values(18.0, highest, 20.0).coverage(coverage);
        values(&lab().row(row), "hot_day")
    };
    assert_eq!(day(30.0, 1.0), [1.0]);
    assert_eq!(day(29.9, 1.0), [0.0]);
    assert_eq!(day(30.0, 0.2), [1.0], "one hour at 30 degrees is enough");
    assert_eq!(day(29.9, 0.7), [0.0; 0], "insufficient data");
}

/// Hours that end 19:00 UTC and so on, by the lowest temperature of each.
fn night(lab: &mut Lab<Health>, lowest: &[f64]) -> Vec<Said> {
    let row = |(n, lowest): (u64, &f64)| {
        let end = at(2026, 7, 1, 18) + n * HOUR;
        hour("temperature", 25.0, end).values(*lowest, 28.0, 25.0)
    };
    (1..)
        .zip(lowest)
        .map(row)
        .flat_map(|row| lab.row(row))
        .collect()
}

#[test]
fn a_night_is_tropical_where_its_lowest_temperature_is_20_degrees() {
    let end = at(2026, 7, 2, 6);
    let said = night(&mut lab(), &[20.0; 12]);
    assert_eq!(derived(&said, "tropical_night"), [(end, 1.0)]);
    let mut cooler = [22.0; 12];
    cooler[11] = 19.9;
    let said = night(&mut lab(), &cooler);
    assert_eq!(derived(&said, "tropical_night"), [(end, 0.0)]);
}

#[test]
fn a_night_with_eight_warm_hours_is_insufficient_data_and_said_by_noon() {
    let by_noon = |lowest: &[f64]| {
        let mut lab = lab();
        night(&mut lab, lowest);
        let noon = lab.row(hour("temperature", 30.0, at(2026, 7, 2, 12)));
        derived(&noon, "tropical_night")
    };
    let end = at(2026, 7, 2, 6);
    assert_eq!(by_noon(&[22.0; 8]), []);
    assert_eq!(by_noon(&[22.0; 9]), [(end, 1.0)]);
    assert_eq!(by_noon(&[22.0, 19.0]), [(end, 0.0)]);
}

#[test]
fn hours_of_the_day_have_no_part_in_a_night() {
    let mut lab = lab();
    lab.row(hour("temperature", 10.0, at(2026, 7, 1, 18)));
    let said = night(&mut lab, &[21.0; 12]);
    assert_eq!(values(&said, "tropical_night"), [1.0]);
}

#[test]
fn utci_is_banded_where_it_is_reported_and_never_more_than_an_info() {
    let mut lab = lab();
    let t = at(2026, 7, 1, 0);
    let mut said = Vec::new();
    for (n, utci) in (1..).zip([26.0, 26.0, 33.0, 33.0, 47.0, 47.0, 20.0, 20.0, 20.0]) {
        said.extend(lab.row(hour("utci", utci, t + n * HOUR)));
    }
    let expected = [
        ("utci_heat", 2, true),
        ("utci_heat", 4, true),
        ("utci_heat", 4, false),
    ];
    assert_eq!(alerts(&said), expected);
    for said in &said {
        if let Said::Raised { severity, text, .. } = said {
            assert_eq!(*severity, Severity::Info);
            assert!(text.starts_with("indicator: "), "{text}");
        }
    }
}
