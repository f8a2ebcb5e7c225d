//! The health rule as a component: loads, answers, is reproducible and can be interrupted.

use quartier_plugin_host::{Answer, Batch, Runner, Severity};

use crate::bench::Bench;
use crate::support::{asset, windows};

const HOUR: u64 = 3_600_000;
const T0: u64 = 490_000 * HOUR;
// In the order of the manifest.
const PM2_5: u32 = 100;
const NO2: u32 = 102;
const EAQI: u32 = 110;
const LQI: u32 = 111;
const NO2_HOURS: u32 = 118;

fn health() -> Runner {
    Bench::new("health").runner
}

/// 40 hours of 20 assets and 5 pollutants, cut into batches of 256 windows.
fn batches() -> Vec<Batch> {
    let mut rows = Vec::new();
    for hour in 0..40 {
        for asset in 0..20 {
            for metric in 100..105 {
                let step = (hour * 7 + u64::from(asset) * 3 + u64::from(metric) * 5) % 40;
                rows.push((asset, metric, T0 + hour * HOUR, 12.5 * step as f64));
            }
        }
    }
    let mut batches: Vec<Batch> = rows.chunks(256).map(windows).collect();
    batches[0].changed = (0..20).map(asset).collect();
    for (seq, batch) in (0..).zip(&mut batches) {
        (batch.seq, batch.tick) = (seq, seq % 3 == 0);
    }
    batches
}

fn run(runner: &mut Runner, batches: &[Batch]) -> Vec<Answer> {
    batches.iter().map(|batch| runner.run(batch)).collect()
}

#[test]
fn an_hour_of_poor_air_is_indexed_and_the_second_raises_the_alert() {
    let mut runner = health();
    let hour = |hour: u64| {
        windows(&[
            (1, PM2_5, T0 + hour * HOUR, 12.4),
            (1, NO2, T0 + hour * HOUR, 60.5),
        ])
    };
    let first = runner.run(&Batch {
        changed: vec![asset(1)],
        ..hour(0)
    });
    assert_eq!(first.failure, None);
    // The second window corrects the index; the year's first hour of NO2 begins its count.
    let metrics = [EAQI, LQI, EAQI, LQI, NO2_HOURS];
    assert_eq!(first.output.derived.metric, metrics);
    assert_eq!(first.output.derived.value, [2.0, 2.0, 4.0, 4.0, 0.0]);
    assert_eq!(first.output.derived.ts_ms, [T0; 5]);
    assert_eq!(first.output.alerts, []);
    let second = runner.run(&hour(1));
    let [alert] = second.output.alerts.as_slice() else {
        panic!("{second:?}")
    };
    assert_eq!(
        (alert.topic, alert.code, alert.raise, alert.cause),
        (0, 4, true, 1)
    );
    assert_eq!(alert.severity, Severity::Warning);
    assert_eq!(
        alert.text.as_deref(),
        Some("EAQI class 4, since 2 h at 4 or worse")
    );
}

#[test]
fn the_same_batches_give_the_same_answers_and_fuel() {
    let batches = batches();
    let (first, second) = (run(&mut health(), &batches), run(&mut health(), &batches));
    assert_eq!(first, second);
    assert!(
        first
            .iter()
            .all(|answer| answer.failure.is_none() && answer.dropped.is_empty())
    );
    assert!(first.iter().any(|answer| !answer.output.alerts.is_empty()));
    assert!(first.iter().all(|answer| answer.fuel > 0));
}

#[test]
fn an_interruption_anywhere_changes_no_output() {
    let batches = batches();
    let outputs = |answers: Vec<Answer>| answers.into_iter().map(|a| a.output).collect::<Vec<_>>();
    let whole = outputs(run(&mut health(), &batches));
    for cut in 0..=batches.len() {
        let mut before = health();
        let mut answers = run(&mut before, &batches[..cut]);
        let snapshot = before.snapshot().unwrap();
        let mut after = health();
        after.restore(&snapshot).unwrap();
        assert_eq!(after.snapshot().unwrap(), snapshot);
        answers.extend(run(&mut after, &batches[cut..]));
        assert_eq!(outputs(answers), whole, "cut at {cut}");
    }
}
