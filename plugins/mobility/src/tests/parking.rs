//! Occupancy and stale capacity.

use quartier_sdk::testing::{Row, Said, values};

use super::{T0, lab};
use crate::parking::judge;

const MINUTE: u64 = 60_000;

fn alerts(said: &[Said], topic: &str) -> Vec<bool> {
    said.iter().filter_map(|said| said.alert(topic)).collect()
}

#[test]
fn more_free_spaces_than_the_capacity_are_flagged_and_not_clamped() {
    let judged = judge(490.0, 400.0);
    assert_eq!(judged.occupancy, Some(-22.5));
    assert!(judged.stale);
    assert!(!judge(400.0, 400.0).stale, "empty is not stale");
    assert_eq!(judge(0.0, 400.0).occupancy, Some(100.0));
}

#[test]
fn a_capacity_of_nothing_gives_no_occupancy_but_is_flagged() {
    let judged = judge(3.0, 0.0);
    assert_eq!((judged.occupancy, judged.free_share), (None, None));
    assert!(judged.stale);
}

#[test]
fn the_capacity_comes_from_the_attribute_until_a_reading_says_otherwise() {
    let mut lab = lab();
    lab.asset("p", "car_park", &[("capacity", "100")]);
    let said = lab.reading("p", "parking_free", 25.0, T0);
    assert_eq!(values(&said, "parking_occupancy"), [75.0]);
    let said = lab.reading("p", "parking_capacity", 50.0, T0);
    assert_eq!(values(&said, "parking_occupancy"), [50.0], "corrected");
    let said = lab.reading("p", "parking_capacity", 50.0, T0 + 1);
    assert_eq!(said, [], "nothing new");
}

#[test]
fn a_car_park_without_a_capacity_has_no_occupancy() {
    let mut lab = lab();
    lab.asset("p", "car_park", &[]);
    assert_eq!(lab.reading("p", "parking_free", 25.0, T0), []);
    let said = lab.reading("p", "parking_capacity", 100.0, T0);
    let Some(Said::Derived { value, time_ms, .. }) = said.first() else {
        panic!("{said:?}")
    };
    assert_eq!(
        (*value, *time_ms),
        (75.0, T0),
        "of the time of the free spaces"
    );
}

#[test]
fn a_bad_reading_is_none() {
    let mut lab = lab();
    lab.asset("p", "car_park", &[("capacity", "100")]);
    let bad =
        Row::reading("p", "parking_free", -5.0, T0).quality(quartier_sdk::prelude::Quality::Bad);
    assert_eq!(lab.row(bad), []);
}

#[test]
fn a_stale_capacity_alerts_with_the_second_reading_and_clears_with_the_third_well_below() {
    let mut lab = lab();
    lab.asset("p", "car_park", &[("capacity", "100")]);
    let rows: Vec<Row> = [110.0, 110.0, 89.0, 89.0, 95.0, 89.0, 89.0, 89.0]
        .into_iter()
        .zip(0..)
        .map(|(free, n)| Row::reading("p", "parking_free", free, T0 + n * MINUTE))
        .collect();
    let said = lab.same_in_all_cuts(&rows);
    assert_eq!(alerts(&said, "parking_capacity_stale"), [true, false]);
    let text = said.iter().find_map(|said| match said {
        Said::Raised { text, .. } => Some(text.as_str()),
        _ => None,
    });
    let expected = "110 spaces free of 100 that the car park is said to have";
    assert_eq!(text, Some(expected));
    let flags = values(&said, "parking_capacity_stale");
    assert_eq!(flags, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn a_reading_whose_capacity_is_corrected_counts_once() {
    let mut lab = lab();
    lab.asset("p", "car_park", &[("capacity", "100")]);
    lab.reading("p", "parking_free", 110.0, T0);
    let said = lab.reading("p", "parking_capacity", 105.0, T0);
    assert_eq!(alerts(&said, "parking_capacity_stale"), []);
    let said = lab.reading("p", "parking_free", 110.0, T0 + MINUTE);
    assert_eq!(alerts(&said, "parking_capacity_stale"), [true]);
}

#[test]
fn a_full_car_park_is_told() {
    let mut lab = lab();
    lab.asset("p", "car_park", &[("capacity", "100")]);
    lab.reading("p", "parking_free", 5.0, T0);
    lab.survives_restart();
    let said = lab.reading("p", "parking_free", 5.0, T0 + MINUTE);
    assert_eq!(alerts(&said, "car_park_full"), [true]);
}
