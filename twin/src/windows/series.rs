//! One watched stream: readings wait until they can be settled in order, then fill its windows.
//!
//! Invariants: `waiting` is sorted by time without repetition and newer than `settled`; nothing
//! in it is at or before the watermark as of the last call.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::acc::{Acc, Piece, Summary, scale};
use super::long::{Long, Rules};
use super::spacing::Spacings;
use super::spans::{Closed, Outcome, Spans};
use super::{HOUR, LONGEST_GUESS, NEVER, VALID_HOUR};
use crate::model::Millis;
use crate::vocabulary::MeanKind;

/// Readings of one stream that may wait for the watermark.
pub const MAX_WAITING: usize = 4096;

/// The longest interval a reading can stand for: the longest local day.
const LONGEST_INTERVAL: i64 = 25 * HOUR;
/// Event times are within this of 1970 (to the year 9987), which the time zone database can take.
const CALENDAR: i64 = 253_000_000_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Sample {
    time: i64,
    value: f64,
}

/// The windows of one stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Series {
    pub(super) stream: u32,
    /// Index into the list of zones.
    pub(super) zone: u16,
    spans: Spans,
    kind: MeanKind,
    /// Milliseconds a reading stands for, as known now.
    interval: u32,
    /// `None` where the interval is set.
    spacings: Option<Box<Spacings>>,
    /// When the newest reading arrived.
    arrived: i64,
    /// The last settled reading; its time is [`NEVER`] before the first.
    settled: Sample,
    waiting: VecDeque<Sample>,
    /// One for each of `spans.base()`, in that order.
    accs: Box<[Acc]>,
    long: Option<Box<Long>>,
}

/// What event times may be, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Limits {
    /// Older than the newest of their stream, not negative.
    pub(super) lateness: i64,
    /// Newer than their arrival.
    pub(super) ahead: i64,
}

/// Where the rows of one series go.
struct Sink<'a> {
    stream: u32,
    rules: Rules<'a>,
    long: Option<&'a mut Long>,
    out: &'a mut Vec<Closed>,
}

impl Sink<'_> {
    fn base(&mut self, span_s: u32, end: i64, coverage: f64, row: Summary) {
        let (stream, rules) = (self.stream, self.rules);
        if rules.spans.contains(span_s) {
            self.out.push(closed(stream, span_s, end, coverage, row));
        }
        if let Some(long) = self.long.as_deref_mut()
            && i64::from(span_s) * 1000 == HOUR
            && coverage >= VALID_HOUR
        {
            long.push(rules, end, row, |span, end, coverage, row| {
                self.out.push(closed(stream, span, end, coverage, row));
            });
        }
    }

    fn restart_long(&mut self) {
        let (stream, rules) = (self.stream, self.rules);
        if let Some(long) = self.long.as_deref_mut() {
            long.restart(rules.kind, |span, end, coverage, row| {
                self.out.push(closed(stream, span, end, coverage, row));
            });
        }
    }

    fn close_long(&mut self, upto: i64) {
        let stream = self.stream;
        if let Some(long) = self.long.as_deref_mut() {
            long.close_to(self.rules, upto, |span, end, coverage, row| {
                self.out.push(closed(stream, span, end, coverage, row));
            });
        }
    }
}

fn closed(stream: u32, span_s: u32, end: i64, coverage: f64, row: Summary) -> Closed {
    let Summary {
        mean,
        min,
        max,
        last,
    } = row;
    Closed {
        stream,
        span_s,
        end: Millis(end),
        mean,
        min,
        max,
        last,
        coverage,
    }
}

fn millis(span_s: u32) -> i64 {
    i64::from(span_s) * 1000
}

impl Series {
    pub(super) fn new(stream: u32, kind: MeanKind) -> Self {
        Self {
            stream,
            zone: 0,
            spans: Spans::NONE,
            kind,
            interval: LONGEST_GUESS as u32,
            spacings: Some(Box::new(Spacings::new())),
            arrived: 0,
            settled: Sample {
                time: NEVER,
                value: 0.0,
            },
            waiting: VecDeque::new(),
            accs: Box::default(),
            long: None,
        }
    }

