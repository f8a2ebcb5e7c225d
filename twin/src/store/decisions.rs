//! The audit: every decision by its journal position and, where it came from a box, the node whose
//! journal that is; longer than the journal keeps it. A key is the position (u64, big-endian) and
//! the name of the node, which is empty for this node's own.
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

    fn put(&self, node: &str, position: u64, decision: &Decision) -> Result<(), StoreError> {
        let key = key(node, position);
        let failed = || StoreError::on::<fjall::Error>("keep a decision");
        let bytes = postcard::to_allocvec(decision).map_err(StoreError::on("keep a decision"))?;
        if self.keyspace.contains_key(&key).map_err(failed())? {
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
    /// Keeps a decision; one that is there already is left as it is. `node`: the box that it came
    /// from; empty for this node's own.
    ///
    /// # Errors
    /// The store could not be written.
    pub fn put_decision(
        &self,
        node: &str,
        position: u64,
        decision: &Decision,
    ) -> Result<(), StoreError> {
        self.decisions.put(node, position, decision)
    }

    /// The decision at a position of the journal of `node`.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn decision(&self, node: &str, position: u64) -> Result<Option<Decision>, StoreError> {
        let found = self.decisions.keyspace.get(key(node, position));
        let found = found.map_err(StoreError::on("read a decision"))?;
        found.map(|bytes| decode(&bytes)).transpose()
    }

    /// Decisions of `node` that `wanted` takes, newest first, from before the position `before`; `most` are
    /// returned and `look` looked at. Reads files.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn decisions(
        &self,
        node: &str,
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
            let Some((position, of)) = key.split_first_chunk::<8>() else {
                continue;
            };
            if of != node.as_bytes() {
                continue;
            }
            let (position, decision) = (u64::from_be_bytes(*position), decode(&value)?);
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

fn key(node: &str, position: u64) -> Vec<u8> {
    let mut key = position.to_be_bytes().to_vec();
    key.extend_from_slice(node.as_bytes());
    key
}

fn decode(bytes: &[u8]) -> Result<Decision, StoreError> {
    postcard::from_bytes(bytes).map_err(StoreError::on("understand a decision"))
}
