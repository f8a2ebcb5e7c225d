//! E1 and E2.

use quartier_energy::Energy;
use quartier_sdk::testing::{Lab, Row, Said};

use crate::{alerts, commands, derived, lab, quarter};

/// A feeder of 100 kVA with a connection of two wallboxes and an EMS, one of a heat pump under
/// direct control, and a public charger.
fn street() -> Lab<Energy> {
    let mut lab = lab();
    lab.asset("feeder", "feeder", &[("rated_kva", "100")])
        .asset("house", "connection_point", &[("ems", "true")])
        .asset("box-1", "wallbox", &[("rated_kw", "11")])
        .asset("box-2", "wallbox", &[("rated_kw", "11")])
        .asset("cottage", "connection_point", &[])
        .asset("pump", "heat_pump", &[("rated_kw", "15")])
        .asset(
            "charger",
            "wallbox",
            &[("rated_kw", "22"), ("public", "true")],
        )
        .relate("feeder", "feeds", "house")
        .relate("feeder", "feeds", "cottage")
        .relate("feeder", "feeds", "charger")
        .relate("house", "connects", "box-1")
        .relate("house", "connects", "box-2")
        .relate("cottage", "feeds", "pump");
    lab
}

fn load(n: u64, kw: f64, kvar: f64) -> [Row; 2] {
    [
        Row::window("feeder", "active_power", 900, kw, quarter(n)),
        Row::window("feeder", "reactive_power", 900, kvar, quarter(n)),
    ]
}

fn feed(lab: &mut Lab<Energy>, n: u64, kw: f64, kvar: f64) -> Vec<Said> {
    load(n, kw, kvar)
        .into_iter()
        .flat_map(|row| lab.row(row))
        .collect()
}

#[test]
fn loading_is_apparent_over_rated_power_once_both_powers_are_there() {
    let mut lab = street();
    let [p, q] = load(1, 60.0, 80.0);
    assert_eq!(derived(&lab.row(q), "load_factor"), []);
    let said = lab.row(p);
    assert_eq!(derived(&said, "apparent_power"), [("feeder", 100.0)]);
    assert_eq!(derived(&said, "load_factor"), [("feeder", 100.0)]);
}

#[test]
fn the_second_quarter_past_80_percent_warns_and_the_third_below_72_clears() {
    let mut lab = street();
    let mut at = |n, kw| {
        let said = feed(&mut lab, n, kw, 0.0);
        let found = alerts(&said)
            .into_iter()
            .map(|(_, _, code, raise)| (code, raise));
        found.collect::<Vec<_>>()
    };
    assert_eq!((at(1, 85.0), at(2, 85.0)), (vec![], vec![(1, true)]));
    assert_eq!((at(3, 105.0), at(4, 105.0)), (vec![], vec![(2, true)]));
    assert_eq!(
        (at(5, 85.0), at(6, 85.0), at(7, 85.0)),
        (vec![], vec![], vec![(1, true)])
    );
    assert_eq!(
        (at(8, 75.0), at(9, 71.0), at(10, 71.0)),
        (vec![], vec![], vec![])
    );
    assert_eq!(at(11, 71.0), [(1, false)]);
}

#[test]
fn a_missing_or_thin_quarter_breaks_the_count() {
    let mut lab = street();
    feed(&mut lab, 1, 105.0, 0.0);
    assert_eq!(alerts(&feed(&mut lab, 3, 105.0, 0.0)), []);
    let [p, q] = load(4, 105.0, 0.0);
    lab.row(p.coverage(0.5));
    assert_eq!(lab.row(q), [], "insufficient data is no value");
    assert_eq!(alerts(&feed(&mut lab, 5, 105.0, 0.0)), []);
    let said = feed(&mut lab, 6, 105.0, 0.0);
    assert_eq!(
        alerts(&said),
        [("feeder", "grid_load", 1, true)].map(|(a, t, _, r)| (a, t, 2, r))
    );
}

