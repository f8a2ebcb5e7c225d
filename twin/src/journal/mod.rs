//! The journal: one append-only log that every input goes through, in segment files.
//!
//! **Positions** count entries from 1; 0 means "nothing yet". A position is handed out once and
//! never again, not after a crash either.
//!
//! **Files** `{first position, 20 digits}.seg`, each a 64-byte header and frames. A frame is one
//! group commit: 24-byte header, then for each entry a `u32` length and its bytes. All numbers are
//! little-endian.
//!
//! | bytes | segment header, written twice | bytes | frame header |
//! |---|---|---|---|
//! | 8 | `QTRJRNL1` | 4 | length of the body |
//! | 8 | salt, random | 4 | number of entries |
//! | 8 | first position | 8 | position of the first entry |
//! | 4 | zero | 4 | CRC-32 of the body |
//! | 4 | CRC-32 of the above | 4 | CRC-32 of salt and the above |
//!
//! The salt keeps a payload that imitates a frame from ever being taken for one when the reader
//! looks for the next frame behind damage.
//!
//! **Invariants**
//! - A position is reported durable only after `fdatasync` of its frame and of everything before
//!   it. After a failed write or sync nothing is reported any more until the journal is reopened.
//! - Only the last segment can have a torn tail: a new segment is begun after the one before is on
//!   disk. What follows the last whole frame there is cut at open.
//! - Bytes whose checksum is wrong are never served. The damaged file is kept beside as
//!   `.corrupt`, its good frames stay, and a reader is told which positions are gone.
//! - Readers see durable frames only.

mod batch;
mod disk;
mod error;
mod files;
mod frame;
mod head;
mod reader;
mod recover;
mod segment;
mod segment_journal;
mod writer;

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::sync::watch;

pub use batch::{Batch, EntryWriter};
pub use error::{AppendError, GapReason, OpenError, ReadError};
pub use files::{FileReader, JournalFiles};
pub use frame::{Entries, Frame};
pub use segment_journal::{Options, SegmentJournal, WhenFull};

/// A durable log of opaque entries with any number of readers.
pub trait Journal: Send + Sync + 'static {
    /// Appends the entries of `batch` in order, all or none, and returns the position of the last
    /// one; for an empty batch the position of the last entry there is. Copies into memory and
    /// never waits for a disk: the entries are safe once [`Journal::durable`] reaches the position.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing of the batch was taken.
    fn append(&self, batch: &Batch) -> Result<u64, AppendError>;

    /// The last durable position. The channel closes when the journal failed or was closed.
    fn durable(&self) -> watch::Receiver<u64>;

    /// Blocks until a position after `position` is durable, `timeout` at most; returns the last
    /// durable position. For threads; tasks use [`Journal::durable`].
    fn wait_past(&self, position: u64, timeout: Duration) -> u64;

    /// A reader whose first entry is the one at `from`; 0 counts as 1.
    ///
    /// # Errors
    /// [`ReadError::Gone`] names the oldest position there is, [`ReadError::Ahead`] the newest.
    fn reader(&self, from: u64) -> Result<Box<dyn Reader>, ReadError>;

    /// Every reader is done with the entries up to `upto`: what lies wholly before may be deleted,
    /// and is, but for [`Options::keep_bytes`].
    /// May delete files, so it is no call for an async task.
    fn release(&self, upto: u64);

    /// Figures for metrics and status.
    fn stats(&self) -> JournalStats;

    /// Makes durable what was appended and ends; later appends are refused. Blocks for the disk.
    fn close(&self);
}

/// Reads the journal in order, at its own speed.
pub trait Reader: Send {
    /// The next durable frame, `None` where there is none yet. May read a file.
    ///
    /// # Errors
    /// After [`ReadError::Gap`] the reader stands behind the gap and goes on when called again;
    /// after any other error it stands where it was.
    fn next(&mut self) -> Result<Option<Frame>, ReadError>;

    /// The position that the next frame begins with.
    fn position(&self) -> u64;
}

/// Figures of a journal. Counts are since it was opened unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Oldest position still there; `last + 1` when there is none.
    pub first: u64,
    /// Last position handed out.
    pub last: u64,
    /// Last durable position.
    pub durable: u64,
    /// Bytes of all segments and of what waits to be written.
    pub bytes: u64,
    /// What `bytes` may reach.
    pub quota: u64,
    /// Bytes that wait to be written.
    pub pending: u64,
    /// Segment files.
    pub segments: u64,
    /// Frames made durable.
    pub commits: u64,
    /// Syncs of files and folders.
    pub fsyncs: u64,
    /// Bytes behind the last whole frame that were cut at open.
    pub torn_bytes: u64,
    /// `.corrupt` files kept in the folder, from earlier runs too.
    pub corrupt: u64,
    /// Entries found lost to damage.
    pub lost: u64,
    /// Entries deleted unread to make room ([`WhenFull::DropOldest`]).
    pub dropped: u64,
    /// The disk is full; appends are refused until there is room again.
    pub no_space: bool,
    /// Why the journal refuses work until it is reopened.
    pub failed: Option<String>,
}
