//! What would have been, and what is the same however it is run.

use super::*;
use crate::model::Millis;
use crate::rerun::script::Script;
use crate::rerun::{Change, Injected, Kind, Trial, WhatIf, trial, what_if};
use record::START;

fn wish(from_s: i64, change: Change) -> WhatIf {
    WhatIf {
        quarter: None,
        from: Millis(START + from_s * 1000),
        to: None,
        change,
    }
}

fn set(key: &str, value: &str) -> Change {
    Change {
        plugin: Some("hostile".to_owned()),
        set: vec![(key.to_owned(), value.to_owned())],
        ..Change::default()
    }
}

#[test]
fn the_record_forked_without_a_change_gives_what_was_recorded() {
    let Some(package) = hostile() else { return };
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), &package, "good", 100, 5);
    let data = DataFolder::open(folder.path()).unwrap();
    let wish = wish(1000, set("mode", "good"));
    let result = what_if(&data, &wish, &mut |_, _, _| {}).unwrap();
    assert!(result.before.changes(&result.after).is_empty());
    assert!(result.before.len() > 1900, "{}", result.before.len());
    // A deployment ends a batch, so the reading that waited is answered alone.
    assert_eq!(result.before.decisions + 1, result.after.decisions);
    // Values count on from what was counted before the fork.
    let first = result
        .before
        .iter()
        .find(|output| output.kind == Kind::Derived);
    assert!(first.unwrap().value > 990.0);
    let last = result
        .before
        .iter()
        .map(|output| output.value)
        .fold(0.0, f64::max);
    assert_eq!(last, 3000.0);
}

#[test]
fn a_changed_parameter_changes_what_it_should_and_nothing_else() {
    let Some(package) = hostile() else { return };
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), &package, "good", 100, 5);
    let data = DataFolder::open(folder.path()).unwrap();
    let wish = wish(1001, set("mode", "bad-commands"));
    let result = what_if(&data, &wish, &mut |_, _, _| {}).unwrap();
    let changes = result.before.changes(&result.after);
    // One command in range for a wallbox, with one key: the same intent every time.
    assert!(changes.iter().all(|change| change.before.is_none()));
    let commands: Vec<_> = changes.iter().filter_map(|c| c.after.as_ref()).collect();
    let assets: Vec<_> = commands
        .iter()
        .map(|c| (c.asset.as_str(), c.value))
        .collect();
    assert_eq!(assets, [("w0", 7.0), ("w1", 7.0), ("w2", 7.0)]);
    assert!(
        commands
            .iter()
            .all(|c| c.kind == Kind::Command && c.name == "set_limit")
    );
    let dropped: u64 = result.after.dropped.values().sum();
    assert_eq!(
        dropped,
        3 * 20,
        "three rows of each of the twenty poisoned readings"
    );
    assert!(result.before.dropped.is_empty());
}

/// Two days of PM10 with an evening of smoke.
fn smoke(hour: f64) -> f64 {
    if (18.0..23.0).contains(&(hour % 24.0)) {
        160.0
    } else {
        20.0
    }
}

fn health(data: &Path) -> Option<Package> {
    let package = Package::read(&component("health")?).unwrap();
    let (artifacts, plugins) = artifacts(data, &[&package]);
    let mut recorder = Recorder::new(data, &artifacts, 0);
    recorder.deploy(record(&plugins[0], 256, &[]));
    for number in 1..=1152 {
        recorder.pm10(smoke(f64::from(number) / 24.0));
    }
    recorder.end();
    Some(package)
}

#[test]
fn injected_messages_come_in_their_time_and_change_the_second_run_only() {
    let folder = tempfile::tempdir().unwrap();
    if health(folder.path()).is_none() {
        return;
    }
    let data = DataFolder::open(folder.path()).unwrap();
    // One hour of another box, at a full hour of the fork.
    let inject = (0..=25).map(|number| Injected {
        topic: "dt/q/box-9/pm10".to_owned(),
        payload: "300".to_owned(),
        time: Millis(START + 20 * 3_600_000 + number * 150_000),
    });
    let change = Change {
        inject: inject.collect(),
        ..Change::default()
    };
    let result = what_if(&data, &wish(3600, change), &mut |_, _, _| {}).unwrap();
    let changes = result.before.changes(&result.after);
    assert!(result.before.len() > 90);
    assert!(changes.iter().all(|change| change.before.is_none()));
    let new: Vec<_> = changes.iter().filter_map(|c| c.after.as_ref()).collect();
    let named: Vec<_> = new
        .iter()
        .map(|o| (o.name.as_str(), o.asset.as_str(), o.value))
        .collect();
    assert_eq!(
        named,
        [("eaqi", "box-9", 6.0), ("lqi", "box-9", 5.0)],
        "{new:?}"
    );
    let error = what_if(&data, &wish(999_999, Change::default()), &mut |_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains("no entry from"), "{error}");
}

