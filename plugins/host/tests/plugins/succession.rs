//! One version of a plugin hands over to the next between two batches.

use std::sync::OnceLock;

use quartier_plugin_host::{
    Asset, Batch, CHECKPOINT, Kept, Package, Plugin, QUARANTINE, Runner, RunnerError,
};

use crate::support::{asset, dictionary, folder, host, hostile, poison, readings, seen};

/// The plugin `hostile` in another version.
fn next_version() -> Plugin {
    static NEXT: OnceLock<Plugin> = OnceLock::new();
    let compile = || {
        let mut package = Package::read(&folder("hostile")).unwrap();
        package.manifest = package.manifest.replace("\"1.0.0\"", "\"1.0.1\"");
        host().compile(&package).unwrap()
    };
    NEXT.get_or_init(compile).clone()
}

fn succeed(old: &mut Runner, mode: &str) -> Result<(Runner, Kept), RunnerError> {
    let plugin = next_version();
    let config = vec![("mode".to_owned(), mode.to_owned())];
    Runner::succeed(old, host(), &plugin, dictionary(&plugin), config)
}

#[test]
fn the_next_version_goes_on_from_the_state_and_the_assets() {
    let mut old = hostile("trap");
    old.run(&Batch {
        changed: vec![asset(2)],
        ..poison()
    });
    let (mut next, kept) = succeed(&mut old, "good").unwrap();
    assert_eq!(kept, Kept::State);
    assert_eq!(next.plugin().manifest().version, "1.0.1");
    let both = Batch {
        asset: vec![1, 2],
        ..readings(&[1.0, 1.0])
    };
    let answer = next.run(&both);
    assert_eq!(seen(&answer), [3.0, 4.0], "asset 2 came in a failed batch");
    assert_eq!(answer.dropped, []);
    assert_eq!(seen(&old.run(&both)), [3.0, 4.0], "the old one could go on");
}

#[test]
fn a_hand_over_is_reproducible_and_survives_a_restart() {
    let before_and_after = |snapshots: bool| {
        let mut old = hostile("good");
        for _ in 0..CHECKPOINT {
            old.run(&readings(&[1.0]));
            if snapshots {
                old.snapshot().unwrap();
            }
        }
        let (mut next, kept) = succeed(&mut old, "good").unwrap();
        assert_eq!(kept, Kept::State);
        if snapshots {
            let bytes = next.snapshot().unwrap();
            (next, _) = succeed(&mut hostile("good"), "good").unwrap();
            next.restore(&bytes).unwrap();
        }
        (0..2 * CHECKPOINT)
            .map(|_| next.run(&readings(&[1.0])))
            .map(|answer| (answer.output, answer.input, answer.state_after))
            .collect::<Vec<_>>()
    };
    let first = before_and_after(false);
    assert_eq!(first, before_and_after(true));
    assert_eq!(first[0].0.derived.value, [67.0]);
}

#[test]
fn a_version_that_refuses_the_state_or_traps_over_it_begins_anew_with_the_assets() {
    for (mode, why) in [
        (
            "refuse-state",
            "restore: internal: state of another version",
        ),
        ("restore", "restore: trap"),
    ] {
        let mut old = hostile("good");
        let (mut next, kept) = succeed(&mut old, mode).unwrap();
        let Kept::Fresh(reason) = kept else {
            panic!("{mode} kept the state")
        };
        assert!(reason.starts_with(why), "{reason}");
        assert_eq!(seen(&next.run(&readings(&[1.0]))), [1.0], "{mode}");
        let same = succeed(&mut hostile("good"), mode).unwrap().0;
        assert_eq!(same.state(), succeed(&mut old, mode).unwrap().0.state());
    }
}

#[test]
fn where_the_next_version_does_not_even_begin_the_old_one_goes_on() {
    let mut old = hostile("good");
    let state = old.state();
    let error = succeed(&mut old, "init").unwrap_err().to_string();
    assert_eq!(error, "plugin hostile: init: bad configuration: as asked");
    assert_eq!(old.state(), state);
    assert_eq!(seen(&old.run(&readings(&[1.0]))), [3.0]);
}

#[test]
fn a_version_in_quarantine_hands_over_what_it_had_answered() {
    let mut old = hostile("trap");
    assert_eq!(seen(&old.run(&readings(&[1.0]))), [3.0]);
    for id in 0..QUARANTINE {
        old.run(&Batch {
            changed: vec![asset(10 + id)],
            ..poison()
        });
    }
    assert!(old.quarantined());
    // What changes while nobody is called is not lost either.
    let gone = Asset {
        kind: String::new(),
        ..asset(10)
    };
    old.run(&Batch {
        changed: vec![asset(20), gone],
        ..readings(&[1.0])
    });
    let (mut next, kept) = succeed(&mut old, "good").unwrap();
    assert_eq!(kept, Kept::State);
    assert!(!next.quarantined());
    let answer = next.run(&Batch {
        asset: vec![1, 11, 20],
        ..readings(&[1.0, 1.0, 1.0])
    });
    assert_eq!(seen(&answer), [4.0, 5.0, 6.0]);
    assert_eq!(answer.dropped, []);
    assert!(old.quarantined(), "the old one stays where it is");
    let unknown = next.run(&Batch {
        asset: vec![10],
        ..readings(&[1.0])
    });
    let failure = unknown.failure.as_deref();
    assert_eq!(failure, Some("on-batch: bad input in row 0"), "it went");
}

#[test]
fn a_version_that_gives_no_state_hands_over_its_last_one_and_the_batches_since() {
    for mode in ["snapshot", "large-state", "restore"] {
        let mut old = hostile(mode);
        for n in 3..10 {
            assert_eq!(seen(&old.run(&readings(&[1.0]))), [f64::from(n)]);
        }
        let (mut next, kept) = succeed(&mut old, "good").unwrap();
        assert_eq!(kept, Kept::State, "{mode}");
        assert_eq!(seen(&next.run(&readings(&[1.0]))), [10.0], "{mode}");
        let bytes = next.snapshot().unwrap();
        next.restore(&bytes).unwrap();
        assert_eq!(seen(&next.run(&readings(&[1.0]))), [11.0], "{mode}");
    }
}
