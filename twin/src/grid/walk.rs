//! One pass over the sorted streams that makes the aggregates of all their cells at once.
//!
//! Streams are sorted by key: metric, then place code. A stack holds the open cell of each
//! resolution from 6 to 12; when the key leaves a cell, the cell is complete and is merged into
//! its parent. Sums are therefore always grouped by the hierarchy, in key order: a cell has the
//! same bits whether its children were added up anew or were kept.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included};
use std::ops::RangeInclusive;

use hashbrown::HashMap;

use super::key::{self, CODE_BITS, FINEST_LEVEL};
use super::partial::{Partial, Sample};
use crate::vocabulary::MeanKind;

/// The coarsest resolution that has aggregates.
pub(super) const COARSEST_LEVEL: u8 = 6;
/// Cells with at least this many streams are kept, smaller ones are added up when asked for.
pub(super) const KEEP: u32 = 16;
const LEVELS: usize = (FINEST_LEVEL - COARSEST_LEVEL + 1) as usize;

/// A stream under its key; in halves, so that an entry takes 12 bytes and not 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    high: u32,
    low: u32,
    pub(super) stream: u32,
}

impl Entry {
    pub(super) fn new(key: u64, stream: u32) -> Self {
        Self {
            high: (key >> 32) as u32,
            low: key as u32,
            stream,
        }
    }

    fn key(self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }
}

/// The streams by place, and the aggregates of the cells that hold many.
///
/// Invariant, after each refresh: `kept` has exactly the cells of resolutions 6 to 12 with at
/// least [`KEEP`] streams, under their last key.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams {
    pub(super) order: BTreeSet<Entry>,
    pub(super) kept: HashMap<u64, Partial>,
    pub(super) means: Vec<MeanKind>,
}

/// A cell and metric on the way to its aggregate.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Open {
    pub(super) partial: Partial,
    /// Streams, with a value or without; of a kept cell, [`KEEP`] for all.
    pub(super) streams: u32,
    /// A dirty key was in it.
    pub(super) dirty: bool,
}

impl Streams {
    pub(super) fn mean(&self, key: u64) -> MeanKind {
        self.means
            .get((key >> CODE_BITS) as usize)
            .copied()
            .unwrap_or_default()
    }

    /// Tells `closed` the level, the last key and the aggregate of every complete cell in
    /// `keys`, children before parents. `dirty`: sorted keys under which something changed, in
    /// `keys`; also those that no stream has any more. Kept cells at `coarsest` or finer without
    /// a dirty key are taken as they are, and what is within them is not told.
    pub(super) fn walk(
        &self,
        keys: RangeInclusive<u64>,
        coarsest: u8,
        mut dirty: &[u64],
        sample: &impl Fn(u32) -> Option<Sample>,
        closed: &mut impl FnMut(u8, u64, &Open),
    ) {
        let end = Entry::new(*keys.end(), u32::MAX);
        let mut entries = self
            .order
            .range(Entry::new(*keys.start(), 0)..=end)
            .peekable();
        let mut stack = Stack::default();
        let mut nothing_kept_to = None;
        loop {
            let entry = entries.peek().map(|entry| (entry.key(), entry.stream));
            let next_dirty = dirty.first().copied();
            let Some(key) = entry
                .map(|(key, _)| key)
                .into_iter()
                .chain(next_dirty)
                .min()
            else {
                break;
            };
            let opened = stack.enter(key, closed);
            // The coarsest cell just opened without a dirty key in it.
            let clean = opened
                .max(coarsest)
                .max(next_dirty.map_or(0, |dirty| key::parting_level(key, dirty)));
            if next_dirty == Some(key) {
                stack.mark_dirty();
                dirty = dirty.split_first().map_or(&[], |(_, rest)| rest);
            }
            let Some((_, stream)) = entry.filter(|&(of_entry, _)| of_entry == key) else {
                continue;
            };
            if clean <= FINEST_LEVEL && nothing_kept_to.is_none_or(|to| to < key) {
                let last = key | key::below(clean);
                if let Some(partial) = self.kept.get(&last) {
                    stack.add_kept(clean, partial);
                    let after = (Excluded(Entry::new(last, u32::MAX)), Included(end));
                    entries = self.order.range(after).peekable();
                    continue;
                }
                nothing_kept_to = Some(last);
            }
            stack.add(sample(stream), self.mean(key));
            entries.next();
        }
        stack.finish(closed);
    }
}

/// The open cells on the path to one key.
#[derive(Default)]
struct Stack {
    key: Option<u64>,
    open: [Open; LEVELS],
    /// The finest of `open` in use.
    finest: u8,
    /// Assets with a value in the open cell at resolution 12.
    assets: Vec<u32>,
}

impl Stack {
    /// Opens the cells of `key`, having closed those that it is not in; answers the coarsest
    /// newly opened level, 13 for none.
    fn enter(&mut self, key: u64, closed: &mut impl FnMut(u8, u64, &Open)) -> u8 {
        let opened = self.key.map_or(COARSEST_LEVEL, |last| {
            key::parting_level(last, key).max(COARSEST_LEVEL)
        });
        self.close(opened, closed);
        self.key = Some(key);
        self.finest = FINEST_LEVEL;
        opened
    }

    fn finish(&mut self, closed: &mut impl FnMut(u8, u64, &Open)) {
        self.close(COARSEST_LEVEL, closed);
    }

    fn close(&mut self, coarsest: u8, closed: &mut impl FnMut(u8, u64, &Open)) {
        let Some(key) = self.key else { return };
        for level in (coarsest..=self.finest).rev() {
            let mut cell = std::mem::take(self.at(level));
            if level == FINEST_LEVEL {
                cell.partial.assets += self.count_assets();
            }
            closed(level, key | key::below(level), &cell);
            if level > COARSEST_LEVEL {
                let parent = self.at(level - 1);
                parent.partial.merge(&cell.partial);
                parent.streams += cell.streams;
                parent.dirty |= cell.dirty;
            }
        }
    }

    fn count_assets(&mut self) -> u32 {
        self.assets.sort_unstable();
        self.assets.dedup();
        let count = self.assets.len() as u32;
        self.assets.clear();
        count
    }

    fn mark_dirty(&mut self) {
        self.at(FINEST_LEVEL).dirty = true;
    }

    fn add(&mut self, sample: Option<Sample>, mean: MeanKind) {
        let cell = self.at(FINEST_LEVEL);
        cell.streams += 1;
        if let Some(sample) = sample {
            cell.partial.add(&sample, mean);
            self.assets.push(sample.asset);
        }
    }

    /// Adds a cell as it was kept; the levels below it were just opened and are empty.
    fn add_kept(&mut self, level: u8, partial: &Partial) {
        let cell = self.at(level);
        cell.partial = *partial;
        cell.streams = KEEP;
        self.finest = level;
    }

    fn at(&mut self, level: u8) -> &mut Open {
        &mut self.open[usize::from(level - COARSEST_LEVEL)]
    }
}
