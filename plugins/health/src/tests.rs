//! The rule as a whole: hours, windows in any order, alerts, state.

use std::collections::BTreeSet;

use crate::bytes::{decode, encode};
use crate::hours::{HOUR, KEPT};
use crate::index::Index;
use crate::rule::{Finding, Rule, Window};
use crate::settings::Settings;
use crate::tables::Pollutant::{self, No2, O3, Pm2_5, Pm10};
use crate::tables::{Severity, TOPICS};

const T0: u64 = 1_500_000 * HOUR;

fn settings() -> Settings {
    let mut config: Vec<(String, String)> = [
        ("coverage", "0.75"),
        ("clear_after", "3"),
        ("clear_margin", "0.1"),
        ("raise_after.eaqi_poor", "2"),
        ("raise_after.no2_alarm", "3"),
        ("raise_after.so2_alarm", "3"),
        ("raise_after.o3_information", "1"),
        ("raise_after.o3_alarm", "1"),
        ("limit.eaqi_poor.4", "4"),
        ("limit.eaqi_poor.5", "5"),
        ("limit.eaqi_poor.6", "6"),
        ("limit.no2_alarm.1", "400"),
        ("limit.so2_alarm.1", "500"),
        ("limit.o3_information.1", "180"),
        ("limit.o3_alarm.1", "240"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    config.sort();
    Settings::parse(&config).unwrap()
}

fn rule() -> Rule {
    Rule::new(settings())
}

/// A window of asset 7 that ends `hour` hours after T0.
fn window(hour: u64, pollutant: Pollutant, mean: f64) -> Window {
    Window {
        row: 0,
        asset: 7,
        pollutant,
        end_ms: T0 + hour * HOUR,
        mean,
        coverage: 1.0,
    }
}

fn indices(findings: &[Finding]) -> Vec<(u64, u8)> {
    let index = |finding: &Finding| match finding {
        Finding::Index { end_ms, index, .. } => Some(((end_ms - T0) / HOUR, index.eaqi)),
        Finding::Alert { .. } => None,
    };
    findings.iter().filter_map(index).collect()
}

/// Topic, code, raised.
fn alerts(findings: &[Finding]) -> Vec<(&'static str, u32, bool)> {
    let alert = |finding: &Finding| match *finding {
        Finding::Alert {
            topic,
            level,
            raise,
            ..
        } => Some((TOPICS[topic], level.code, raise)),
        Finding::Index { .. } => None,
    };
    findings.iter().filter_map(alert).collect()
}

#[test]
fn a_pollutant_covered_below_75_percent_does_not_count() {
    let thin = Window {
        coverage: 0.749,
        ..window(0, No2, 500.0)
    };
    let enough = Window {
        coverage: 0.75,
        ..window(0, Pm10, 10.0)
    };
    assert_eq!(indices(&rule().evaluate([thin, enough])), [(0, 1)]);
    assert!(
        rule().evaluate([thin]).is_empty(),
        "no pollutant counts: no index at all"
    );
    let nan = window(0, No2, f64::NAN);
    assert!(rule().evaluate([nan]).is_empty());
}

#[test]
fn pollutants_of_one_hour_in_several_batches_correct_its_index() {
    let mut rule = rule();
    assert_eq!(indices(&rule.evaluate([window(0, Pm2_5, 4.0)])), [(0, 1)]);
    assert_eq!(indices(&rule.evaluate([window(0, No2, 70.0)])), [(0, 4)]);
    assert!(
        rule.evaluate([window(0, O3, 10.0)]).is_empty(),
        "nothing changed: nothing is said"
    );
}

#[test]
fn an_hour_counts_once_however_many_windows_it_comes_in() {
    let mut rule = rule();
    let first = [Pm2_5, Pm10, No2].map(|p| window(0, p, 300.0));
    for window in first {
        assert!(alerts(&rule.evaluate([window])).is_empty());
    }
    assert_eq!(
        alerts(&rule.evaluate([window(1, Pm10, 300.0)])),
        [("eaqi_poor", 6, true)]
    );
}

#[test]
fn many_hours_in_one_batch_are_evaluated_one_by_one() {
    let hours = (0..5).map(|hour| window(hour, No2, 450.0));
    let findings = rule().evaluate(hours);
    assert_eq!(
        indices(&findings),
        (0..5).map(|hour| (hour, 6)).collect::<Vec<_>>()
    );
    assert_eq!(
        alerts(&findings),
        [("eaqi_poor", 6, true), ("no2_alarm", 1, true)]
    );
}

#[test]
fn one_batch_or_a_batch_for_each_window_leave_the_same_state() {
    let windows: Vec<Window> = (0..40)
        .flat_map(|hour| {
            let wave = |phase: u64| 30.0 * ((hour + phase) % 12) as f64;
            [
                window(hour, No2, wave(0)),
                window(hour, O3, wave(5)),
                window(hour, Pm10, wave(8)),
            ]
        })
        .collect();
    let (mut whole, mut single) = (rule(), rule());
    whole.evaluate(windows.iter().copied());
    for window in windows {
        single.evaluate([window]);
    }
    assert_eq!(whole.assets, single.assets);
}

#[test]
fn no2_alarm_needs_three_consecutive_hours_and_a_missing_one_breaks_them() {
    let no2 = |hours: &[u64]| {
        let windows = hours.iter().map(|&hour| window(hour, No2, 401.0));
        alerts(&rule().evaluate(windows)).contains(&("no2_alarm", 1, true))
    };
    assert!(no2(&[0, 1, 2]));
    assert!(!no2(&[0, 1]));
    assert!(!no2(&[0, 1, 3]));
    assert!(no2(&[0, 1, 3, 4, 5]));
}

#[test]
fn ozone_thresholds_are_raised_by_one_hour_and_cleared_after_three_well_below() {
    let mut rule = rule();
    let mut at = |hour, mean| alerts(&rule.evaluate([window(hour, O3, mean)]));
    assert_eq!(at(0, 180.0), []);
    assert_eq!(
        at(1, 181.0),
        [("eaqi_poor", 5, true), ("o3_information", 1, true)]
    );
    assert_eq!(
        at(2, 241.0),
        [("eaqi_poor", 6, true), ("o3_alarm", 1, true)]
    );
    assert_eq!(at(3, 100.0), []);
    assert_eq!(at(4, 100.0), []);
    let down = at(5, 100.0);
    assert!(down.contains(&("o3_information", 1, false)), "{down:?}");
    assert!(down.contains(&("o3_alarm", 1, false)), "{down:?}");
}

#[test]
fn an_alert_changes_its_code_when_the_air_gets_worse_or_better() {
    let mut rule = rule();
    let mut at = |hour, mean| alerts(&rule.evaluate([window(hour, No2, mean)]));
    assert_eq!(
        (at(0, 70.0), at(1, 70.0)),
        (vec![], vec![("eaqi_poor", 4, true)])
    );
    assert_eq!(
        (at(2, 120.0), at(3, 120.0)),
        (vec![], vec![("eaqi_poor", 5, true)])
    );
    assert_eq!((at(4, 70.0), at(5, 70.0)), (vec![], vec![]));
    assert_eq!(at(6, 70.0), [("eaqi_poor", 4, true)]);
    assert_eq!((at(7, 5.0), at(8, 5.0)), (vec![], vec![]));
    assert_eq!(at(9, 5.0), [("eaqi_poor", 4, false)]);
}

#[test]
fn poor_is_a_warning_and_worse_is_major() {
    let severities: Vec<_> = crate::tables::LEVELS
        .iter()
        .filter(|l| l.topic == "eaqi_poor")
        .map(|l| l.severity)
        .collect();
    assert_eq!(
        severities,
        [Severity::Warning, Severity::Major, Severity::Major]
    );
}

#[test]
fn a_late_window_corrects_the_hour_before_and_what_follows_from_it() {
    let mut rule = rule();
    rule.evaluate([window(0, Pm10, 10.0), window(1, No2, 70.0)]);
    let findings = rule.evaluate([window(0, No2, 70.0)]);
    assert_eq!(indices(&findings), [(0, 4)]);
    assert_eq!(
        alerts(&findings),
        [("eaqi_poor", 4, true)],
        "two hours in a row after all"
    );
    for hour in 2..KEPT as u64 + 1 {
        rule.evaluate([window(hour, No2, 70.0)]);
    }
    let corrected = rule.evaluate([window(1, No2, 10.0)]);
    assert_eq!(indices(&corrected), [(1, 1)], "after a gap of the others");
    assert!(
        rule.evaluate([window(0, No2, 1.0)]).is_empty(),
        "too old: ignored"
    );
}

#[test]
fn state_as_bytes_is_the_state_and_torn_bytes_are_refused() {
    let mut rule = rule();
    for hour in 0..6 {
        rule.evaluate([
            window(hour, No2, 450.0),
            window(hour, O3, 90.0 * hour as f64),
        ]);
        let other = Window {
            asset: 9,
            ..window(hour, Pm10, 300.0)
        };
        rule.evaluate([other]);
        let bytes = encode(&rule.assets);
        assert_eq!(decode(&bytes).as_ref(), Some(&rule.assets));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None);
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(decode(&longer), None);
        let mut newer = bytes;
        newer[0] = 2;
        assert_eq!(decode(&newer), None);
    }
}

#[test]
fn an_asset_that_is_gone_is_forgotten() {
    let mut rule = rule();
    rule.evaluate([window(0, No2, 70.0)]);
    rule.forget(&BTreeSet::from([7]));
    assert!(rule.assets.is_empty());
    let index = Index { eaqi: 4, lqi: 4 };
    let again = rule.evaluate([window(0, No2, 70.0)]);
    assert_eq!(
        again,
        [Finding::Index {
            asset: 7,
            end_ms: T0,
            index
        }]
    );
}

#[test]
fn a_missing_or_senseless_number_is_named() {
    assert_eq!(Settings::parse(&[]).unwrap_err(), "clear_after: missing");
    let config = [("clear_after".to_owned(), "soon".to_owned())];
    assert_eq!(
        Settings::parse(&config).unwrap_err(),
        "clear_after: \"soon\" is not a number from 1 to 200"
    );
}
