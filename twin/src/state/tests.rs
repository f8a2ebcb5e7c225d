//! The fold as a function: what it promises for every sequence of entries.

use proptest::prelude::*;

use super::{Effects, PluginBatch, PluginJob, Twin};
use crate::event::{
    AlertChange, CommandGrant, Decision, Deployed, DerivedReading, Digest, Entry, Event,
    PluginRecord, Severity, Stage,
};
use crate::model::{AssetRecord, Millis, Observed, Place, Quality, QuarterRecord, Reading};

const START: i64 = 1_780_272_000_000;

fn entry(at: i64, event: Event<'_>) -> Vec<u8> {
    postcard::to_allocvec(&Entry {
        at: Millis(START + at),
        event,
    })
    .unwrap()
}

fn quarter(id: &str) -> Event<'static> {
    Event::QuarterPut(QuarterRecord {
        id: id.to_owned(),
        name: id.to_uppercase(),
        cells: Vec::new(),
        timezone: "Europe/Berlin".to_owned(),
    })
}

/// Deployed as the second entry of a journal, so that its run is 2.
fn plugin(quarter: &str) -> Event<'static> {
    version(quarter, "1.0.0", Stage::Quarter)
}

const RUN: u64 = 2;

fn version(quarter: &str, version: &str, stage: Stage) -> Event<'static> {
    Event::PluginDeployed(Deployed {
        record: PluginRecord {
            quarter: quarter.to_owned(),
            plugin: "p".to_owned(),
            version: version.to_owned(),
            digest: Digest::of(version.as_bytes()),
            stage,
            metrics: vec!["temperature".to_owned()],
            windows: vec![("pm10".to_owned(), 3600), ("pm10".to_owned(), 600)],
            derives: vec!["eaqi".to_owned()],
            batch: 4,
            properties: vec!["pm10".to_owned()],
            ..PluginRecord::default()
        },
        ..Deployed::default()
    })
}

fn reading(at: i64, asset: &str, metric: &str, value: f64, time: i64) -> Vec<u8> {
    let readings = vec![Reading {
        metric,
        value,
        time: Millis(START + time),
        quality: Quality::Good,
        unit: None,
    }];
    let place = Place::new(51.05 + value / 1e5, 13.74);
    entry(
        at,
        Event::Observed(Observed {
            quarter: "a",
            asset,
            place,
            readings,
        }),
    )
}

fn decision(at: i64, batch: u64, raise: bool) -> Vec<u8> {
    entry(
        at,
        Event::Decided(decided(at, RUN, batch, Stage::Quarter, raise)),
    )
}

fn decided(at: i64, run: u64, batch: u64, stage: Stage, raise: bool) -> Decision {
    let none = Digest::default();
    Decision {
        quarter: "a".to_owned(),
        plugin: "p".to_owned(),
        version: "1.0.0".to_owned(),
        stage,
        digest: none,
        manifest: none,
        config: none,
        run,
        batch,
        from: 1,
        to: 2,
        input_hash: none,
        output_hash: none,
        state_before: none,
        state_after: none,
        previous: none,
        fuel: 0,
        failure: None,
        wall_clock: false,
        dropped: Vec::new(),
        causes: Vec::new(),
        derived: vec![DerivedReading {
            asset: "x0".to_owned(),
            metric: "eaqi".to_owned(),
            value: 2.0,
            time: Millis(START + at),
            causes: Vec::new(),
        }],
        alerts: vec![AlertChange {
            asset: "x0".to_owned(),
            rule: "r".to_owned(),
            severity: Severity::Warning,
            code: 0,
            raise,
            value: 1.0,
            limit: None,
            text: String::new(),
            time: Millis(START + at),
            cause: None,
        }],
        commands: Vec::new(),
    }
}

/// Entries that can follow one another in a journal; time goes on by up to ten minutes a step,
/// and readings come late, out of order and twice.
fn journals() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let step = (
        0..600_000i64,
        0..12u8,
        0..4u8,
        0..3u8,
        -20i32..20,
        0..5_000_000i64,
    );
    prop::collection::vec(step, 1..120).prop_map(|steps| {
        let mut journal = vec![entry(0, quarter("a")), entry(0, plugin("a"))];
        let (mut at, mut batch) = (0, 0);
        for (pause, kind, asset, metric, value, back) in steps {
            at += pause;
            let asset = format!("x{asset}");
            let metric = ["temperature", "pm10", "unheard_of"][usize::from(metric)];
            journal.push(match kind {
                0 => entry(at, Event::Ticked),
                1 => {
                    batch += 1;
                    decision(at, batch / 2, batch % 3 != 0)
                }
                2 => entry(
                    at,
                    Event::AssetPut(AssetRecord {
                        quarter: "a".to_owned(),
                        id: asset,
                        kind: "box".to_owned(),
                        place: Place::new(51.0, 13.0 + f64::from(value) / 100.0),
                        attributes: vec![("interval_s".to_owned(), "600".to_owned())],
                        ..AssetRecord::default()
                    }),
                ),
                3 => reading(at, &asset, metric, f64::from(value), at - back),
                4 => journal.last().cloned().unwrap_or_default(),
                _ => reading(at, &asset, metric, f64::from(value), at),
            });
        }
        journal
    })
}

