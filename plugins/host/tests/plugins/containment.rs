//! Whatever a plugin does, its batch is answered with the reason, its state is as before, and the
//! next batch is served.

use quartier_plugin_host::{
    Answer, Asset, Batch, FailureKind, Host, Level, QUARANTINE, Reason, Runner,
};

use crate::support::{asset, dictionary, folder, hostile, poison, readings, runner, seen};

/// The poison batch fails with a reason that starts with `reason` and is counted as `kind`; the
/// count goes on where it was, and so does another runner.
fn contained(mode: &str, kind: FailureKind, reason: &str) {
    let (mut runner, mut other) = (hostile(mode), hostile("good"));
    let answer = runner.run(&poison());
    let failure = answer.failure.clone().unwrap();
    assert!(failure.starts_with(reason), "{failure}");
    assert_eq!(answer.output.rows(), 0);
    assert_eq!(answer.state_after, answer.state_before);
    assert!(!answer.wall_clock, "{failure}");
    assert_eq!(runner.failures().iter().collect::<Vec<_>>(), [(&kind, &1)]);
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
    contained("loop", FailureKind::Fuel, "on-batch: out of fuel");
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
    let loaded = crate::support::host().load(dir.path()).unwrap();
    let mut runner = runner(&loaded, &[("mode", "loop")]);
    let answer = runner.run(&Batch {
        changed: vec![asset(1)],
        ..poison()
    });
    assert_eq!(
        answer.failure.as_deref(),
        Some("on-batch: no answer within 100 ms")
    );
    assert!(answer.wall_clock, "a replay may see it otherwise");
    assert_eq!(seen(&runner.run(&readings(&[1.0]))), [1.0]);
}

#[test]
fn memory_ends_at_the_quota() {
    contained(
        "memory",
        FailureKind::Memory,
        "on-batch: more memory than the quota of 16777216 bytes",
    );
}

#[test]
fn recursion_ends_at_the_stack() {
    contained(
        "recursion",
        FailureKind::Trap,
        "on-batch: trap: wasm trap: call stack exhausted",
    );
}

#[test]
fn a_trap_costs_the_batch_only() {
    contained(
        "trap",
        FailureKind::Trap,
        "on-batch: trap: wasm trap: wasm `unreachable`",
    );
}

#[test]
fn a_refused_batch_leaves_no_trace_in_the_state() {
    contained(
        "refuse",
        FailureKind::Refused,
        "on-batch: bad input in row 0",
    );
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
    let answer = dropped("columns", &[(Reason::ColumnLengths, 3)]);
    assert_eq!(answer.output.rows(), 0);
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
fn a_flood_of_log_ends_at_the_quota_of_host_calls() {
    let flood = "on-batch: more than 16777216 bytes of log and twin properties in one call";
    for mode in ["log-flood", "tiny-log-flood", "ask-flood"] {
        contained(mode, FailureKind::HostCalls, flood);
    }
}

#[test]
fn log_beyond_its_quota_is_dropped_and_the_answer_stands() {
    let mut runner = hostile("chatter");
    let answer = runner.run(&poison());
    assert_eq!(answer.failure, None);
    let expected: Vec<_> = (0..16)
        .map(|i| (Level::Error, format!("line {i}")))
        .collect();
    assert_eq!(answer.log, expected);
    let next = runner.run(&readings(&[1.0]));
    assert_eq!((next.failure, next.log), (None, vec![]));
}

#[test]
fn what_a_plugin_said_before_it_failed_is_kept_and_cut() {
    let answer = hostile("log-flood").run(&poison());
    assert_eq!(answer.log.len(), 16);
    assert_eq!(answer.log[0], (Level::Debug, "x".repeat(500)));
}

#[test]
fn an_endless_tick_runs_out_of_fuel_and_its_batch_leaves_no_trace() {
    let mut runner = hostile("tick-loop");
    let answer = runner.run(&Batch {
        tick: true,
        ..readings(&[3.0])
    });
    assert_eq!(answer.failure.as_deref(), Some("on-tick: out of fuel"));
    assert_eq!(answer.output.rows(), 0);
    assert_eq!(seen(&runner.run(&readings(&[3.0]))), [3.0]);
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
    assert_eq!(
        runner.stats().traps,
        2 * u64::from(2 * QUARANTINE - 1),
        "two attempts a batch"
    );
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
fn where_the_host_has_no_room_it_says_so_and_one_that_goes_makes_room() {
    let host = Host::new().unwrap();
    let plugin = host.load(&folder("hostile")).unwrap();
    let dict = dictionary(&plugin);
    let start = || Runner::new(&host, &plugin, dict.clone(), vec![]);
    let mut runners: Vec<Runner> = (0..512).map(|_| start().unwrap()).collect();
    let error = start().unwrap_err().to_string();
    let no_room = "the host has no room for another instance";
    assert_eq!(error, format!("plugin hostile: {no_room}"));
    // One that traps gives its place away; until there is another its batches are set aside.
    let known = Batch {
        changed: vec![asset(1)],
        ..readings(&[1.0])
    };
    assert_eq!(seen(&runners[0].run(&known)), [1.0]);
    let unknown = Batch {
        asset: vec![9],
        ..readings(&[1.0])
    };
    assert!(runners[0].run(&unknown).failure.is_some());
    let taken = start().unwrap();
    let answer = runners[0].run(&readings(&[1.0]));
    assert_eq!(answer.failure.as_deref(), Some(no_room));
    assert!(answer.wall_clock, "not reproducible");
    drop(taken);
    assert_eq!(seen(&runners[0].run(&readings(&[1.0]))), [2.0]);
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
