//! Readers at different speeds, release, waiting, reopening.

use super::*;
use crate::journal::AppendError;

#[test]
fn two_readers_at_different_speed_see_everything_and_hold_only_what_the_slower_needs() {
    for memory_bytes in [0, 2000, 1 << 20] {
        let dir = tempfile::tempdir().unwrap();
        let journal = SegmentJournal::open(
            dir.path(),
            Options {
                memory_bytes,
                ..small()
            },
        )
        .unwrap();
        let mut fast = journal.reader(1).unwrap();
        let mut slow = journal.reader(1).unwrap();
        let (mut of_fast, mut of_slow) = (Vec::new(), Vec::new());
        for _ in 0..100 {
            frame(&journal, 5);
            of_fast.extend(read(&mut *fast, usize::MAX).positions);
            of_slow.extend(read(&mut *slow, usize::from(of_fast.len() % 20 == 0)).positions);
            journal.release(slow.position() - 1);
        }
        assert_eq!(of_fast, (1..=500).collect::<Vec<_>>());
        assert_eq!(of_slow.len(), 125);
        let stats = journal.stats();
        assert!(stats.first > 60 && stats.first <= 126, "{stats:?}");
        assert_eq!(stats.bytes, size_of(dir.path()));
        of_slow.extend(read(&mut *slow, usize::MAX).positions);
        assert_eq!(of_slow, of_fast);
        journal.release(500);
        assert_eq!(journal.stats().segments, 1);
        assert_eq!(files(dir.path()).len(), 1);
        assert_eq!(journal.stats().bytes, size_of(dir.path()));
    }
}

#[test]
fn a_reader_may_begin_at_any_position() {
    for memory_bytes in [0, 1 << 20] {
        let dir = tempfile::tempdir().unwrap();
        let journal = SegmentJournal::open(
            dir.path(),
            Options {
                memory_bytes,
                ..small()
            },
        )
        .unwrap();
        frames(&journal, 20, 7);
        for from in 1..=141 {
            let served = read_all(&journal, from);
            assert_eq!(served.positions, (from..=140).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_reader_of_what_is_gone_or_never_was_is_refused_with_the_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    frames(&journal, 40, 5);
    journal.release(100);
    let first = journal.stats().first;
    assert!(first > 50);
    let refusal = journal.reader(1).err().unwrap();
    assert!(matches!(refusal, ReadError::Gone { from: 1, oldest } if oldest == first));
    let refusal = journal.reader(202).err().unwrap();
    assert!(matches!(
        refusal,
        ReadError::Ahead {
            from: 202,
            last: 200
        }
    ));
    assert!(journal.reader(201).unwrap().next().unwrap().is_none());
}

#[test]
fn positions_continue_after_a_reopen_even_when_all_was_released() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = 0;
    for round in 0..5 {
        let journal = open(dir.path());
        assert_eq!(journal.stats().last, expected);
        assert_eq!(*journal.durable().borrow(), expected);
        expected = frames(&journal, 10, 4);
        assert_eq!(expected, (round + 1) * 40);
        journal.release(expected);
    }
}

#[test]
fn what_was_appended_before_a_close_is_durable_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let mut durable = journal.durable();
    for _ in 0..100 {
        journal.append(&batch(&journal, 3)).unwrap();
    }
    journal.close();
    assert_eq!(*durable.borrow_and_update(), 300);
    assert!(
        durable.has_changed().is_err(),
        "the channel tells that no more comes"
    );
    let refusal = journal.append(&batch(&journal, 1)).unwrap_err();
    assert!(matches!(refusal, AppendError::Failed(_)));
    drop(journal);
    assert_eq!(read_all(&open(dir.path()), 1).positions.len(), 300);
}

#[test]
fn a_thread_that_waits_is_woken_by_the_commit_and_gives_up_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    assert_eq!(journal.wait_past(0, Duration::from_millis(1)), 0);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| journal.wait_past(0, PATIENCE));
        journal.append(&batch(&journal, 2)).unwrap();
        assert_eq!(waiter.join().unwrap(), 2);
    });
}