/// What leaves the fold and matters later: batches, and the number of everything else.
#[derive(Debug, Default, PartialEq)]
struct Left {
    jobs: Vec<PluginJob>,
    changes: usize,
    alerts: usize,
    decisions: usize,
}

impl Left {
    fn batches(&self) -> Vec<&PluginBatch> {
        let batches = self.jobs.iter().filter_map(|job| match job {
            PluginJob::Batch(batch) => Some(batch.as_ref()),
            _ => None,
        });
        batches.collect()
    }
}

fn fold(twin: &mut Twin, first: u64, journal: &[Vec<u8>]) -> Left {
    let mut left = Left::default();
    let mut effects = Effects::default();
    for (position, bytes) in (first..).zip(journal) {
        let entry = postcard::from_bytes(bytes).unwrap();
        twin.fold(position, &entry, &mut effects);
        left.jobs.append(&mut effects.jobs);
        left.changes += effects.changes.len();
        left.alerts += effects.alerts.len();
        left.decisions += effects.decisions.len();
        effects.clear();
    }
    left
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_prefix_a_snapshot_and_the_rest_equal_all(journal in journals(), cut in 0.0..1.0f64) {
        let cut = (journal.len() as f64 * cut) as usize;
        let mut whole = Twin::new();
        let mut all = fold(&mut whole, 1, &journal);
        let mut first = Twin::new();
        let before = fold(&mut first, 1, &journal[..cut]);
        let mut second = Twin::from_bytes(&first.to_bytes().unwrap()).unwrap();
        prop_assert_eq!(second.to_bytes().unwrap(), first.to_bytes().unwrap());
        let after = fold(&mut second, cut as u64 + 1, &journal[cut..]);
        prop_assert_eq!(second.to_bytes().unwrap(), whole.to_bytes().unwrap());
        // Properties may be NaN, which equals nothing, so their bytes are compared.
        let jobs = before.jobs.into_iter().chain(after.jobs);
        let jobs: Vec<_> = jobs.map(|job| format!("{job:?}")).collect();
        let all_jobs: Vec<_> = all.jobs.drain(..).map(|job| format!("{job:?}")).collect();
        prop_assert_eq!(jobs, all_jobs);
        prop_assert_eq!(before.changes + after.changes, all.changes);
        prop_assert_eq!(before.alerts + after.alerts, all.alerts);
    }

    #[test]
    fn the_same_journal_gives_the_same_bytes_and_batches(journal in journals()) {
        let (mut one, mut two) = (Twin::new(), Twin::new());
        let (left, right) = (fold(&mut one, 1, &journal), fold(&mut two, 1, &journal));
        prop_assert_eq!(format!("{left:?}"), format!("{right:?}"));
        prop_assert_eq!(one.to_bytes().unwrap(), two.to_bytes().unwrap());
    }

    #[test]
    fn entries_that_were_folded_already_change_nothing(journal in journals()) {
        let mut twin = Twin::new();
        fold(&mut twin, 1, &journal);
        let before = twin.to_bytes().unwrap();
        prop_assert_eq!(fold(&mut twin, 1, &journal), Left::default());
        prop_assert_eq!(twin.to_bytes().unwrap(), before);
    }

    #[test]
    fn every_reading_is_counted_once(journal in journals()) {
        let mut twin = Twin::new();
        let left = fold(&mut twin, 1, &journal);
        let counts = twin.counts();
        let other = counts.duplicates.max(counts.out_of_order);
        prop_assert!(left.changes as u64 <= counts.readings);
        prop_assert!(counts.readings <= left.changes as u64 + counts.out_of_order + counts.duplicates + other);
    }
}

#[test]
fn a_reading_that_comes_twice_changes_nothing() {
    let mut twin = Twin::new();
    let once = [
        entry(0, quarter("a")),
        reading(1, "x", "pm10", 5.0, 1),
        reading(2, "x", "pm10", 6.0, 2),
    ];
    fold(&mut twin, 1, &once);
    let again = fold(&mut twin, 4, &[reading(3, "x", "pm10", 6.0, 2)]);
    assert_eq!((again.changes, twin.counts().duplicates), (0, 1));
    let older = fold(&mut twin, 5, &[reading(4, "x", "pm10", 5.0, 1)]);
    assert_eq!((older.changes, twin.counts().out_of_order), (0, 1));
    let stream = twin.streams()[0];
    assert_eq!((stream.value, stream.rev), (6.0, 2));
}

