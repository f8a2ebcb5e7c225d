//! Tests of the journal. The entry at each position has one known content, so that whatever is
//! served can be checked.

mod crash;
mod damage;
mod fault_disk;
mod model;
mod quota;
mod readers;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Batch, GapReason, Journal, JournalFiles, Options, ReadError, Reader, SegmentJournal};

const PATIENCE: Duration = Duration::from_secs(20);

/// Small segments, nothing kept in memory, no waiting.
fn small() -> Options {
    Options {
        segment_bytes: 512,
        commit_window: Duration::ZERO,
        memory_bytes: 0,
        ..Options::default()
    }
}

fn open(dir: &Path) -> SegmentJournal {
    SegmentJournal::open(dir, small()).unwrap()
}

/// What the entry at `position` holds: 0 to 40 bytes.
fn content(position: u64) -> Vec<u8> {
    let length = position.wrapping_mul(7919) % 41;
    (0..length)
        .map(|at| (position.wrapping_mul(31).wrapping_add(at) % 251) as u8)
        .collect()
}

/// The batch of the `count` entries behind the last one.
fn batch(journal: &dyn Journal, count: u64) -> Batch {
    let next = journal.stats().last + 1;
    let mut batch = Batch::new();
    (next..next + count).for_each(|position| batch.push(&content(position)));
    batch
}

/// Appends one frame and waits until it is durable; returns its last position.
fn frame(journal: &dyn Journal, count: u64) -> u64 {
    let last = journal.append(&batch(journal, count)).unwrap();
    wait(journal, last);
    last
}

/// Appends `count` frames of `entries` each, one after the other.
fn frames(journal: &dyn Journal, count: u64, entries: u64) -> u64 {
    (0..count)
        .map(|_| frame(journal, entries))
        .last()
        .unwrap_or(0)
}

fn wait(journal: &dyn Journal, position: u64) {
    assert!(
        journal.wait_past(position - 1, PATIENCE) >= position,
        "{:?}",
        journal.stats()
    );
}

/// What a reader served and what it was told is lost, each checked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Served {
    positions: Vec<u64>,
    gaps: Vec<(u64, u64, &'static str)>,
}

impl Served {
    fn lost(&self) -> u64 {
        self.gaps
            .iter()
            .map(|(first, last, _)| last - first + 1)
            .sum()
    }
}

/// Reads up to `frames` frames or to the end; served and lost positions must follow each other.
fn read(reader: &mut dyn Reader, frames: usize) -> Served {
    let mut served = Served::default();
    let mut expected = reader.position();
    for _ in 0..frames {
        match reader.next() {
            Ok(None) => break,
            Ok(Some(frame)) => {
                assert_eq!(frame.first(), expected);
                for (position, entry) in &frame {
                    assert_eq!(position, expected);
                    assert_eq!(entry, content(position), "entry {position}");
                    served.positions.push(position);
                    expected += 1;
                }
                assert_eq!(frame.last() + 1, expected);
            }
            Err(ReadError::Gap {
                first,
                last,
                reason,
            }) => {
                assert_eq!(first, expected);
                assert!(last >= first);
                let reason = if reason == GapReason::Damaged {
                    "damaged"
                } else {
                    "dropped"
                };
                served.gaps.push((first, last, reason));
                expected = last + 1;
            }
            Err(error) => panic!("{error}"),
        }
        assert_eq!(reader.position(), expected);
    }
    served
}

fn read_all(journal: &dyn Journal, from: u64) -> Served {
    read(&mut *journal.reader(from).unwrap(), usize::MAX)
}

/// The segment files, oldest first.
fn files(dir: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    paths.sort();
    paths
}

fn size_of(dir: &Path) -> u64 {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum()
}

/// A copy of a journal's folder.
fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}
