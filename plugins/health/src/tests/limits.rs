//! Days and hours above limit values, the highest 8-h mean of ozone, means of years.

use quartier_sdk::testing::{Lab, Row, Said, values};

use super::{at, derived, hour, lab, of_topic};
use crate::Health;
use crate::clock::{DAY, HOUR};

/// The mean of the local day in winter that ends on the morning of that day of January.
fn day(metric: &str, mean: f64, number: u64) -> Row {
    Row::window(
        "street",
        metric,
        86_400,
        mean,
        at(2026, 1, 1, 23) + number * DAY,
    )
}

fn days(
    lab: &mut Lab<Health>,
    metric: &str,
    mean: f64,
    numbers: std::ops::Range<u64>,
) -> Vec<Said> {
    numbers
        .flat_map(|n| lab.row(day(metric, mean, n)))
        .collect()
}

#[test]
fn a_day_is_above_a_limit_value_once_its_rounded_mean_is() {
    let mut lab = lab();
    assert_eq!(
        values(&lab.row(day("pm10", 50.49, 0)), "pm10_days_over_50"),
        [0.0]
    );
    assert_eq!(
        values(&lab.row(day("pm10", 50.5, 1)), "pm10_days_over_50"),
        [1.0]
    );
    let thin = day("pm10", 90.0, 2).coverage(17.0 / 24.0);
    assert_eq!(lab.row(thin), [], "17 hours are insufficient data");
    let enough = day("pm10", 90.0, 3).coverage(18.0 / 24.0);
    let said = lab.row(enough);
    assert_eq!(values(&said, "pm10_days_over_50"), [2.0]);
    assert_eq!(values(&said, "pm10_days_over_45"), [3.0]);
}

#[test]
fn who_and_eu_levels_of_a_day_are_counted_apart() {
    let mut lab = lab();
    let said = [
        ("pm2_5", 16.0),
        ("pm2_5", 26.0),
        ("no2", 26.0),
        ("no2", 51.0),
    ];
    let mut end = 0;
    let said: Vec<_> = said
        .iter()
        .flat_map(|&(metric, mean)| {
            end += 1;
            lab.row(day(metric, mean, end))
        })
        .collect();
    assert_eq!(values(&said, "pm2_5_days_over_15"), [1.0, 2.0]);
    assert_eq!(values(&said, "pm2_5_days_over_25"), [0.0, 1.0]);
    assert_eq!(values(&said, "no2_days_over_25"), [1.0, 2.0]);
    assert_eq!(values(&said, "no2_days_over_50"), [0.0, 1.0]);
}

#[test]
fn the_36th_day_of_a_year_is_more_than_allowed_and_a_new_year_begins_at_none() {
    let mut lab = lab();
    let said = days(&mut lab, "pm10", 60.0, 0..35);
    assert_eq!(of_topic(&said, "pm10_days"), []);
    assert_eq!(
        of_topic(&said, "pm10_days_2030"),
        [true],
        "the 19th day above 45"
    );
    let said = lab.row(day("pm10", 60.0, 35));
    let Some(Said::Raised { value, text, .. }) = said
        .iter()
        .find(|said| said.alert("pm10_days") == Some(true))
    else {
        panic!("{said:?}")
    };
    let expected = "PM10: 36 days above 50 ug/m3 in 2026, allowed 35";
    assert_eq!((*value, text.as_str()), (36.0, expected));
    assert_eq!(days(&mut lab, "pm10", 10.0, 36..364), []);
    let said = lab.row(day("pm10", 10.0, 365));
    assert_eq!(of_topic(&said, "pm10_days"), [false]);
    assert_eq!(
        derived(&said, "pm10_days_over_50"),
        [(at(2027, 1, 1, 23), 0.0)]
    );
}

#[test]
fn the_last_day_of_december_belongs_to_the_old_year() {
    let mut lab = lab();
    let midnight = at(2025, 12, 31, 23);
    lab.row(Row::window("street", "pm10", 86_400, 60.0, midnight - DAY));
    let said = lab.row(Row::window("street", "pm10", 86_400, 60.0, midnight));
    assert_eq!(values(&said, "pm10_days_over_50"), [2.0]);
    let said = lab.row(Row::window("street", "pm10", 86_400, 60.0, midnight + DAY));
    assert_eq!(values(&said, "pm10_days_over_50"), [1.0]);
}

