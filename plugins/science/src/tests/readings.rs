//! Checks of single readings.

use quartier_sdk::testing::{Row, Said, values};

use super::{T0, hour, quarter};
use crate::raw::{HOUR, hour_of};

const STEP: u64 = 150_000;

/// The flags of the hour that ends at `T0 + HOUR`, given its readings of PM2.5 from `T0` on.
fn flags(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut lab = quarter(0);
    let readings = values.into_iter().zip(1..);
    let mut rows: Vec<Row> = readings
        .map(|(value, n)| Row::reading("box", "pm2_5", value, T0 + n * STEP))
        .collect();
    rows.push(hour("box", "pm2_5", 1, 10.0));
    rows.push(hour("box", "pm2_5", 2, 10.0));
    let said = lab.same_in_all_cuts(&rows);
    quartier_sdk::testing::values(&said, "pm2_5_flags")
}

const ALONE: f64 = 64.0;

#[test]
fn an_hour_ends_with_the_moment_it_is_named_after() {
    assert_eq!(hour_of(T0), T0);
    assert_eq!(hour_of(T0 + 1), T0 + HOUR);
}

#[test]
fn one_reading_far_from_six_others_is_a_step() {
    let calm = [10.0, 11.0, 10.0, 12.0, 11.0, 10.0, 11.0];
    let spike = calm.map(|v| if v == 12.0 { 50.0 } else { v });
    assert_eq!(flags(calm), [ALONE]);
    assert_eq!(flags(spike), [ALONE + 4.0]);
}

#[test]
fn among_noisy_readings_a_far_one_is_no_step() {
    // The median is 30, the deviation 15: three scaled ones are 66.7.
    let noisy = [10.0, 40.0, 15.0, 50.0, 30.0, 20.0, 45.0];
    assert_eq!(flags(noisy), [ALONE]);
    assert_eq!(
        flags(noisy.map(|v| if v == 50.0 { 96.0 } else { v })),
        [ALONE]
    );
    assert_eq!(
        flags(noisy.map(|v| if v == 50.0 { 97.0 } else { v })),
        [ALONE + 4.0]
    );
}

#[test]
fn a_rise_that_stays_is_no_step() {
    let rise = [10.0, 11.0, 10.0, 50.0, 51.0, 50.0, 51.0];
    assert_eq!(flags(rise), [ALONE]);
}

#[test]
fn a_step_over_a_silence_is_none() {
    let mut lab = quarter(0);
    for (n, value) in [10.0, 11.0, 10.0, 50.0, 11.0, 10.0, 11.0]
        .into_iter()
        .enumerate()
    {
        let silence = if n >= 5 { 901_000 } else { 0 };
        lab.reading("box", "pm2_5", value, T0 + (n as u64 + 1) * STEP + silence);
    }
    lab.row(hour("box", "pm2_5", 1, 10.0));
    let said = lab.row(hour("box", "pm2_5", 2, 10.0));
    assert_eq!(values(&said, "pm2_5_flags"), [ALONE]);
}

#[test]
fn the_same_value_for_an_hour_is_stuck_and_zero_is_not() {
    // The first reading lies at the start of the hour: 24 intervals are 3600 s.
    let run = |value: f64, readings: usize| {
        let mut lab = quarter(0);
        let rows: Vec<Row> = (0..readings as u64)
            .map(|n| Row::reading("box", "pm10", value, T0 + n * STEP))
            .collect();
        let said = lab.same_in_all_cuts(&rows);
        said.iter()
            .filter_map(|said| said.alert("pm10_stuck"))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(12.3, 24), []);
    assert_eq!(run(12.3, 25), [true]);
    assert_eq!(run(0.0, 100), []);
}

#[test]
fn a_stuck_hour_is_flagged_and_a_change_in_it_is_not() {
    assert_eq!(flags([12.3; 24]), [ALONE], "from T0 + 150 s it is 57.5 min");
    let mut lab = quarter(0);
    for n in 0..=24 {
        lab.reading("box", "pm2_5", 12.3, T0 + n * STEP);
    }
    lab.row(hour("box", "pm2_5", 1, 12.3));
    let said = lab.row(hour("box", "pm2_5", 2, 12.3));
    assert_eq!(values(&said, "pm2_5_flags"), [ALONE + 8.0]);
    assert_eq!(values(&said, "plausibility"), [0.0]);
}

#[test]
fn values_beyond_the_range_are_flagged_and_alert_the_second_time() {
    assert_eq!(flags([10.0, 1000.0, 10.0]), [ALONE + 1.0]);
    assert_eq!(flags([10.0, -0.1, 10.0]), [ALONE + 1.0]);
    assert_eq!(flags([10.0, 999.9, 0.0]), [ALONE]);
    let mut lab = quarter(0);
    let alerts = |said: &[Said]| {
        let code = |said: &Said| match said {
            Said::Raised { rule, code, .. } if rule == "pm10_out_of_range" => Some(*code),
            _ => None,
        };
        said.iter().filter_map(code).collect::<Vec<_>>()
    };
    assert_eq!(alerts(&lab.reading("box", "pm10", 1000.0, T0)), []);
    assert_eq!(alerts(&lab.reading("box", "pm10", 1200.0, T0 + STEP)), [1]);
}

#[test]
fn fine_particles_above_all_particles_are_flagged_for_both() {
    let mut lab = quarter(0);
    let rows = [
        Row::reading("box", "pm10", 10.0, T0 + STEP),
        Row::reading("box", "pm2_5", 10.1, T0 + STEP),
        // Of different times they say nothing about each other.
        Row::reading("box", "pm10", 5.0, T0 + HOUR + STEP),
        Row::reading("box", "pm2_5", 9.0, T0 + HOUR + 2 * STEP),
        hour("box", "pm2_5", 1, 10.0),
        hour("box", "pm10", 1, 10.0),
        hour("box", "pm2_5", 2, 10.0),
        hour("box", "pm10", 2, 10.0),
        hour("box", "pm2_5", 3, 10.0),
    ];
    let said = lab.same_in_all_cuts(&rows);
    assert_eq!(values(&said, "pm2_5_flags"), [ALONE + 2.0, ALONE]);
    assert_eq!(values(&said, "pm10_flags"), [ALONE + 2.0]);
}

#[test]
fn a_reference_is_not_judged() {
    let mut lab = quarter(0);
    lab.asset("station", "air", &[])
        .relate("box", "calibrated_by", "station");
    lab.asset("official", "reference_station", &[]);
    for name in ["station", "official"] {
        assert_eq!(lab.reading(name, "pm2_5", -3.0, T0), []);
        assert_eq!(lab.reading(name, "pm2_5", -3.0, T0 + STEP), []);
        lab.row(hour(name, "pm2_5", 1, -3.0));
        assert_eq!(lab.row(hour(name, "pm2_5", 2, -3.0)), []);
    }
}