    /// Adds windows; those that are open already go on.
    pub(super) fn widen(&mut self, spans: Spans) {
        let (old, all) = (self.spans, self.spans.union(spans));
        let mut had = std::mem::take(&mut self.accs).into_vec().into_iter();
        self.accs = all
            .base()
            .iter()
            .map(|span| {
                let kept = if old.base().contains(span) {
                    had.next()
                } else {
                    None
                };
                kept.unwrap_or_else(Acc::new)
            })
            .collect();
        if self.long.is_none() && (all.has(Spans::RUNNING) || all.has(Spans::DAY)) {
            self.long = Some(Box::new(Long::new()));
        }
        self.spans = all;
    }

    /// Readings settled from now on stand for this long; `None`: for the median spacing.
    pub(super) fn set_interval(&mut self, interval_ms: Option<i64>) {
        match interval_ms {
            Some(ms) => {
                self.interval = ms.clamp(1, LONGEST_INTERVAL) as u32;
                self.spacings = None;
            }
            None if self.spacings.is_none() => {
                self.interval = LONGEST_GUESS as u32;
                self.spacings = Some(Box::new(Spacings::new()));
            }
            None => {}
        }
    }

    pub(super) fn observe(
        &mut self,
        Limits { lateness, ahead }: Limits,
        (time, value): (Millis, f64),
        at: Millis,
        zone: &str,
        out: &mut Vec<Closed>,
    ) -> Outcome {
        let ahead = time.since(at) > ahead;
        if !value.is_finite() || !(-CALENDAR..=CALENDAR).contains(&time.0) || ahead {
            return Outcome::Unusable;
        }
        let sample = Sample {
            time: time.0,
            value,
        };
        if sample.time <= self.settled.time {
            let same = sample == self.settled;
            return if same {
                Outcome::Duplicate
            } else {
                Outcome::Late
            };
        }
        if sample.time > self.newest() {
            self.arrived = at.0;
        }
        let watermark = self.newest().max(sample.time).saturating_sub(lateness);
        if sample.time <= watermark && self.waiting.front().is_none_or(|s| s.time > sample.time) {
            // Without lateness nothing ever waits, and no memory is held for it.
            self.settle(sample, zone, out);
        } else if let Some(outcome) = self.wait(sample) {
            return outcome;
        }
        self.advance(watermark, zone, out);
        Outcome::Accepted
    }

    /// Puts a reading in its place; says so where that place was taken.
    fn wait(&mut self, sample: Sample) -> Option<Outcome> {
        let place = match self.waiting.back() {
            Some(back) if back.time >= sample.time => {
                self.waiting.partition_point(|s| s.time < sample.time)
            }
            _ => self.waiting.len(),
        };
        match self.waiting.get_mut(place) {
            Some(there) if there.time == sample.time => {
                let same = there.value == sample.value;
                there.value = sample.value;
                Some(if same {
                    Outcome::Duplicate
                } else {
                    Outcome::Replaced
                })
            }
            _ => {
                self.waiting.insert(place, sample);
                None
            }
        }
    }

    pub(super) fn tick(&mut self, lateness: i64, at: Millis, zone: &str, out: &mut Vec<Closed>) {
        if self.newest() == NEVER {
            return;
        }
        let passed = at.0.saturating_sub(self.arrived).max(0);
        let watermark = self
            .newest()
            .saturating_sub(lateness)
            .saturating_add(passed);
        self.advance(watermark, zone, out);
    }

