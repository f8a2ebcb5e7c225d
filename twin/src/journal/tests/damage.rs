//! Torn tails, flipped bits, lost files.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::*;
use crate::journal::frame::{FRAME_HEADER, FrameHeader, SEGMENT_HEADER};

fn flip(path: &Path, at: u64) {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << (at % 8))], at).unwrap();
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

/// A closed journal of `frames` frames of 3 entries.
fn written(count: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    frames(&open(dir.path()), count, 3);
    dir
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_the_rest_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let big = Options {
        segment_bytes: 1 << 20,
        ..small()
    };
    let journal = SegmentJournal::open(dir.path(), big.clone()).unwrap();
    frames(&journal, 4, 3);
    let path = files(dir.path()).remove(0);
    let whole = length(&path);
    frame(&journal, 3);
    drop(journal);
    for torn in 0..length(&path) - whole {
        let dir = copy(dir.path());
        let path = files(dir.path()).remove(0);
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(whole + torn).unwrap();
        let journal = SegmentJournal::open(dir.path(), big.clone()).unwrap();
        let stats = journal.stats();
        assert_eq!(
            (stats.last, stats.durable, stats.torn_bytes),
            (12, 12, torn)
        );
        assert_eq!((stats.lost, stats.corrupt), (0, 0));
        assert_eq!(length(&path), whole);
        assert_eq!(frame(&journal, 2), 14);
        assert_eq!(
            read_all(&journal, 1).positions,
            (1..=14).collect::<Vec<_>>()
        );
    }
}

#[test]
fn what_follows_the_last_frame_and_is_none_is_cut() {
    for rubbish in [
        vec![0; 100],
        vec![0xff; 3],
        b"entries of no frame at all, 24 bytes".to_vec(),
    ] {
        let dir = written(1);
        let path = files(dir.path()).remove(0);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(&rubbish);
        fs::write(&path, bytes).unwrap();
        let journal = open(dir.path());
        assert_eq!(journal.stats().torn_bytes, rubbish.len() as u64);
        assert_eq!(frame(&journal, 1), 4);
        drop(journal);
        assert_eq!(read_all(&open(dir.path()), 1).positions, [1, 2, 3, 4]);
    }
}

#[test]
fn a_segment_whose_creation_was_torn_is_none() {
    for bytes in 0..SEGMENT_HEADER {
        let dir = written(2);
        fs::write(dir.path().join("00000000000000000007.seg"), vec![0; bytes]).unwrap();
        let journal = open(dir.path());
        assert_eq!(frame(&journal, 2), 8);
        assert_eq!(read_all(&journal, 1).positions, (1..=8).collect::<Vec<_>>());
    }
}

#[test]
fn a_flipped_bit_anywhere_loses_its_frame_at_most_and_is_never_served() {
    let original = written(9);
    let paths = files(original.path());
    assert!(paths.len() >= 3);
    let last = paths.len() - 1;
    for (number, path) in paths.iter().enumerate() {
        // Every fifth byte; the bit changes with the byte.
        for at in (number as u64..length(path)).step_by(5) {
            let dir = copy(original.path());
            flip(&dir.path().join(path.file_name().unwrap()), at);
            let journal = open(dir.path());
            let end = journal.stats().last;
            let served = read_all(&journal, 1);
            let stats = journal.stats();
            assert_eq!(
                served.positions.len() as u64 + served.lost(),
                end,
                "{number} {at}"
            );
            assert_eq!(
                served.lost() + (27 - end),
                if at < 64 { 0 } else { 3 },
                "{number} {at}"
            );
            assert_eq!(stats.lost, served.lost(), "{number} {at}");
            assert_eq!(stats.corrupt, u64::from(served.lost() > 0), "{number} {at}");
            // Only the very last frame looks like a torn tail when it is damaged.
            assert!(
                end == 27 || (number == last && stats.torn_bytes > 0),
                "{number} {at}"
            );
            drop(journal);
            let journal = open(dir.path());
            assert_eq!(
                read_all(&journal, 1),
                served,
                "after the repair, {number} {at}"
            );
        }
    }
}

