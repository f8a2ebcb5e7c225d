//! Random streams: gaps, late, out-of-order, repeated and replaced readings, ticks, clock changes.

use proptest::prelude::*;

use super::reference::Slow;
use super::{Closed, HOUR, LATER, Outcome, Spans, Windows, instant, spans};
use crate::model::Millis;
use crate::vocabulary::MeanKind;

const SPANS: [u32; 5] = [600, 900, 3600, 28_800, 86_400];

#[derive(Debug, Clone)]
struct Case {
    spans: Vec<u32>,
    kind: MeanKind,
    interval: Option<i64>,
    zone: &'static str,
    lateness: i64,
    /// First event time, and what the wall clock is ahead of it.
    start: i64,
    ahead: i64,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    /// Event time moves on by this, then a reading this much earlier arrives.
    Read { forward: i64, back: i64, value: f64 },
    /// A reading repeats the time of the one before, and perhaps its value.
    Again { value: Option<f64> },
    /// Wall time passes, a tick comes.
    Tick { passed: i64 },
}

/// A step of a stream that reports about every `usual` ms.
fn step(usual: i64) -> impl Strategy<Value = Step> {
    let forward = prop_oneof![
        6 => Just(usual),
        3 => 1..usual * 2,
        1 => usual * 2..usual * 30,
    ];
    let back = prop_oneof![8 => Just(0), 2 => 0..usual * 4, 1 => 0..usual * 40];
    let value = (-200i32..900).prop_map(|v| f64::from(v) / 10.0);
    let tick = prop_oneof![3 => 0..usual * 2, 1 => usual * 2..usual * 60];
    prop_oneof![
        12 => (forward, back, value.clone()).prop_map(|(forward, back, value)| {
            Step::Read { forward, back, value }
        }),
        1 => prop::option::of(value).prop_map(|value| Step::Again { value }),
        3 => tick.prop_map(|passed| Step::Tick { passed }),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let start = prop_oneof![
        Just("2018-03-24T20:13:00Z"),
        Just("2018-10-27T19:07:00Z"),
        Just("2018-06-01T00:00:00Z"),
        Just("1969-12-31T12:00:00Z"),
    ];
    let zone = prop_oneof![4 => Just("Europe/Berlin"), 1 => Just("Asia/Kolkata"), 1 => Just("UTC")];
    let usual = prop_oneof![Just(60_000), Just(150_000), Just(900_000), Just(HOUR)];
    let kind = prop_oneof![Just(MeanKind::Arithmetic), Just(MeanKind::Energetic)];
    let some = prop::sample::subsequence(SPANS.to_vec(), 1..=5);
    let late = prop_oneof![Just(0), 1..2 * HOUR];
    let set = prop::option::of(prop_oneof![2 => Just(1), 1 => Just(3)]);
    let ahead = prop_oneof![Just(0), Just(8 * 365 * 24 * HOUR)];
    (start, zone, usual, kind, some, late, set, ahead).prop_flat_map(
        |(start, zone, usual, kind, spans, lateness, set, ahead)| {
            prop::collection::vec(step(usual), 1..160).prop_map(move |steps| Case {
                spans: spans.clone(),
                kind,
                interval: set.map(|times| times * usual),
                zone,
                lateness,
                start: instant(start),
                ahead,
                steps,
            })
        },
    )
}

fn windows(case: &Case) -> Windows {
    let mut windows = Windows::new(case.lateness);
    windows.watch(0, spans(&case.spans), case.kind, case.interval, case.zone);
    windows
}

fn slow(case: &Case) -> Slow {
    Slow {
        spans: case.spans.clone(),
        kind: case.kind,
        set_interval: case.interval,
        zone: case.zone,
        lateness: case.lateness,
        arrived: 0,
        waiting: Default::default(),
        settled: Vec::new(),
        done: Default::default(),
        valid_hours: Vec::new(),
    }
}

/// What a step comes to: a reading or a tick, and the wall clock.
fn calls(case: &Case) -> Vec<(Option<(i64, f64)>, i64)> {
    let (mut event, mut wall) = (case.start, case.start + case.ahead);
    let mut last = (event, 0.0);
    case.steps
        .iter()
        .map(|step| match *step {
            Step::Read {
                forward,
                back,
                value,
            } => {
                event += forward;
                // A recorded file is fed much faster than its time passes.
                wall += if case.ahead > 0 { 1 } else { forward };
                last = (event - back, value);
                (Some(last), wall)
            }
            Step::Again { value } => {
                last.1 = value.unwrap_or(last.1);
                (Some(last), wall)
            }
            Step::Tick { passed } => {
                wall += passed;
                (None, wall)
            }
        })
        .collect()
}

fn call(
    windows: &mut Windows,
    (reading, wall): (Option<(i64, f64)>, i64),
    out: &mut Vec<Closed>,
) -> Option<Outcome> {
    match reading {
        Some((time, value)) => Some(windows.observe(0, Millis(time), value, Millis(wall), out)),
        None => {
            windows.tick(Millis(wall), out);
            None
        }
    }
}

/// Equal, but for how a mean was rounded.
fn same(a: &[Closed], b: &[Closed]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            (a.mean - b.mean).abs() <= 1e-9 * (1.0 + a.mean.abs())
                && Closed { mean: b.mean, ..*a } == *b
        })
}

