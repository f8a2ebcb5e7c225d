//! The examples of the rules by name.

use super::super::MAX_WAITING;
use super::{Closed, HOUR, JUNE, LATER, MINUTE, Outcome, Windows, feed, instant, of_span, spans};
use crate::model::Millis;
use crate::vocabulary::MeanKind::{self, Arithmetic, Energetic};

fn watching(seconds: &[u32], kind: MeanKind, interval: Option<i64>, lateness: i64) -> Windows {
    let mut windows = Windows::new(lateness);
    windows.watch(0, spans(seconds), kind, interval, "Europe/Berlin");
    windows
}

/// One value at the end of each of these hours after `start`.
fn hourly(start: i64, hours: impl IntoIterator<Item = i64>) -> Vec<(i64, f64)> {
    hours
        .into_iter()
        .map(|hour| (start + hour * HOUR, hour as f64))
        .collect()
}

#[test]
fn an_hourly_value_stamped_at_the_end_covers_its_hour_whole() {
    let mut windows = watching(&[600, 3600], Arithmetic, Some(HOUR), 0);
    let rows = feed(&mut windows, [(JUNE + HOUR, 17.5), (JUNE + 2 * HOUR, 19.0)]);
    let row = Closed {
        stream: 0,
        span_s: 3600,
        end: Millis(JUNE + HOUR),
        mean: 17.5,
        min: 17.5,
        max: 17.5,
        last: 17.5,
        coverage: 1.0,
    };
    let second = Closed {
        mean: 19.0,
        min: 19.0,
        max: 19.0,
        last: 19.0,
        ..row
    };
    assert_eq!(
        of_span(&rows, 3600),
        [
            row,
            Closed {
                end: Millis(JUNE + 2 * HOUR),
                ..second
            }
        ]
    );
    assert_eq!(of_span(&rows, 600).len(), 12);
}

#[test]
fn forty_five_minutes_make_a_valid_hour_and_forty_four_do_not() {
    for (minutes, valid) in [(45, 1), (44, 0)] {
        let mut windows = watching(&[3600, 28_800], Arithmetic, Some(MINUTE), 0);
        let covered = (1..=minutes)
            .chain([61])
            .map(|minute| (JUNE + minute * MINUTE, 20.0));
        let rows = feed(&mut windows, covered);
        assert_eq!(of_span(&rows, 3600)[0].coverage, minutes as f64 / 60.0);
        assert_eq!(of_span(&rows, 28_800).len(), valid);
    }
}

#[test]
fn a_sensor_of_every_two_and_a_half_minutes_may_miss_a_few() {
    let mut windows = watching(&[3600], Arithmetic, None, 0);
    let missed = [30, 31, 40];
    let readings = (1..=72)
        .filter(|n| !missed.contains(n))
        .map(|n| (JUNE + n * 150_000, 8.0));
    let rows = feed(&mut windows, readings);
    let coverage: Vec<f64> = rows.iter().map(|row| row.coverage).collect();
    // Nothing is known of the first 2.5 min: no reading came before the first.
    assert_eq!(coverage, [23.0 / 24.0, 21.0 / 24.0, 1.0]);
}

#[test]
fn an_unknown_interval_is_never_longer_than_a_quarter_of_an_hour() {
    let mut windows = watching(&[3600], Arithmetic, None, 0);
    let rows = feed(&mut windows, hourly(JUNE, 0..4));
    assert_eq!(
        rows.iter().map(|row| row.coverage).collect::<Vec<_>>(),
        [0.25; 3]
    );
}

#[test]
fn a_mean_is_weighted_by_time_and_keeps_the_last_value() {
    let mut windows = watching(&[3600], Arithmetic, Some(HOUR), 0);
    let quarter = 15 * MINUTE;
    let rows = feed(&mut windows, [(JUNE + quarter, 10.0), (JUNE + HOUR, 2.0)]);
    let row = of_span(&rows, 3600)
        .into_iter()
        .find(|row| row.end.0 == JUNE + HOUR)
        .unwrap();
    assert_eq!(
        (row.mean, row.min, row.max, row.last),
        (4.0, 2.0, 10.0, 2.0)
    );
}

