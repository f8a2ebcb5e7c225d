//! The hash chain over a box's journal: one value a position, independent of how entries are cut
//! into batches.
//!
//! `c(0) = SHA-256(id of the journal)`, `c(n) = SHA-256(c(n-1) || length, u32 LE || entry)`. Where
//! entries are gone, `c(b) = SHA-256(c(a-1) || "lost" || a, u64 LE || b, u64 LE)`. So equal values
//! at a position prove equal histories up to there, gaps included.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::event::Digest;

/// Which journal: random, made with the data folder. A folder that was copied back has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JournalId(pub u64);

impl JournalId {
    /// A new one.
    pub fn random() -> Self {
        // Every RandomState has keys of its own.
        Self(RandomState::new().hash_one(jiff::Timestamp::now().as_nanosecond()))
    }
}

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for JournalId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text.trim(), 16).map(Self)
    }
}

/// A position with the chain's value there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Last position taken in; 0 before the first.
    pub position: u64,
    /// Value there.
    pub value: Digest,
}

impl Chain {
    /// Before the first entry.
    pub fn start(journal: JournalId) -> Self {
        Self {
            position: 0,
            value: Digest::of(&journal.0.to_le_bytes()),
        }
    }

    /// Takes in the next entry.
    #[must_use]
    pub fn entry(self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut hash = Sha256::new();
        hash.update(self.value.0);
        hash.update(length.to_le_bytes());
        hash.update(bytes);
        Self {
            position: self.position + 1,
            value: Digest(hash.finalize().into()),
        }
    }

    /// Goes over entries that are gone, up to `to`; nothing where it is there already.
    #[must_use]
    pub fn lost(self, to: u64) -> Self {
        if to <= self.position {
            return self;
        }
        let mut hash = Sha256::new();
        hash.update(self.value.0);
        hash.update(b"lost");
        hash.update((self.position + 1).to_le_bytes());
        hash.update(to.to_le_bytes());
        Self {
            position: to,
            value: Digest(hash.finalize().into()),
        }
    }
}
