//! What verification finds, and what it finds nothing in.

use super::*;
use crate::event::Digest;
use crate::rerun::{Counts, Verdict};

fn good(verified: u64) -> Counts {
    Counts {
        verified,
        ..Counts::default()
    }
}

#[test]
fn every_decision_of_a_journal_verifies_from_its_beginning_and_from_every_snapshot() {
    let Some(package) = hostile() else { return };
    let folder = tempfile::tempdir().unwrap();
    let last = recorded(folder.path(), &package, "good", 100, 5);
    let all = verified(folder.path(), Which::All);
    assert_eq!(all.counts, good(1500), "{:?}", all.decisions.last());
    assert!(all.is_good() && all.from == 0 && all.upto == last);
    assert_eq!(verified(folder.path(), Which::All), all, "the same again");
    let positions: Vec<u64> = all
        .decisions
        .iter()
        .map(|checked| checked.decision)
        .collect();
    for position in positions.iter().step_by(97) {
        let one = verified(folder.path(), Which::One(*position));
        assert_eq!(one.counts, good(1));
        assert!(
            one.from == 0 || position - one.from < 1500,
            "from the nearest snapshot"
        );
    }
    let sample = |seed| verified(folder.path(), Which::Sample { count: 400, seed });
    assert_eq!(sample(1).counts, good(400));
    assert_eq!(sample(1), sample(1));
    assert_ne!(sample(1).decisions, sample(2).decisions);
}

#[test]
fn without_the_journals_beginning_what_is_older_is_not_covered_and_the_rest_verifies() {
    let Some(package) = hostile() else { return };
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), &package, "good", 100, 5);
    let mut segments: Vec<_> = std::fs::read_dir(folder.path().join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.sort();
    // How many there are depends on how entries came together in commits.
    let old = segments.len() / 2;
    assert!(old > 0);
    for segment in &segments[..old] {
        std::fs::remove_file(segment).unwrap();
    }
    let all = verified(folder.path(), Which::All);
    assert!(all.is_good() && all.from > 0);
    assert!(
        all.counts.not_covered > 0 && all.counts.verified > 100,
        "{:?}",
        all.counts
    );
    let data = DataFolder::open(folder.path()).unwrap();
    let error = verify(&data, Which::One(20), &mut |_, _, _| {}).unwrap_err();
    assert!(error.to_string().contains("--node"), "{error}");
}

#[test]
fn a_change_of_any_field_of_a_recorded_decision_is_found() {
    let Some(package) = hostile() else { return };
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), &package, "good", 100, 0);
    let flip = |digest: &mut Digest| digest.0[7] ^= 1;
    type Tamper<'a> = &'a dyn Fn(&mut crate::event::Decision);
    let cases: [(&str, Tamper<'_>); 9] = [
        ("input_hash", &|d| flip(&mut d.input_hash)),
        ("state_before", &|d| flip(&mut d.state_before)),
        ("state_after", &|d| flip(&mut d.state_after)),
        ("output_hash", &|d| flip(&mut d.output_hash)),
        ("digest", &|d| flip(&mut d.digest)),
        ("previous", &|d| flip(&mut d.previous)),
        ("derived[1]", &|d| d.derived[1].value += 1.0),
        ("causes[0]", &|d| d.causes[0].value = -0.0),
        ("version", &|d| d.version.push('x')),
    ];
    for (field, change) in cases {
        let copy = tempfile::tempdir().unwrap();
        let (mut count, mut at) = (0, 0);
        record::tampered(folder.path(), copy.path(), |position, decision| {
            count += 1;
            if count == 777 {
                at = position;
                change(decision);
            }
        });
        let one = verified(copy.path(), Which::One(at));
        let Verdict::Differs { differences } = &one.decisions[0].verdict else {
            panic!("{field}: {:?}", one.decisions);
        };
        assert_eq!(differences[0].field, field);
        assert_ne!(differences[0].recorded, differences[0].rerun);
    }
    // Fuel is not compared: it is the chain that breaks, at the decision behind.
    let copy = tempfile::tempdir().unwrap();
    let mut count = 0;
    record::tampered(folder.path(), copy.path(), |_, decision| {
        count += 1;
        decision.fuel += u64::from(count == 777);
    });
    let all = verified(copy.path(), Which::All);
    assert_eq!((all.counts.differs, all.counts.verified), (1, 1499));
    let differing = all
        .decisions
        .iter()
        .find(|c| c.verdict != Verdict::Verified);
    let Verdict::Differs { differences } = &differing.unwrap().verdict else {
        panic!("{differing:?}");
    };
    assert_eq!(
        (differing.unwrap().batch, differences[0].field.as_str()),
        (777, "previous")
    );
}

