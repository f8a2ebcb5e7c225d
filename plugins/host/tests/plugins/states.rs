//! A plugin that does not give its state, or does not take it back, is contained too.

use quartier_plugin_host::{CHECKPOINT, QUARANTINE, Runner};

use crate::support::{dictionary, host, hostile, readings, runner, seen};

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
    for _ in 0..QUARANTINE {
        let failure = runner.run(&readings(&[1.0])).failure.unwrap();
        assert!(
            failure.starts_with("restore: trap"),
            "its saved state does not load: {failure}"
        );
    }
    assert!(runner.quarantined());
    assert_eq!(seen(&hostile("good").run(&readings(&[3.0]))), [3.0]);
}

/// Batches with one reading until the first that fails: its number, counted from 1, and failure.
fn first_failure(mode: &str) -> (u64, String) {
    let mut runner = hostile(mode);
    for number in 2..1000 {
        if let Some(failure) = runner.run(&readings(&[1.0])).failure {
            for _ in 1..QUARANTINE {
                assert!(!runner.quarantined());
                runner.run(&readings(&[1.0]));
            }
            assert!(runner.quarantined());
            return (number, failure);
        }
    }
    panic!("no failure in {mode}")
}

#[test]
fn a_state_larger_than_its_quota_is_a_failure_at_the_checkpoint_and_then_quarantine() {
    for (mode, bytes) in [("large-state", 5000), ("huge-state", 8 << 20)] {
        let failure = format!("snapshot: state of {bytes} bytes, quota 4096");
        assert_eq!(first_failure(mode), (CHECKPOINT, failure));
    }
}

#[test]
fn a_trap_in_snapshot_is_a_failure_at_the_checkpoint_and_then_quarantine() {
    let (number, failure) = first_failure("snapshot");
    assert_eq!(number, CHECKPOINT);
    assert!(failure.starts_with("snapshot: trap"), "{failure}");
}

#[test]
fn a_trap_in_restore_costs_nobody_the_start_and_is_quarantine_in_the_end() {
    let mut runner = hostile("restore");
    let snapshot = runner.snapshot().unwrap();
    let config = vec![("mode".to_owned(), "restore".to_owned())];
    let plugin = runner.plugin().clone();
    let resume = |snapshot: &[u8]| {
        Runner::resume(
            host(),
            &plugin,
            dictionary(&plugin),
            config.clone(),
            snapshot,
        )
    };
    assert!(resume(&[9, 9]).is_err(), "not a snapshot");
    let mut next = resume(&snapshot).unwrap();
    assert_eq!(next.state(), runner.state());
    for _ in 0..QUARANTINE {
        assert!(!next.quarantined());
        let failure = next.run(&readings(&[1.0])).failure.unwrap();
        assert!(failure.starts_with("restore: trap"), "{failure}");
    }
    assert!(next.quarantined());
}

#[test]
fn a_plugin_that_gives_no_state_costs_the_node_no_snapshot() {
    for mode in ["snapshot", "large-state"] {
        let mut here = hostile(mode);
        for n in 3..10 {
            assert_eq!(seen(&here.run(&readings(&[0.0]))), [f64::from(n)]);
        }
        let snapshot = here.snapshot().unwrap();
        let mut next = runner(here.plugin(), &[("mode", mode)]);
        next.restore(&snapshot).unwrap();
        let (answer, there) = (here.run(&readings(&[0.0])), next.run(&readings(&[0.0])));
        assert_eq!(seen(&there), [10.0]);
        assert_eq!(answer.state_after, there.state_after);
    }
}
