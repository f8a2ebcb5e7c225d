//! Checks of single readings of one stream: range, step, stuck. What they find is kept as flags of
//! the hour in which the reading lies, and two of them alert by themselves.
//!
//! A step is judged when three more readings are there: the filter looks at the middle of seven. A
//! silence longer than `silence_ms` ends both the seven and a run of identical values, because
//! nothing is known of what was between.

use std::collections::BTreeMap;

use quartier_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::flags::Flags;

/// One hour, milliseconds.
pub const HOUR: u64 = 3_600_000;
/// Factor by which the median absolute deviation of normal noise estimates its standard deviation.
const NORMAL: f64 = 1.4826;
/// Readings that the filter for steps looks at; the middle one is judged.
const SEVEN: usize = 7;
/// Hours with flags that wait for their window; a stream without windows must not grow for ever.
const HOURS: usize = 744;

/// The hour `(start, end]` in which a moment lies: its end.
#[must_use]
pub fn hour_of(time_ms: u64) -> u64 {
    time_ms.div_ceil(HOUR) * HOUR
}

/// How readings of one pollutant are judged.
#[derive(Debug, Clone)]
pub struct Checks {
    /// Above the sensor's range, and below it.
    pub range: [(Limit, Severity); 2],
    /// Seconds of identical values.
    pub stuck: Limit,
    /// Scaled median absolute deviations that make a step.
    pub step_k: f64,
    /// Smallest step that counts, ug/m3.
    pub step_least: f64,
    /// Longest silence that a run of values goes on over, milliseconds.
    pub silence_ms: u64,
}

/// State of one stream.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Raw {
    /// The latest readings, seven at most, without a silence between them.
    recent: Vec<(u64, f64)>,
    /// Time of the first of the identical values that the newest belongs to.
    since: u64,
    flags: BTreeMap<u64, Flags>,
    range: Levels,
    stuck: Alarm,
}

/// What a reading did to the alerts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Alerts {
    /// Of the range.
    pub range: Option<LevelChange>,
    /// Of the run of identical values.
    pub stuck: Option<Change>,
    /// Length of that run, seconds.
    pub run_s: f64,
}

impl Raw {
    /// Takes a reading. One that is not newer than the newest corrects it where the time is the
    /// same, and changes no alert.
    pub fn take(&mut self, time_ms: u64, value: f64, checks: &Checks) -> Alerts {
        let before = self.recent.last().copied();
        if let Some((time, _)) = before
            && time_ms <= time
        {
            if time_ms == time {
                self.recent.pop();
                self.recent.push((time_ms, value));
            }
            return Alerts::default();
        }
        let follows = before.filter(|(time, _)| time_ms - time <= checks.silence_ms);
        if follows.is_none() {
            self.recent.clear();
        }
        self.recent.push((time_ms, value));
        if self.recent.len() > SEVEN {
            self.recent.remove(0);
        }
        if self.recent.len() == SEVEN
            && let Some((at, _)) = self.recent.get(SEVEN / 2).copied()
            && is_step(&self.recent, checks)
        {
            self.flag(at, Flags::STEP);
        }
        if follows.is_none_or(|(_, last)| last != value || value == 0.0) {
            self.since = time_ms;
        }
        self.judge(time_ms, value, checks)
    }

    fn judge(&mut self, time_ms: u64, value: f64, checks: &Checks) -> Alerts {
        let run_s = (time_ms - self.since) as f64 / 1000.0;
        if checks.stuck.is_past(run_s) {
            self.flag(time_ms, Flags::STUCK);
        }
        if checks.range.iter().any(|(limit, _)| limit.is_past(value)) {
            self.flag(time_ms, Flags::RANGE);
        }
        Alerts {
            range: self.range.step(Some(value), &checks.range),
            stuck: self.stuck.step(Some(run_s), &checks.stuck),
            run_s,
        }
    }

    /// Sets a flag of the hour in which a moment lies.
    pub fn flag(&mut self, time_ms: u64, flag: Flags) {
        self.flags.entry(hour_of(time_ms)).or_default().add(flag);
        if self.flags.len() > HOURS {
            self.flags.pop_first();
        }
    }

    /// The flags of an hour; they and those of the hours before are forgotten.
    pub fn settle(&mut self, hour: u64) -> Flags {
        let later = self.flags.split_off(&(hour + 1));
        let settled = std::mem::replace(&mut self.flags, later);
        settled.get(&hour).copied().unwrap_or_default()
    }

    /// The newest reading.
    #[must_use]
    pub fn newest(&self) -> Option<(u64, f64)> {
        self.recent.last().copied()
    }
}

/// Hampel's filter: the middle one is further from the median than normal noise would take it.
fn is_step(seven: &[(u64, f64)], checks: &Checks) -> bool {
    let &[a, b, c, middle, d, e, f] = seven else {
        return false;
    };
    let values = [a, b, c, middle, d, e, f].map(|(_, value)| value);
    let median = median_of_seven(values);
    let distance = (middle.1 - median).abs();
    if distance <= checks.step_least {
        return false;
    }
    let mad = median_of_seven(values.map(|value| (value - median).abs()));
    distance > checks.step_k * NORMAL * mad
}

/// Without an allocation: this is done for every reading.
fn median_of_seven(mut values: [f64; SEVEN]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[SEVEN / 2]
}