#[tokio::test]
async fn tasks_append_at_once_and_each_learns_of_its_own_position() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        commit_window: Duration::from_millis(1),
        ..Options::default()
    };
    let journal = std::sync::Arc::new(SegmentJournal::open(dir.path(), options).unwrap());
    let tasks = (0..50u8).map(|task| {
        let journal = journal.clone();
        tokio::spawn(async move {
            let mut durable = journal.durable();
            for run in 0..20u8 {
                let mut batch = Batch::new();
                batch.push(&[task, run, 0]);
                batch.push(&[task, run, 1]);
                let last = journal.append(&batch).unwrap();
                durable.wait_for(|durable| *durable >= last).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let mut reader = journal.reader(1).unwrap();
    let mut seen: Vec<Vec<u8>> = Vec::new();
    while let Some(frame) = reader.next().unwrap() {
        seen.extend(frame.entries().map(|(_, entry)| entry.to_vec()));
    }
    assert!(
        seen.chunks(2)
            .all(|pair| pair[0][..2] == pair[1][..2] && pair[1][2] == 1)
    );
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 2000);
    assert!(
        journal.stats().commits < 1000,
        "commits are shared: {:?}",
        journal.stats()
    );
}

#[test]
fn an_entry_that_cannot_be_encoded_leaves_the_batch_as_it_was() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let mut batch = Batch::new();
    batch.push(&content(1));
    let failed = batch.push_with(|entry| {
        entry.write_all(b"half").unwrap();
        Err("no")
    });
    assert_eq!(failed, Err("no"));
    batch
        .push_with(|entry| entry.write_all(&content(2)))
        .unwrap();
    assert_eq!(batch.len(), 2);
    wait(&journal, journal.append(&batch).unwrap());
    assert_eq!(read_all(&journal, 1).positions, [1, 2]);
}

#[test]
fn a_journal_is_read_as_files_while_it_is_written_and_nothing_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    frames(&journal, 60, 3);
    let names = || {
        let mut names = files(dir.path());
        names.sort();
        names
    };
    let before: Vec<_> = names().iter().map(|path| fs::read(path).unwrap()).collect();
    let read = |from: u64| {
        let found = JournalFiles::open(dir.path()).unwrap();
        let mut reader = found.reader(from).unwrap();
        let (mut positions, mut gaps) = (Vec::new(), Vec::new());
        loop {
            match reader.next() {
                Ok(Some(frame)) => positions.extend(frame.entries().map(|(position, bytes)| {
                    assert_eq!(bytes, content(position));
                    position
                })),
                Ok(None) => return (positions, gaps),
                Err(ReadError::Gap { first, last, .. }) => gaps.push((first, last)),
                Err(error) => panic!("{error}"),
            }
        }
    };
    assert_eq!(read(1), ((1..=180).collect(), Vec::new()));
    assert_eq!(read(100).0, (100..=180).collect::<Vec<_>>());
    // A frame that is being written is not there yet.
    let last = names().pop().unwrap();
    let mut torn = fs::read(&last).unwrap();
    torn.extend([7; 30]);
    fs::write(&last, &torn).unwrap();
    assert_eq!(read(1).0.len(), 180);
    torn.truncate(torn.len() - 30);
    fs::write(&last, torn).unwrap();
    let after: Vec<_> = names().iter().map(|path| fs::read(path).unwrap()).collect();
    assert_eq!(before, after);
    // Damage is a gap, told once, and what is behind it is served.
    let damaged = names().remove(2);
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[150] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    let (positions, gaps) = read(1);
    assert_eq!(gaps.len(), 1);
    let lost: u64 = gaps.iter().map(|(first, last)| last - first + 1).sum();
    assert_eq!(positions.len() as u64 + lost, 180);
    // The oldest segments go.
    fs::remove_file(names().remove(0)).unwrap();
    let found = JournalFiles::open(dir.path()).unwrap();
    assert!(found.first() > 1);
    assert!(matches!(found.reader(1), Err(ReadError::Gone { .. })));
}
