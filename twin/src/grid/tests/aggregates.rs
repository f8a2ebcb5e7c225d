//! Live aggregates against recomputation.

use std::collections::{BTreeMap, BTreeSet};

use h3o::{CellIndex, Resolution};
use proptest::prelude::*;

use super::{cloud, place};
use crate::grid::{Aggregate, Aggregates, Sample, cell_of};
use crate::model::{Millis, Place};
use crate::vocabulary::MeanKind;

const ASSETS: u32 = 150;
/// Of each asset: two streams of metric 1, an arithmetic one, and one of metric 3, energetic.
const METRICS: [u16; 3] = [1, 1, 3];
const STREAMS: u32 = ASSETS * 3;

fn metric(stream: u32) -> u16 {
    METRICS[(stream % 3) as usize]
}

fn mean(metric: u16) -> MeanKind {
    if metric == 3 {
        MeanKind::Energetic
    } else {
        MeanKind::Arithmetic
    }
}

fn levels() -> impl Iterator<Item = Resolution> {
    Resolution::range(Resolution::Six, Resolution::Twelve)
}

type Key = (u16, CellIndex);

/// What the aggregates are held against: every stream's cell and sample, in the open.
struct Model {
    cells: Vec<Option<CellIndex>>,
    samples: Vec<Option<Sample>>,
}

impl Model {
    fn new() -> Self {
        let streams = STREAMS as usize;
        Self {
            cells: vec![None; streams],
            samples: vec![None; streams],
        }
    }

    fn sample(&self) -> impl Fn(u32) -> Option<Sample> + '_ {
        |stream| self.samples[stream as usize]
    }

    fn recompute(&self) -> BTreeMap<Key, Aggregate> {
        let mut values: BTreeMap<Key, Vec<Sample>> = BTreeMap::new();
        for stream in 0..STREAMS {
            let at = stream as usize;
            let (Some(cell), Some(sample)) = (self.cells[at], self.samples[at]) else {
                continue;
            };
            for level in levels() {
                let key = (metric(stream), cell.parent(level).unwrap());
                values.entry(key).or_default().push(sample);
            }
        }
        values
            .into_iter()
            .map(|(key, samples)| (key, aggregate(&samples, mean(key.0))))
            .collect()
    }
}

fn aggregate(samples: &[Sample], mean: MeanKind) -> Aggregate {
    let values = || samples.iter().map(|sample| sample.value);
    let sum: f64 = values().sum();
    let count = samples.len() as f64;
    Aggregate {
        count: samples.len() as u32,
        assets: samples
            .iter()
            .map(|sample| sample.asset)
            .collect::<BTreeSet<_>>()
            .len() as u32,
        mean: match mean {
            MeanKind::Arithmetic => sum / count,
            MeanKind::Energetic => {
                10.0 * (values().map(|level| 10f64.powf(level / 10.0)).sum::<f64>() / count).log10()
            }
        },
        min: values().fold(f64::INFINITY, f64::min),
        max: values().fold(f64::NEG_INFINITY, f64::max),
        sum,
        time: samples.iter().map(|sample| sample.time).max().unwrap(),
    }
}

/// Equal but for the rounding of sums.
fn agree(a: &Aggregate, b: &Aggregate) -> bool {
    let close = |a: f64, b: f64| (a - b).abs() < 1e-6;
    let rounded = Aggregate {
        sum: b.sum,
        mean: b.mean,
        ..*a
    };
    rounded == *b && close(a.sum, b.sum) && close(a.mean, b.mean)
}

#[derive(Debug, Clone)]
enum Op {
    Move(u32, usize),
    Remove(u32),
    Set(u32, f64),
    Unset(u32),
    Refresh,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (0..ASSETS, any::<usize>()).prop_map(|(asset, spot)| Op::Move(asset, spot)),
        2 => (0..ASSETS).prop_map(Op::Remove),
        8 => (0..STREAMS, 20.0..90.0f64).prop_map(|(stream, value)| Op::Set(stream, value)),
        1 => (0..STREAMS).prop_map(Op::Unset),
        1 => Just(Op::Refresh),
    ];
    proptest::collection::vec(op, 100..600)
}

/// Does what the twin does, to both; answers the cells in which something happened.
fn apply(op: &Op, step: i64, spots: &[Place], live: &mut Aggregates, model: &mut Model) {
    match *op {
        Op::Move(asset, spot) => {
            let cell = cell_of(spots[spot % spots.len()]).unwrap();
            for stream in asset * 3..asset * 3 + 3 {
                live.add(stream, metric(stream), mean(metric(stream)), cell);
                model.cells[stream as usize] = Some(cell);
            }
        }
        Op::Remove(asset) => {
            for stream in asset * 3..asset * 3 + 3 {
                live.remove(stream);
                model.cells[stream as usize] = None;
            }
        }
        Op::Set(stream, value) => {
            let sample = Sample {
                value,
                time: Millis(step),
                asset: stream / 3,
            };
            model.samples[stream as usize] = Some(sample);
            live.touch(stream);
        }
        Op::Unset(stream) => {
            model.samples[stream as usize] = None;
            live.touch(stream);
        }
        Op::Refresh => {}
    }
}

