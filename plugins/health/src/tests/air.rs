//! Indices of hours, windows in any order, alerts on single hours.

use quartier_sdk::prelude::Severity;
use quartier_sdk::testing::{Lab, Row, Said, values};

use super::{T0, alerts, derived, hour, lab};
use crate::Health;
use crate::clock::HOUR;
use crate::hours::KEPT;

/// The hour of that number after T0.
fn at(number: u64, metric: &str, mean: f64) -> Row {
    hour(metric, mean, T0 + number * HOUR)
}

/// Hour and EAQI.
fn indices(said: &[Said]) -> Vec<(u64, f64)> {
    let hour = |(time, class)| ((time - T0) / HOUR, class);
    derived(said, "eaqi").into_iter().map(hour).collect()
}

fn say(lab: &mut Lab<Health>, rows: &[Row]) -> Vec<Said> {
    rows.iter().flat_map(|row| lab.row(row.clone())).collect()
}

#[test]
fn a_pollutant_covered_below_75_percent_does_not_count() {
    let thin = at(0, "no2", 500.0).coverage(0.749);
    let enough = at(0, "pm10", 10.0).coverage(0.75);
    assert_eq!(
        indices(&say(&mut lab(), &[thin.clone(), enough])),
        [(0, 1.0)]
    );
    assert_eq!(lab().row(thin), [], "no pollutant counts: no index at all");
    assert_eq!(lab().row(at(0, "no2", f64::NAN)), []);
}

#[test]
fn the_index_of_an_hour_is_corrected_as_its_pollutants_come_in() {
    let mut lab = lab();
    assert_eq!(indices(&lab.row(at(0, "pm2_5", 4.0))), [(0, 1.0)]);
    let both = lab.row(at(0, "no2", 60.5));
    assert_eq!(
        (values(&both, "eaqi"), values(&both, "lqi")),
        (vec![4.0], vec![4.0])
    );
    assert_eq!(
        lab.row(at(0, "o3", 10.0)),
        [],
        "nothing changed: nothing is said"
    );
}

#[test]
fn an_hour_counts_once_however_many_windows_it_comes_in() {
    let mut lab = lab();
    for metric in ["pm2_5", "pm10", "no2"] {
        assert_eq!(alerts(&lab.row(at(0, metric, 300.0))), []);
    }
    let next = lab.row(at(1, "pm10", 300.0));
    assert_eq!(alerts(&next), [("eaqi_poor", 6, true)]);
}

#[test]
fn no2_alarm_needs_three_consecutive_hours_and_a_missing_one_breaks_them() {
    let no2 = |hours: &[u64]| {
        let rows: Vec<_> = hours.iter().map(|&n| at(n, "no2", 401.0)).collect();
        alerts(&say(&mut lab(), &rows)).contains(&("no2_alarm", 1, true))
    };
    assert!(no2(&[0, 1, 2]));
    assert!(!no2(&[0, 1]));
    assert!(!no2(&[0, 1, 3]));
    assert!(no2(&[0, 1, 3, 4, 5]));
}

#[test]
fn so2_alarm_is_critical_and_the_threshold_itself_is_not_past_it() {
    let three = |mean| say(&mut lab(), &[0, 1, 2].map(|n| at(n, "so2", mean)));
    assert_eq!(alerts(&three(500.0)), [("eaqi_poor", 6, true)]);
    let said = three(501.0);
    let alarm = |said: &&Said| said.alert("so2_alarm") == Some(true);
    let Some(Said::Raised { severity, text, .. }) = said.iter().find(alarm) else {
        panic!("{said:?}")
    };
    assert_eq!(*severity, Severity::Critical);
    assert_eq!(text, "SO2 501 ug/m3, since 3 h above 500 ug/m3");
}

#[test]
fn ozone_thresholds_are_raised_by_one_hour_and_cleared_after_three_well_below() {
    let mut lab = lab();
    let mut at = |number, mean| lab.row(at(number, "o3", mean));
    assert_eq!(alerts(&at(0, 180.0)), []);
    let raised = at(1, 181.0);
    assert_eq!(
        alerts(&raised),
        [("eaqi_poor", 5, true), ("o3_information", 1, true)]
    );
    assert_eq!(
        alerts(&at(2, 241.0)),
        [("eaqi_poor", 6, true), ("o3_alarm", 1, true)]
    );
    assert_eq!(
        (alerts(&at(3, 100.0)), alerts(&at(4, 100.0))),
        (vec![], vec![])
    );
    let down = at(5, 100.0);
    assert!(
        alerts(&down).contains(&("o3_information", 1, false)),
        "{down:?}"
    );
    assert!(alerts(&down).contains(&("o3_alarm", 1, false)), "{down:?}");
}

