//! Entries of a box's journal on their way to the city.
//!
//! The payload is postcard of a header and the deflated entries, each with its length before it
//! (u32 LE), as in a frame of the journal. A batch stands alone: it says where it begins, what is
//! missing before it, and the chain's value behind it.

use serde::{Deserialize, Serialize};

use super::chain::{Chain, JournalId};
use super::squeeze::{MAX_BYTES, UplinkError, pack, unpack};
use crate::event::Digest;

const VERSION: u8 = 2;
/// Entries of a batch at most: the city folds them under one lock.
pub const MAX_ENTRIES: u32 = 20_000;
const LENGTH: usize = 4;

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    version: u8,
    journal: JournalId,
    first: u64,
    count: u32,
    lost: u64,
    after: Digest,
    state: Option<Digest>,
    entries: &'a [u8],
}

/// Entries as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Which journal.
    pub journal: JournalId,
    /// Position of the first entry.
    pub first: u64,
    /// Number of entries.
    pub count: u32,
    /// Entries right before `first` that are gone for good.
    pub lost: u64,
    /// Value of the chain behind the last entry.
    pub after: Digest,
    /// SHA-256 of the box's state behind the last entry, where it was asked at that position.
    pub state: Option<Digest>,
    entries: Vec<u8>,
}

impl Batch {
    /// What a payload says.
    ///
    /// # Errors
    /// See [`UplinkError`].
    pub fn decode(payload: &[u8]) -> Result<Self, UplinkError> {
        let version = payload.first().copied().unwrap_or_default();
        if version != VERSION {
            return Err(UplinkError::Version(version));
        }
        let wire: Wire<'_> = postcard::from_bytes(payload)
            .map_err(|error| UplinkError::Decode(error.to_string()))?;
        let batch = Self {
            journal: wire.journal,
            first: wire.first,
            count: wire.count,
            lost: wire.lost,
            after: wire.after,
            state: wire.state,
            entries: unpack(wire.entries, MAX_BYTES)?,
        };
        if batch.first == 0 || batch.lost >= batch.first || batch.count > MAX_ENTRIES {
            return Err(UplinkError::Inconsistent("its positions cannot be"));
        }
        if batch.entries().count() != batch.count as usize {
            return Err(UplinkError::Inconsistent(
                "it has another number of entries than it says",
            ));
        }
        Ok(batch)
    }

    /// Position of the last entry; the one before `first` where there is none.
    pub fn last(&self) -> u64 {
        (self.first - 1).saturating_add(u64::from(self.count))
    }

    /// Entries with their positions.
    pub fn entries(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut rest = self.entries.as_slice();
        let mut position = self.first;
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk::<LENGTH>()?;
            let (entry, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = behind;
            let here = position;
            position += 1;
            Some((here, entry))
        })
    }
}

/// Entries that are collected to be sent.
#[derive(Debug, Clone)]
pub struct BatchWriter {
    journal: JournalId,
    before: Chain,
    chain: Chain,
    count: u32,
    entries: Vec<u8>,
}

impl BatchWriter {
    /// Behind `chain`.
    pub fn new(journal: JournalId, chain: Chain) -> Self {
        Self {
            journal,
            before: chain,
            chain,
            count: 0,
            entries: Vec::new(),
        }
    }

    /// Adds the entry at `position`. What lies between it and the one before is declared as lost;
    /// that is possible at the beginning only. `false`: it does not fit, begin another batch.
    #[must_use]
    pub fn push(&mut self, position: u64, entry: &[u8]) -> bool {
        let follows = position == self.chain.position + 1;
        let fits = self.entries.len() + LENGTH + entry.len() <= MAX_BYTES;
        if !fits || self.count == MAX_ENTRIES || (!follows && self.count > 0) {
            return false;
        }
        if position > self.chain.position + 1 {
            self.chain = self.chain.lost(position - 1);
        }
        let length = u32::try_from(entry.len()).unwrap_or(u32::MAX);
        self.entries.extend_from_slice(&length.to_le_bytes());
        self.entries.extend_from_slice(entry);
        self.chain = self.chain.entry(entry);
        self.count += 1;
        true
    }

    /// Bytes collected.
    pub fn bytes(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Where the chain is.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// The payload. `state`: digest of the box's state behind the last entry, where it is known.
    pub fn encode(&self, state: Option<Digest>) -> Vec<u8> {
        let first = self.chain.position + 1 - u64::from(self.count);
        let wire = Wire {
            version: VERSION,
            journal: self.journal,
            first,
            count: self.count,
            lost: first - 1 - self.before.position,
            after: self.chain.value,
            state,
            entries: &pack(&self.entries),
        };
        // Fails only where a value cannot be serialised at all.
        postcard::to_allocvec(&wire).unwrap_or_default()
    }
}
