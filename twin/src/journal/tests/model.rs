//! Random appends, reads, releases and reopens against the plain idea of a journal.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Wait,
    Read { reader: usize, frames: usize },
    Release,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..40u64).prop_map(Step::Append),
        2 => Just(Step::Wait),
        4 => (0..2usize, 1..5usize).prop_map(|(reader, frames)| Step::Read { reader, frames }),
        2 => Just(Step::Release),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn readers_see_every_entry_once_in_order_whatever_happens(
        steps in proptest::collection::vec(step(), 1..80),
        segment_bytes in 200..3000u64,
        memory_bytes in prop_oneof![Just(0), 1..4000usize],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { segment_bytes, memory_bytes, ..small() };
        let mut journal = SegmentJournal::open(dir.path(), options.clone()).unwrap();
        // The model: how many entries there are, and how far each reader has come.
        let mut last = 0;
        let mut done = [0; 2];
        let mut readers = done.map(|done| journal.reader(done + 1).unwrap());
        for step in steps {
            match step {
                Step::Append(count) => {
                    let position = journal.append(&batch(&journal, count)).unwrap();
                    last += count;
                    prop_assert_eq!(position, last);
                }
                Step::Wait => {
                    if last > 0 {
                        wait(&journal, last);
                    }
                }
                Step::Read { reader, frames } => {
                    let served = read(&mut *readers[reader], frames);
                    prop_assert!(served.gaps.is_empty());
                    let from = done[reader] + 1;
                    done[reader] += served.positions.len() as u64;
                    let expected: Vec<u64> = (from..=done[reader]).collect();
                    prop_assert_eq!(served.positions, expected);
                    prop_assert!(done[reader] <= last);
                }
                Step::Release => journal.release(done[0].min(done[1])),
                Step::Reopen => {
                    drop(journal);
                    journal = SegmentJournal::open(dir.path(), options.clone()).unwrap();
                    prop_assert_eq!(journal.stats().durable, last);
                    readers = done.map(|done| journal.reader(done + 1).unwrap());
                }
            }
            prop_assert!(journal.stats().first <= done[0].min(done[1]) + 1);
        }
        journal.close();
        for (reader, done) in readers.iter_mut().zip(done) {
            let served = read(&mut **reader, usize::MAX);
            prop_assert_eq!(served.positions, (done + 1..=last).collect::<Vec<u64>>());
        }
        prop_assert_eq!(journal.stats().bytes, size_of(dir.path()));
        prop_assert_eq!(journal.stats().segments, files(dir.path()).len() as u64);
    }
}
