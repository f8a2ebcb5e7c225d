//! The module doc of `windows`, done again for one stream as slowly and plainly as possible: all
//! settled readings are kept, and after every call every window is looked at from scratch.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::super::{Closed, Outcome};
use super::HOUR;
use crate::model::Millis;
use crate::vocabulary::MeanKind;

const GUESS: i64 = 900_000;

pub(super) struct Slow {
    pub(super) spans: Vec<u32>,
    pub(super) kind: MeanKind,
    pub(super) set_interval: Option<i64>,
    pub(super) zone: &'static str,
    pub(super) lateness: i64,
    pub(super) arrived: i64,
    pub(super) waiting: BTreeMap<i64, f64>,
    /// Covered from, time, value.
    pub(super) settled: Vec<(i64, i64, f64)>,
    /// Span and end of every window closed.
    pub(super) done: BTreeSet<(u32, i64)>,
    pub(super) valid_hours: Vec<Closed>,
}

impl Slow {
    pub(super) fn observe(
        &mut self,
        time: i64,
        value: f64,
        at: i64,
        out: &mut Vec<Closed>,
    ) -> Outcome {
        if let Some(&(_, last, last_value)) = self.settled.last()
            && time <= last
        {
            let same = time == last && value == last_value;
            return if same {
                Outcome::Duplicate
            } else {
                Outcome::Late
            };
        }
        if let Some(old) = self.waiting.get_mut(&time) {
            let same = *old == value;
            *old = value;
            return if same {
                Outcome::Duplicate
            } else {
                Outcome::Replaced
            };
        }
        if self.newest().is_none_or(|newest| time > newest) {
            self.arrived = at;
        }
        self.waiting.insert(time, value);
        let watermark = self.newest().unwrap() - self.lateness;
        self.advance(watermark, out);
        Outcome::Accepted
    }

    pub(super) fn tick(&mut self, at: i64, out: &mut Vec<Closed>) {
        if let Some(newest) = self.newest() {
            self.advance(newest - self.lateness + (at - self.arrived).max(0), out);
        }
    }

    fn newest(&self) -> Option<i64> {
        let waiting = self.waiting.keys().next_back().copied();
        waiting.or(self.settled.last().map(|s| s.1))
    }

