//! E3.

use quartier_energy::Energy;
use quartier_sdk::testing::{Lab, Row, Said, values};

use crate::{MONDAY, alerts, derived, lab};

const SLOT: u64 = 600_000;
const PHASES: [&str; 3] = ["voltage_l1", "voltage_l2", "voltage_l3"];

fn node() -> Lab<Energy> {
    let mut lab = lab();
    lab.asset("node", "feeder", &[]);
    lab
}

/// The n-th 10 minutes from that Monday on, from 1, all phases.
fn feed(lab: &mut Lab<Energy>, n: u64, volts: [f64; 3]) -> Vec<Said> {
    let row = |(phase, volts)| Row::window("node", phase, 600, volts, MONDAY + n * SLOT);
    let rows = PHASES.into_iter().zip(volts).map(row);
    rows.flat_map(|row| lab.row(row)).collect()
}

#[test]
fn a_whole_week_is_judged_with_its_last_mean_and_says_the_worst_phase() {
    let mut lab = node();
    for n in 1..1008 {
        let low = if n <= 40 { 206.0 } else { 230.0 };
        let said = feed(&mut lab, n, [230.0, low, 231.0]);
        assert_eq!(derived(&said, "voltage_verdict"), []);
    }
    let said = feed(&mut lab, 1008, [230.0; 3]);
    assert_eq!(values(&said, "voltage_verdict"), [1.0]);
    assert_eq!(values(&said, "voltage_within"), [100.0 * 968.0 / 1008.0]);
    assert!(matches!(&said[0], Said::Derived { time_ms, .. } if *time_ms == MONDAY + 1008 * SLOT));
}

#[test]
fn a_bad_week_raises_the_alert_and_the_next_good_one_clears_it() {
    let mut lab = node();
    for n in 1..1008 {
        feed(
            &mut lab,
            n,
            [if n <= 60 { 206.0 } else { 230.0 }, 230.0, 230.0],
        );
    }
    let said = feed(&mut lab, 1008, [230.0; 3]);
    assert_eq!(values(&said, "voltage_verdict"), [2.0]);
    assert_eq!(alerts(&said), [("node", "voltage_quality", 1, true)]);
    for n in 1009..2016 {
        assert_eq!(alerts(&feed(&mut lab, n, [230.0; 3])), []);
    }
    let said = feed(&mut lab, 2016, [230.0; 3]);
    assert_eq!(alerts(&said), [("node", "voltage_quality", 1, false)]);
}

#[test]
fn a_week_without_one_mean_of_one_phase_is_unknown_and_neither_raises_nor_clears() {
    let mut lab = node();
    for n in 1..1008 {
        let said = match n {
            500 => {
                lab.row(Row::window("node", PHASES[0], 600, 300.0, MONDAY + n * SLOT).coverage(0.7))
            }
            _ => feed(&mut lab, n, [260.0, 230.0, 230.0]),
        };
        assert_eq!(values(&said, "voltage_verdict"), [0.0; 0]);
    }
    let said = feed(&mut lab, 1008, [260.0, 230.0, 230.0]);
    assert_eq!(values(&said, "voltage_verdict"), [0.0], "means are missing");
    assert_eq!(alerts(&said), []);
}

#[test]
fn a_phase_that_went_silent_makes_the_week_unknown_a_day_later() {
    let mut lab = node();
    feed(&mut lab, 1, [230.0; 3]);
    let mut verdicts = Vec::new();
    for n in 2..=1008 + 144 {
        let said = lab.window("node", PHASES[0], 600, 230.0, MONDAY + n * SLOT);
        verdicts.extend(
            values(&said, "voltage_verdict")
                .into_iter()
                .map(|verdict| (n, verdict)),
        );
    }
    assert_eq!(verdicts, [(1008 + 144, 0.0)]);
}

#[test]
fn the_week_of_the_change_of_clocks_is_whole_with_1014_means() {
    let mut lab = node();
    // Monday, 19 October 2026, 00:00 in Berlin.
    let monday = MONDAY + 20 * 7 * 86_400_000;
    let mut verdicts = Vec::new();
    for n in 1..=1014 {
        let said = lab.window("node", PHASES[0], 600, 230.0, monday + n * SLOT);
        verdicts.extend(
            values(&said, "voltage_verdict")
                .into_iter()
                .map(|verdict| (n, verdict)),
        );
    }
    assert_eq!(verdicts, [(1014, 1.0)]);
}

#[test]
fn voltage_outside_its_band_is_indicated_at_once_and_per_phase() {
    let mut lab = node();
    let mut at = |n, volts| {
        let said = feed(&mut lab, n, volts);
        alerts(&said)
            .into_iter()
            .map(|(_, topic, _, raise)| (topic.to_owned(), raise))
            .collect::<Vec<_>>()
    };
    assert_eq!(at(1, [254.0, 230.0, 206.0]), []);
    assert_eq!(
        at(2, [254.0, 254.0, 206.0]),
        [
            ("voltage_high".to_owned(), true),
            ("voltage_low".to_owned(), true)
        ]
    );
    for n in 3..=4 {
        assert_eq!(at(n, [250.0, 254.0, 210.0]), []);
    }
    assert_eq!(
        at(5, [250.0, 254.0, 210.0]),
        [("voltage_low".to_owned(), false)]
    );
    assert_eq!((at(6, [250.0; 3]), at(7, [250.0; 3])), (vec![], vec![]));
    assert_eq!(
        at(8, [250.0; 3]),
        [("voltage_high".to_owned(), false)],
        "L2 as well"
    );
}

#[test]
fn thd_is_judged_over_the_week_and_frequency_over_the_year() {
    let mut lab = node();
    let mut said = Vec::new();
    for n in 1..=1008 {
        let thd = if n <= 51 { 8.1 } else { 8.0 };
        said.extend(lab.window("node", "thd", 600, thd, MONDAY + n * SLOT));
    }
    assert_eq!(values(&said, "thd_verdict"), [2.0]);
    assert_eq!(alerts(&said), [("node", "thd_quality", 1, true)]);
    let mut said = Vec::new();
    // 31 December 2025, 23:00 UTC, and 365 days of 144 means; a twentieth is missing.
    let year = 1_767_222_000_000;
    for n in (1..=365 * 144).filter(|n| n % 20 != 0 || *n == 365 * 144) {
        let hertz = if n <= 240 { 50.6 } else { 50.5 };
        said.extend(lab.window("node", "frequency", 600, hertz, year + n * SLOT));
    }
    assert_eq!(
        values(&said, "frequency_verdict"),
        [1.0],
        "228 of 49,933: 99.54 %"
    );
}

#[test]
fn cuts_and_restarts_change_nothing() {
    let mut rows = Vec::new();
    for n in 900..1010 {
        for phase in PHASES {
            rows.push(Row::window(
                "node",
                phase,
                600,
                205.0 + n as f64 / 20.0,
                MONDAY + n * SLOT,
            ));
        }
    }
    let said = node().same_in_all_cuts(&rows);
    assert_eq!(values(&said, "voltage_verdict"), [0.0]);
}