    /// The wall time from which on a tick would change something; `i64::MAX`: never.
    pub(super) fn due(&self, lateness: i64) -> i64 {
        let interval = i64::from(self.interval);
        let mut need = self.waiting.front().map_or(i64::MAX, |s| s.time);
        for (span, acc) in self.spans.base().iter().zip(&self.accs) {
            if let Some(end) = acc.pending(millis(span)) {
                need = need.min(end + interval);
            }
        }
        if let Some(end) = self.long.as_ref().and_then(|long| long.pending()) {
            need = need.min(end + interval);
        }
        if need == i64::MAX {
            return i64::MAX;
        }
        let ahead = need.saturating_sub(self.newest().saturating_sub(lateness));
        self.arrived.saturating_add(ahead.max(0))
    }

    /// The clock of arrivals was set.
    pub(super) fn shift_arrival(&mut self, ms: i64) {
        self.arrived = self.arrived.saturating_add(ms);
    }

    /// All readings so far have another time than they had.
    pub(super) fn shift(&mut self, ms: i64, zone: &str, out: &mut Vec<Closed>) {
        for sample in &mut self.waiting {
            sample.time = sample.time.saturating_add(ms);
        }
        if self.settled.time == NEVER {
            return;
        }
        self.settled.time = self.settled.time.saturating_add(ms);
        let (settled, kind, base) = (self.settled.time, self.kind, self.spans.base());
        let (accs, mut sink) = self.split(zone, out);
        let mut hour = false;
        for (span, acc) in base.iter().zip(accs) {
            let len = millis(span);
            if acc.end(len) - len > settled {
                hour |= len == HOUR;
                acc.close(len, kind, |end, coverage, row| {
                    sink.base(span, end, coverage, row);
                });
                *acc = Acc::new();
            }
        }
        if hour {
            sink.restart_long();
        }
    }

    fn newest(&self) -> i64 {
        self.waiting.back().map_or(self.settled.time, |s| s.time)
    }

    /// Settles what the watermark reached and closes the windows no reading can change any more.
    fn advance(&mut self, watermark: i64, zone: &str, out: &mut Vec<Closed>) {
        while let Some(&sample) = self.waiting.front() {
            if sample.time > watermark && self.waiting.len() <= MAX_WAITING {
                break;
            }
            self.waiting.pop_front();
            self.settle(sample, zone, out);
        }
        let reach = watermark.saturating_sub(i64::from(self.interval));
        let (kind, base) = (self.kind, self.spans.base());
        let (accs, mut sink) = self.split(zone, out);
        for (span, acc) in base.iter().zip(accs) {
            if acc.pending(millis(span)).is_some_and(|end| end <= reach) {
                acc.close(millis(span), kind, |end, coverage, row| {
                    sink.base(span, end, coverage, row);
                });
            }
        }
        sink.close_long(reach.div_euclid(HOUR));
    }

    fn settle(&mut self, sample: Sample, zone: &str, out: &mut Vec<Closed>) {
        let to = sample.time;
        let first = self.settled.time == NEVER;
        let from = if first && self.spacings.is_some() {
            to
        } else {
            (to - i64::from(self.interval)).max(self.settled.time)
        };
        if let Some(spacings) = self.spacings.as_mut().filter(|_| !first) {
            self.interval = spacings.learn(to - self.settled.time);
        }
        self.settled = sample;
        let (kind, base) = (self.kind, self.spans.base());
        let scaled = scale(kind, sample.value);
        let piece = Piece {
            from,
            to,
            value: sample.value,
            scaled,
        };
        let (accs, mut sink) = self.split(zone, out);
        for (span, acc) in base.iter().zip(accs) {
            acc.add(millis(span), kind, piece, |end, coverage, row| {
                sink.base(span, end, coverage, row);
            });
        }
        sink.close_long(to.div_euclid(HOUR));
    }

    fn split<'a>(
        &'a mut self,
        zone: &'a str,
        out: &'a mut Vec<Closed>,
    ) -> (&'a mut [Acc], Sink<'a>) {
        let rules = Rules {
            spans: self.spans,
            kind: self.kind,
            zone,
        };
        let long = self.long.as_deref_mut();
        (
            &mut self.accs,
            Sink {
                stream: self.stream,
                rules,
                long,
                out,
            },
        )
    }
}