#[test]
fn a_correction_of_the_newest_value_counts_and_is_told() {
    let mut twin = Twin::new();
    let journal = [
        entry(0, quarter("a")),
        reading(1, "x", "pm10", 5.0, 1),
        reading(2, "x", "pm10", 6.0, 1),
    ];
    assert_eq!(fold(&mut twin, 1, &journal).changes, 2);
    assert_eq!((twin.streams()[0].value, twin.counts().corrected), (6.0, 1));
}

#[test]
fn a_quarter_nobody_declared_is_counted_and_costs_nothing() {
    let mut twin = Twin::new();
    fold(&mut twin, 1, &[reading(1, "x", "pm10", 5.0, 1)]);
    assert_eq!((twin.counts().ignored, twin.assets().len()), (1, 0));
}

#[test]
fn batches_are_cut_when_full_and_at_ticks() {
    let mut twin = Twin::new();
    let mut journal = vec![entry(0, quarter("a")), entry(0, plugin("a"))];
    journal.extend((1..=5).map(|i| reading(i, "x", "temperature", i as f64, i)));
    journal.push(entry(9, Event::Ticked));
    let left = fold(&mut twin, 1, &journal);
    let cut: Vec<_> = left
        .batches()
        .iter()
        .map(|b| (b.number, b.from, b.to, b.batch.asset.len()))
        .collect();
    assert_eq!(cut, [(0, 3, 6, 4), (1, 7, 8, 1)]);
    assert_eq!(
        left.batches()[0].batch.changed.len(),
        1,
        "the asset is announced with its first batch"
    );
    assert!(left.batches()[1].batch.changed.is_empty());
}

#[test]
fn an_asset_without_readings_is_told_to_the_plugins_that_name_its_kind() {
    let put = |id: &str, kind: &str| {
        let record = AssetRecord {
            quarter: "a".to_owned(),
            id: id.to_owned(),
            kind: kind.to_owned(),
            ..AssetRecord::default()
        };
        entry(1, Event::AssetPut(record))
    };
    let told = |kinds: &[&str]| {
        let Event::PluginDeployed(mut deployed) = plugin("a") else {
            unreachable!()
        };
        deployed.record.kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        deployed.record.commands = vec![CommandGrant {
            kind: "city_tree".to_owned(),
            ..CommandGrant::default()
        }];
        let journal = [
            entry(0, quarter("a")),
            put("early", "connection_point"),
            entry(1, Event::PluginDeployed(deployed)),
            put("late", "connection_point"),
            put("box", "sensor_box"),
            put("tree", "city_tree"),
            reading(2, "box", "temperature", 5.0, 1),
            entry(3, Event::Ticked),
        ];
        let left = fold(&mut Twin::new(), 1, &journal);
        let mut told: Vec<String> = Vec::new();
        for batch in left.batches() {
            told.extend(batch.batch.changed.iter().map(|asset| asset.urn.clone()));
        }
        told
    };
    let named = told(&["connection_point", "sensor_box"]);
    assert_eq!(named, ["early", "late", "tree", "box"]);
    assert_eq!(
        told(&[]),
        ["tree", "box"],
        "of all kinds: what is measured or commanded"
    );
}

#[test]
fn a_decision_of_a_batch_counts_once() {
    let mut twin = Twin::new();
    let journal = [
        entry(0, quarter("a")),
        entry(0, plugin("a")),
        reading(1, "x0", "pm10", 1.0, 1),
        decision(2, 0, true),
        decision(3, 0, false),
    ];
    let left = fold(&mut twin, 1, &journal);
    assert_eq!((left.decisions, twin.alerts().len()), (1, 1));
}

/// A version comes, replaces another, is a shadow, is promoted: what each has seen.
fn seen(left: &Left) -> Vec<(String, u64, Vec<f64>)> {
    let batch = |b: &&PluginBatch| (b.version.clone(), b.run, b.batch.value.clone());
    left.batches().iter().map(batch).collect()
}

#[test]
fn a_version_that_takes_over_gets_exactly_what_follows() {
    let mut twin = Twin::new();
    let journal = [
        entry(0, quarter("a")),
        entry(0, plugin("a")),
        reading(1, "x", "temperature", 1.0, 1),
        reading(2, "x", "temperature", 2.0, 2),
        entry(3, version("a", "2.0.0", Stage::Quarter)),
        reading(4, "x", "temperature", 3.0, 4),
        entry(5, Event::Ticked),
    ];
    let left = fold(&mut twin, 1, &journal);
    let (one, two) = ("1.0.0".to_owned(), "2.0.0".to_owned());
    assert_eq!(
        seen(&left),
        [(one, RUN, vec![1.0, 2.0]), (two, RUN, vec![3.0])]
    );
    let numbers: Vec<_> = left.batches().iter().map(|b| b.number).collect();
    assert_eq!(numbers, [0, 1], "the line of batches goes on");
    assert_eq!(twin.past("a", "p").unwrap().history[0].version, "1.0.0");
}

