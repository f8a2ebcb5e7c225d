//! The science rule as a component: loads, answers, is reproducible.

use quartier_plugin_host::{Asset, Batch};

use crate::bench::{Bench, Row, asset, reproducible};

const HOUR: u64 = 3_600_000;
const T0: u64 = 490_000 * HOUR;
/// A cell of resolution 9 in Dresden.
const CELL: u64 = 0x0891_f1b0_960b_ffff;

/// A station and nine boxes in one cell, which are calibrated by it.
fn quarter() -> Vec<Asset> {
    let boxes = (2..=10).map(|id| Asset {
        cell: CELL,
        ..asset(id, "sensor_box", &[("calibrated_by", 1)])
    });
    [asset(1, "reference_station", &[])]
        .into_iter()
        .chain(boxes)
        .collect()
}

/// Hour `n`: the box 2 shows 60 ug/m3 more than the others; all have humid air.
fn hour(bench: &Bench, n: u64) -> Batch {
    let (end, base) = (T0 + n * HOUR, 10.0 + (n * 5 % 7) as f64);
    let level = |id: u32| base + f64::from(id) / 10.0 + if id == 2 { 60.0 } else { 0.0 };
    let readings = |id: u32| -> Vec<Row<'static>> {
        let at = |step: u64| end - HOUR + (step + 1) * 300_000;
        let each = |step| (id, "pm2_5", level(id) + (step % 3) as f64, at(step));
        (0..12).map(each).collect()
    };
    let windows = |id: u32| -> [Row<'static>; 3] {
        [
            (id, "pm2_5", level(id) + 1.0, end),
            (id, "pm10", 2.0 * level(id), end),
            (id, "humidity", 80.0, end),
        ]
    };
    let rows: Vec<Row<'_>> = (2..=10).flat_map(readings).collect();
    let station = [(1, "pm2_5", 2.0 * base, end)];
    let means: Vec<Row<'_>> = station
        .into_iter()
        .chain((2..=10).flat_map(windows))
        .collect();
    Batch {
        seq: n,
        now_ms: end,
        tick: true,
        ..bench.batch(&rows, 3600, &means)
    }
}

#[test]
fn a_box_unlike_its_neighbours_is_suspect_after_three_hours() {
    let mut bench = Bench::new("science");
    let mut alerts = Vec::new();
    for n in 1..=4 {
        let mut batch = hour(&bench, n);
        if n == 1 {
            batch.changed = quarter();
        }
        let answer = bench.runner.run(&batch);
        assert_eq!(answer.failure, None);
        assert!(answer.dropped.is_empty(), "{:?}", answer.dropped);
        let flags = bench.derived(&answer, "pm2_5_flags");
        let expected = if n == 4 { 16.0 + 32.0 } else { 32.0 };
        assert_eq!(flags.len(), if n == 1 { 0 } else { 9 });
        assert!(
            flags
                .iter()
                .all(|(id, f)| *f == if *id == 2 { expected } else { 32.0 })
        );
        alerts.extend(
            bench
                .alerts(&answer)
                .iter()
                .map(|a| (a.0, a.1.to_owned(), a.2, a.3)),
        );
    }
    let both = ["pm2_5_suspect", "pm10_suspect"].map(|topic| (2, topic.to_owned(), 1, true));
    assert_eq!(alerts, both);
}

#[test]
fn humid_air_is_corrected_and_the_reference_gives_a_regression() {
    let mut bench = Bench::new("science");
    bench.runner.run(&Batch {
        changed: quarter(),
        ..Batch::default()
    });
    let mut last = None;
    for n in 1..=30 {
        let batch = hour(&bench, n);
        last = Some(bench.runner.run(&batch));
    }
    let last = last.unwrap();
    let corrected = bench.derived(&last, "pm2_5_corrected");
    let (_, value) = corrected.iter().find(|(id, _)| *id == 3).unwrap();
    let mean = 10.0 + f64::from(30 * 5 % 7) + 0.3 + 1.0;
    assert!(
        (value * 20.0 / mean - 18.664_762).abs() < 1e6f64.recip() * 20.0,
        "{value}"
    );
    let slopes = bench.derived(&last, "calibration_slope");
    assert_eq!(slopes.len(), 9);
    assert!(
        slopes.iter().all(|(_, slope)| (slope - 2.0).abs() < 1e-9),
        "{slopes:?}"
    );
    assert_eq!(
        bench.derived(&last, "calibration_n"),
        (2..=10).map(|id| (id, 30.0)).collect::<Vec<_>>()
    );
}

#[test]
fn the_same_batches_give_the_same_answers_and_interruptions_change_none() {
    let bench = Bench::new("science");
    let mut batches: Vec<Batch> = (1..=12).map(|n| hour(&bench, n)).collect();
    batches[0].changed = quarter();
    let answers = reproducible("science", &batches);
    assert!(
        answers
            .iter()
            .any(|answer| !answer.output.alerts.is_empty())
    );
}
