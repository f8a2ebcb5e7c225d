//! The node's clock as the fold knows it: whether times are guessed, what is to be added to them,
//! and what moves when the clock is set.
//!
//! Invariants: durations hold. When the clock is set, everything that the fold measures time from
//! moves with it, so that nothing closes, expires or is sent again because of it; only the expiry
//! of a command is a time and stays. A stream whose newest time was guessed moves by the
//! correction, so that right times follow on it; it stays marked until its next value.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Change, Effects, Twin};
use crate::event::{ClockSet, TimeSource};
use crate::model::Millis;
use crate::windows::{AHEAD_MS, AHEAD_OF_GUESS_MS};

/// Corrections that are remembered.
const REMEMBERED: usize = 100;

/// See the module.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct NodeClock {
    /// Time of the newest entry.
    newest: Millis,
    /// Position from which on times are guessed.
    guessed: Option<u64>,
    /// Entries are ahead of the time since then: the time of an entry, and what time it was.
    slows: Option<(Millis, Millis)>,
    /// The newest last.
    corrections: VecDeque<Correction>,
}

/// What became known of times that were guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// First position with guessed times.
    pub since: u64,
    /// Position at which the time was known.
    pub until: u64,
    /// Milliseconds to add to the guessed times.
    pub offset_ms: i64,
    /// Who knew.
    pub source: TimeSource,
    /// What time it was.
    pub at: Millis,
}

impl Correction {
    /// What is to be added to the guessed times of an entry, milliseconds; `None`: it is another's.
    pub fn offset(&self, position: u64) -> Option<i64> {
        let here = (self.since..self.until).contains(&position);
        here.then_some(self.offset_ms)
    }
}

impl NodeClock {
    /// Position from which on times are guessed; `None`: the time is known.
    pub fn guessed_since(&self) -> Option<u64> {
        self.guessed
    }

    /// Time of the newest entry.
    pub fn newest(&self) -> Millis {
        self.newest
    }

    /// What became known of guessed times, the newest last; the newest hundred.
    pub fn corrections(&self) -> impl DoubleEndedIterator<Item = &Correction> {
        self.corrections.iter()
    }

    /// What is to be added to the times of the `Untimed` readings of an entry, milliseconds;
    /// `None`: not known, or not any more.
    pub fn correction(&self, position: u64) -> Option<i64> {
        let mut newest = self.corrections.iter().rev();
        newest.find_map(|correction| correction.offset(position))
    }

    /// The time at an entry: [`Clock`](crate::clock::Clock) lets entries run at half the speed
    /// while they are ahead.
    fn time(&self, at: Millis) -> Millis {
        match self.slows {
            Some((from, time)) => at.min(time.plus(at.since(from).saturating_mul(2))),
            None => at,
        }
    }
}

impl Twin {
    /// The node's clock.
    pub fn clock(&self) -> &NodeClock {
        &self.clock
    }

    /// An entry is made: time passes.
    pub(super) fn pass(&mut self, at: Millis) {
        self.clock.newest = self.clock.newest.max(at);
        self.now = self.now.max(self.clock.time(at));
    }

    pub(super) fn set_clock(&mut self, at: Millis, set: &ClockSet, effects: &mut Effects) {
        if set.source == TimeSource::Guess {
            self.clock.guessed.get_or_insert(self.position);
            self.clock.slows = None;
            self.now = self.now.max(at);
            self.windows.set_ahead(AHEAD_OF_GUESS_MS);
            return;
        }
        let step = set.time.since(self.now);
        self.now = set.time;
        self.clock.slows = (at > set.time).then_some((at, set.time));
        self.windows.shift_arrivals(step);
        self.commands.shift(step);
        self.commands.bound_stamps(self.now);
        self.shift_ticks(step);
        self.windows.set_ahead(AHEAD_MS);
        let Some(since) = self.clock.guessed.take() else {
            return;
        };
        self.correct_streams(set.offset_ms, effects);
        if self.clock.corrections.len() == REMEMBERED {
            self.clock.corrections.pop_front();
        }
        self.clock.corrections.push_back(Correction {
            since,
            until: self.position,
            offset_ms: set.offset_ms,
            source: set.source,
            at: set.time,
        });
    }

    /// Remembers of a stream whether its newest value came without a time while it was guessed.
    pub(super) fn mark(&mut self, index: u32, time: Millis, guessed: bool) {
        if guessed {
            self.clock.guessed.get_or_insert(self.position);
        } else if self.clock.guessed.is_none() {
            return;
        }
        let stream = self.streams.get_mut(index as usize);
        if let Some(stream) = stream.filter(|stream| stream.time == time) {
            stream.guessed = guessed;
        }
    }

    fn correct_streams(&mut self, offset_ms: i64, effects: &mut Effects) {
        for index in 0..u32::try_from(self.streams.len()).unwrap_or(u32::MAX) {
            let Some(stream) = self.streams.get_mut(index as usize) else {
                return;
            };
            if std::mem::take(&mut stream.guessed) && offset_ms != 0 {
                let time = stream.time.plus(offset_ms);
                self.move_stream(index, time, offset_ms, effects);
            }
        }
    }

    /// The newest value of a stream has another time than it had; its open windows move along.
    pub(super) fn move_stream(
        &mut self,
        index: u32,
        time: Millis,
        offset_ms: i64,
        effects: &mut Effects,
    ) {
        let Some(stream) = self.streams.get_mut(index as usize) else {
            return;
        };
        stream.time = time;
        let moved = *stream;
        let streams = &self.streams;
        if let Some(asset) = self.assets.get_mut(moved.asset as usize) {
            let times = asset.streams.iter();
            let times = times.filter_map(|(_, s)| streams.get(*s as usize));
            let newest = times.filter(|s| s.rev > 0).map(|s| s.time).max();
            asset.updated = newest.unwrap_or(time);
        }
        self.aggregates.touch(index);
        let mut closed = Vec::new();
        self.windows.shift(index, offset_ms, &mut closed);
        self.route_windows(&closed);
        effects.changes.push(Change {
            stream: index,
            value: moved.value,
            time,
            quality: moved.quality,
            rev: moved.rev,
        });
    }
}
