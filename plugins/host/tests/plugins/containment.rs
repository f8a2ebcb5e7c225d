//! Whatever a plugin does, its batch is answered with the reason, its state is as before, and the
//! next batch is served.

use quartier_plugin_host::{Answer, Asset, Batch, QUARANTINE, Reason, Runner};

use crate::support::{asset, plugin, readings, runner};

fn hostile(mode: &str) -> Runner {
    let mut runner = runner(&plugin("hostile"), &[("mode", mode)]);
    let first = Batch {
        changed: vec![asset(1)],
        ..readings(&[1.0, 2.0])
    };
    assert_eq!(seen(&runner.run(&first)), [1.0, 2.0]);
    runner
}

/// The counts that a good answer derives.
fn seen(answer: &Answer) -> Vec<f64> {
    assert_eq!(answer.failure, None);
    answer.output.derived.value.clone()
}

fn poison() -> Batch {
    readings(&[3.0, -1.0])
}

/// The poison batch fails with a reason that starts with `reason`; the count goes on where it was.
fn contained(mode: &str, reason: &str) {
    let (mut runner, mut other) = (hostile(mode), hostile("good"));
    let answer = runner.run(&poison());
    let failure = answer.failure.clone().unwrap();
    assert!(failure.starts_with(reason), "{failure}");
    assert_eq!(answer.output.rows(), 0);
    assert_eq!(
        runner.stats().traps,
        2,
        "tried once more, on a new instance"
    );
    assert_eq!(
        seen(&other.run(&readings(&[3.0]))),
        [3.0],
        "another runner is served"
    );
    assert_eq!(
        seen(&runner.run(&readings(&[3.0]))),
        [3.0],
        "its state is as before the batch"
    );
}

#[test]
fn an_endless_loop_runs_out_of_fuel() {
    contained("loop", "on-batch: out of fuel");
}

#[test]
fn an_endless_loop_with_too_much_fuel_meets_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let from = crate::support::folder("hostile");
    let manifest = std::fs::read_to_string(from.join("manifest.toml")).unwrap();
    let manifest = manifest
        .replace(
            "fuel_per_batch = 20_000_000",
            "fuel_per_batch = 9_000_000_000_000_000",
        )
        .replace("deadline_ms = 500", "deadline_ms = 100");
    std::fs::write(dir.path().join("manifest.toml"), manifest).unwrap();
    std::fs::copy(
        from.join("component.wasm"),
        dir.path().join("component.wasm"),
    )
    .unwrap();
    let plugin = crate::support::host().load(dir.path()).unwrap();
    let mut runner = runner(&plugin, &[("mode", "loop")]);
    let answer = runner.run(&Batch {
        changed: vec![asset(1)],
        ..poison()
    });
    assert_eq!(
        answer.failure.as_deref(),
        Some("on-batch: no answer within 100 ms")
    );
    assert_eq!(seen(&runner.run(&readings(&[1.0]))), [1.0]);
}

#[test]
fn memory_ends_at_the_quota() {
    contained(
        "memory",
        "on-batch: more memory than the quota of 16777216 bytes",
    );
}

#[test]
fn recursion_ends_at_the_stack() {
    contained(
        "recursion",
        "on-batch: trap: wasm trap: call stack exhausted",
    );
}

#[test]
fn a_trap_costs_the_batch_only() {
    contained("trap", "on-batch: trap: wasm trap: wasm `unreachable`");
}

#[test]
fn a_refused_batch_leaves_no_trace_in_the_state() {
    contained("refuse", "on-batch: bad input in row 0");
}

#[test]
fn a_poisoned_asset_is_contained_too() {
    let mut runner = hostile("good");
    let poison = Asset {
        kind: "poison".to_owned(),
        ..asset(2)
    };
    let answer = runner.run(&Batch {
        changed: vec![poison],
        ..readings(&[3.0])
    });
    assert!(answer.failure.unwrap().starts_with("on-assets: trap"));
}

#[test]
fn a_host_is_not_flooded_by_the_texts_of_alerts() {
    let mut runner = hostile("flood-host");
    let answer = runner.run(&poison());
    assert_eq!(answer.output.alerts, []);
    assert_eq!(answer.dropped, [(Reason::TextTooLong, 12)]);
}

/// The rest of the batch stands, the row is counted by its reason.
fn dropped(mode: &str, expected: &[(Reason, u32)]) -> Answer {
    let mut runner = hostile(mode);
    let answer = runner.run(&poison());
    assert_eq!(answer.failure, None);
    assert_eq!(answer.dropped, expected, "{mode}");
    answer
}

#[test]
fn rows_that_do_not_pass_are_dropped_and_counted_and_the_others_stand() {
    for (mode, reason) in [
        ("undeclared-metric", Reason::UndeclaredMetric),
        ("nan", Reason::NotFinite),
        ("unknown-asset", Reason::UnknownAsset),
        ("bad-time", Reason::TimeOutOfRange),
    ] {
        assert_eq!(seen(&dropped(mode, &[(reason, 1)])), [3.0, 4.0]);
    }
}

#[test]
fn columns_of_different_length_are_dropped_whole() {
    assert_eq!(seen(&dropped("columns", &[(Reason::ColumnLengths, 3)])), []);
}

