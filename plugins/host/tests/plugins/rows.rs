//! A guest of the SDK: rows reach its rule one by one, whatever the batches.

use quartier_plugin_host::{Alert, Answer, Batch, Command, Runner, Severity, Windows};

use crate::support::{asset, host, plugin};

const TEMPERATURE: u32 = 50;
const HUMIDITY: u32 = 51;
const SEEN: u32 = 52;
const EXCESS: u32 = 53;
const WARM: u32 = 0;
const HUMID: u32 = 1;
const MINUTE: u64 = 60_000;

fn rows() -> Runner {
    let plugin = plugin("rows");
    let dict = plugin.manifest().dictionary(|name| match name {
        "temperature" => (TEMPERATURE, "Cel".to_owned()),
        "humidity" => (HUMIDITY, "%".to_owned()),
        "seen" => (SEEN, "1".to_owned()),
        _ => (EXCESS, "1".to_owned()),
    });
    Runner::new(host(), &plugin, dict, Vec::new()).unwrap()
}

/// A reading of temperature, or a closed hour of humidity: asset, time and value.
#[derive(Clone, Copy)]
enum Row {
    Reading(u32, u64, f64),
    Window(u32, u64, f64),
}

/// Nothing is known of the property.
fn batch(rows: &[Row]) -> Batch {
    let (mut batch, mut w) = (Batch::default(), Windows::default());
    for row in rows {
        match *row {
            Row::Reading(asset, ts_ms, value) => {
                batch.asset.push(asset);
                batch.metric.push(TEMPERATURE);
                batch.value.push(value);
                batch.ts_ms.push(ts_ms);
                batch.quality.push(0);
            }
            Row::Window(asset, end_ms, mean) => {
                w.asset.push(asset);
                w.metric.push(HUMIDITY);
                w.span_s.push(3600);
                w.end_ms.push(end_ms);
                for column in [&mut w.mean, &mut w.minimum, &mut w.maximum, &mut w.last] {
                    column.push(mean);
                }
                w.coverage.push(1.0);
            }
        }
    }
    Batch {
        windows: w,
        props: vec![f64::NAN; rows.len()],
        ..batch
    }
}

/// Ten hours of twenty assets that warm and cool, and their humid hours.
fn day() -> Vec<Row> {
    let mut rows = Vec::new();
    for minute in 0..600 {
        for asset in (0..20).filter(|asset| (minute + asset) % 5 == 0) {
            let phase = (minute * (3 + asset)) as f64 / 100.0;
            let temperature = 28.0 + 6.0 * phase.sin();
            let time_ms = minute * MINUTE;
            rows.push(Row::Reading(asset as u32, time_ms, temperature));
            if minute % 60 == asset {
                let mean = 75.0 + 20.0 * phase.cos();
                rows.push(Row::Window(asset as u32, time_ms, mean));
            }
        }
    }
    rows
}

/// Day in batches of `n`; the last one ends with a tick.
fn cut(n: usize) -> Vec<Batch> {
    let mut batches: Vec<Batch> = day().chunks(n).map(batch).collect();
    batches[0].changed = (0..20).map(asset).collect();
    let last = batches.last_mut().unwrap();
    (last.tick, last.now_ms) = (true, 600 * MINUTE);
    batches
}

/// Everything said, without the rows of batches that caused it; alerts by asset and topic.
#[derive(Debug, Default, PartialEq)]
struct Said {
    derived: Vec<(u32, u32, f64, u64)>,
    alerts: Vec<Alert>,
    commands: Vec<Command>,
}

impl Said {
    fn add(&mut self, answer: Answer) {
        assert_eq!(answer.failure, None);
        assert_eq!(answer.dropped, []);
        let d = &answer.output.derived;
        let derived = |i: usize| (d.asset[i], d.metric[i], d.value[i], d.ts_ms[i]);
        self.derived.extend((0..d.asset.len()).map(derived));
        let alerts = answer.output.alerts.into_iter();
        self.alerts
            .extend(alerts.map(|alert| Alert { cause: 0, ..alert }));
        let commands = answer.output.commands.into_iter();
        self.commands.extend(commands.map(|command| Command {
            cause: 0,
            ..command
        }));
        self.alerts.sort_by_key(|alert| (alert.asset, alert.topic));
    }
}

fn said(runner: &mut Runner, batches: &[Batch]) -> Said {
    let mut said = Said::default();
    for batch in batches {
        said.add(runner.run(batch));
    }
    said
}