#[test]
fn a_decision_that_nobody_recorded_is_missed_at_the_next_one() {
    let Some(package) = hostile() else { return };
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), &package, "good", 100, 0);
    let copy = tempfile::tempdir().unwrap();
    let mut count = 0;
    record::tampered(folder.path(), copy.path(), |_, decision| {
        count += 1;
        // Of a line that does not exist, so it counts for none.
        decision.run += 1_000_000 * u64::from(count == 777);
    });
    let all = verified(copy.path(), Which::All);
    assert_eq!(all.counts.differs, 2);
}

#[test]
fn failed_batches_verify_and_those_that_failed_for_want_of_time_are_passed_over() {
    let Some(package) = hostile() else { return };
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), &package, "trap", 500, 5);
    let all = verified(folder.path(), Which::All);
    assert_eq!(all.counts, good(1500), "{:?}", all.decisions);
    // As if the first failure had been the deadline's.
    let copy = tempfile::tempdir().unwrap();
    let mut first = true;
    record::tampered(folder.path(), copy.path(), |_, decision| {
        if decision.failure.is_some() && std::mem::take(&mut first) {
            decision.wall_clock = true;
        }
    });
    let all = verified(copy.path(), Which::All);
    assert_eq!(all.counts.not_reproducible, 1);
    assert_eq!(
        all.counts.differs, 1,
        "the chain behind the record that was changed"
    );
}

#[test]
fn a_plugin_in_quarantine_and_its_alert_verify() {
    let Some(package) = hostile() else { return };
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), &package, "trap", 2, 3);
    let all = verified(folder.path(), Which::All);
    // What is called no more decides nothing.
    assert_eq!(
        all.counts,
        good(u64::from(quartier_plugin_host::QUARANTINE)),
        "{:?}",
        all.decisions
    );
}

#[test]
fn versions_that_take_over_from_one_another_verify_across_the_hand_over() {
    let Some(package) = hostile() else { return };
    let next = Package {
        manifest: package
            .manifest
            .replace("version = \"1.0.0\"", "version = \"1.1.0\""),
        ..package.clone()
    };
    let folder = tempfile::tempdir().unwrap();
    let (artifacts, plugins) = artifacts(folder.path(), &[&package, &next]);
    let mut recorder = Recorder::new(folder.path(), &artifacts, 4);
    recorder.deploy(record(&plugins[0], 2, &[]));
    (0..200).for_each(|_| recorder.power(1.0));
    recorder.snapshot();
    let mut shadow = record(&plugins[1], 3, &[]);
    shadow.stage = crate::event::Stage::Shadow;
    recorder.deploy(shadow);
    (0..200).for_each(|_| recorder.power(2.0));
    recorder.deploy(record(&plugins[1], 3, &[("mode", "flood")]));
    (0..200).for_each(|_| recorder.power(3.0));
    recorder.deploy(record(&plugins[0], 2, &[("mode", "good")]));
    (0..200).for_each(|_| recorder.power(4.0));
    recorder.end();
    let all = verified(folder.path(), Which::All);
    assert!(all.counts.verified > 380, "{:?}", all.counts);
    assert_eq!(all.counts, good(all.counts.verified));
    for checked in all.decisions.iter().step_by(23) {
        let one = verified(folder.path(), Which::One(checked.decision));
        assert_eq!(one.counts, good(1), "{one:?}");
    }
}

#[test]
fn damage_on_disk_is_told_and_is_no_success() {
    use std::os::unix::fs::FileExt as _;
    let Some(package) = hostile() else { return };
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), &package, "good", 100, 5);
    let mut segments: Vec<_> = std::fs::read_dir(folder.path().join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.sort();
    let before = std::fs::read(&segments[3]).unwrap();
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(&segments[3])
        .unwrap();
    file.write_all_at(&[before[5000] ^ 4], 5000).unwrap();
    let all = verified(folder.path(), Which::All);
    assert!(!all.lost.is_empty() && !all.is_good());
    let names = std::fs::read_dir(folder.path().join("journal"))
        .unwrap()
        .count();
    assert_eq!(
        names,
        segments.len(),
        "nothing is set aside: the folder is only read"
    );
}