#[test]
fn guaranteed_power_is_said_of_the_connection_when_it_changes_and_once_a_day() {
    let mut lab = street();
    let at = |lab: &mut Lab<Energy>, asset: &str, metric, n| {
        let said = lab.window(asset, metric, 900, 5.0, quarter(n));
        let found = derived(&said, "guaranteed_power");
        let found: Vec<_> = found
            .into_iter()
            .map(|(a, kw)| (a.to_owned(), (kw * 1e6).round() / 1e6))
            .collect();
        found
    };
    assert_eq!(
        at(&mut lab, "box-1", "charging_power", 1),
        [("house".to_owned(), 7.56)]
    );
    assert_eq!(at(&mut lab, "box-2", "charging_power", 1), []);
    assert_eq!(at(&mut lab, "house", "active_power", 2), []);
    assert_eq!(
        at(&mut lab, "pump", "heat_pump_power", 2),
        [("cottage".to_owned(), 6.0)]
    );
    assert_eq!(at(&mut lab, "charger", "charging_power", 2), []);
    assert_eq!(
        at(&mut lab, "box-1", "charging_power", 97).len(),
        1,
        "the next day"
    );
    lab.asset("box-2", "wallbox", &[("rated_kw", "3.7")]);
    assert_eq!(
        at(&mut lab, "box-1", "charging_power", 98),
        [("house".to_owned(), 4.2)]
    );
}

#[test]
fn past_the_rating_limits_are_proposed_down_to_the_guaranteed_power_and_released_later() {
    let mut lab = street();
    for n in 1..=2 {
        lab.window("box-1", "charging_power", 900, 11.0, quarter(n));
        lab.window("box-2", "charging_power", 900, 11.0, quarter(n));
        lab.window("pump", "heat_pump_power", 900, 12.0, quarter(n));
    }
    assert_eq!(commands(&feed(&mut lab, 1, 150.0, 0.0)), []);
    let said = feed(&mut lab, 2, 150.0, 0.0);
    let proposed = [("box-1", 3.78), ("box-2", 3.78), ("pump", 6.0)];
    assert_eq!(commands(&said), proposed, "60 kW are needed, 20.44 may go");
    assert_eq!(derived(&said, "proposed_limit"), proposed);
    let expiry =
        |said: &Said| matches!(said, Said::Command { expires_ms, .. } if *expires_ms == quarter(6));
    assert_eq!(said.iter().filter(|said| expiry(said)).count(), 3);
    assert_eq!(
        commands(&feed(&mut lab, 3, 101.0, 0.0)),
        [],
        "told, and still in time"
    );
    assert_eq!(commands(&feed(&mut lab, 4, 95.0, 0.0)), []);
    assert_eq!(commands(&feed(&mut lab, 5, 80.0, 0.0)), []);
    assert_eq!(
        commands(&feed(&mut lab, 6, 80.0, 0.0)),
        proposed,
        "lapsed, not released"
    );
    let said = feed(&mut lab, 7, 80.0, 0.0);
    assert_eq!(
        commands(&said),
        [("box-1", 11.0), ("box-2", 11.0), ("pump", 15.0)]
    );
    assert_eq!(commands(&feed(&mut lab, 8, 80.0, 0.0)), [], "released once");
}

#[test]
fn only_what_is_needed_is_proposed_and_the_roofs_power_is_not_counted() {
    let mut lab = street();
    for n in 1..=2 {
        lab.window("box-1", "charging_power", 900, 11.0, quarter(n));
        lab.window("box-2", "charging_power", 900, 11.0, quarter(n));
        // 22 kW are charged, 17.56 kW of them from the grid.
        lab.window("house", "active_power", 900, 17.56, quarter(n));
        lab.window("pump", "heat_pump_power", 900, 14.0, quarter(n));
    }
    feed(&mut lab, 1, 100.8, 0.0);
    let said = feed(&mut lab, 2, 100.8, 0.0);
    let expected = [("box-1", 5.78), ("box-2", 5.78), ("pump", 9.2)];
    assert_eq!(
        commands(&said),
        expected,
        "10.8 kW are needed, 10 + 8 may go"
    );
}

