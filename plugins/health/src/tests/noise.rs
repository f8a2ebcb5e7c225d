//! Sound levels: the oracle of a measured street, days and nights by the clock on the wall, TA Laerm
//! and 16. BImSchV.

use quartier_sdk::testing::{Lab, Said, values};

use super::{alerts, at, data, derived, hour, lab};
use crate::Health;
use crate::clock::HOUR;
use crate::noise::lden;

/// A meter of that category.
fn meter(attribute: &str, category: &str) -> Lab<Health> {
    let mut lab = lab();
    lab.asset("street", "sound_level_meter", &[(attribute, category)]);
    lab
}

/// Hours that end at `begin` + 1 h and so on.
fn hours(lab: &mut Lab<Health>, begin: u64, levels: impl IntoIterator<Item = f64>) -> Vec<Said> {
    let row = |(n, level)| hour("laeq", level, begin + n * HOUR);
    (1..)
        .zip(levels)
        .map(row)
        .flat_map(|row| lab.row(row))
        .collect()
}

/// Energetic means of the full hours of the file, by end; its stamps are the middle of a minute.
fn street() -> Option<Vec<(u64, f64, f64)>> {
    let mut file = csv::Reader::from_path(data("noise")?.join("laeq_1min.csv")).unwrap();
    let mut hours: Vec<(u64, f64, f64)> = Vec::new();
    for record in file.records() {
        let record = record.unwrap();
        let number = |range: std::ops::Range<usize>| record[0][range].parse::<u64>().unwrap();
        let end = at(
            number(0..4),
            number(5..7),
            number(8..10),
            number(11..13) + 1,
        );
        let energy = 10f64.powf(record[1].parse::<f64>().unwrap() / 10.0);
        match hours.last_mut().filter(|hour| hour.0 == end) {
            Some(hour) => (hour.1, hour.2) = (hour.1 + energy, hour.2 + 1.0),
            None => hours.push((end, energy, 1.0)),
        }
    }
    Some(hours)
}

#[test]
fn a_measured_street_has_the_published_day_evening_night_and_lden() {
    let Some(street) = street() else { return };
    let mut lab = lab();
    lab.set("zone", "UTC");
    let mut said = Vec::new();
    for (end, energy, minutes) in street {
        let level = 10.0 * (energy / minutes).log10();
        said.extend(lab.row(hour("laeq", level, end).coverage(minutes / 60.0)));
    }
    let whole_days = at(2025, 4, 1, 0);
    for (metric, published) in [
        ("lday", 51.83),
        ("levening", 50.48),
        ("lnight", 48.62),
        ("lden", 55.77),
    ] {
        let &(time, level) = derived(&said, metric).last().unwrap();
        assert_eq!(time, whole_days);
        assert!(
            (level - published).abs() <= 0.005,
            "{metric}: {level}, not {published}"
        );
    }
    assert_eq!(values(&said, "noise_days").last(), Some(&11.0));
}

#[test]
fn decibels_are_added_as_energies() {
    let mut lab = lab();
    let levels = (0..24).map(|n| if n == 12 { 80.0 } else { 40.0 });
    let said = hours(&mut lab, at(2026, 1, 14, 23), levels);
    let expected = 10.0 * ((1e8 + 11.0 * 1e4) / 12.0_f64).log10();
    let [lday] = values(&said, "lday")[..] else {
        panic!("{said:?}")
    };
    assert!((lday - expected).abs() < 1e-9, "{lday}, not {expected}");
}

#[test]
fn evening_counts_5_and_night_10_decibels_more() {
    assert!((lden(60.0, 55.0, 50.0) - 60.0).abs() < 1e-9);
    assert!((lden(50.0, 50.0, 50.0) - 56.395).abs() < 1e-3);
}

