//! E4.

use quartier_sdk::testing::{Row, values};

use crate::{derived, lab, quarter};

#[test]
fn a_gap_is_filled_and_every_substitute_carries_its_flag() {
    let mut lab = lab();
    lab.asset("m", "meter", &[]);
    let said = lab.window("m", "active_power", 900, 4.0, quarter(1));
    assert_eq!(derived(&said, "load_profile"), [("m", 4.0)]);
    assert_eq!(derived(&said, "load_substituted"), []);
    assert_eq!(derived(&said, "peak_load"), [("m", 4.0)]);
    let said = lab.window("m", "active_power", 900, 1.0, quarter(4));
    assert_eq!(values(&said, "load_profile"), [3.0, 2.0, 1.0]);
    assert_eq!(values(&said, "load_substituted"), [1.0, 1.0, 0.0]);
    assert_eq!(values(&said, "peak_load"), [0.0; 0]);
    let said = lab.row(Row::window("m", "active_power", 900, 9.0, quarter(5)).coverage(0.7));
    assert_eq!(said, [], "insufficient data");
}

#[test]
fn a_long_gap_is_filled_from_the_days_before_and_the_days_rate_is_said() {
    let mut lab = lab();
    lab.asset("m", "meter", &[]);
    for n in 1..=96 {
        lab.window("m", "active_power", 900, n as f64, quarter(n));
    }
    lab.window("m", "active_power", 900, 1.0, quarter(97));
    let said = lab.window("m", "active_power", 900, 1.0, quarter(192));
    assert_eq!(values(&said, "load_profile")[..3], [2.0, 3.0, 4.0]);
    assert_eq!(
        values(&said, "load_substituted"),
        [vec![2.0; 94], vec![0.0]].concat()
    );
    let said = lab.window("m", "active_power", 900, 1.0, quarter(193));
    assert_eq!(values(&said, "substitution_rate"), [100.0 * 94.0 / 96.0]);
}

#[test]
fn what_is_said_of_a_household_is_personal_all_of_it() {
    let mut lab = lab();
    lab.asset("h", "meter", &[]);
    let mut said = lab.window("h", "household_power", 900, 0.4, quarter(1));
    for n in (4..300).step_by(3) {
        said.extend(lab.window("h", "household_power", 900, 0.4 + n as f64, quarter(n)));
    }
    let names = said.iter().map(|said| match said {
        quartier_sdk::testing::Said::Derived { metric, .. } => metric.as_str(),
        other => panic!("{other:?}"),
    });
    let names: std::collections::BTreeSet<&str> = names.collect();
    assert!(
        names.iter().all(|name| name.starts_with("household_")),
        "{names:?}"
    );
    assert_eq!(names.len(), 3);
}

#[test]
fn the_net_load_of_a_quarter_is_the_sum_of_all_its_stations_and_only_of_all() {
    let mut lab = lab();
    lab.asset("q", "quarter", &[])
        .asset("a", "transformer", &[])
        .asset("b", "transformer", &[])
        .relate("q", "contains", "a")
        .relate("q", "contains", "b");
    assert_eq!(
        derived(
            &lab.window("a", "active_power", 900, 300.0, quarter(1)),
            "net_load"
        ),
        []
    );
    let said = lab.window("b", "active_power", 900, -50.0, quarter(1));
    assert_eq!(derived(&said, "net_load"), [("q", 250.0)]);
    assert!(derived(&said, "peak_load").contains(&("q", 250.0)));
    for n in 2..=4 {
        assert_eq!(
            values(
                &lab.window("a", "active_power", 900, 400.0, quarter(n)),
                "net_load"
            ),
            []
        );
    }
    let said = lab.window("b", "active_power", 900, 30.0, quarter(4));
    assert_eq!(
        values(&said, "net_load"),
        [400.0 - 50.0 + 80.0 / 3.0, 400.0 - 50.0 + 160.0 / 3.0, 430.0]
    );
    let of_quarter: Vec<_> = derived(&said, "peak_load")
        .into_iter()
        .filter(|(a, _)| *a == "q")
        .collect();
    assert_eq!(of_quarter, [("q", 430.0)], "not of substitutes");
}

#[test]
fn cuts_and_restarts_change_nothing() {
    let mut lab = lab();
    lab.asset("m", "meter", &[]).asset("h", "meter", &[]);
    let mut rows = Vec::new();
    for n in (1..250).filter(|n| n % 11 > 2 && !(120..150).contains(n)) {
        rows.push(Row::window(
            "m",
            "active_power",
            900,
            (n % 7) as f64,
            quarter(n),
        ));
        rows.push(Row::window(
            "h",
            "household_power",
            900,
            (n % 5) as f64,
            quarter(n),
        ));
    }
    let said = lab.same_in_all_cuts(&rows);
    assert!(values(&said, "load_substituted").contains(&2.0));
}