#[test]
fn a_proposal_is_repeated_when_it_lapsed_and_gets_only_tighter() {
    let mut lab = street();
    lab.set("proposal_valid_s", "1800");
    lab.asset("house", "connection_point", &[]);
    let mut at = |n, kw: f64| {
        lab.window("box-1", "charging_power", 900, 11.0, quarter(n));
        let said = feed(&mut lab, n, kw, 0.0);
        commands(&said)
            .into_iter()
            .find(|(asset, _)| *asset == "box-1")
            .map(|(_, limit)| limit)
    };
    assert_eq!(at(1, 101.0), None);
    let first = at(2, 101.0).unwrap();
    assert!(first > 4.2 && first < 11.0, "{first}");
    let tighter = at(3, 104.0).unwrap();
    assert!(tighter < first && tighter > 4.2, "{tighter}");
    assert_eq!(at(4, 101.0), None, "looser is not said");
    assert_eq!(at(5, 101.0), Some(tighter), "lapsed");
}

#[test]
fn a_feeder_that_feeds_back_too_much_is_an_alarm_but_no_reason_to_dim() {
    let mut lab = street();
    feed(&mut lab, 1, -120.0, 0.0);
    let said = feed(&mut lab, 2, -120.0, 0.0);
    assert_eq!(alerts(&said), [("feeder", "grid_load", 2, true)]);
    assert_eq!(commands(&said), []);
}

#[test]
fn a_device_below_two_overloaded_things_gets_the_tighter_limit_and_is_released_by_the_last() {
    let mut lab = street();
    lab.asset("station", "transformer", &[("rated_kva", "100")])
        .relate("station", "feeds", "feeder");
    let station = |lab: &mut Lab<Energy>, n, kw| {
        lab.window("station", "active_power", 900, kw, quarter(n));
        lab.window("station", "reactive_power", 900, 0.0, quarter(n))
    };
    for n in 1..=2 {
        feed(&mut lab, n, 101.0, 0.0);
        let said = station(&mut lab, n, 200.0);
        assert_eq!(
            commands(&said).len(),
            if n == 2 { 3 } else { 0 },
            "to the minimum"
        );
    }
    for n in 3..=4 {
        feed(&mut lab, n, 101.0, 0.0);
        assert_eq!(commands(&station(&mut lab, n, 50.0)), []);
    }
    feed(&mut lab, 5, 101.0, 0.0);
    let looser = station(&mut lab, 5, 50.0);
    assert_eq!(commands(&looser).len(), 3);
    assert!(
        commands(&looser).iter().all(|(_, limit)| *limit < 11.0),
        "{looser:?}"
    );
    for n in 6..=8 {
        let released = feed(&mut lab, n, 50.0, 0.0);
        assert_eq!(commands(&released).len(), if n == 8 { 3 } else { 0 });
    }
}

#[test]
fn a_feeder_without_a_rating_says_what_is_missing_once_a_day() {
    let mut lab = street();
    lab.asset("feeder", "feeder", &[]);
    for n in 95..=97 {
        let said = feed(&mut lab, n, 105.0, 0.0);
        assert_eq!(derived(&said, "apparent_power").len(), 1);
        assert_eq!(derived(&said, "load_factor"), []);
    }
    let lines = lab.logged();
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].1.contains("feeder") && lines[0].1.contains("rated_kva"),
        "{lines:?}"
    );
}

#[test]
fn cuts_and_restarts_change_nothing() {
    let mut rows = Vec::new();
    for n in 1..40 {
        let kw = 60.0 + 50.0 * ((n as f64) / 5.0).sin();
        for asset in ["box-1", "box-2"] {
            rows.push(Row::window(
                asset,
                "charging_power",
                900,
                kw / 10.0,
                quarter(n),
            ));
        }
        rows.push(Row::window(
            "pump",
            "heat_pump_power",
            900,
            kw / 8.0,
            quarter(n),
        ));
        rows.extend(load(n, kw, 10.0));
    }
    let said = street().same_in_all_cuts(&rows);
    assert!(!commands(&said).is_empty() && !alerts(&said).is_empty());
}
