//! Pairs with the reference, whichever comes first.

use quartier_sdk::testing::{Lab, Row, values};

use super::{hour, lab};
use crate::Science;

fn pair() -> Lab<Science> {
    let mut lab = lab();
    lab.set("calibration_pairs", "3");
    lab.asset("station", "reference_station", &[]);
    lab.asset("box", "sensor_box", &[])
        .relate("box", "calibrated_by", "station");
    lab
}

/// On the line `y = 3 + 2 x`.
fn rows(hours: std::ops::RangeInclusive<u64>) -> [Vec<Row>; 2] {
    let of = |asset: &'static str, y: fn(f64) -> f64| {
        let row = move |n| hour(asset, "pm2_5", n, y((n * n % 17) as f64));
        hours.clone().map(row).collect()
    };
    [of("box", |x| x), of("station", |x| 3.0 + 2.0 * x)]
}

#[test]
fn the_regression_is_told_with_the_third_pair_whichever_came_first() {
    let [own, reference] = rows(1..=4);
    for order in [[&own, &reference], [&reference, &own]] {
        let mut lab = pair();
        let rows: Vec<Row> = order.into_iter().flatten().cloned().collect();
        let said: Vec<_> = rows
            .into_iter()
            .flat_map(|row| lab.survives_restart().row(row))
            .collect();
        assert_eq!(values(&said, "calibration_n"), [1.0, 2.0, 3.0, 4.0]);
        let slopes = values(&said, "calibration_slope");
        assert_eq!(slopes.len(), 2);
        assert!(slopes.iter().all(|slope| (slope - 2.0).abs() < 1e-12));
        let intercepts = values(&said, "calibration_intercept");
        assert!(
            intercepts.iter().all(|at| (at - 3.0).abs() < 1e-9),
            "{intercepts:?}"
        );
    }
}

#[test]
fn hours_without_coverage_and_other_pollutants_make_no_pair() {
    let mut lab = pair();
    lab.row(hour("station", "pm2_5", 1, 9.0));
    let thin = hour("box", "pm2_5", 1, 3.0).coverage(0.74);
    assert_eq!(values(&lab.row(thin), "calibration_n"), []);
    lab.row(hour("station", "pm10", 2, 9.0));
    assert_eq!(
        values(&lab.row(hour("box", "pm10", 2, 3.0)), "calibration_n"),
        []
    );
}

#[test]
fn only_the_latest_three_blocks_of_thirty_days_count() {
    let mut lab = pair();
    let block = 30 * 24;
    let mut last = Vec::new();
    for n in [0, 1, block, 2 * block, 3 * block] {
        lab.row(hour("station", "pm2_5", n, 9.0));
        last = values(&lab.row(hour("box", "pm2_5", n, 3.0)), "calibration_n");
    }
    assert_eq!(last, [3.0], "the two of the first block are gone");
}

#[test]
fn another_reference_starts_anew() {
    let mut lab = pair();
    lab.asset("other", "reference_station", &[]);
    lab.row(hour("station", "pm2_5", 1, 9.0));
    lab.row(hour("box", "pm2_5", 1, 3.0));
    lab.remove("station")
        .relate("box", "calibrated_by", "other");
    lab.row(hour("box", "pm2_5", 2, 3.0));
    let said = lab.row(hour("other", "pm2_5", 2, 9.0));
    assert_eq!(values(&said, "calibration_n"), [1.0]);
}