#[test]
fn sound_levels_are_averaged_by_energy_in_short_and_long_windows() {
    let mut windows = watching(&[3600, 28_800], Energetic, Some(HOUR), 0);
    let rows = feed(&mut windows, [(JUNE + HOUR, 60.0), (JUNE + 2 * HOUR, 70.0)]);
    let running = of_span(&rows, 28_800);
    assert!((running[1].mean - 67.403_626_894_942_43).abs() < 1e-9);
    assert_eq!(of_span(&rows, 3600)[1].mean, 70.0);
}

#[test]
fn running_eight_hours_close_every_full_hour_and_count_valid_hours() {
    let mut windows = watching(&[28_800], Arithmetic, Some(HOUR), 0);
    let rows = feed(&mut windows, hourly(JUNE, (1..=8).chain([11, 12])));
    let seen: Vec<(i64, f64, f64)> = rows
        .iter()
        .map(|row| ((row.end.0 - JUNE) / HOUR, row.mean, row.coverage))
        .collect();
    assert_eq!(seen[7], (8, 4.5, 1.0));
    assert_eq!(seen[8], (9, 5.0, 7.0 / 8.0));
    assert_eq!(seen[9], (10, 5.5, 6.0 / 8.0));
    assert_eq!(
        seen[10],
        (11, (4.0 + 5.0 + 6.0 + 7.0 + 8.0 + 11.0) / 6.0, 6.0 / 8.0)
    );
    assert_eq!(seen.len(), 12);
}

#[test]
fn a_local_day_has_23_or_25_hours_when_the_clocks_change() {
    for (eve, hours, coverage) in [
        ("2018-03-24T23:00:00Z", 23, 23.0 / 24.0),
        ("2018-10-27T22:00:00Z", 25, 1.0),
        ("2018-06-01T22:00:00Z", 24, 1.0),
    ] {
        let midnight = instant(eve);
        let mut windows = watching(&[86_400], Arithmetic, Some(HOUR), 0);
        let rows = feed(&mut windows, hourly(midnight, 1..=hours + 24));
        assert_eq!(rows.len(), 2, "{eve}");
        let day = rows[0];
        assert_eq!(day.end.0, midnight + hours * HOUR, "{eve}");
        assert_eq!(day.coverage, coverage);
        assert!((day.mean - (hours + 1) as f64 / 2.0).abs() < 1e-9);
        assert_eq!(
            (day.min, day.max, day.last),
            (1.0, hours as f64, hours as f64)
        );
    }
}

#[test]
fn a_day_of_18_hourly_values_says_three_quarters() {
    let mut windows = watching(&[86_400], Arithmetic, Some(HOUR), 0);
    let midnight = instant("2018-06-01T22:00:00Z");
    let rows = feed(&mut windows, hourly(midnight, (1..=9).chain(16..=24)));
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].coverage, 0.75);
}