#[test]
fn a_flood_ends_at_the_quota_of_outputs() {
    let answer = dropped("flood", &[(Reason::TooMany, 702)]);
    assert_eq!(answer.output.rows(), 300);
}

#[test]
fn alerts_and_commands_are_held_against_the_manifest() {
    let answer = dropped(
        "bad-alerts",
        &[
            (Reason::UndeclaredTopic, 1),
            (Reason::UndeclaredCode, 1),
            (Reason::NotFinite, 1),
            (Reason::CauseOutOfRange, 1),
            (Reason::TextTooLong, 1),
        ],
    );
    assert_eq!(answer.output.alerts.len(), 1);
    let answer = dropped(
        "bad-commands",
        &[
            (Reason::UndeclaredCommand, 1),
            (Reason::NotFinite, 1),
            (Reason::ArgumentOutOfRange, 1),
        ],
    );
    assert_eq!(answer.output.commands.len(), 1);
}

#[test]
fn chatter_is_paid_for_and_does_no_harm() {
    let mut runner = hostile("chatter");
    runner.run(&poison());
    let answer = runner.run(&readings(&[1.0]));
    assert_eq!(answer.failure, None);
}

#[test]
fn five_failed_batches_in_a_row_are_quarantine_and_four_are_not() {
    let mut runner = hostile("trap");
    for _ in 1..QUARANTINE {
        runner.run(&poison());
    }
    assert!(!runner.quarantined());
    assert_eq!(seen(&runner.run(&readings(&[3.0]))), [3.0]);
    for _ in 0..QUARANTINE {
        runner.run(&poison());
    }
    assert!(runner.quarantined());
    let calls = runner.stats().calls;
    assert_eq!(
        runner.run(&readings(&[1.0])).failure.as_deref(),
        Some("quarantined")
    );
    assert_eq!(runner.stats().calls, calls, "it is not called");
}

#[test]
fn quarantine_survives_a_restart() {
    let mut runner = hostile("trap");
    for _ in 0..QUARANTINE {
        runner.run(&poison());
    }
    let snapshot = runner.snapshot().unwrap();
    let mut next = hostile("trap");
    next.restore(&snapshot).unwrap();
    assert!(next.quarantined());
}

#[test]
fn a_trap_after_many_batches_restores_the_state_they_left() {
    let mut runner = hostile("trap");
    for n in 3..200 {
        assert_eq!(seen(&runner.run(&readings(&[0.0]))), [f64::from(n)]);
    }
    assert!(runner.run(&poison()).failure.is_some());
    assert_eq!(seen(&runner.run(&readings(&[0.0]))), [200.0]);
}

#[test]
fn assets_of_a_failed_batch_come_with_the_next_one() {
    let mut runner = hostile("trap");
    assert!(
        runner
            .run(&Batch {
                changed: vec![asset(2)],
                ..poison()
            })
            .failure
            .is_some()
    );
    let answer = runner.run(&Batch {
        asset: vec![2],
        ..readings(&[1.0])
    });
    assert_eq!(answer.dropped, []);
    assert_eq!(answer.output.derived.asset, [2]);
}

#[test]
fn a_trap_in_restore_is_an_error_and_the_runner_goes_on() {
    let mut runner = hostile("restore");
    let snapshot = runner.snapshot().unwrap();
    let error = runner.restore(&snapshot).unwrap_err().to_string();
    assert!(
        error.starts_with("plugin hostile: restore: trap"),
        "{error}"
    );
    assert!(
        runner
            .restore(&[9, 9])
            .unwrap_err()
            .to_string()
            .contains("not a snapshot")
    );
    let answer = runner.run(&readings(&[1.0]));
    assert!(
        answer.failure.unwrap().starts_with("restore: trap"),
        "its saved state does not load"
    );
    assert_eq!(seen(&hostile("good").run(&readings(&[3.0]))), [3.0]);
}

#[test]
fn a_state_larger_than_its_quota_is_a_failure() {
    let mut runner = hostile("large-state");
    let error = runner.snapshot().unwrap_err().to_string();
    assert_eq!(
        error,
        "plugin hostile: snapshot: state of 5000 bytes, quota 4096"
    );
    let mut failure = None;
    for _ in 0..64 {
        failure = runner.run(&readings(&[1.0])).failure;
    }
    assert_eq!(
        failure.as_deref(),
        Some("snapshot: state of 5000 bytes, quota 4096")
    );
}

#[test]
fn a_tick_is_answered_after_the_batch_and_has_no_row() {
    let mut runner = hostile("good");
    let answer = runner.run(&Batch {
        tick: true,
        now_ms: 5,
        ..readings(&[1.0])
    });
    assert_eq!(answer.output.alerts.len(), 1);
    assert_eq!(answer.output.alerts[0].value, 3.0);
    assert_eq!(answer.output.alerts[0].cause, quartier_plugin_host::NO_ROW);
    assert_eq!(answer.output.derived.value, [3.0]);
}

#[test]
fn a_batch_with_ragged_columns_is_refused_before_the_plugin_sees_it() {
    let mut runner = hostile("good");
    let mut batch = readings(&[1.0]);
    batch.quality.clear();
    assert!(runner.run(&batch).failure.unwrap().contains("columns"));
    assert_eq!(seen(&runner.run(&readings(&[3.0]))), [3.0]);
}
