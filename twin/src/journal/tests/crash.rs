//! Failed writes and syncs, and power cuts at every operation.

use std::sync::Arc;

use super::fault_disk::{FaultDisk, Operation};
use super::*;
use crate::journal::AppendError;

fn open_on(dir: &Path, disk: &FaultDisk) -> SegmentJournal {
    SegmentJournal::open_on(dir.to_owned(), small(), Arc::new(disk.clone())).unwrap()
}

/// Waits until the writer has given up.
fn wait_for_failure(journal: &dyn Journal) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let mut durable = journal.durable();
    let ended = async { while durable.changed().await.is_ok() {} };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, ended).await.unwrap() });
}

#[test]
fn after_a_failed_write_or_sync_nothing_is_durable_until_a_reopen() {
    for operation in [Operation::Sync, Operation::Write] {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultDisk::new();
        let journal = open_on(dir.path(), &disk);
        let good = frame(&journal, 3);
        let mut reader = journal.reader(1).unwrap();
        disk.fail_next(operation);
        let last = journal.append(&batch(&journal, 3)).unwrap();
        wait_for_failure(&journal);
        assert_eq!(journal.wait_past(good, Duration::from_millis(1)), good);
        assert_eq!(*journal.durable().borrow(), good);
        let refusal = journal.append(&batch(&journal, 1)).unwrap_err();
        assert!(matches!(refusal, AppendError::Failed(reason) if reason.contains("injected")));
        assert!(journal.stats().failed.is_some());
        assert_eq!(read(&mut *reader, usize::MAX).positions, [1, 2, 3]);
        assert_eq!(journal.stats().last, last);
        drop(journal);
        // A reopen must not take for durable what only the page cache may hold.
        let journal = open_on(dir.path(), &disk);
        assert_eq!(journal.stats().last, good);
        frame(&journal, 3);
        assert_eq!(read_all(&journal, 1).positions, [1, 2, 3, 4, 5, 6]);
    }
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_that_was_durable() {
    for operations in 0..40 {
        for seed in 0..2 {
            let dir = tempfile::tempdir().unwrap();
            let disk = FaultDisk::new();
            let journal = open_on(dir.path(), &disk);
            let before = frame(&journal, 3);
            disk.cut_power_after(operations);
            for count in (1..6).cycle().take(10_000) {
                let Ok(last) = journal.append(&batch(&journal, count)) else {
                    break;
                };
                if seed == 0 || count == 5 {
                    journal.wait_past(last - 1, Duration::from_millis(20));
                }
            }
            wait_for_failure(&journal);
            let durable = *journal.durable().borrow();
            assert!(durable >= before);
            drop(journal);
            let mut state = seed * 1000 + operations + 1;
            disk.lose_what_was_not_synced(|below| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 33) % below
            });
            let journal = open(dir.path());
            let served = read_all(&journal, 1);
            assert_eq!(served.gaps, []);
            assert!(
                served.positions.len() as u64 >= durable,
                "{operations} {seed}"
            );
            let last = frame(&journal, 2);
            assert_eq!(
                read_all(&journal, 1).positions,
                (1..=last).collect::<Vec<_>>()
            );
        }
    }
}