    /// The interval of a reading that follows the first `count` settled ones.
    fn interval(&self, count: usize) -> i64 {
        if let Some(set) = self.set_interval {
            return set;
        }
        let last: Vec<i64> = self.settled[count.saturating_sub(16)..count]
            .iter()
            .map(|s| s.1)
            .collect();
        let mut spacings: Vec<i64> = last
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).min(GUESS))
            .collect();
        spacings.sort_unstable();
        match spacings.len() {
            0 => GUESS,
            n if n % 2 == 1 => spacings[n / 2],
            n => (spacings[n / 2 - 1] + spacings[n / 2]) / 2,
        }
    }

    fn advance(&mut self, watermark: i64, out: &mut Vec<Closed>) {
        while let Some((&time, &value)) = self.waiting.first_key_value()
            && time <= watermark
        {
            self.waiting.pop_first();
            let count = self.settled.len();
            let from = match self.settled.last() {
                Some(&(_, before, _)) => before.max(time - self.interval(count)),
                None => time - self.set_interval.unwrap_or(0),
            };
            self.settled.push((from, time, value));
        }
        let Some(&(_, last, _)) = self.settled.last() else {
            return;
        };
        let last_final = last.max(watermark - self.interval(self.settled.len()));
        let first = self.settled[0].0;
        let before = out.len();
        for span in [600, 900, 3600] {
            let len = i64::from(span) * 1000;
            for end in ends(first, last + len, len).filter(|&end| end <= last_final) {
                self.close_base(span, end, len, out);
            }
        }
        for end in ends(first, last + 9 * HOUR, HOUR).filter(|&end| end <= last_final) {
            self.close_from_hours(28_800, end - 8 * HOUR, end, 8.0, out);
        }
        for (start, end) in self.days(first, last) {
            if ends(end - 1, end + HOUR, HOUR)
                .next()
                .is_some_and(|hour| hour <= last_final)
            {
                self.close_from_hours(86_400, start, end, 24.0, out);
            }
        }
        out[before..].sort_by_key(|row| (row.end, row.span_s));
    }

    fn close_base(&mut self, span: u32, end: i64, len: i64, out: &mut Vec<Closed>) {
        let mut parts = Vec::new();
        for &(from, to, value) in &self.settled {
            let part = to.min(end) - from.max(end - len);
            if part > 0 {
                parts.push((part as f64, value));
            }
        }
        if parts.is_empty() || !self.done.insert((span, end)) {
            return;
        }
        let covered: f64 = parts.iter().map(|p| p.0).sum();
        let row = Closed {
            stream: 0,
            span_s: span,
            end: Millis(end),
            mean: mean(self.kind, &parts),
            min: parts.iter().map(|p| p.1).fold(f64::INFINITY, f64::min),
            max: parts.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max),
            last: parts.last().unwrap().1,
            coverage: covered / len as f64,
        };
        if span == 3600 && row.coverage >= 0.75 {
            self.valid_hours.push(row);
        }
        if self.spans.contains(&span) {
            out.push(row);
        }
    }

    fn close_from_hours(
        &mut self,
        span: u32,
        start: i64,
        end: i64,
        full: f64,
        out: &mut Vec<Closed>,
    ) {
        let within: Vec<&Closed> = self
            .valid_hours
            .iter()
            .filter(|h| h.end.0 > start && h.end.0 <= end)
            .collect();
        let Some(last) = within.iter().max_by_key(|h| h.end) else {
            return;
        };
        if !self.spans.contains(&span) || !self.done.insert((span, end)) {
            return;
        }
        let means: Vec<(f64, f64)> = within.iter().map(|h| (1.0, h.mean)).collect();
        out.push(Closed {
            stream: 0,
            span_s: span,
            end: Millis(end),
            mean: mean(self.kind, &means),
            min: within.iter().map(|h| h.min).fold(f64::INFINITY, f64::min),
            max: within
                .iter()
                .map(|h| h.max)
                .fold(f64::NEG_INFINITY, f64::max),
            last: last.last,
            coverage: (within.len() as f64 / full).min(1.0),
        });
    }

    /// The local days that touch this time, by their dates.
    fn days(&self, first: i64, last: i64) -> Vec<(i64, i64)> {
        let zone = TimeZone::get(self.zone).unwrap();
        let date = |ms| -> Date {
            jiff::Timestamp::from_millisecond(ms)
                .unwrap()
                .to_zoned(zone.clone())
                .date()
        };
        let midnight = |date: Date| zone.to_zoned(date.at(0, 0, 0, 0)).unwrap().timestamp();
        let (mut day, end) = (date(first - 26 * HOUR), date(last + 26 * HOUR));
        let mut days = Vec::new();
        while day <= end {
            let next = day.checked_add(1.day()).unwrap();
            days.push((
                midnight(day).as_millisecond(),
                midnight(next).as_millisecond(),
            ));
            day = next;
        }
        days
    }
}

/// The multiples of `len` from the first after `from` to the last at or before `to`.
fn ends(from: i64, to: i64, len: i64) -> impl Iterator<Item = i64> {
    (from.div_euclid(len) + 1..=to.div_euclid(len)).map(move |n| n * len)
}

fn mean(kind: MeanKind, parts: &[(f64, f64)]) -> f64 {
    let weight: f64 = parts.iter().map(|p| p.0).sum();
    match kind {
        MeanKind::Arithmetic => parts.iter().map(|p| p.0 * p.1).sum::<f64>() / weight,
        MeanKind::Energetic => {
            let energy = |level: f64| 10f64.powf(level / 10.0);
            10.0 * (parts.iter().map(|p| p.0 * energy(p.1)).sum::<f64>() / weight).log10()
        }
    }
}
