//! Twin properties: in the rows, and when the plugin asks.

use quartier_plugin_host::{Asset, Batch, Reason, Runner};

use crate::support::{asset, hostile, plugin, readings, runner, seen};

fn with_props(values: &[f64], props: &[f64]) -> Batch {
    Batch {
        props: props.to_vec(),
        ..readings(values)
    }
}

/// Derives what it is shown.
fn viewer() -> Runner {
    let mut runner = runner(&plugin("hostile"), &[("mode", "view")]);
    let first = Batch {
        changed: vec![asset(1)],
        ..Batch::default()
    };
    assert_eq!(runner.run(&first).failure, None);
    runner
}

#[test]
fn each_row_comes_with_its_values() {
    let mut runner = viewer();
    let answer = runner.run(&with_props(&[1.0, 1.0, 1.0], &[4.2, f64::NAN, 7.56]));
    assert_eq!(seen(&answer), [4.2, 7.56]);
    assert_eq!(answer.dropped, [(Reason::NotFinite, 1)]);
}

#[test]
fn a_batch_without_its_columns_of_properties_is_refused() {
    let mut runner = viewer();
    for props in [&[][..], &[1.0], &[1.0, 2.0, 3.0]] {
        let failure = runner.run(&with_props(&[1.0, 1.0], props)).failure;
        assert!(failure.unwrap().contains("columns"));
    }
}

#[test]
fn an_answer_is_the_newest_value_shown_also_after_a_trap_a_checkpoint_and_a_restart() {
    let mut runner = hostile("ask");
    let asked = |runner: &mut Runner| {
        let answer = runner.run(&with_props(&[-1.0], &[f64::NAN]));
        seen(&answer).get(1).copied()
    };
    assert_eq!(asked(&mut runner), None, "nothing was shown: NaN");
    runner.run(&with_props(&[1.0, 1.0], &[4.2, 7.56]));
    assert_eq!(asked(&mut runner), Some(7.56));
    let unknown = Batch {
        asset: vec![9],
        ..with_props(&[1.0], &[1.0])
    };
    assert!(runner.run(&unknown).failure.is_some(), "refused");
    assert_eq!(asked(&mut runner), Some(7.56), "on a new instance");
    for _ in 0..70 {
        runner.run(&readings(&[1.0]));
    }
    runner.run(&unknown);
    assert_eq!(asked(&mut runner), Some(7.56), "behind a checkpoint");
    let snapshot = runner.snapshot().unwrap();
    let mut next = hostile("ask");
    next.restore(&snapshot).unwrap();
    assert_eq!(asked(&mut next), Some(7.56));
    let gone = Asset {
        kind: String::new(),
        ..asset(1)
    };
    next.run(&Batch {
        changed: vec![gone, asset(1)],
        ..readings(&[1.0])
    });
    assert_eq!(
        asked(&mut next),
        None,
        "an asset that went takes its values along"
    );
}
