//! The rule without a node. `cargo test`

use quartier_sdk::testing::{Lab, Said};

use super::{Dust, HOUR_MS};

fn lab() -> Lab<Dust> {
    let mut lab = Lab::new(include_str!("../manifest.toml"));
    lab.unit("pm10", "ug/m3").unit("pm10_24h", "ug/m3");
    lab.asset("box-1", "sensor_box", &[]);
    lab
}

/// What the rule says to hourly means, one hour after the other.
fn said(lab: &mut Lab<Dust>, means: &[f64]) -> Vec<Said> {
    let hours = means.iter().zip(1..);
    hours
        .flat_map(|(mean, hour)| lab.window("box-1", "pm10", 3600, *mean, hour * HOUR_MS))
        .collect()
}

#[test]
fn one_bad_hour_is_not_an_alert() {
    assert_eq!(said(&mut lab(), &[51.0, 49.0, 51.0]), []);
}

#[test]
fn two_bad_hours_in_a_row_raise_and_three_good_ones_clear() {
    let said = said(&mut lab(), &[51.0, 52.0, 60.0, 44.0, 44.0, 44.0]);
    let [Said::Raised { value: raised, .. }, Said::Cleared { value: cleared, .. }] = &said[..] else {
        panic!("{said:?}");
    };
    assert_eq!((*raised, *cleared), (52.0, 44.0));
}

#[test]
fn the_mean_of_a_day_needs_eighteen_hours() {
    let mut lab = lab();
    assert_eq!(said(&mut lab, &[10.0; 17]), []);
    let said = lab.window("box-1", "pm10", 3600, 28.0, 18 * HOUR_MS);
    let [Said::Derived { metric, value, .. }] = &said[..] else {
        panic!("{said:?}");
    };
    assert_eq!((metric.as_str(), *value), ("pm10_24h", 11.0));
    lab.survives_restart();
}