#[test]
fn hours_of_no2_above_200_are_counted_once_each() {
    let mut lab = lab();
    let t = at(2026, 6, 1, 0);
    let mut at = |n: u64, mean| lab.row(hour("no2", mean, t + n * HOUR));
    assert_eq!(values(&at(1, 200.4), "no2_hours_over_200"), [0.0]);
    assert_eq!(values(&at(2, 200.5), "no2_hours_over_200"), [1.0]);
    assert_eq!(
        values(&at(2, 300.0), "no2_hours_over_200"),
        [0.0; 0],
        "the same hour again"
    );
    let more: Vec<_> = (3..=20)
        .map(|n| of_topic(&at(n, 250.0), "no2_hours").len())
        .collect();
    let said: Vec<_> = (3..)
        .zip(more)
        .filter(|(_, n)| *n == 1)
        .map(|(n, _)| n)
        .collect();
    assert_eq!(
        said,
        [5, 20],
        "the 4th hour for 2030, the 19th for 39. BImSchV"
    );
}

/// Running 8-h means of a day of ozone, which begins 23:00 UTC.
fn ozone(lab: &mut Lab<Health>, begins: u64, means: &[f64]) -> Vec<Said> {
    let row =
        |(n, mean): (u64, &f64)| Row::window("street", "o3", 28_800, *mean, begins + n * HOUR);
    (1..)
        .zip(means)
        .map(row)
        .flat_map(|row| lab.row(row))
        .collect()
}

#[test]
fn the_highest_8_h_mean_of_a_day_decides_and_is_said_when_the_day_ends() {
    let mut lab = lab();
    let begins = at(2026, 6, 30, 23);
    let mut means = [80.0; 24];
    means[15] = 121.0;
    let said = ozone(&mut lab, begins, &means[..23]);
    assert_eq!(derived(&said, "o3_8h_max"), []);
    let last = begins + DAY;
    let said = lab.row(Row::window("street", "o3", 28_800, 80.0, last));
    assert_eq!(derived(&said, "o3_8h_max"), [(last, 121.0)]);
    assert_eq!(derived(&said, "o3_days_over_120"), [(last, 1.0)]);
    assert_eq!(derived(&said, "o3_days_over_100"), [(last, 1.0)]);
}

#[test]
fn a_day_with_17_running_means_of_ozone_is_insufficient_data() {
    let (mut few, mut enough) = (lab(), lab());
    let begins = at(2026, 6, 30, 23);
    ozone(&mut few, begins, &[130.0; 17]);
    ozone(&mut enough, begins, &[130.0; 18]);
    let next = Row::window("street", "o3", 28_800, 80.0, begins + DAY + 3 * HOUR);
    assert_eq!(few.row(next.clone()), []);
    assert_eq!(
        derived(&enough.row(next), "o3_8h_max"),
        [(begins + DAY, 130.0)]
    );
}

#[test]
fn the_mean_of_a_year_stands_with_90_percent_of_its_hours() {
    let year = |hours: u64| {
        let (mut lab, begins) = (lab(), at(2024, 12, 31, 23));
        let mut said = Vec::new();
        for n in 1..=hours {
            said.extend(lab.row(hour("no2", 41.0, begins + n * HOUR)));
        }
        said.extend(lab.row(hour("no2", 5.0, at(2026, 1, 1, 0))));
        said
    };
    let said = year(7884);
    assert_eq!(
        derived(&said, "no2_year_mean"),
        [(at(2025, 12, 31, 23), 41.0)]
    );
    let raised = |said: &&Said| said.alert("no2_year") == Some(true);
    let Some(Said::Raised { code, text, .. }) = said.iter().find(raised) else {
        panic!("no alert")
    };
    assert_eq!(
        (*code, text.as_str()),
        (2, "NO2: mean of 2025 41 ug/m3, allowed 40")
    );
    assert_eq!(derived(&year(7883), "no2_year_mean"), []);
}