#[test]
fn a_shadow_sees_the_same_readings_and_its_decisions_change_nothing() {
    let mut twin = Twin::new();
    let journal = [
        entry(0, quarter("a")),
        entry(0, plugin("a")),
        entry(0, version("a", "2.0.0", Stage::Shadow)),
        reading(1, "x0", "temperature", 1.0, 1),
        entry(2, Event::Ticked),
        entry(3, Event::Decided(decided(3, 3, 0, Stage::Shadow, true))),
    ];
    let left = fold(&mut twin, 1, &journal);
    let values: Vec<_> = seen(&left)
        .into_iter()
        .map(|(_, run, v)| (run, v))
        .collect();
    assert_eq!(values, [(RUN, vec![1.0]), (3, vec![1.0])]);
    assert_eq!((left.decisions, left.alerts, left.changes), (1, 0, 1));
    assert!(twin.alerts().is_empty());
    assert_eq!(twin.run(3).unwrap().shadow_alerts.len(), 1);
}

#[test]
fn a_promoted_shadow_brings_its_alerts_and_late_answers_count_once() {
    let mut twin = Twin::new();
    let journal = [
        entry(0, quarter("a")),
        entry(0, plugin("a")),
        entry(0, version("a", "2.0.0", Stage::Shadow)),
        reading(1, "x0", "temperature", 1.0, 1),
        entry(2, Event::Ticked),
        entry(3, Event::Decided(decided(3, 3, 0, Stage::Shadow, true))),
        entry(4, version("a", "2.0.0", Stage::Quarter)),
    ];
    fold(&mut twin, 1, &journal);
    assert_eq!(twin.alerts().len(), 1, "the shadow's alert is real now");
    let deployment = twin.deployment("a", "p").unwrap();
    assert_eq!((deployment.run, &*deployment.record.version), (3, "2.0.0"));
    let late = entry(5, Event::Decided(decided(5, RUN, 0, Stage::Quarter, false)));
    let left = fold(&mut twin, 8, std::slice::from_ref(&late));
    assert_eq!(
        (left.changes, left.alerts),
        (1, 0),
        "its value counts, its alert does not"
    );
    let again = fold(&mut twin, 9, &[late]);
    assert_eq!((again.changes, again.decisions), (0, 0));
}

#[test]
fn a_removed_plugin_takes_its_alerts_with_it() {
    use crate::event::Removed;
    let mut twin = Twin::new();
    let removed = Removed {
        quarter: "a".to_owned(),
        plugin: "p".to_owned(),
        ..Removed::default()
    };
    let journal = [
        entry(0, quarter("a")),
        entry(0, plugin("a")),
        reading(1, "x0", "pm10", 1.0, 1),
        decision(2, 0, true),
        entry(3, Event::PluginRemoved(removed)),
    ];
    let left = fold(&mut twin, 1, &journal);
    assert_eq!((left.alerts, twin.alerts().len()), (2, 0));
    assert!(twin.deployment("a", "p").is_none());
}

#[test]
fn a_parked_plugin_gets_nothing_until_another_version_comes() {
    use crate::event::Parked;
    let mut twin = Twin::new();
    let parked = Parked {
        run: RUN,
        waiting: 7,
    };
    let journal = [
        entry(0, quarter("a")),
        entry(0, plugin("a")),
        reading(1, "x", "temperature", 1.0, 1),
        entry(2, Event::PluginParked(parked)),
        reading(3, "x", "temperature", 2.0, 3),
        entry(4, Event::Ticked),
        entry(5, version("a", "2.0.0", Stage::Quarter)),
        reading(6, "x", "temperature", 3.0, 6),
        entry(7, Event::Ticked),
    ];
    let left = fold(&mut twin, 1, &journal);
    assert_eq!(seen(&left), [("2.0.0".to_owned(), RUN, vec![3.0])]);
}

#[test]
fn a_property_is_the_newest_value_of_the_rows_asset() {
    let mut twin = Twin::new();
    let journal = [
        entry(0, quarter("a")),
        entry(0, plugin("a")),
        reading(1, "x", "temperature", 1.0, 1),
        reading(2, "x", "pm10", 40.0, 2),
        reading(3, "x", "temperature", 2.0, 3),
        entry(4, Event::Ticked),
    ];
    let left = fold(&mut twin, 1, &journal);
    let props = &left.batches()[0].batch.props;
    assert!(props[0].is_nan(), "{props:?}");
    assert_eq!(props[1..], [40.0]);
}