#[test]
fn an_alert_that_needs_an_hour_less_comes_an_hour_earlier() {
    let folder = tempfile::tempdir().unwrap();
    if health(folder.path()).is_none() {
        return;
    }
    let data = DataFolder::open(folder.path()).unwrap();
    let change = Change {
        plugin: Some("health".to_owned()),
        set: vec![("raise_after.eaqi_poor".to_owned(), "1".to_owned())],
        ..Change::default()
    };
    let result = what_if(&data, &wish(3600, change), &mut |_, _, _| {}).unwrap();
    let raised = |outputs: &crate::rerun::Outputs| {
        let alerts = outputs.iter().filter(|output| output.raise == Some(true));
        alerts.map(|output| output.time).collect::<Vec<_>>()
    };
    let (before, after) = (raised(&result.before), raised(&result.after));
    assert_eq!(before.len(), 2, "{before:?}");
    let earlier = |time: &String| {
        let time: jiff::Timestamp = time.parse().unwrap();
        (time - jiff::SignedDuration::from_hours(1)).to_string()
    };
    assert_eq!(after, before.iter().map(earlier).collect::<Vec<_>>());
}

fn quarter() -> crate::model::QuarterRecord {
    crate::model::QuarterRecord {
        id: "q".to_owned(),
        name: "q".to_owned(),
        cells: Vec::new(),
        timezone: "Europe/Berlin".to_owned(),
    }
}

#[test]
fn a_trial_gives_the_same_after_a_restart_and_for_every_cut() {
    let Some(path) = component("health") else {
        return;
    };
    let package = Package::read(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (artifacts, plugins) = artifacts(folder.path(), &[&package]);
    let messages = (0..2000u32).map(|number| Injected {
        topic: format!("dt/q/box-{}", number % 2),
        payload: format!(
            "{{\"pm10\":{},\"pm2_5\":{}}}",
            smoke(f64::from(number) / 48.0),
            smoke(f64::from(number) / 48.0 + 1.0) / 2.0
        ),
        time: Millis(START + i64::from(number) * 75_000),
    });
    let script = Script::of(quarter(), Vec::new(), messages.collect(), None).unwrap();
    let record = Trial::record(&plugins[0], "q", Vec::new());
    let begin = crate::state::Twin::new();
    let tried = trial(&artifacts, &begin, &record, &script, &mut |_, _, _| {}).unwrap();
    assert!(tried.is_good(), "{:?} {:?}", tried.cuts, tried.restart);
    let names = tried.outputs.names();
    let named = |wanted: &str| names.iter().find(|(_, _, name)| name == wanted).unwrap();
    assert!(tried.outputs.len() > 150, "{}", tried.outputs.len());
    assert_eq!((&*named("eaqi").1, &*named("lqi").1), ("health", "health"));
    let (from, to) = tried.outputs.span().unwrap();
    let series = tried.outputs.series(named("eaqi_poor"), (from, to), 10);
    assert_eq!(series.bins.iter().flatten().sum::<f64>(), 2.0, "{series:?}");
}

#[test]
fn a_trial_finds_a_rule_that_depends_on_the_cut() {
    let Some(package) = hostile() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (artifacts, plugins) = artifacts(folder.path(), &[&package]);
    let entry = |event| {
        postcard::to_allocvec(&crate::event::Entry {
            at: Millis(START),
            event,
        })
    };
    let mut entries = vec![entry(crate::event::Event::QuarterPut(quarter())).unwrap()];
    for number in 0..300u32 {
        let readings = vec![crate::model::Reading {
            metric: "power",
            value: if number == 117 { -1.0 } else { 2.0 },
            time: Millis(START + i64::from(number)),
            quality: crate::model::Quality::Good,
            unit: None,
        }];
        let observed = crate::model::Observed {
            quarter: "q",
            asset: "w1",
            place: None,
            readings,
        };
        entries.push(entry(crate::event::Event::Observed(observed)).unwrap());
    }
    let script = Script {
        entries,
        ..Script::default()
    };
    let run = |mode: &str| {
        let record = record(&plugins[0], 64, &[("mode", mode)]);
        let begin = crate::state::Twin::new();
        trial(&artifacts, &begin, &record, &script, &mut |_, _, _| {}).unwrap()
    };
    // A batch of one traps alone, a batch of many takes its neighbours with it.
    let bad = run("trap");
    assert!(!bad.is_good() && bad.restart.is_none(), "{:?}", bad.restart);
    assert!(bad.cuts.iter().all(|(_, changes)| !changes.is_empty()));
}
