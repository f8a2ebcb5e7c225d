//! The quota, a full disk, a slow disk.

use std::process::Command;
use std::sync::Arc;

use super::fault_disk::FaultDisk;
use super::*;
use crate::journal::{AppendError, WhenFull};

const QUOTA: u64 = 4000;

fn limited(when_full: WhenFull) -> Options {
    Options {
        quota_bytes: QUOTA,
        when_full,
        ..small()
    }
}

/// Appends frames until one is refused.
fn fill(journal: &dyn Journal) -> AppendError {
    for _ in 0..10_000 {
        match journal.append(&batch(journal, 3)) {
            Ok(last) => {
                journal.wait_past(last - 1, Duration::from_millis(200));
            }
            Err(refusal) => return refusal,
        }
    }
    panic!("never full")
}

#[test]
fn a_full_quota_refuses_and_released_entries_make_room() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SegmentJournal::open(dir.path(), limited(WhenFull::Refuse)).unwrap();
    for _ in 0..5 {
        let refusal = fill(&journal);
        assert!(refusal.is_passing());
        assert!(matches!(refusal, AppendError::Full { used, quota: QUOTA } if used <= QUOTA));
        assert!(size_of(dir.path()) <= QUOTA);
        assert!(
            size_of(dir.path()) > QUOTA - 300,
            "it is used up before it refuses"
        );
        let stats = journal.stats();
        assert_eq!((stats.durable, stats.dropped), (stats.last, 0));
        let served = read_all(&journal, stats.first);
        assert_eq!(
            served.positions,
            (stats.first..=stats.last).collect::<Vec<_>>()
        );
        journal.release(stats.last);
    }
}

#[test]
fn a_quota_used_up_by_an_earlier_run_counts() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SegmentJournal::open(dir.path(), limited(WhenFull::Refuse)).unwrap();
    fill(&journal);
    drop(journal);
    let journal = SegmentJournal::open(dir.path(), limited(WhenFull::Refuse)).unwrap();
    let refusal = journal.append(&batch(&journal, 20)).unwrap_err();
    assert!(matches!(refusal, AppendError::Full { .. }), "{refusal}");
}

#[test]
fn dropping_the_oldest_keeps_the_quota_and_tells_the_reader_what_it_missed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SegmentJournal::open(dir.path(), limited(WhenFull::DropOldest)).unwrap();
    frame(&journal, 3);
    let mut reader = journal.reader(1).unwrap();
    assert_eq!(read(&mut *reader, 1).positions, [1, 2, 3]);
    journal.release(3);
    for _ in 0..200 {
        frame(&journal, 3);
        assert!(size_of(dir.path()) <= QUOTA);
    }
    let stats = journal.stats();
    assert!(stats.dropped > 300 && stats.lost == 0, "{stats:?}");
    let served = read(&mut *reader, usize::MAX);
    assert_eq!(served.gaps, [(4, stats.first - 1, "dropped")]);
    assert_eq!(served.lost(), stats.dropped);
    assert_eq!(served.positions, (stats.first..=603).collect::<Vec<_>>());
}

#[test]
fn a_disk_that_does_not_keep_up_bounds_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new();
    let options = Options {
        pending_bytes: 1000,
        ..small()
    };
    let journal =
        SegmentJournal::open_on(dir.path().to_owned(), options, Arc::new(disk.clone())).unwrap();
    let held = disk.held.lock();
    let refusal = (0..1000)
        .find_map(|_| journal.append(&batch(&journal, 3)).err())
        .unwrap();
    assert!(
        matches!(refusal, AppendError::Behind { limit: 1000, .. }),
        "{refusal}"
    );
    assert!(journal.stats().pending <= 1024);
    let last = journal.stats().last;
    drop(held);
    wait(&journal, last);
    frame(&journal, 3);
    assert_eq!(read_all(&journal, 1).positions.len() as u64, last + 3);
}