#[test]
fn a_silent_stream_is_closed_by_ticks_whether_live_or_recorded() {
    for arrival in [JUNE + 50 * MINUTE, LATER.0] {
        let mut windows = watching(&[3600], Arithmetic, Some(MINUTE), 5 * MINUTE);
        let mut out = Vec::new();
        for minute in 1..=50 {
            windows.observe(
                0,
                Millis(JUNE + minute * MINUTE),
                1.0,
                Millis(arrival),
                &mut out,
            );
        }
        // The hour is closed 1 min (the interval) and 5 min (the lateness) after its end.
        windows.tick(Millis(arrival + 16 * MINUTE - 1), &mut out);
        assert!(out.is_empty());
        windows.tick(Millis(arrival + 16 * MINUTE), &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!((out[0].end.0, out[0].coverage), (JUNE + HOUR, 50.0 / 60.0));
    }
}

#[test]
fn a_year_of_silence_gives_no_rows_and_then_it_goes_on() {
    let mut windows = watching(&[600, 3600, 28_800, 86_400], Arithmetic, Some(HOUR), 0);
    let mut rows = feed(&mut windows, [(JUNE + HOUR, 1.0)]);
    windows.tick(LATER.plus(365 * 24 * HOUR), &mut rows);
    assert_eq!(of_span(&rows, 28_800).len(), 8);
    assert_eq!(
        (of_span(&rows, 3600).len(), of_span(&rows, 86_400).len()),
        (1, 1)
    );
    let resumed = JUNE + 365 * 24 * HOUR;
    let rows = feed(&mut windows, [(resumed, 2.0)]);
    assert_eq!(of_span(&rows, 3600).len(), 1);
    assert_eq!(of_span(&rows, 600).len(), 6);
}

#[test]
fn readings_held_back_by_an_outage_count_for_windows_not_closed() {
    let mut windows = watching(&[3600], Arithmetic, Some(MINUTE), 5 * MINUTE);
    let mut out = Vec::new();
    let read = |windows: &mut Windows, minute: i64, at: i64, out: &mut Vec<Closed>| {
        windows.observe(
            0,
            Millis(JUNE + minute * MINUTE),
            1.0,
            Millis(JUNE + at * MINUTE),
            out,
        )
    };
    for minute in 1..=30 {
        read(&mut windows, minute, minute, &mut out);
    }
    windows.tick(Millis(JUNE + 5 * HOUR), &mut out);
    assert_eq!(out.len(), 1, "the first hour is closed half full");
    for minute in 31..=190 {
        assert_eq!(read(&mut windows, minute, 300, &mut out), Outcome::Accepted);
    }
    let seen: Vec<(i64, f64)> = out
        .iter()
        .map(|row| ((row.end.0 - JUNE) / HOUR, row.coverage))
        .collect();
    assert_eq!(seen, [(1, 0.5), (2, 1.0), (3, 1.0)]);
}

#[test]
fn late_repeated_and_replaced_readings_are_told_apart_and_counted() {
    let mut windows = watching(&[600], Arithmetic, Some(MINUTE), 2 * MINUTE);
    let mut say = |minute: i64, value: f64| {
        windows.observe(
            0,
            Millis(JUNE + minute * MINUTE),
            value,
            LATER,
            &mut Vec::new(),
        )
    };
    assert_eq!(say(1, 1.0), Outcome::Accepted);
    assert_eq!(say(3, 3.0), Outcome::Accepted);
    assert_eq!(say(3, 3.0), Outcome::Duplicate);
    assert_eq!(say(3, 4.0), Outcome::Replaced);
    assert_eq!(
        say(1, 1.0),
        Outcome::Duplicate,
        "repeats the last settled reading"
    );
    assert_eq!(say(1, 2.0), Outcome::Late);
    assert_eq!(say(0, 1.0), Outcome::Late);
    assert_eq!(say(2, 2.0), Outcome::Accepted);
    assert_eq!(say(4, f64::NAN), Outcome::Unusable);
    let counts = windows.counts();
    assert_eq!(
        (
            counts.late,
            counts.duplicate,
            counts.replaced,
            counts.unusable
        ),
        (2, 2, 1, 1)
    );
    let unwatched = windows.observe(9, Millis(JUNE), 1.0, LATER, &mut Vec::new());
    assert_eq!(unwatched, Outcome::Unwatched);
}

#[test]
fn a_replaced_value_is_the_one_in_the_mean() {
    let mut windows = watching(&[600], Arithmetic, Some(10 * MINUTE), MINUTE);
    let end = JUNE + 10 * MINUTE;
    let rows = feed(&mut windows, [(end, 1.0), (end, 5.0), (end + MINUTE, 0.0)]);
    assert_eq!((rows[0].mean, rows[0].min), (5.0, 5.0));
}

#[test]
fn one_wrong_clock_does_not_make_a_stream_deaf() {
    let mut windows = watching(&[600], Arithmetic, Some(MINUTE), 0);
    let mut out = Vec::new();
    let ahead = LATER.plus(24 * HOUR + 1);
    assert_eq!(
        windows.observe(0, ahead, 1.0, LATER, &mut out),
        Outcome::Unusable
    );
    assert_eq!(
        windows.observe(0, LATER, 1.0, LATER, &mut out),
        Outcome::Accepted
    );
}

#[test]
fn the_mean_of_equal_values_is_that_value() {
    for kind in [Arithmetic, Energetic] {
        let mut windows = watching(&[600, 28_800, 86_400], kind, Some(7_000), 0);
        let rows = feed(&mut windows, (0..40_000).map(|n| (JUNE + n * 7_000, 54.1)));
        assert!(rows.iter().all(|row| row.mean == 54.1));
        assert_eq!(of_span(&rows, 86_400).len(), 3);
    }
}

#[test]
fn asking_again_changes_nothing_and_asking_for_more_keeps_what_is_open() {
    let half: Vec<(i64, f64)> = (1..=30).map(|n| (JUNE + n * MINUTE, 1.0)).collect();
    let rest: Vec<(i64, f64)> = (31..=60).map(|n| (JUNE + n * MINUTE, 3.0)).collect();
    let mut windows = watching(&[3600], Arithmetic, Some(MINUTE), 0);
    feed(&mut windows, half);
    let before = windows.clone();
    windows.watch(0, spans(&[3600]), Arithmetic, Some(MINUTE), "Europe/Berlin");
    assert_eq!(windows, before);
    windows.watch(
        0,
        spans(&[600, 86_400]),
        Arithmetic,
        Some(MINUTE),
        "Europe/Berlin",
    );
    let rows = feed(&mut windows, rest);
    assert_eq!(of_span(&rows, 600).len(), 3);
    assert_eq!(
        (
            of_span(&rows, 3600)[0].mean,
            of_span(&rows, 3600)[0].coverage
        ),
        (2.0, 1.0)
    );
}

#[test]
fn forgetting_a_stream_leaves_the_others_in_place() {
    let mut windows = Windows::new(0);
    for stream in 0..3 {
        windows.watch(stream, spans(&[600]), Arithmetic, Some(10 * MINUTE), "UTC");
    }
    windows.unwatch(0);
    windows.unwatch(7);
    assert_eq!(windows.len(), 2);
    let mut out = Vec::new();
    for stream in 0..3 {
        windows.observe(stream, Millis(JUNE), f64::from(stream), LATER, &mut out);
    }
    let seen: Vec<(u32, f64)> = out.iter().map(|row| (row.stream, row.mean)).collect();
    assert_eq!(seen, [(1, 1.0), (2, 2.0)]);
}

#[test]
fn an_interval_that_becomes_known_counts_from_the_next_reading_on() {
    let mut windows = watching(&[3600], Arithmetic, None, 0);
    let mut rows = feed(&mut windows, hourly(JUNE, [1, 2]));
    windows.set_interval(0, Some(HOUR));
    rows.extend(feed(&mut windows, hourly(JUNE, [3])));
    windows.set_interval(0, None);
    rows.extend(feed(&mut windows, hourly(JUNE, [4])));
    let coverage: Vec<f64> = rows.iter().map(|row| row.coverage).collect();
    assert_eq!(coverage, [0.25, 1.0, 0.25]);
}

#[test]
fn waiting_readings_are_bounded() {
    let mut windows = watching(&[600], Arithmetic, Some(1_000), 24 * HOUR);
    let waiting = MAX_WAITING as i64;
    feed(&mut windows, (0..waiting).map(|n| (JUNE + n * 1_000, 1.0)));
    let mut out = Vec::new();
    let earlier = windows.observe(0, Millis(JUNE - 1_000), 1.0, LATER, &mut out);
    assert_eq!(
        earlier,
        Outcome::Accepted,
        "settled at once: it is the oldest"
    );
    let older = windows.observe(0, Millis(JUNE - 2_000), 1.0, LATER, &mut out);
    assert_eq!(older, Outcome::Late);
}

#[test]
fn an_unknown_zone_counts_as_utc() {
    assert!(Windows::knows_zone("Europe/Berlin") && !Windows::knows_zone("Mars/Olympus"));
    let mut windows = Windows::new(0);
    windows.watch(0, spans(&[86_400]), Arithmetic, Some(HOUR), "Mars/Olympus");
    let rows = feed(&mut windows, hourly(JUNE, 1..=24));
    assert_eq!(rows[0].end.0, JUNE + 24 * HOUR);
}

#[test]
fn the_rows_of_one_tick_are_sorted_by_end_then_stream() {
    let mut windows = Windows::new(0);
    let mut out = Vec::new();
    for stream in [2, 0, 1] {
        windows.watch(stream, spans(&[600]), Arithmetic, Some(MINUTE), "UTC");
        let minute = 5 + 10 * i64::from(stream == 0);
        windows.observe(stream, Millis(JUNE + minute * MINUTE), 1.0, LATER, &mut out);
    }
    windows.tick(LATER.plus(HOUR), &mut out);
    let streams: Vec<u32> = out.iter().map(|row| row.stream).collect();
    assert_eq!(streams, [1, 2, 0]);
}