proptest! {
    #[test]
    fn rows_and_outcomes_are_those_of_the_reference(case in case()) {
        let (mut fast, mut slow) = (windows(&case), slow(&case));
        for (n, call_n) in calls(&case).into_iter().enumerate() {
            let (mut rows, mut expected) = (Vec::new(), Vec::new());
            let outcome = call(&mut fast, call_n, &mut rows);
            let wanted = match call_n {
                (Some((time, value)), wall) => {
                    Some(slow.observe(time, value, wall, &mut expected))
                }
                (None, wall) => {
                    slow.tick(wall, &mut expected);
                    None
                }
            };
            prop_assert_eq!(outcome, wanted, "outcome of call {} {:?}", n, call_n);
            prop_assert!(same(&rows, &expected), "call {n} {call_n:?}:\n{rows:#?}\n{expected:#?}");
        }
    }

    #[test]
    fn arrival_order_within_the_lateness_does_not_matter(
        case in case(),
        delays in prop::collection::vec(0.0..1.0f64, 160),
    ) {
        let case = Case { lateness: case.lateness.max(1), ..case };
        let mut time = case.start;
        let mut readings: Vec<(f64, i64, f64)> = case.steps.iter().zip(&delays)
            .filter_map(|(step, delay)| match *step {
                Step::Read { forward, value, .. } => {
                    time += forward;
                    Some((time as f64 + delay * case.lateness as f64 * 0.999, time, value))
                }
                _ => None,
            })
            .collect();
        let mut rows = [Vec::new(), Vec::new()];
        for (n, rows) in rows.iter_mut().enumerate() {
            if n == 1 {
                readings.sort_by(|a, b| a.0.total_cmp(&b.0));
            }
            let mut windows = windows(&case);
            for &(_, time, value) in &readings {
                let outcome = windows.observe(0, Millis(time), value, LATER, rows);
                prop_assert_eq!(outcome, Outcome::Accepted);
            }
            windows.tick(LATER.plus(1000 * HOUR), rows);
            rows.sort_by_key(|row| (row.end, row.span_s));
        }
        prop_assert_eq!(&rows[0], &rows[1]);
    }

    #[test]
    fn a_snapshot_at_any_point_changes_nothing(case in case(), cut in 0usize..160) {
        let mut whole = windows(&case);
        let mut cut_one = windows(&case);
        let (mut rows, mut cut_rows) = (Vec::new(), Vec::new());
        for (n, call_n) in calls(&case).into_iter().enumerate() {
            if n == cut {
                let bytes = postcard::to_allocvec(&cut_one).unwrap();
                let restored: Windows = postcard::from_bytes(&bytes).unwrap();
                prop_assert_eq!(&restored, &cut_one);
                cut_one = restored;
            }
            call(&mut whole, call_n, &mut rows);
            call(&mut cut_one, call_n, &mut cut_rows);
        }
        prop_assert_eq!(rows, cut_rows);
        prop_assert_eq!(
            postcard::to_allocvec(&whole).unwrap(),
            postcard::to_allocvec(&cut_one).unwrap()
        );
    }

    #[test]
    fn streams_do_not_touch_each_other(one in case(), other in case()) {
        let mut together = Windows::new(one.lateness);
        let mut alone = Windows::new(one.lateness);
        for windows in [&mut together, &mut alone] {
            windows.watch(0, spans(&one.spans), one.kind, one.interval, one.zone);
        }
        together.watch(7, Spans::from_seconds(600).unwrap(), other.kind, other.interval, other.zone);
        let (mut rows, mut expected) = (Vec::new(), Vec::new());
        let others = calls(&other);
        for (n, call_n) in calls(&one).into_iter().enumerate() {
            if let Some(&(Some((time, value)), wall)) = others.get(n) {
                together.observe(7, Millis(time), value, Millis(wall), &mut rows);
            }
            call(&mut together, call_n, &mut rows);
            call(&mut alone, call_n, &mut expected);
        }
        rows.retain(|row| row.stream == 0);
        prop_assert_eq!(rows, expected);
    }

    #[test]
    fn no_number_makes_it_panic(
        readings in prop::collection::vec((any::<i64>(), any::<f64>(), any::<i64>()), 1..40),
        lateness in any::<i64>(),
        interval in prop::option::of(any::<i64>()),
    ) {
        let mut windows = Windows::new(lateness);
        windows.watch(0, spans(&SPANS), MeanKind::Energetic, interval, "Europe/Berlin");
        let mut out = Vec::new();
        for (time, value, at) in readings {
            windows.observe(0, Millis(time / 4), value, Millis(at), &mut out);
            windows.observe(0, Millis(time), value, Millis(i64::MAX), &mut out);
            windows.observe(0, Millis(time / 40_000), value, Millis(i64::MAX), &mut out);
            windows.tick(Millis(at), &mut out);
            windows.tick(Millis(i64::MAX), &mut out);
        }
        for row in out {
            prop_assert!(row.min <= row.mean && row.mean <= row.max, "{row:?}");
        }
    }
}
