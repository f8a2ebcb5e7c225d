//! Fans of city trees.

use quartier_sdk::testing::{Lab, Row, Said};

use super::{T0, lab};
use crate::Health;
use crate::clock::HOUR;

/// A tree that is measured by the box in the street.
fn tree() -> Lab<Health> {
    let mut lab = lab();
    lab.asset("tree", "city_tree", &[]);
    lab.relate("tree", "measured_by", "street");
    lab
}

fn hour(asset: &str, metric: &str, number: u64, mean: f64) -> Row {
    Row::window(asset, metric, 3600, mean, T0 + number * HOUR)
}

/// Asset and speed of what was commanded.
fn fans(said: &[Said]) -> Vec<(&str, f64)> {
    let fan = |said: &'_ Said| match said {
        Said::Command { arg, .. } => Some(*arg),
        _ => None,
    };
    said.iter()
        .filter_map(|said| Some((said.asset(), fan(said)?)))
        .collect()
}

#[test]
fn particles_past_the_level_make_the_fan_fast_and_two_hours_well_below_slow() {
    let mut lab = tree();
    let mut at = |number, mean| lab.row(hour("street", "pm10", number, mean));
    assert_eq!(fans(&at(0, 45.0)), []);
    assert_eq!(fans(&at(1, 46.0)), [("tree", 100.0)]);
    assert_eq!(fans(&at(2, 60.0)), [], "said once");
    assert_eq!(fans(&at(3, 35.0)), []);
    assert_eq!(fans(&at(4, 36.0)), [], "36 is not below 45 by a fifth");
    assert_eq!(fans(&at(5, 35.0)), []);
    assert_eq!(fans(&at(6, 35.0)), [("tree", 20.0)]);
}

#[test]
fn the_fan_is_slow_only_once_no_pollutant_and_no_sensor_is_past_its_level() {
    let mut lab = tree();
    lab.asset("yard", "sensor_box", &[]);
    lab.relate("tree", "measured_by", "yard");
    let mut at = |asset, metric, n, mean| {
        let said = lab.row(hour(asset, metric, n, mean));
        fans(&said).first().map(|fan| fan.1)
    };
    assert_eq!(at("street", "pm2_5", 0, 26.0), Some(100.0));
    assert_eq!(at("yard", "pm10", 0, 46.0), None);
    assert_eq!(
        [at("street", "pm2_5", 1, 5.0), at("street", "pm2_5", 2, 5.0)],
        [None; 2]
    );
    assert_eq!(
        [at("yard", "pm10", 1, 5.0), at("yard", "pm10", 2, 5.0)],
        [None, Some(20.0)]
    );
}

#[test]
fn a_tree_with_a_sensor_of_its_own_is_commanded_and_others_are_not() {
    let mut lab = tree();
    lab.asset("far", "city_tree", &[]);
    lab.asset("bench", "bench", &[]);
    lab.relate("bench", "measured_by", "street");
    assert_eq!(
        fans(&lab.row(hour("far", "pm2_5", 0, 30.0))),
        [("far", 100.0)]
    );
    assert_eq!(
        fans(&lab.row(hour("street", "pm2_5", 0, 30.0))),
        [("tree", 100.0)]
    );
    assert_eq!(fans(&lab.row(hour("bench", "pm2_5", 0, 30.0))), []);
}

#[test]
fn a_command_expires_and_each_intent_has_a_key_of_its_own() {
    let mut lab = tree();
    let mut keys = Vec::new();
    for (number, mean) in [(0, 50.0), (1, 5.0), (2, 5.0), (3, 50.0)] {
        for said in lab.row(hour("street", "pm10", number, mean)) {
            if let Said::Command {
                expires_ms,
                dedup_key,
                ..
            } = said
            {
                assert_eq!(expires_ms, T0 + (number + 3) * HOUR);
                keys.push(dedup_key);
            }
        }
    }
    assert_eq!(keys.len(), 3);
    keys.dedup();
    assert_eq!(keys.len(), 3);
}

#[test]
fn a_fan_that_no_sensor_speaks_for_any_more_is_slowed_down_by_the_clock() {
    let mut lab = tree();
    lab.row(hour("street", "pm10", 0, 50.0));
    lab.row(hour("street", "pm10", 1, 50.0).coverage(0.5));
    assert_eq!(lab.tick(T0 + 3 * HOUR), []);
    assert_eq!(fans(&lab.tick(T0 + 3 * HOUR + 1)), [("tree", 20.0)]);
    assert_eq!(lab.tick(T0 + 4 * HOUR), [], "said once");
    let thin = hour("street", "pm10", 8, 50.0).coverage(0.5);
    assert_eq!(
        fans(&lab.row(thin)),
        [],
        "what it heard before is forgotten"
    );
    assert_eq!(
        fans(&lab.row(hour("street", "pm10", 9, 50.0))),
        [("tree", 100.0)]
    );
}

#[test]
fn a_tree_forgets_a_sensor_that_is_gone() {
    let mut lab = tree();
    lab.row(hour("street", "pm10", 0, 50.0));
    lab.remove("street");
    let said = lab.row(hour("tree", "pm10", 1, 5.0));
    assert_eq!(fans(&said), [("tree", 20.0)]);
}

#[test]
fn a_tree_that_is_gone_is_commanded_no_more() {
    let mut lab = tree();
    lab.row(hour("street", "pm10", 0, 50.0));
    lab.remove("tree");
    assert_eq!(lab.tick(T0 + 9 * HOUR), []);
    assert_eq!(fans(&lab.row(hour("street", "pm10", 1, 50.0))), []);
}