#[test]
fn the_clock_on_the_wall_divides_the_day_in_summer_too() {
    let levels = |begin: u64| {
        let mut lab = lab();
        let said = hours(
            &mut lab,
            begin,
            (0..24).map(|n| match n {
                6..18 => 60.0,
                18..22 => 50.0,
                _ => 40.0,
            }),
        );
        let of = |name| values(&said, name).first().map(|level| level.round());
        (
            of("lday"),
            of("levening"),
            of("lnight"),
            derived(&said, "lden").first().map(|d| d.0),
        )
    };
    for (begin, end) in [
        (at(2026, 1, 14, 23), at(2026, 1, 15, 23)),
        (at(2026, 7, 14, 22), at(2026, 7, 15, 22)),
    ] {
        assert_eq!(
            levels(begin),
            (Some(60.0), Some(50.0), Some(40.0), Some(end))
        );
    }
}

#[test]
fn days_of_23_and_25_hours_end_at_their_midnight() {
    for (begin, hours_of_day) in [(at(2026, 3, 28, 23), 23), (at(2026, 10, 24, 22), 25)] {
        let said = hours(&mut lab(), begin, (0..hours_of_day).map(|_| 50.0));
        assert_eq!(
            derived(&said, "noise_days"),
            [(begin + hours_of_day * HOUR, 1.0)]
        );
    }
}

#[test]
fn a_day_with_17_valid_hours_is_left_out() {
    let begin = at(2026, 1, 14, 23);
    let day = |valid: u64| -> Vec<Said> {
        let mut lab = lab();
        let coverage = |n| if n <= valid { 0.75 } else { 0.74 };
        let row = |n| hour("laeq", 50.0, begin + n * HOUR).coverage(coverage(n));
        (1..=24).flat_map(|n| lab.row(row(n))).collect()
    };
    assert_eq!(values(&day(17), "noise_days"), [0.0; 0]);
    assert_eq!(values(&day(18), "noise_days"), [1.0]);
}

#[test]
fn the_index_begins_anew_with_the_year() {
    let mut lab = lab();
    hours(&mut lab, at(2025, 12, 30, 23), (0..24).map(|_| 70.0));
    let said = hours(&mut lab, at(2025, 12, 31, 23), (0..24).map(|_| 50.0));
    assert_eq!(values(&said, "noise_days"), [1.0]);
    assert!((values(&said, "lday")[0] - 50.0).abs() < 1e-9);
}

/// From 22:00 of a winter evening on, by the clock on the wall.
const EVENING: (u64, u64, u64, u64) = (2026, 1, 14, 21);

fn evening() -> u64 {
    let (year, month, day, hour) = EVENING;
    at(year, month, day, hour)
}

#[test]
fn one_loud_hour_of_a_night_is_past_the_guide_value_of_ta_laerm() {
    let mut night = [30.0; 8];
    night[4] = 36.0;
    let mut lab = meter("ta_laerm", "pure_residential");
    let said = hours(&mut lab, evening(), night);
    assert_eq!(alerts(&said), [("ta_laerm_night", 6, true)]);
    let loudest = derived(&said, "laeq_night_hour");
    assert_eq!(loudest.len(), 1);
    assert_eq!(loudest[0].0, evening() + 8 * HOUR);
    assert!((loudest[0].1 - 36.0).abs() < 1e-9);
    let Some(Said::Raised { text, .. }) = said.iter().find(|s| s.alert("ta_laerm_night").is_some())
    else {
        panic!("{said:?}")
    };
    let expected =
        "indicator: LAeq of the loudest hour of the night 36.0 dB(A), pure_residential 35 dB(A)";
    assert_eq!(text, expected);
}

#[test]
fn the_day_of_ta_laerm_is_16_hours_and_their_mean_decides() {
    let mut lab = meter("ta_laerm", "residential");
    let mut day = [54.0; 16];
    day[0] = 60.0;
    let said = hours(&mut lab, evening() - 16 * HOUR, day);
    let expected = 10.0 * ((15.0 * 10f64.powf(5.4) + 1e6) / 16.0).log10();
    assert!((values(&said, "laeq_day_16h")[0] - expected).abs() < 1e-9);
    assert_eq!(alerts(&said), [], "{expected} is below 55");
    let mut lab = meter("ta_laerm", "residential");
    day[0] = 67.0;
    let said = hours(&mut lab, evening() - 16 * HOUR, day);
    assert_eq!(alerts(&said), [("ta_laerm_day", 5, true)]);
}

