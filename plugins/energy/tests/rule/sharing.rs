//! E5.

use quartier_energy::Energy;
use quartier_sdk::testing::{Lab, Row, Said, values};

use crate::{derived, lab, quarter};

const HOMES: [&str; 5] = ["h1", "h2", "h3", "h4", "h5"];

fn community(attributes: &[(&str, &str)]) -> Lab<Energy> {
    let mut lab = lab();
    lab.asset("c", "sharing_community", attributes)
        .asset("roof", "pv", &[]);
    lab.relate("c", "generates", "roof");
    for home in HOMES {
        lab.asset(home, "meter", &[]).relate("c", "supplies", home);
    }
    lab
}

fn feed(lab: &mut Lab<Energy>, n: u64, roof: f64, homes: [f64; 5]) -> Vec<Said> {
    let home = |(home, kw)| Row::window(home, "household_power", 900, kw, quarter(n));
    let mut rows: Vec<Row> = HOMES.into_iter().zip(homes).map(home).collect();
    rows.push(Row::window("roof", "pv_power", 900, roof, quarter(n)));
    rows.into_iter().flat_map(|row| lab.row(row)).collect()
}

#[test]
fn without_an_agreed_key_a_building_shares_equally_and_the_residual_feeds_the_grid() {
    let said = feed(&mut community(&[]), 1, 20.0, [2.0, 4.0, 8.0, 8.0, -1.0]);
    let shared = derived(&said, "household_shared");
    assert_eq!(
        shared,
        [
            ("h1", 0.5),
            ("h2", 1.0),
            ("h3", 1.0),
            ("h4", 1.0),
            ("h5", 0.0)
        ]
    );
    assert_eq!(derived(&said, "shared_energy"), [("c", 3.5)]);
    assert_eq!(derived(&said, "shared_residual"), [("c", 1.5)]);
    assert_eq!(derived(&said, "shared_substituted"), [("c", 0.0)]);
}

#[test]
fn the_agreed_key_is_used_and_constant_shares_are_the_participants() {
    let said = feed(
        &mut community(&[("key", "proportional")]),
        1,
        10.0,
        [2.0, 4.0, 6.0, 8.0, 0.0],
    );
    assert_eq!(
        values(&said, "household_shared"),
        [0.25, 0.5, 0.75, 1.0, 0.0]
    );
    let mut lab = community(&[("basis", "42c"), ("key", "constant")]);
    for (home, share) in HOMES.into_iter().zip(["0.5", "0.2", "0.1", "0.1", "0.1"]) {
        lab.asset(home, "meter", &[("share", share)]);
    }
    let said = feed(&mut lab, 1, 40.0, [8.0; 5]);
    assert_eq!(values(&said, "household_shared"), [2.0, 2.0, 1.0, 1.0, 1.0]);
}

#[test]
fn energy_sharing_without_a_contract_shares_nothing_and_says_what_to_set() {
    for (attributes, what) in [
        (vec![("basis", "42c")], "attribute key"),
        (
            vec![("basis", "42c"), ("key", "constant")],
            "attribute share",
        ),
        (vec![("key", "fair")], "constant, proportional or equal"),
        (vec![("basis", "42a")], "42b or 42c"),
    ] {
        let mut lab = community(&attributes);
        let said = feed(&mut lab, 96, 40.0, [8.0; 5]);
        assert_eq!(values(&said, "household_shared"), [0.0; 0]);
        assert_eq!(values(&said, "shared_energy"), [0.0; 0]);
        let lines = lab.logged();
        assert!(lines.len() == 1 && lines[0].1.contains(what), "{lines:?}");
    }
}

#[test]
fn of_fewer_participants_than_five_no_total_is_said() {
    let mut lab = community(&[]);
    lab.set("min_participants", "6");
    let mut said = Vec::new();
    for n in 1..=96 {
        said.extend(feed(&mut lab, n, 10.0, [1.0; 5]));
    }
    assert!(
        said.iter().all(|said| said.asset() != "c"),
        "only households hear of it"
    );
    assert_eq!(values(&said, "household_shared").len(), 480);
}

#[test]
fn the_quarter_of_an_hour_waits_for_a_participant_and_counts_its_substitutes() {
    let mut lab = community(&[]);
    feed(&mut lab, 1, 10.0, [1.0; 5]);
    for home in &HOMES[1..] {
        lab.window(home, "household_power", 900, 1.0, quarter(2));
    }
    assert_eq!(lab.window("roof", "pv_power", 900, 10.0, quarter(2)), []);
    let said = lab.window("h1", "household_power", 900, 3.0, quarter(3));
    assert_eq!(values(&said, "shared_substituted"), [100.0 / 6.0]);
    assert_eq!(
        values(&said, "household_shared"),
        [0.5, 0.25, 0.25, 0.25, 0.25]
    );
    assert_eq!(values(&said, "household_substituted"), [1.0, 0.0]);
}

#[test]
fn self_consumption_and_autarky_are_said_at_the_end_of_a_day_that_is_there() {
    let mut lab = community(&[]);
    let mut said = Vec::new();
    for n in 1..=96 {
        let roof = if (33..=64).contains(&n) { 20.0 } else { 0.0 };
        said.extend(feed(&mut lab, n, roof, [2.0; 5]));
    }
    assert_eq!(derived(&said, "self_consumption"), [("c", 50.0)]);
    let autarky = values(&said, "autarky");
    assert!(
        autarky.len() == 1 && (autarky[0] - 100.0 / 3.0).abs() < 1e-9,
        "{autarky:?}"
    );
    let mut thin = community(&[]);
    let mut said = Vec::new();
    for n in 30..=96 {
        said.extend(feed(&mut thin, n, 20.0, [2.0; 5]));
    }
    assert_eq!(values(&said, "autarky"), [0.0; 0], "67 of 96");
}

#[test]
fn cuts_and_restarts_change_nothing() {
    let mut rows = Vec::new();
    for n in 1..120 {
        for (i, home) in HOMES
            .into_iter()
            .enumerate()
            .filter(|(i, _)| !(n + *i as u64).is_multiple_of(13))
        {
            let kw = ((n + i as u64) % 7) as f64;
            rows.push(Row::window(home, "household_power", 900, kw, quarter(n)));
        }
        rows.push(Row::window(
            "roof",
            "pv_power",
            900,
            (n % 9) as f64,
            quarter(n),
        ));
    }
    let said = community(&[]).same_in_all_cuts(&rows);
    assert!(
        values(&said, "shared_substituted")
            .iter()
            .any(|share| *share > 0.0)
    );
    assert_eq!(values(&said, "autarky").len(), 1);
}