#[test]
fn damage_found_by_readers_of_an_open_journal_is_one_gap_for_each_and_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    frames(&journal, 16, 3);
    let mut early = journal.reader(1).unwrap();
    assert_eq!(read(&mut *early, 1).positions, [1, 2, 3]);
    // The second frame of the first segment; the reader has the bytes of the first in its buffer.
    let mut second = journal.reader(10).unwrap();
    flip(&files(dir.path())[1], 70);
    let mut late = journal.reader(1).unwrap();
    let of_late = read(&mut *late, usize::MAX);
    assert_eq!(of_late.lost(), 3);
    assert_eq!(read(&mut *early, usize::MAX).gaps, of_late.gaps);
    assert_eq!(read(&mut *second, usize::MAX).gaps, of_late.gaps);
    assert_eq!((journal.stats().lost, journal.stats().corrupt), (3, 1));
    let kept: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().unwrap() == "corrupt")
        .collect();
    assert_eq!(kept.len(), 1);
}

#[test]
fn damage_in_the_segment_being_written_is_a_gap_and_writing_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let journal = SegmentJournal::open(
        dir.path(),
        Options {
            segment_bytes: 1 << 20,
            ..small()
        },
    )
    .unwrap();
    frames(&journal, 5, 3);
    let path = files(dir.path()).remove(0);
    flip(&path, 70);
    let mut reader = journal.reader(1).unwrap();
    assert_eq!(read(&mut *reader, usize::MAX).gaps, [(1, 3, "damaged")]);
    flip(&path, length(&path) - 1);
    frame(&journal, 3);
    let served = read_all(&journal, 4);
    assert_eq!(served.gaps, [(13, 15, "damaged")]);
    assert_eq!(read(&mut *reader, usize::MAX).positions, [16, 17, 18]);
}

#[test]
fn a_last_segment_without_a_header_is_set_aside_and_no_position_comes_again() {
    let dir = written(16);
    let path = files(dir.path()).pop().unwrap();
    let before = open(dir.path()).stats();
    let first: u64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    flip(&path, 9);
    flip(&path, 9 + SEGMENT_HEADER as u64 / 2);
    let journal = open(dir.path());
    assert!(journal.stats().last >= before.last);
    assert_eq!(journal.stats().corrupt, 1);
    frame(&journal, 2);
    let served = read_all(&journal, 1);
    assert_eq!(served.gaps.len(), 1);
    assert_eq!(served.gaps[0].0, first);
    assert!(
        served
            .positions
            .ends_with(&[journal.stats().last - 1, journal.stats().last])
    );
}

#[test]
fn a_segment_file_that_is_gone_is_a_gap() {
    let dir = written(16);
    let path = files(dir.path()).remove(1);
    fs::remove_file(&path).unwrap();
    let served = read_all(&open(dir.path()), 1);
    assert_eq!(served.gaps.len(), 1);
    assert_eq!(served.lost() + served.positions.len() as u64, 48);
}

#[test]
fn a_payload_that_imitates_a_frame_is_not_taken_for_one_behind_damage() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let body = [1, 0, 0, 0, b'!'];
    let forged = FrameHeader {
        body_len: 5,
        count: 1,
        first: 1,
        body_crc: crc32fast::hash(&body),
    };
    let forged = [forged.encode(0).as_slice(), &body].concat();
    let mut batch = Batch::new();
    batch.push(&forged);
    wait(&journal, journal.append(&batch).unwrap());
    frame(&journal, 1);
    drop(journal);
    flip(&files(dir.path())[0], SEGMENT_HEADER as u64 + 2);
    let served = read_all(&open(dir.path()), 1);
    assert_eq!(
        served,
        Served {
            positions: vec![2],
            gaps: vec![(1, 1, "damaged")]
        }
    );
    assert!(FrameHeader::decode(&forged[..FRAME_HEADER], 0).is_some());
}

#[test]
fn positions_that_readers_have_seen_are_not_handed_out_again() {
    let dir = written(2);
    let journal = SegmentJournal::open(
        dir.path(),
        Options {
            floor: 9,
            ..small()
        },
    )
    .unwrap();
    assert_eq!((journal.stats().last, journal.stats().lost), (9, 3));
    assert_eq!(frame(&journal, 1), 10);
    drop(journal);
    let served = read_all(&open(dir.path()), 1);
    assert_eq!(served.gaps, [(7, 9, "damaged")]);
    assert_eq!(served.positions, [1, 2, 3, 4, 5, 6, 10]);
}