#[test]
fn guide_values_of_all_areas_are_those_of_the_laws() {
    let areas = [
        ("ta_laerm", "industrial", 70, 70),
        ("ta_laerm", "commercial", 65, 50),
        ("ta_laerm", "urban", 63, 45),
        ("ta_laerm", "mixed", 60, 45),
        ("ta_laerm", "residential", 55, 40),
        ("ta_laerm", "pure_residential", 50, 35),
        ("ta_laerm", "hospital", 45, 35),
        ("traffic_noise", "hospital", 57, 47),
        ("traffic_noise", "residential", 59, 49),
        ("traffic_noise", "mixed", 64, 54),
        ("traffic_noise", "commercial", 69, 59),
    ];
    for (attribute, area, day, night) in areas {
        let raised = |above: f64| -> Vec<(String, bool)> {
            let mut lab = meter(attribute, area);
            let level = |n: u64| match n % 24 {
                0..16 => f64::from(day) + above,
                _ => f64::from(night) + above,
            };
            let said = hours(&mut lab, evening() - 16 * HOUR, (0..48).map(level));
            let alerts = alerts(&said).into_iter();
            alerts
                .map(|(topic, _, raised)| (topic.to_owned(), raised))
                .collect()
        };
        assert_eq!(raised(-0.01), [], "{attribute} {area}");
        let both = ["day", "night"].map(|period| (format!("{attribute}_{period}"), true));
        assert_eq!(raised(0.01), both, "{attribute} {area}");
    }
}

#[test]
fn an_alert_on_noise_clears_after_three_nights_2_decibels_below() {
    let mut lab = meter("ta_laerm", "mixed");
    let mut night = |n: u64, level| {
        let said = hours(&mut lab, evening() + n * 24 * HOUR, [level; 8]);
        alerts(&said).len()
    };
    assert_eq!(night(0, 46.0), 1);
    assert_eq!([night(1, 43.1), night(2, 43.1), night(3, 43.1)], [0, 0, 0]);
    assert_eq!([night(4, 42.9), night(5, 42.9), night(6, 42.9)], [0, 0, 1]);
}

#[test]
fn a_night_with_five_hours_is_insufficient_data_unless_one_was_too_loud() {
    let five = |level| {
        let mut lab = meter("ta_laerm", "mixed");
        hours(&mut lab, evening(), [level; 5]);
        let noon = lab.row(hour("laeq", 40.0, evening() + 14 * HOUR));
        (values(&noon, "laeq_night_hour").len(), alerts(&noon).len())
    };
    assert_eq!(five(40.0), (0, 0));
    assert_eq!(five(46.0), (0, 1));
}

#[test]
fn an_unknown_category_is_logged_with_the_known_ones_and_raises_nothing() {
    let mut lab = meter("traffic_noise", "rural");
    let said = hours(&mut lab, evening(), [90.0; 8]);
    assert_eq!(alerts(&said), []);
    let expected = "street: attribute traffic_noise: \"rural\" is none of hospital, residential, mixed, commercial";
    assert!(
        lab.logged().iter().any(|(_, line)| line == expected),
        "{:?}",
        lab.logged()
    );
}

#[test]
fn a_place_that_loses_its_category_loses_its_alert() {
    let mut lab = meter("ta_laerm", "mixed");
    hours(&mut lab, evening(), [60.0; 8]);
    lab.asset("street", "sound_level_meter", &[]);
    let said = hours(&mut lab, evening() + 24 * HOUR, [60.0; 8]);
    assert_eq!(alerts(&said), [("ta_laerm_night", 1, false)]);
}

#[test]
fn an_unknown_zone_is_refused() {
    let mut lab = lab();
    lab.set("zone", "Europe/London");
    let error = lab.start().unwrap_err().to_string();
    assert_eq!(
        error,
        "config zone: \"Europe/London\" is none of Europe/Berlin, UTC"
    );
}