#[test]
fn what_is_said_carries_the_row_that_decided() {
    let mut runner = rows();
    let first = Batch {
        changed: vec![asset(1), asset(2)],
        ..batch(&[
            Row::Reading(1, 10, 31.0),
            Row::Window(2, 0, 85.0),
            Row::Reading(2, 20, 20.0),
            Row::Window(1, 0, 50.0),
            Row::Reading(1, 30, 32.5),
        ])
    };
    let answer = runner.run(&first);
    assert_eq!(answer.failure, None);
    let output = answer.output;
    let alert = Alert {
        asset: 1,
        topic: WARM,
        severity: Severity::Major,
        code: 1,
        raise: true,
        value: 32.5,
        text: Some("32.5 Cel".to_owned()),
        cause: 2,
    };
    let humid = Alert {
        asset: 2,
        topic: HUMID,
        severity: Severity::Info,
        code: 7,
        value: 85.0,
        text: Some("humid".to_owned()),
        cause: 3,
        ..alert.clone()
    };
    assert_eq!(output.alerts, [alert, humid]);
    let fan = Command {
        asset: 1,
        command: 0,
        arg: 1.0,
        expires_ms: 60_030,
        dedup_key: 30,
        cause: 2,
    };
    assert_eq!(output.commands, [fan]);
    assert_eq!(output.derived.asset, [1, 2, 1]);
    assert_eq!(output.derived.metric, [SEEN; 3]);
    assert_eq!(output.derived.value, [1.0, 1.0, 2.0]);
    assert_eq!(output.derived.ts_ms, [10, 20, 30]);
}

#[test]
fn neither_what_is_said_nor_the_state_depends_on_how_batches_are_cut() {
    let whole = said(&mut rows(), &cut(256));
    assert!(whole.alerts.iter().any(|a| a.topic == WARM && !a.raise));
    assert!(whole.alerts.iter().any(|a| a.topic == HUMID && !a.raise));
    assert!(!whole.commands.is_empty());
    let ticks = whole.derived.iter().filter(|row| row.3 == 600 * MINUTE);
    assert_eq!(ticks.count(), 20);
    for n in [1, 7] {
        assert_eq!(said(&mut rows(), &cut(n)), whole, "batches of {n}");
    }
}

#[test]
fn an_interruption_anywhere_changes_no_output_and_no_byte() {
    let batches = cut(100);
    let whole = said(&mut rows(), &batches);
    for at in 0..batches.len() {
        let mut before = rows();
        let mut both = said(&mut before, &batches[..at]);
        let snapshot = before.snapshot().unwrap();
        let mut after = rows();
        after.restore(&snapshot).unwrap();
        assert_eq!(after.snapshot().unwrap(), snapshot);
        for batch in &batches[at..] {
            both.add(after.run(batch));
        }
        assert_eq!(both, whole, "interrupted before batch {at}");
    }
}

#[test]
fn an_asset_that_is_gone_is_forgotten() {
    let mut runner = rows();
    let first = Batch {
        changed: vec![asset(1)],
        ..batch(&[Row::Reading(1, 10, 20.0)])
    };
    assert_eq!(runner.run(&first).output.derived.value, [1.0]);
    let mut gone = asset(1);
    gone.kind.clear();
    let tick = Batch {
        changed: vec![gone],
        tick: true,
        ..Batch::default()
    };
    assert_eq!(runner.run(&tick).output.derived.value, [0.0; 0]);
    let answer = runner.run(&first);
    assert_eq!(answer.output.derived.value, [1.0], "counted from the start");
}

#[test]
fn a_property_is_that_of_the_row_or_the_newest_that_was_shown() {
    let mut runner = rows();
    let first = Batch {
        changed: vec![asset(1), asset(2)],
        props: vec![4.5, f64::NAN, 9.0, f64::NAN],
        ..batch(&[
            Row::Reading(1, 10, 5.0),
            Row::Reading(2, 10, 5.0),
            Row::Window(1, 20, 50.0),
            Row::Window(2, 20, 50.0),
        ])
    };
    let answer = runner.run(&first);
    assert_eq!(answer.failure, None);
    let d = answer.output.derived;
    let excess = |i: usize| (d.metric[i] == EXCESS).then_some((d.asset[i], d.value[i]));
    let excess: Vec<_> = (0..d.metric.len()).filter_map(excess).collect();
    assert_eq!(excess, [(1, 0.5), (1, 41.0)]);
}

#[test]
fn another_unit_than_the_rule_counts_in_is_refused_by_name() {
    let plugin = plugin("rows");
    let dict = plugin.manifest().dictionary(|_| (1, "K".to_owned()));
    let error = Runner::new(host(), &plugin, dict, Vec::new()).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("metric temperature: its unit is \"K\""),
        "{text}"
    );
}