#[test]
fn a_batch_that_can_never_fit_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SegmentJournal::open(dir.path(), limited(WhenFull::Refuse)).unwrap();
    let mut batch = Batch::new();
    batch.push(&[0; QUOTA as usize]);
    let refusal = journal.append(&batch).unwrap_err();
    assert!(matches!(refusal, AppendError::TooLarge { .. }));
    assert!(!refusal.is_passing());
}

#[test]
fn no_room_on_the_disk_refuses_until_there_is_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new();
    let journal =
        SegmentJournal::open_on(dir.path().to_owned(), small(), Arc::new(disk.clone())).unwrap();
    for round in 1..=4 {
        frame(&journal, 3);
        disk.fill_up(round * 17);
        let refusal = fill(&journal);
        assert_eq!(refusal, AppendError::NoSpace);
        let stats = journal.stats();
        assert!(stats.no_space && stats.durable < stats.last && stats.failed.is_none());
        disk.make_room();
        wait(&journal, stats.last);
    }
    frame(&journal, 3);
    let last = journal.stats().last;
    drop(journal);
    let served = read_all(&open(dir.path()), 1);
    assert_eq!(served.positions, (1..=last).collect::<Vec<_>>());
}

#[test]
fn the_reserve_of_the_disk_stays_free_and_what_is_only_kept_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new();
    let options = Options {
        quota_bytes: 1 << 20,
        segment_bytes: 1000,
        keep_bytes: 1 << 19,
        reserve_bytes: 5000,
        ..small()
    };
    let open = dir.path().to_owned();
    let journal = SegmentJournal::open_on(open, options, Arc::new(disk.clone())).unwrap();
    disk.fill_up(7000);
    assert!(matches!(fill(&journal), AppendError::NoSpace));
    assert!(disk.room() >= Some(5000), "{:?}", disk.room());
    let stats = journal.stats();
    assert!(stats.segments > 1, "{stats:?}");
    journal.release(stats.durable);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while journal.stats().segments > 1 {
        assert!(
            std::time::Instant::now() < deadline,
            "{:?}",
            journal.stats()
        );
        std::thread::yield_now();
    }
    disk.make_room();
    assert_eq!(
        journal.wait_past(stats.last - 1, Duration::from_secs(20)),
        stats.last
    );
}

#[test]
fn a_full_tmpfs_refuses_and_goes_on_when_a_reader_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=128k", "quartier-test"])
        .arg(dir.path())
        .output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: this process may not mount a tmpfs");
        return;
    }
    let options = Options {
        segment_bytes: 16 << 10,
        ..small()
    };
    let journal = SegmentJournal::open(dir.path().join("journal"), options).unwrap();
    let mut reader = journal.reader(1).unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        assert_eq!(fill(&journal), AppendError::NoSpace);
        seen.extend(read(&mut *reader, usize::MAX).positions);
        journal.release(reader.position() - 1);
        wait(&journal, journal.stats().last);
    }
    seen.extend(read(&mut *reader, usize::MAX).positions);
    assert_eq!(seen, (1..=journal.stats().last).collect::<Vec<_>>());
    drop((journal, reader));
    assert!(
        Command::new("umount")
            .arg(dir.path())
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn released_segments_stay_while_all_take_no_more_than_is_to_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    let keep = Options {
        keep_bytes: 3000,
        ..small()
    };
    let journal = SegmentJournal::open(dir.path(), keep).unwrap();
    let last = frames(&journal, 30, 2);
    assert!(journal.stats().bytes < 3000);
    journal.release(last);
    assert_eq!(journal.stats().first, 1, "all of it may stay");
    frames(&journal, 200, 2);
    journal.release(last);
    let stats = journal.stats();
    assert!(
        stats.bytes > 3000,
        "what is not released stays whatever it takes"
    );
    assert!(stats.first > 1 && stats.first <= last + 1);
    journal.release(stats.last);
    let stats = journal.stats();
    assert!(stats.bytes <= 3000 && stats.bytes > 2000, "{stats:?}");
    assert_eq!(
        read_all(&journal, stats.first).positions.len() as u64,
        stats.last + 1 - stats.first
    );
}