/// Refreshes, and takes every report into `told`, which is what a subscriber would know.
fn refresh(live: &mut Aggregates, model: &Model, told: &mut BTreeMap<Key, Aggregate>) {
    live.refresh(&model.sample(), &mut |cell, metric, aggregate| {
        match aggregate {
            Some(aggregate) => told.insert((metric, cell), *aggregate),
            None => told.remove(&(metric, cell)),
        };
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn reports_answers_and_recomputation_agree_after_any_history(
        spots in cloud(100),
        ops in ops(),
    ) {
        let (mut live, mut model) = (Aggregates::default(), Model::new());
        let mut told = BTreeMap::new();
        for (step, op) in (0..).zip(ops.iter().chain([&Op::Refresh])) {
            apply(op, step, &spots, &mut live, &mut model);
            if !matches!(op, Op::Refresh) {
                continue;
            }
            refresh(&mut live, &model, &mut told);
            let expected = model.recompute();
            prop_assert_eq!(told.len(), expected.len());
            for (&(metric, cell), expected) in &expected {
                let told = told.get(&(metric, cell)).unwrap();
                prop_assert!(agree(told, expected), "{:?} {:?}", told, expected);
                prop_assert_eq!(live.get(cell, metric, &model.sample()), Some(*told));
            }
            for level in levels() {
                let listed: Vec<_> = live
                    .list(level, None, &model.sample())
                    .into_iter()
                    .map(|found| ((found.metric, found.cell), found.aggregate))
                    .collect();
                let at_level = |(key, told): (&Key, &Aggregate)| {
                    (key.1.resolution() == level).then_some((*key, *told))
                };
                let expected: Vec<_> = told.iter().filter_map(at_level).collect();
                prop_assert_eq!(listed, expected);
            }
        }
    }

    #[test]
    fn the_bits_do_not_depend_on_the_history(spots in cloud(100), ops in ops()) {
        let (mut live, mut model) = (Aggregates::default(), Model::new());
        let mut told = BTreeMap::new();
        for (step, op) in (0..).zip(ops.iter().chain([&Op::Refresh])) {
            apply(op, step, &spots, &mut live, &mut model);
            if matches!(op, Op::Refresh) {
                refresh(&mut live, &model, &mut told);
            }
        }
        let mut anew = Aggregates::default();
        for stream in (0..STREAMS).rev() {
            if let Some(cell) = model.cells[stream as usize] {
                anew.add(stream, metric(stream), mean(metric(stream)), cell);
            }
        }
        let mut told_anew = BTreeMap::new();
        refresh(&mut anew, &model, &mut told_anew);
        prop_assert_eq!(told, told_anew);
    }
}

/// Streams of metric 1 with the value 1, all refreshed; and the sample of them all.
fn settled(spots: &[Place]) -> (Aggregates, impl Fn(u32) -> Option<Sample> + use<>) {
    let mut live = Aggregates::default();
    for (stream, &spot) in (0..).zip(spots) {
        live.add(stream, 1, MeanKind::Arithmetic, cell_of(spot).unwrap());
    }
    let sample = |stream| {
        Some(Sample {
            value: 1.0,
            time: Millis(0),
            asset: stream,
        })
    };
    live.refresh(&sample, &mut |_, _, _| {});
    (live, sample)
}

fn field() -> Vec<Place> {
    (0..2000)
        .map(|i| {
            place(
                51.0 + f64::from(i / 50) * 2e-3,
                13.7 + f64::from(i % 50) * 3e-3,
            )
        })
        .collect()
}

#[test]
fn a_refresh_tells_the_cells_of_what_was_touched_and_no_others() {
    let spots = field();
    let (mut live, sample) = settled(&spots);
    live.touch(777);
    let mut told = Vec::new();
    live.refresh(&sample, &mut |cell, metric, _| told.push((cell, metric)));
    let cell = cell_of(spots[777]).unwrap();
    let mut expected: Vec<_> = levels()
        .map(|level| (cell.parent(level).unwrap(), 1))
        .collect();
    expected.reverse();
    assert_eq!(told, expected);
    live.refresh(&sample, &mut |_, _, _| panic!("nothing was touched"));
}

#[test]
fn a_refresh_of_one_stream_looks_up_few_others() {
    let spots = field();
    let (mut live, sample) = settled(&spots);
    live.touch(777);
    let asked = std::cell::Cell::new(0);
    let counting = |stream| {
        asked.set(asked.get() + 1);
        sample(stream)
    };
    live.refresh(&counting, &mut |_, _, _| {});
    assert!(asked.get() < 150, "{} of 2000 looked up", asked.get());
}

#[test]
fn a_cell_that_lost_its_last_stream_is_told_as_empty_once() {
    let spots = [place(51.05, 13.74)];
    let (mut live, sample) = settled(&spots);
    live.remove(0);
    let mut told = Vec::new();
    live.refresh(&sample, &mut |cell, _, aggregate| {
        assert!(aggregate.is_none());
        told.push(cell.resolution());
    });
    assert_eq!(told.len(), 7);
    assert!(live.list(Resolution::Six, Some(1), &sample).is_empty());
    live.refresh(&sample, &mut |_, _, _| panic!("told twice"));
}

#[test]
fn resolutions_without_aggregates_answer_nothing() {
    let spots = [place(51.05, 13.74)];
    let (live, sample) = settled(&spots);
    let cell = cell_of(spots[0]).unwrap();
    assert!(
        live.get(cell.parent(Resolution::Five).unwrap(), 1, &sample)
            .is_none()
    );
    assert!(
        live.get(cell.center_child(Resolution::Thirteen).unwrap(), 1, &sample)
            .is_none()
    );
    assert!(live.list(Resolution::Five, None, &sample).is_empty());
    assert!(live.get(cell, 2, &sample).is_none());
    assert_eq!(live.get(cell, 1, &sample).map(|found| found.count), Some(1));
}

#[test]
fn unknown_streams_are_let_be() {
    let (mut live, sample) = settled(&[place(51.05, 13.74)]);
    live.touch(5);
    live.remove(5);
    live.touch(1_000_000);
    live.remove(1_000_000);
    live.refresh(&sample, &mut |_, _, _| panic!("nothing happened"));
}
