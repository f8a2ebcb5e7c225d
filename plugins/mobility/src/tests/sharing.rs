//! Feeds that are stale.

use quartier_sdk::testing::{Said, values};

use super::{T0, lab};

const MINUTE: u64 = 60_000;

#[test]
fn a_feed_is_stale_after_five_minutes_and_fresh_with_the_next_report() {
    let mut lab = lab();
    lab.asset("s", "bike_station", &[]);
    lab.reading("s", "vehicles_available", 3.0, T0);
    assert_eq!(values(&lab.tick(T0 + 300_000), "feed_stale"), [0.0]);
    assert_eq!(values(&lab.tick(T0 + 301_000), "feed_stale"), [1.0]);
    assert_eq!(
        values(&lab.tick(T0 + 302_000), "feed_stale"),
        [0.0; 0],
        "told once"
    );
    lab.reading("s", "docks_available", 9.0, T0 + 310_000);
    assert_eq!(values(&lab.tick(T0 + 311_000), "feed_stale"), [0.0]);
}

#[test]
fn the_newest_station_speaks_for_its_system() {
    let mut lab = lab();
    lab.asset("system", "bike_sharing", &[]);
    for station in ["a", "b"] {
        lab.asset(station, "bike_station", &[])
            .relate(station, "part_of", "system");
        lab.reading(station, "vehicles_available", 3.0, T0);
    }
    lab.reading("b", "vehicles_available", 2.0, T0 + 5 * MINUTE);
    let said = lab.tick(T0 + 6 * MINUTE);
    let [Said::Derived { asset, value, .. }] = said.as_slice() else {
        panic!("{said:?}")
    };
    assert_eq!((asset.as_str(), *value), ("system", 0.0));
}

#[test]
fn the_alert_comes_with_the_second_tick_and_goes_with_the_third_fresh_one() {
    let mut lab = lab();
    lab.asset("s", "bike_station", &[]);
    lab.reading("s", "vehicles_available", 3.0, T0);
    let mut alerts = Vec::new();
    let mut tick = |lab: &mut quartier_sdk::testing::Lab<crate::Mobility>, minute: u64| {
        let said = lab.survives_restart().tick(T0 + minute * MINUTE);
        alerts.extend(
            said.iter()
                .filter_map(|s| s.alert("feed_stale"))
                .map(|up| (minute, up)),
        );
    };
    for minute in 1..=8 {
        tick(&mut lab, minute);
    }
    for minute in 9..=12 {
        lab.reading("s", "vehicles_available", 3.0, T0 + minute * MINUTE);
        tick(&mut lab, minute);
    }
    assert_eq!(alerts, [(7, true), (11, false)]);
}