#[test]
fn an_alert_changes_its_code_when_the_air_gets_worse_or_better() {
    let mut lab = lab();
    let mut at = |number, mean| {
        let said = lab.row(at(number, "no2", mean));
        alerts(&said)
            .first()
            .map(|&(_, code, raised)| (code, raised))
    };
    assert_eq!((at(0, 70.0), at(1, 70.0)), (None, Some((4, true))));
    assert_eq!((at(2, 120.0), at(3, 120.0)), (None, Some((5, true))));
    assert_eq!(
        (at(4, 70.0), at(5, 70.0), at(6, 70.0)),
        (None, None, Some((4, true)))
    );
    assert_eq!(
        (at(7, 5.0), at(8, 5.0), at(9, 5.0)),
        (None, None, Some((4, false)))
    );
}

#[test]
fn poor_is_a_warning_and_worse_is_major() {
    let severity = |mean| {
        let said = say(&mut lab(), &[at(0, "no2", mean), at(1, "no2", mean)]);
        match said
            .into_iter()
            .find(|said| said.alert("eaqi_poor").is_some())
        {
            Some(Said::Raised { severity, text, .. }) => (severity, text),
            other => panic!("{other:?}"),
        }
    };
    let text = "EAQI class 4, since 2 h at 4 or worse";
    assert_eq!(severity(70.0), (Severity::Warning, text.to_owned()));
    assert_eq!(severity(120.0).0, Severity::Major);
    assert_eq!(severity(200.0).0, Severity::Major);
}

#[test]
fn an_hour_that_waits_for_a_pollutant_neither_clears_nor_eases_an_alert() {
    let mut lab = lab();
    let poor = |n| [at(n, "no2", 5.0), at(n, "pm10", 150.0)];
    say(&mut lab, &[poor(0), poor(1)].concat());
    for number in 2..9 {
        let said = say(&mut lab, &poor(number));
        assert_eq!(
            alerts(&said),
            [],
            "hour {number}: good NO2 came before poor PM10"
        );
    }
    let good = |n| [at(n, "no2", 5.0), at(n, "pm10", 5.0)];
    assert_eq!(alerts(&say(&mut lab, &[good(9), good(10)].concat())), []);
    assert_eq!(alerts(&lab.row(at(11, "no2", 5.0))), []);
    assert_eq!(
        alerts(&lab.row(at(11, "pm10", 5.0))),
        [("eaqi_poor", 4, false)]
    );
}

#[test]
fn an_alert_clears_after_a_pollutant_fell_silent() {
    let mut lab = lab();
    let both = |n| [at(n, "no2", 5.0), at(n, "pm10", 150.0)];
    say(&mut lab, &[both(0), both(1)].concat());
    assert_eq!(
        alerts(&say(&mut lab, &[2, 3].map(|n| at(n, "no2", 5.0)))),
        []
    );
    assert_eq!(
        alerts(&lab.row(at(4, "no2", 5.0))),
        [("eaqi_poor", 4, false)]
    );
}

#[test]
fn a_late_window_corrects_the_hour_before_and_what_follows_from_it() {
    let mut lab = lab();
    say(&mut lab, &[at(0, "pm10", 10.0), at(1, "no2", 70.0)]);
    let said = lab.row(at(0, "no2", 70.0));
    assert_eq!(indices(&said), [(0, 4.0)]);
    assert_eq!(
        alerts(&said),
        [("eaqi_poor", 4, true)],
        "two hours in a row after all"
    );
    for number in 2..KEPT as u64 + 1 {
        lab.row(at(number, "no2", 70.0));
    }
    let corrected = lab.row(at(1, "no2", 10.0));
    assert_eq!(indices(&corrected), [(1, 1.0)], "after a gap of the others");
    assert_eq!(lab.row(at(0, "no2", 1.0)), [], "too old: ignored");
}

#[test]
fn an_asset_that_is_gone_is_forgotten() {
    let mut lab = lab();
    let before = lab.snapshot();
    lab.row(at(0, "no2", 70.0));
    lab.row(hour("laeq", 60.0, T0));
    lab.row(hour("temperature", 25.0, T0));
    lab.remove("street");
    assert_eq!(lab.snapshot(), before);
    lab.asset("street", "sensor_box", &[]);
    assert_eq!(indices(&lab.row(at(0, "no2", 70.0))), [(0, 4.0)]);
}
