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
    assert_eq!(result.before.decisions, result.after.decisions);
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

#[test]
fn injected_messages_come_in_their_time_and_change_the_second_run_only() {
    let Some(package) = hostile() else { return };
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), &package, "good", 100, 5);
    let data = DataFolder::open(folder.path()).unwrap();
    let inject = Injected {
        topic: "dt/q/w9".to_owned(),
        payload: "{\"power\":1.5}".to_owned(),
        time: Millis(START + 2_000_500),
    };
    let change = Change {
        inject: vec![inject],
        ..Change::default()
    };
    let result = what_if(&data, &wish(1001, change), &mut |_, _, _| {}).unwrap();
    let changes = result.before.changes(&result.after);
    // All that is counted behind it is one more.
    assert_eq!(changes.iter().filter(|c| c.before.is_none()).count(), 1);
    let counted = changes
        .iter()
        .filter_map(|c| Some((c.before.as_ref()?, c.after.as_ref()?)));
    assert!(counted.clone().count() > 900);
    assert!(
        counted
            .into_iter()
            .all(|(before, after)| after.value - before.value == 1.0)
    );
    let error = what_if(&data, &wish(9999, Change::default()), &mut |_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains("no entry from"), "{error}");
}

#[test]
fn a_trial_gives_the_same_after_a_restart_and_for_every_cut() {
    let Some(package) = hostile() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (artifacts, plugins) = artifacts(folder.path(), &[&package]);
    let messages = (0..500).map(|n| Injected {
        topic: format!("dt/q/w{}", n % 3),
        payload: format!("{{\"power\":{}}}", if n % 50 == 7 { -1 } else { n }),
        time: Millis(START + n * 1000),
    });
    let quarter = crate::model::QuarterRecord {
        id: "q".to_owned(),
        name: "q".to_owned(),
        cells: Vec::new(),
        timezone: "Europe/Berlin".to_owned(),
    };
    let script = Script::of(quarter, Vec::new(), messages.collect(), None).unwrap();
    let run = |mode: &str| {
        let record = record(&plugins[0], 256, &[("mode", mode)]);
        trial(
            &artifacts,
            &crate::state::Twin::new(),
            &record,
            &script,
            &mut |_, _, _| {},
        )
        .unwrap()
    };
    let good: Trial = run("good");
    assert!(good.is_good(), "{:?} {:?}", good.cuts, good.restart);
    assert_eq!(good.outputs.len(), 500);
    // A batch of one traps alone, a batch of many takes its neighbours with it.
    let bad = run("trap");
    assert!(!bad.is_good() && bad.restart.is_none());
    assert!(bad.cuts.iter().all(|(_, changes)| !changes.is_empty()));
}
