//! What can go wrong with a journal, an error type for each operation.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// An append was refused; nothing of the batch was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The quota is used up. Passes when readers get on and entries are released.
    #[error(
        "the journal is full: {used} of {quota} bytes used; raise journal.quota_bytes or bring the slowest output back"
    )]
    Full {
        /// Bytes used.
        used: u64,
        /// Bytes allowed.
        quota: u64,
    },
    /// The disk has no room although the quota is not used up. Passes when there is room again.
    #[error("the disk under the journal is full; free space on it")]
    NoSpace,
    /// The disk does not keep up. Passes with the next commit.
    #[error("the disk is too slow: {pending} bytes wait to be written, {limit} may")]
    Behind {
        /// Bytes that wait.
        pending: usize,
        /// Bytes that may wait.
        limit: usize,
    },
    /// This batch can never be taken.
    #[error("a batch of {bytes} bytes is too large for the journal, which takes {limit}")]
    TooLarge {
        /// Size of the batch.
        bytes: usize,
        /// Largest size.
        limit: usize,
    },
    /// The journal failed or was closed, and refuses work until it is reopened.
    #[error("the journal takes no more entries: {0}")]
    Failed(String),
}

impl AppendError {
    /// Whether the same batch may be taken later.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Full { .. } | Self::NoSpace | Self::Behind { .. }
        )
    }
}

/// Why positions are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// Their bytes on disk are damaged or gone.
    Damaged,
    /// They were deleted to make room.
    Dropped,
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Damaged => "damaged on disk",
            Self::Dropped => "deleted to make room",
        })
    }
}

/// A reader could not be made or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The position asked for was deleted.
    #[error("journal position {from} is gone; the oldest is {oldest}")]
    Gone {
        /// Position asked for.
        from: u64,
        /// Oldest position there is.
        oldest: u64,
    },
    /// The position asked for was never handed out: the journal is not the one the caller knew.
    #[error("journal position {from} lies ahead of the journal, which ends at {last}")]
    Ahead {
        /// Position asked for.
        from: u64,
        /// Last position there is.
        last: u64,
    },
    /// The entries `first..=last` cannot be read; the reader goes on behind them.
    #[error("journal entries {first} to {last} are lost: {reason}")]
    Gap {
        /// First lost position.
        first: u64,
        /// Last lost position.
        last: u64,
        /// Why.
        reason: GapReason,
    },
    /// A segment file could not be read.
    #[error("cannot read journal file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A journal could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or the folder could not be used.
    #[error("cannot use the journal at {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The writer thread could not be started.
    #[error("cannot start the journal's writer thread: {0}")]
    Thread(io::Error),
}
