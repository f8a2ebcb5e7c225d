//! The audit: every decision by its journal position, longer than the journal keeps it.
//!
//! Written by the fold's thread, at most once more after a crash. The newest [`KEPT`] are kept.

use std::sync::atomic::{AtomicU64, Ordering};

use fjall::Keyspace;

use super::{Store, StoreError};
use crate::event::Decision;

/// Decisions kept: a hundred a minute for a week.
pub(super) const KEPT: u64 = 1_000_000;

pub(super) struct Decisions {
    keyspace: Keyspace,
    count: AtomicU64,
    most: u64,
}

impl Decisions {
    pub(super) fn open(keyspace: Keyspace, most: u64) -> Result<Self, StoreError> {
        let count = keyspace.len().map_err(StoreError::on("count decisions"))?;
        Ok(Self {
            keyspace,
            count: AtomicU64::new(count as u64),
            most,
        })
    }

    fn put(&self, position: u64, decision: &Decision) -> Result<(), StoreError> {
        let key = position.to_be_bytes();
        let failed = || StoreError::on::<fjall::Error>("keep a decision");
        let bytes = postcard::to_allocvec(decision).map_err(StoreError::on("keep a decision"))?;
        if self.keyspace.contains_key(key).map_err(failed())? {
            return Ok(());
        }
        self.keyspace.insert(key, bytes).map_err(failed())?;
        if self.count.fetch_add(1, Ordering::Relaxed) < self.most {
            return Ok(());
        }
        if let Some(oldest) = self.keyspace.iter().next() {
            let (key, _) = oldest.into_inner().map_err(failed())?;
            self.keyspace.remove(key).map_err(failed())?;
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Store {
    /// Keeps a decision; one that is there already is left as it is.
    ///
    /// # Errors
    /// The store could not be written.
    pub fn put_decision(&self, position: u64, decision: &Decision) -> Result<(), StoreError> {
        self.decisions.put(position, decision)
    }

    /// The decision at a journal position.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn decision(&self, position: u64) -> Result<Option<Decision>, StoreError> {
        let found = self.decisions.keyspace.get(position.to_be_bytes());
        let found = found.map_err(StoreError::on("read a decision"))?;
        found.map(|bytes| decode(&bytes)).transpose()
    }

    /// Decisions that `wanted` takes, newest first, from before the position `before`; `most` are
    /// returned and `look` looked at. Reads files.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn decisions(
        &self,
        before: Option<u64>,
        look: usize,
        most: usize,
        mut wanted: impl FnMut(u64, &Decision) -> bool,
    ) -> Result<Vec<(u64, Decision)>, StoreError> {
        let end = before.unwrap_or(u64::MAX).to_be_bytes();
        let mut found = Vec::new();
        for guard in self.decisions.keyspace.range(..end).rev().take(look) {
            let (key, value) = guard
                .into_inner()
                .map_err(StoreError::on("read the decisions"))?;
            let (position, decision) = (super::position(&key)?, decode(&value)?);
            if wanted(position, &decision) {
                found.push((position, decision));
                if found.len() == most {
                    break;
                }
            }
        }
        Ok(found)
    }
}

fn decode(bytes: &[u8]) -> Result<Decision, StoreError> {
    postcard::from_bytes(bytes).map_err(StoreError::on("understand a decision"))
}
