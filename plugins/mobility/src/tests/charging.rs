//! Charging points by OCPI status.

use quartier_sdk::prelude::Quality;
use quartier_sdk::testing::{Lab, Row, Said, values};

use super::{T0, lab};
use crate::Mobility;
use crate::charging::Use;

fn site(points: &[&str]) -> Lab<Mobility> {
    let mut lab = lab();
    lab.asset("site", "charging_site", &[]);
    for point in points {
        lab.asset(point, "evse", &[])
            .relate(point, "part_of", "site");
    }
    lab
}

fn counts(said: &[Said]) -> [Vec<f64>; 4] {
    ["free", "busy", "down", "unknown"].map(|what| values(said, &format!("charging_points_{what}")))
}

#[test]
fn every_status_of_ocpi_has_its_meaning_and_others_have_none() {
    use Use::{Busy, Down, Free, LeftOut, Unknown};
    let meanings = [
        Free, Busy, Busy, Down, Down, LeftOut, LeftOut, Busy, Unknown,
    ];
    for (code, meaning) in (1..).zip(meanings) {
        assert_eq!(Use::of(f64::from(code)), meaning, "{code}");
    }
    for odd in [0.0, 1.5, 10.0, -1.0, f64::NAN] {
        assert_eq!(Use::of(odd), Unknown, "{odd}");
    }
}

#[test]
fn a_site_has_the_counts_of_its_points() {
    let mut lab = site(&["a", "b", "c", "d"]);
    for (point, status) in [("a", 1.0), ("b", 3.0), ("c", 5.0), ("d", 7.0)] {
        assert_eq!(lab.reading(point, "charging_state", status, T0), []);
    }
    let said = lab.tick(T0 + 60_000);
    assert_eq!(counts(&said), [[1.0], [1.0], [1.0], [0.0]]);
    let at = |said: &Said| matches!(said, Said::Derived { asset, time_ms, .. } if asset == "site" && *time_ms == T0);
    assert!(said.iter().all(at), "{said:?}");
    assert_eq!(lab.tick(T0 + 120_000), [], "nothing changed");
}

#[test]
fn a_point_that_never_spoke_or_spoke_nonsense_is_unknown() {
    let mut lab = site(&["a", "b", "c"]);
    assert_eq!(lab.tick(T0), [], "nobody said anything");
    lab.reading("a", "charging_state", 1.0, T0);
    lab.row(Row::reading("b", "charging_state", 42.0, T0).quality(Quality::Bad));
    let said = lab.tick(T0 + 1);
    assert_eq!(counts(&said), [[1.0], [0.0], [0.0], [2.0]]);
}

#[test]
fn a_point_that_is_gone_counts_no_more() {
    let mut lab = site(&["a", "b"]);
    lab.reading("a", "charging_state", 1.0, T0);
    lab.reading("b", "charging_state", 1.0, T0);
    lab.tick(T0);
    lab.survives_restart();
    lab.remove("b");
    assert_eq!(counts(&lab.tick(T0 + 1)), [[1.0], [0.0], [0.0], [0.0]]);
}
