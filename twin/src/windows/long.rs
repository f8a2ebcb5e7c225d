//! Windows made of valid hours: running 8 h and local days.
//!
//! Hours come in order. A running window is closed once, at the first moment its last hour is
//! final and any hour in it is valid; `done` is the last one closed. A day likewise.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::acc::{Summary, scale, unscale};
use super::spans::Spans;
use super::{HOUR, NEVER};
use crate::vocabulary::MeanKind;

/// Hours in a running window.
const RUNNING_HOURS: i64 = 8;
/// Hours that make a day's coverage whole.
const DAY_HOURS: f64 = 24.0;

/// What the rows of a series need to know of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) spans: Spans,
    pub(super) kind: MeanKind,
    /// IANA name, known to the database.
    pub(super) zone: &'a str,
}

/// The valid hours that longer windows still need.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Long {
    /// End in hours since 1970 and content, oldest first; only such as a window after `done` has.
    hours: Vec<(i64, Summary)>,
    /// End of the last running window closed, hours since 1970.
    done: i64,
    day: Day,
}

/// The local day `(start, end]`, milliseconds; before the first hour both are [`NEVER`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Day {
    /// Days up to here are closed.
    start: i64,
    end: i64,
    valid: u8,
    /// Sum of scaled hourly means.
    sum: f64,
    min: f64,
    max: f64,
    last: f64,
}

impl Long {
    pub(super) fn new() -> Self {
        Self {
            hours: Vec::new(),
            done: NEVER,
            day: Day::starting(NEVER),
        }
    }

    /// Takes a valid hour; first closes the windows that end before it.
    pub(super) fn push(
        &mut self,
        rules: Rules<'_>,
        end: i64,
        hour: Summary,
        mut closed: impl FnMut(u32, i64, f64, Summary),
    ) {
        let index = end.div_euclid(HOUR);
        self.close_to(rules, index - 1, &mut closed);
        if rules.spans.has(Spans::RUNNING) {
            self.hours.push((index, hour));
            self.prune();
        }
        if rules.spans.has(Spans::DAY) {
            self.day.add(rules, end, hour, &mut closed);
        }
    }

    /// Closes the windows that end at or before hour `upto`: all hours up to it are final.
    pub(super) fn close_to(
        &mut self,
        rules: Rules<'_>,
        upto: i64,
        mut closed: impl FnMut(u32, i64, f64, Summary),
    ) {
        // At most 8 rounds after the last valid hour, then nothing is left to close.
        while let Some(next) = self.next_running().filter(|&next| next <= upto) {
            self.done = next;
            let (coverage, row) = running(rules.kind, &self.hours, next);
            closed(28_800, next * HOUR, coverage, row);
            self.prune();
        }
        if self.day.valid > 0 && self.day.end <= upto.saturating_mul(HOUR) {
            self.day.close(rules.kind, &mut closed);
        }
    }

    /// Hours come again: closes the day as it is and forgets the rest.
    pub(super) fn restart(
        &mut self,
        kind: MeanKind,
        mut closed: impl FnMut(u32, i64, f64, Summary),
    ) {
        if self.day.valid > 0 {
            self.day.close(kind, &mut closed);
        }
        *self = Self::new();
    }

    /// When the next of the windows pending ends, in whole hours, milliseconds.
    pub(super) fn pending(&self) -> Option<i64> {
        let running = self.next_running().map(|hour| hour * HOUR);
        let day = (self.day.valid > 0)
            .then(|| self.day.end.div_euclid(HOUR) * HOUR)
            .map(|end| if end < self.day.end { end + HOUR } else { end });
        [running, day].into_iter().flatten().min()
    }

    fn next_running(&self) -> Option<i64> {
        self.hours
            .first()
            .map(|&(first, _)| first.max(self.done.saturating_add(1)))
    }

    fn prune(&mut self) {
        let needed = self.done.saturating_add(1).saturating_sub(RUNNING_HOURS);
        self.hours.retain(|&(end, _)| end > needed);
    }
}

/// The running window that ends at hour `end`; at least one of `hours` is in it.
fn running(kind: MeanKind, hours: &[(i64, Summary)], end: i64) -> (f64, Summary) {
    let within = || {
        hours
            .iter()
            .filter(|&&(at, _)| at > end - RUNNING_HOURS && at <= end)
            .map(|(_, h)| h)
    };
    let count = within().count() as f64;
    let min = within().map(|h| h.min).fold(f64::INFINITY, f64::min);
    let max = within().map(|h| h.max).fold(f64::NEG_INFINITY, f64::max);
    let last = within().next_back().map_or(min, |h| h.last);
    let sum: f64 = within().map(|h| scale(kind, h.mean)).sum();
    (
        count / RUNNING_HOURS as f64,
        Summary {
            mean: unscale(kind, sum / count, min, max),
            min,
            max,
            last,
        },
    )
}

impl Day {
    fn starting(start: i64) -> Self {
        Self {
            start,
            end: start,
            valid: 0,
            sum: 0.0,
            min: 0.0,
            max: 0.0,
            last: 0.0,
        }
    }

    fn add(
        &mut self,
        rules: Rules<'_>,
        end: i64,
        hour: Summary,
        mut closed: impl FnMut(u32, i64, f64, Summary),
    ) {
        if end <= self.start {
            return;
        }
        if end > self.end {
            if self.valid > 0 {
                self.close(rules.kind, &mut closed);
            }
            // Outside the calendar there are no days.
            let Some((start, end)) = local_day(rules.zone, end) else {
                return;
            };
            *self = Self {
                end,
                ..Self::starting(start)
            };
        }
        let first = self.valid == 0;
        self.valid = self.valid.saturating_add(1);
        self.sum += scale(rules.kind, hour.mean);
        self.min = if first {
            hour.min
        } else {
            self.min.min(hour.min)
        };
        self.max = if first {
            hour.max
        } else {
            self.max.max(hour.max)
        };
        self.last = hour.last;
    }

    fn close(&mut self, kind: MeanKind, mut closed: impl FnMut(u32, i64, f64, Summary)) {
        let valid = f64::from(self.valid);
        let mean = unscale(kind, self.sum / valid, self.min, self.max);
        let row = Summary {
            mean,
            min: self.min,
            max: self.max,
            last: self.last,
        };
        closed(86_400, self.end, (valid / DAY_HOURS).min(1.0), row);
        *self = Self::starting(self.end);
    }
}

/// Whether the time zone database knows this name.
pub(super) fn is_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

/// The local day in which an hour that ends at `end` ends: `(start, end]`, milliseconds.
fn local_day(zone: &str, end: i64) -> Option<(i64, i64)> {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let within = Timestamp::from_millisecond(end.checked_sub(1)?)
        .ok()?
        .to_zoned(zone);
    let start = within.start_of_day().ok()?;
    let next = within.tomorrow().ok()?.start_of_day().ok()?;
    Some((
        start.timestamp().as_millisecond(),
        next.timestamp().as_millisecond(),
    ))
}
