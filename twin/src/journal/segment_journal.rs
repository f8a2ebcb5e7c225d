//! The journal on local files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::watch;

use super::batch::Batch;
use super::disk::{Disk, OsDisk};
use super::frame::{FRAME_HEADER, MAX_BODY, SEGMENT_HEADER};
use super::head::{Head, Pending, Shared, Waits};
use super::reader::SegmentReader;
use super::recover::recover;
use super::writer::{ENOUGH, Writer};
use super::{AppendError, Journal, JournalStats, OpenError, ReadError, Reader};

/// What the journal does when its quota is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// Refuses entries, so that senders wait.
    #[default]
    Refuse,
    /// Deletes the oldest segment, read or not, and counts what was lost.
    DropOldest,
}

/// How a [`SegmentJournal`] works.
#[derive(Debug, Clone)]
pub struct Options {
    /// Length of a segment file, bytes. Lowered to a quarter of the quota where it is more.
    pub segment_bytes: u64,
    /// Bytes that all segments and what waits to be written may take.
    pub quota_bytes: u64,
    /// What happens when the quota is used up.
    pub when_full: WhenFull,
    /// Segments that were released stay while all of them together take no more than this: what
    /// was decided can be run again. Whatever is not released counts first.
    pub keep_bytes: u64,
    /// Least time between the beginnings of two commits, unless much waits. The first commit after
    /// a pause is made at once.
    pub commit_window: Duration,
    /// Bytes that may wait to be written; 64 MiB and a quarter of the quota at most.
    pub pending_bytes: usize,
    /// Bytes of recent frames kept in memory until they are released.
    pub memory_bytes: usize,
    /// Bytes that stay free on the disk, for what is beside the journal and does not survive a
    /// full disk as well as the journal does.
    pub reserve_bytes: u64,
    /// A position that is known to have been handed out, from cursors and snapshots: the journal
    /// goes on behind it even where its files end before.
    pub floor: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            quota_bytes: 10_000_000_000,
            when_full: WhenFull::Refuse,
            keep_bytes: 0,
            commit_window: Duration::from_millis(2),
            pending_bytes: 16 << 20,
            memory_bytes: 32 << 20,
            reserve_bytes: 0,
            floor: 0,
        }
    }
}

/// A journal in a folder of segment files, with a writer thread of its own. One process at a time
/// may have a folder open; [`crate::store::DataDir`] sees to that.
pub struct SegmentJournal {
    shared: Arc<Shared>,
    durable: watch::Receiver<u64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl SegmentJournal {
    /// Opens the journal in `dir`, or begins one there. Cuts a torn tail and sets damage in the
    /// last segment aside; damage in earlier ones is found by readers.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        Self::open_on(dir.as_ref().to_owned(), options, Arc::new(OsDisk))
    }

    pub(super) fn open_on(
        dir: PathBuf,
        mut options: Options,
        disk: Arc<dyn Disk>,
    ) -> Result<Self, OpenError> {
        let quarter = options.quota_bytes / 4;
        options.segment_bytes = options.segment_bytes.min(quarter);
        options.pending_bytes = options
            .pending_bytes
            .min(MAX_BODY)
            .min(usize::try_from(quarter).unwrap_or(usize::MAX));
        let found = recover(&dir, options.floor, &*disk)?;
        let last = found.next - 1;
        let pending = Pending {
            next: found.next,
            used: found.segments.iter().map(|segment| segment.bytes).sum(),
            ..Pending::default()
        };
        let head = Head::new(found.segments, last, found.damaged, found.counts);
        let shared = Arc::new(Shared::new(dir, options, pending, head));
        let (sender, durable) = watch::channel(last);
        let writer = Writer::new(shared.clone(), disk, found.tail, sender);
        let writer = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run())
            .map_err(OpenError::Thread)?;
        Ok(Self {
            shared,
            durable,
            writer: Mutex::new(Some(writer)),
        })
    }
}

impl Journal for SegmentJournal {
    fn append(&self, batch: &Batch) -> Result<u64, AppendError> {
        let options = &self.shared.options;
        let size = batch.size();
        if size > options.pending_bytes {
            return Err(AppendError::TooLarge {
                bytes: size,
                limit: options.pending_bytes,
            });
        }
        let mut guard = self.shared.pending.lock();
        let pending = &mut *guard;
        admit(pending, options, size)?;
        if batch.is_empty() {
            return Ok(pending.next - 1);
        }
        if pending.buffer.is_empty() {
            pending.buffer.extend_from_slice(&[0; FRAME_HEADER]);
        }
        pending.buffer.extend_from_slice(batch.bytes());
        pending.count += batch.len();
        pending.next += u64::from(batch.len());
        let last = pending.next - 1;
        let wake = match pending.waits {
            Waits::Nothing => false,
            Waits::Window => pending.buffer.len() >= ENOUGH,
            Waits::Entry => true,
        };
        if wake {
            pending.waits = Waits::Nothing;
        }
        drop(guard);
        if wake {
            self.shared.wake.notify_one();
        }
        Ok(last)
    }

    fn durable(&self) -> watch::Receiver<u64> {
        self.durable.clone()
    }

    fn wait_past(&self, position: u64, timeout: Duration) -> u64 {
        self.shared.wait_past(position, timeout)
    }

    fn reader(&self, from: u64) -> Result<Box<dyn Reader>, ReadError> {
        let from = from.max(1);
        let (oldest, last) = self.shared.bounds();
        if from < oldest {
            return Err(ReadError::Gone { from, oldest });
        }
        if from > last + 1 {
            return Err(ReadError::Ahead { from, last });
        }
        Ok(Box::new(SegmentReader::new(self.shared.clone(), from)))
    }

    fn release(&self, upto: u64) {
        self.shared.release(upto);
    }

    fn stats(&self) -> JournalStats {
        self.shared.stats()
    }

    fn close(&self) {
        let mut writer = self.writer.lock();
        self.shared.pending.lock().closing = true;
        self.shared.wake.notify_one();
        if let Some(writer) = writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the journal's writer thread panicked");
        }
    }
}

impl Drop for SegmentJournal {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether `size` more bytes may be taken.
fn admit(pending: &Pending, options: &Options, size: usize) -> Result<(), AppendError> {
    if let Some(reason) = &pending.failed {
        return Err(AppendError::Failed(reason.clone()));
    }
    if pending.closing {
        return Err(AppendError::Failed("it was closed".to_owned()));
    }
    if pending.no_space {
        return Err(AppendError::NoSpace);
    }
    let waiting = pending.buffer.len();
    if waiting + size > options.pending_bytes + FRAME_HEADER {
        return Err(AppendError::Behind {
            pending: waiting,
            limit: options.pending_bytes,
        });
    }
    if options.when_full == WhenFull::Refuse {
        // A frame header and a new segment's header may come on top.
        let used = pending.used + waiting as u64;
        let needed = (size + FRAME_HEADER + SEGMENT_HEADER) as u64;
        if used + needed > options.quota_bytes {
            return Err(AppendError::Full {
                used,
                quota: options.quota_bytes,
            });
        }
    }
    Ok(())
}
