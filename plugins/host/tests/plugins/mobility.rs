//! The mobility rule as a component: loads, answers, is reproducible.

use quartier_plugin_host::Batch;

use crate::bench::{Bench, Row, asset, reproducible};

const MINUTE: u64 = 60_000;
const T0: u64 = 490_000 * 60 * MINUTE;

fn with_ticks(batch: Batch, now_ms: u64) -> Batch {
    Batch {
        now_ms,
        tick: true,
        ..batch
    }
}

#[test]
fn a_stale_capacity_is_flagged_and_the_second_reading_raises_the_alert() {
    let mut bench = Bench::new("mobility");
    let rows = |time| {
        [
            (1, "parking_free", 490.0, time),
            (1, "parking_capacity", 400.0, time),
        ]
    };
    let first = Batch {
        changed: vec![asset(1, "car_park", &[])],
        ..bench.batch(&rows(T0), 0, &[])
    };
    let first = bench.runner.run(&first);
    assert_eq!(first.failure, None);
    assert_eq!(bench.derived(&first, "parking_occupancy"), [(1, -22.5)]);
    assert_eq!(bench.derived(&first, "parking_capacity_stale"), [(1, 1.0)]);
    assert_eq!(first.output.alerts, []);
    let second = bench.batch(&rows(T0 + MINUTE), 0, &[]);
    let second = bench.runner.run(&second);
    assert_eq!(
        bench.alerts(&second),
        [(1, "parking_capacity_stale", 1, true)]
    );
    let text = second.output.alerts[0].text.as_deref();
    assert_eq!(
        text,
        Some("490 spaces free of 400 that the car park is said to have")
    );
}

#[test]
fn charging_sites_and_feeds_are_told_at_ticks() {
    let mut bench = Bench::new("mobility");
    let rows = [
        (2, "charging_state", 1.0, T0),
        (3, "charging_state", 8.0, T0),
        (5, "vehicles_available", 4.0, T0),
    ];
    let batch = Batch {
        changed: vec![
            asset(1, "charging_site", &[]),
            asset(2, "evse", &[("part_of", 1)]),
            asset(3, "evse", &[("part_of", 1)]),
            asset(4, "evse", &[("part_of", 1)]),
            asset(5, "bike_station", &[]),
        ],
        ..bench.batch(&rows, 0, &[])
    };
    let answer = bench.runner.run(&with_ticks(batch, T0 + MINUTE));
    assert_eq!(answer.failure, None);
    let counts = ["free", "busy", "down", "unknown"]
        .map(|what| bench.derived(&answer, &format!("charging_points_{what}")));
    assert_eq!(counts, [[(1, 1.0)], [(1, 1.0)], [(1, 0.0)], [(1, 1.0)]]);
    assert_eq!(bench.derived(&answer, "feed_stale"), [(5, 0.0)]);
    let later = bench
        .runner
        .run(&with_ticks(Batch::default(), T0 + 6 * MINUTE));
    assert_eq!(bench.derived(&later, "feed_stale"), [(5, 1.0)]);
    assert_eq!(later.output.derived.value, [1.0], "and nothing else");
}

#[test]
fn the_same_batches_give_the_same_answers_and_interruptions_change_none() {
    let bench = Bench::new("mobility");
    let changed = (1..=10).map(|id| {
        let mut road = asset(id, "road", &[("part_of", 1)]);
        road.attributes = vec![("lanes".to_owned(), "2".to_owned())];
        road
    });
    let changed: Vec<_> = changed.collect();
    let mut batches: Vec<Batch> = (0..20)
        .map(|n| {
            let time = T0 + n * 15 * MINUTE;
            let value = (n * 7 % 13) as f64;
            let of = |id: u32| -> [Row<'static>; 5] {
                [
                    (id, "parking_free", 40.0 + value, time),
                    (id, "parking_capacity", 45.0, time),
                    (id, "pedestrian_density", value / 4.0, time),
                    (id, "charging_state", value, time),
                    (id, "docks_available", value, time),
                ]
            };
            let flow = |id: u32| -> [Row<'static>; 2] {
                [
                    (id, "vehicle_flow", 400.0 * value, time),
                    (id, "vehicle_speed", 50.0, time),
                ]
            };
            let readings: Vec<Row<'_>> = (1..=10).flat_map(of).collect();
            let windows: Vec<Row<'_>> = (1..=10).flat_map(flow).collect();
            let batch = bench.batch(&readings, 900, &windows);
            Batch {
                seq: n,
                ..with_ticks(batch, time)
            }
        })
        .collect();
    batches[0].changed = changed;
    let answers = reproducible("mobility", &batches);
    assert!(
        answers
            .iter()
            .any(|answer| !answer.output.alerts.is_empty())
    );
}
