//! The chain that identifies a plugin's state: the same for the same batches, whatever happened
//! between them; another one for anything else.

use quartier_plugin_host::{Answer, Batch, CHECKPOINT, Digest, Runner};

use crate::support::{asset, hostile, plugin, poison, readings, runner};

fn digest(value: &impl serde::Serialize) -> Digest {
    Digest::of(&postcard::to_allocvec(value).unwrap())
}

/// Enough for two checkpoints; every eleventh traps.
fn batches() -> Vec<Batch> {
    (0..2 * CHECKPOINT + 20)
        .map(|n| Batch {
            seq: n,
            changed: (n == 0).then(|| asset(1)).into_iter().collect(),
            ..match n % 11 {
                10 => poison(),
                _ => readings(&[n as f64, 1.0]),
            }
        })
        .collect()
}

fn fresh(mode: &str) -> Runner {
    runner(&plugin("hostile"), &[("mode", mode)])
}

fn run(runner: &mut Runner, batches: &[Batch]) -> Vec<Answer> {
    let without_fuel = |batch: &Batch| Answer {
        fuel: 0,
        ..runner.run(batch)
    };
    batches.iter().map(without_fuel).collect()
}

#[test]
fn hashes_are_of_the_postcard_bytes_of_what_went_in_and_came_out() {
    let mut runner = hostile("nan");
    let answer = runner.run(&poison());
    assert_eq!(answer.dropped.len(), 1);
    assert_eq!(answer.input, digest(&poison()));
    assert_eq!(
        answer.output_hash,
        digest(&(&answer.output, &answer.dropped))
    );
}

#[test]
fn the_input_of_a_batch_has_the_assets_of_failed_ones_before_it() {
    let mut runner = hostile("trap");
    let failed = Batch {
        changed: vec![asset(2), asset(3)],
        ..poison()
    };
    runner.run(&failed);
    let next = Batch {
        changed: vec![asset(4), asset(2)],
        ..readings(&[1.0])
    };
    let answer = runner.run(&next);
    let got = Batch {
        changed: vec![asset(3), asset(4), asset(2)],
        ..next
    };
    assert_eq!(answer.input, digest(&got));
}

#[test]
fn each_answer_goes_on_where_the_one_before_ended_and_a_failure_moves_nothing() {
    let answers = run(&mut fresh("trap"), &batches());
    for pair in answers.windows(2) {
        assert_eq!(pair[1].state_before, pair[0].state_after);
    }
    for answer in answers {
        let moved = answer.state_after != answer.state_before;
        assert_eq!(moved, answer.failure.is_none());
    }
}

#[test]
fn an_interruption_anywhere_changes_no_answer_and_no_state() {
    let batches = batches();
    let whole = run(&mut fresh("trap"), &batches);
    for cut in [0, 1, 10, 11, 63, 64, 69, 70, 71, 72, 127, 140] {
        let mut before = fresh("trap");
        let mut answers = run(&mut before, &batches[..cut]);
        let snapshot = before.snapshot().unwrap();
        assert_eq!(
            run(&mut before, &batches[cut..]),
            whole[cut..],
            "to be asked for its state disturbs nobody"
        );
        let mut after = fresh("trap");
        after.restore(&snapshot).unwrap();
        answers.extend(run(&mut after, &batches[cut..]));
        assert_eq!(answers, whole, "cut at {cut}");
    }
}

#[test]
fn a_batch_skipped_is_as_one_that_failed() {
    let batches: Vec<Batch> = batches()
        .into_iter()
        .map(|batch| Batch {
            changed: vec![asset(1), asset(100 + batch.seq as u32)],
            ..batch
        })
        .collect();
    let whole = run(&mut fresh("trap"), &batches);
    let mut again = fresh("trap");
    for (batch, answer) in batches.iter().zip(&whole) {
        match answer.failure {
            Some(_) => again.skip(batch),
            None => assert_eq!(run(&mut again, std::slice::from_ref(batch))[0], *answer),
        }
    }
    let mut quarantined = fresh("trap");
    for _ in 0..quartier_plugin_host::QUARANTINE {
        assert!(!quarantined.quarantined());
        quarantined.skip(&poison());
    }
    assert!(quarantined.quarantined());
    assert_eq!(quarantined.stats().traps, 0, "nothing was run");
}

#[test]
fn the_state_itself_enters_at_every_64th_answered_batch() {
    // This plugin's state is not a function of its batches: it counts how often it was asked for.
    let (mut asked, mut left_alone) = (fresh("drift"), fresh("drift"));
    let batches: Vec<Batch> = batches().into_iter().filter(|b| b.value[1] > 0.0).collect();
    for (n, batch) in (1..).zip(&batches[..CHECKPOINT as usize]) {
        let (one, other) = (asked.run(batch), left_alone.run(batch));
        assert_eq!(one.state_after == other.state_after, n < CHECKPOINT, "{n}");
        if n == 5 {
            asked.snapshot().unwrap();
        }
    }
}

#[test]
fn another_configuration_or_manifest_is_another_state_from_the_start() {
    let (good, trap) = (fresh("good"), fresh("trap"));
    assert_eq!(good.state(), fresh("good").state());
    assert_ne!(good.state(), trap.state());
    let mut package =
        quartier_plugin_host::Package::read(&crate::support::folder("hostile")).unwrap();
    package.manifest = package.manifest.replace("\"1.0.0\"", "\"1.0.1\"");
    let other = crate::support::host().compile(&package).unwrap();
    assert_ne!(runner(&other, &[("mode", "good")]).state(), good.state());
}

#[test]
fn a_snapshot_of_the_version_before_is_still_read() {
    let state = 7_u64.to_le_bytes().to_vec();
    let assets = std::collections::BTreeMap::from([(1_u32, asset(1))]);
    let owed: Vec<quartier_plugin_host::Asset> = vec![asset(2)];
    let old = postcard::to_extend(&(Some(state), assets, owed, 1_u32), vec![1_u8]).unwrap();
    let mut runner = fresh("good");
    runner.restore(&old).unwrap();
    let answer = runner.run(&Batch {
        asset: vec![2],
        ..readings(&[1.0])
    });
    assert_eq!(crate::support::seen(&answer), [8.0]);
    assert_eq!(answer.dropped, []);
    let mut again = fresh("good");
    again.restore(&old).unwrap();
    assert_ne!(again.state(), fresh("good").state());
}
