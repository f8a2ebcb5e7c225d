//! Live aggregates of the current values for each metric and cell, resolutions 6 to 12.
//!
//! A change only sets a bit; `refresh`, once a second, adds up what the bits say and reports it.
//! Values stay where they are: the caller looks them up. A city of lone streams would need a
//! node for nearly every stream, so only cells with many streams keep their aggregate, and the
//! others are added up from their few streams when asked for.

use h3o::{CellIndex, Resolution};

use super::key::{self, CODE_BITS, FINEST_LEVEL};
use super::partial::{Aggregate, Sample};
use super::walk::{COARSEST_LEVEL, Entry, KEEP, Streams};
use crate::vocabulary::MeanKind;

/// Stands in `keys` for a stream that is nowhere; no key has its top bits set.
const NOWHERE: u64 = u64::MAX;

/// Which streams are in which cell, and the aggregates that follow.
///
/// What [`Aggregates::get`] and [`Aggregates::list`] answer is exact after a refresh. Before the
/// next one, cells with many streams are answered as of the last.
#[derive(Debug, Clone, Default)]
pub struct Aggregates {
    /// By stream: metric, then place code.
    keys: Vec<u64>,
    /// A bit for each stream: added or changed since the last refresh.
    dirty: Vec<u64>,
    /// Keys that a stream left since the last refresh.
    left: Vec<u64>,
    streams: Streams,
}

/// An aggregate and what it is of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellAggregate {
    /// Resolution 6 to 12.
    pub cell: CellIndex,
    /// Index of the metric.
    pub metric: u16,
    /// The values in the cell.
    pub aggregate: Aggregate,
}

impl Aggregates {
    /// Puts a stream into a cell; one that is elsewhere moves. A cell finer than resolution 12
    /// counts as its ancestor there, a coarser one as its centre child. `mean` is that of the
    /// metric; the last one said holds. Indices are dense: memory grows with the largest.
    pub fn add(&mut self, stream: u32, metric: u16, mean: MeanKind, cell: CellIndex) {
        self.remove(stream);
        let Some(cell) = key::at_finest(cell) else {
            return;
        };
        let key = u64::from(metric) << CODE_BITS | key::code(cell);
        let (at, metric) = (stream as usize, usize::from(metric));
        if at >= self.keys.len() {
            self.keys.resize(at + 1, NOWHERE);
            self.dirty.resize(at / 64 + 1, 0);
        }
        if metric >= self.streams.means.len() {
            self.streams.means.resize(metric + 1, MeanKind::default());
        }
        self.keys[at] = key;
        self.streams.means[metric] = mean;
        self.streams.order.insert(Entry::new(key, stream));
        self.touch(stream);
    }

    /// Takes a stream out of its cell, if it is in one.
    pub fn remove(&mut self, stream: u32) {
        let Some(slot) = self.keys.get_mut(stream as usize) else {
            return;
        };
        let key = std::mem::replace(slot, NOWHERE);
        if self.streams.order.remove(&Entry::new(key, stream)) {
            self.left.push(key);
        }
    }

    /// Says that a stream's sample changed, came or went. O(1).
    pub fn touch(&mut self, stream: u32) {
        if let Some(bits) = self.dirty.get_mut(stream as usize / 64) {
            *bits |= 1 << (stream % 64);
        }
    }

    /// Brings all aggregates up to date and tells `changed` each cell and metric in which a
    /// stream was added, removed or touched since the last refresh, children before parents;
    /// `None`: no stream there has a value any more. `sample` answers the current value of a
    /// stream, `None` where it has none that counts.
    pub fn refresh(
        &mut self,
        sample: &impl Fn(u32) -> Option<Sample>,
        changed: &mut impl FnMut(CellIndex, u16, Option<&Aggregate>),
    ) {
        let dirty = self.take_dirty();
        let region = |key: u64| key | key::below(COARSEST_LEVEL);
        for dirty in dirty.chunk_by(|&a, &b| region(a) == region(b)) {
            let Some(&first) = dirty.first() else {
                continue;
            };
            let keys = first & !key::below(COARSEST_LEVEL)..=region(first);
            let mean = self.streams.mean(first);
            let metric = (first >> CODE_BITS) as u16;
            let (mut grown, mut shrunk) = (Vec::new(), Vec::new());
            self.streams.walk(
                keys,
                COARSEST_LEVEL,
                dirty,
                sample,
                &mut |level, last, open| {
                    if !open.dirty {
                        return;
                    }
                    if open.streams >= KEEP {
                        grown.push((last, open.partial));
                    } else if self.streams.kept.contains_key(&last) {
                        shrunk.push(last);
                    }
                    if let Some(cell) = key::cell_at(last, level) {
                        changed(cell, metric, open.partial.aggregate(mean).as_ref());
                    }
                },
            );
            self.streams.kept.extend(grown);
            for last in shrunk {
                self.streams.kept.remove(&last);
            }
        }
    }

    /// The aggregate of a cell of resolution 6 to 12; `None` for others and where no stream has
    /// a value. `sample` as for [`Aggregates::refresh`].
    pub fn get(
        &self,
        cell: CellIndex,
        metric: u16,
        sample: &impl Fn(u32) -> Option<Sample>,
    ) -> Option<Aggregate> {
        let of_metric = u64::from(metric) << CODE_BITS;
        let (first, last) = key::codes(cell).into_inner();
        let keys = of_metric | first..=of_metric | last;
        let mut found = Vec::new();
        self.collect(keys, cell.resolution(), sample, &mut found);
        found.first().map(|found| found.aggregate)
    }

    /// The aggregates of all cells at a resolution, 6 to 12, of one metric or of all; sorted by
    /// metric, then cell. Empty for other resolutions. `sample` as for [`Aggregates::refresh`].
    pub fn list(
        &self,
        resolution: Resolution,
        metric: Option<u16>,
        sample: &impl Fn(u32) -> Option<Sample>,
    ) -> Vec<CellAggregate> {
        let first = u64::from(metric.unwrap_or(0)) << CODE_BITS;
        let last = (u64::from(metric.unwrap_or(u16::MAX)) + 1) << CODE_BITS;
        let mut found = Vec::new();
        self.collect(first..=last - 1, resolution, sample, &mut found);
        found
    }

    fn collect(
        &self,
        keys: std::ops::RangeInclusive<u64>,
        resolution: Resolution,
        sample: &impl Fn(u32) -> Option<Sample>,
        found: &mut Vec<CellAggregate>,
    ) {
        let wanted = u8::from(resolution);
        if !(COARSEST_LEVEL..=FINEST_LEVEL).contains(&wanted) {
            return;
        }
        self.streams
            .walk(keys, wanted, &[], sample, &mut |level, last, open| {
                if level == wanted
                    && let Some(cell) = key::cell_at(last, level)
                    && let Some(aggregate) = open.partial.aggregate(self.streams.mean(last))
                {
                    found.push(CellAggregate {
                        cell,
                        metric: (last >> CODE_BITS) as u16,
                        aggregate,
                    });
                }
            });
    }

    /// The sorted keys under which something changed; forgets them.
    fn take_dirty(&mut self) -> Vec<u64> {
        let mut dirty = std::mem::take(&mut self.left);
        for (word, keys) in self.dirty.iter_mut().zip(self.keys.chunks(64)) {
            let mut bits = std::mem::take(word);
            while bits != 0 {
                let key = keys.get(bits.trailing_zeros() as usize);
                dirty.extend(key.filter(|&&key| key != NOWHERE));
                bits &= bits - 1;
            }
        }
        dirty.sort_unstable();
        dirty.dedup();
        dirty
    }
}
