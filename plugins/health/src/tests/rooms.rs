//! Carbon dioxide in rooms.

use quartier_sdk::prelude::Severity;
use quartier_sdk::testing::{Lab, Row, Said};

use super::{T0, alerts, lab};
use crate::Health;

fn co2(asset: &str, number: u64, ppm: f64) -> Row {
    Row::window(asset, "co2", 600, ppm, T0 + number * 600_000)
}

fn room() -> Lab<Health> {
    let mut lab = lab();
    lab.asset("class", "room", &[]);
    lab
}

#[test]
fn from_1000_ppm_on_a_room_is_to_be_aired_and_above_2000_it_is_unacceptable() {
    let mut lab = room();
    let mut at = |number, ppm| lab.row(co2("class", number, ppm));
    assert_eq!(alerts(&at(0, 1000.0)), []);
    let said = at(1, 1000.0);
    let [
        Said::Raised {
            code,
            severity,
            text,
            ..
        },
    ] = &said[..]
    else {
        panic!("{said:?}")
    };
    assert_eq!((*code, *severity), (1, Severity::Warning));
    assert_eq!(text, "CO2 1000 ppm, from 1000 ppm: air the room");
    assert_eq!(alerts(&at(2, 2000.0)), []);
    assert_eq!(alerts(&at(3, 2001.0)), []);
    assert_eq!(alerts(&at(4, 2001.0)), [("co2_indoor", 2, true)]);
    assert_eq!(alerts(&at(5, 950.0)), []);
    assert_eq!(alerts(&at(6, 950.0)), []);
    assert_eq!(alerts(&at(7, 950.0)), [("co2_indoor", 1, true)]);
    assert_eq!([at(8, 899.0).len(), at(9, 899.0).len()], [0, 0]);
    assert_eq!(alerts(&at(10, 899.0)), [("co2_indoor", 1, false)]);
}

#[test]
fn a_thinly_covered_window_neither_raises_nor_clears() {
    let mut lab = room();
    lab.row(co2("class", 0, 1500.0));
    lab.row(co2("class", 1, 1500.0).coverage(0.74));
    assert_eq!(lab.row(co2("class", 2, 1500.0)), []);
}

#[test]
fn only_rooms_are_judged_by_kind_or_attribute() {
    let mut lab = room();
    lab.asset("hall", "sensor_box", &[("indoor", "true")]);
    let mut twice = |asset| {
        lab.row(co2(asset, 0, 1500.0));
        lab.row(co2(asset, 1, 1500.0)).len()
    };
    assert_eq!((twice("class"), twice("hall"), twice("street")), (1, 1, 0));
}
