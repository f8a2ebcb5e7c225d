//! E4: the load profile of one meter in quarters of an hour, its gaps and its peak.
//!
//! A gap is closed when the meter is back. Up to 2 h it is interpolated between the values beside
//! it; a longer one takes, for each quarter of an hour, the mean of the same time of day on the
//! last 3 days of the same class that have a measured value there. A value that is substituted is
//! never a reference for another, and never a peak. Where no method applies, no value is invented.

use serde::{Deserialize, Serialize};

use crate::holidays::DayClass;
use crate::time::{self, QUARTER_MS};

/// Quarters of an hour of a day of 24 h.
const TIMES: usize = 96;

/// How a value came about; the number is the value that is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Origin {
    /// By the meter.
    Measured = 0,
    /// Between the values beside the gap.
    Interpolated = 1,
    /// From comparable days.
    Compared = 2,
}

/// One quarter of an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slot {
    /// Its end, milliseconds.
    pub end: u64,
    /// Mean power, kW.
    pub kw: f64,
    /// Where it is from.
    pub origin: Origin,
}

/// How gaps are treated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Longest gap that is interpolated, quarters of an hour.
    pub interpolated: u64,
    /// Longest gap that is closed at all, quarters of an hour.
    pub longest: u64,
    /// Comparable days.
    pub days: usize,
}

/// Measured values of one time of day on days of one class, newest first: day and kW.
type Reference = Vec<(i64, f64)>;

/// Highest mean of the month of Berlin so far.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Peak(Option<(u64, f64)>);

impl Peak {
    /// Takes the mean of the quarter of an hour that ends at `end`; it, where it is a new peak.
    pub fn raise(&mut self, end: u64, kw: f64) -> Option<f64> {
        let month = time::month_span(end.saturating_sub(QUARTER_MS)).start;
        let peaks = self.0.is_none_or(|(of, peak)| of != month || kw > peak);
        peaks.then(|| {
            self.0 = Some((month, kw));
            kw
        })
    }
}

/// Slots of a day of Berlin that have a value.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Day {
    start: u64,
    slots: u32,
    substituted: u32,
}

/// Substituted values of a day that is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// End of the day.
    pub end: u64,
    /// Of the values it has, percent.
    pub percent: f64,
}

/// State of one meter: about 9 kB after three Sundays.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Profile {
    last: Option<(u64, f64)>,
    peak: Peak,
    day: Day,
    /// By class and time of day; empty until the class is met.
    references: [Vec<Reference>; 3],
}

/// What one measured value brings about.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct News {
    /// The closed gap and the value itself, in order of time; empty for a value that is not newer.
    pub slots: Vec<Slot>,
    /// A new highest mean of the month, kW.
    pub peak: Option<f64>,
    /// Of each day that ended.
    pub rates: Vec<Rate>,
}

impl Profile {
    /// Takes the mean of the quarter of an hour that ends at `end`.
    pub fn take(&mut self, end: u64, kw: f64, policy: &Policy) -> News {
        let mut news = News::default();
        if self.last.is_some_and(|(last, _)| end <= last) {
            return news;
        }
        news.slots = self.close_gap(end, kw, policy);
        news.slots.push(Slot {
            end,
            kw,
            origin: Origin::Measured,
        });
        for slot in &news.slots {
            news.rates.extend(self.count(slot));
        }
        self.remember(end, kw, policy.days);
        self.last = Some((end, kw));
        news.peak = self.peak.raise(end, kw);
        news
    }

    fn close_gap(&self, end: u64, kw: f64, policy: &Policy) -> Vec<Slot> {
        let Some((last, before)) = self.last else {
            return Vec::new();
        };
        let missing = ((end - last) / QUARTER_MS).saturating_sub(1);
        if missing > policy.longest {
            return Vec::new();
        }
        let ends = (1..=missing).map(|i| (i, last + i * QUARTER_MS));
        if missing <= policy.interpolated {
            let parts = (missing + 1) as f64;
            let between = |i: u64| before + (kw - before) * i as f64 / parts;
            let slot = |(i, end)| Slot {
                end,
                kw: between(i),
                origin: Origin::Interpolated,
            };
            return ends.map(slot).collect();
        }
        let slot = |(_, end)| {
            let kw = self.compare(end)?;
            Some(Slot {
                end,
                kw,
                origin: Origin::Compared,
            })
        };
        ends.filter_map(slot).collect()
    }

    fn compare(&self, end: u64) -> Option<f64> {
        let at = time::local(end.saturating_sub(QUARTER_MS));
        let times = self.references.get(DayClass::of(at.day) as usize)?;
        let found = times
            .get(time_of_day(at))?
            .iter()
            .filter(|(day, _)| *day < at.day);
        let (sum, count) = found.fold((0.0, 0u32), |(sum, n), (_, kw)| (sum + kw, n + 1));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// Of an hour that comes twice, the first pass is the reference.
    fn remember(&mut self, end: u64, kw: f64, days: usize) {
        let at = time::local(end.saturating_sub(QUARTER_MS));
        let times = &mut self.references[DayClass::of(at.day) as usize];
        times.resize(TIMES, Reference::new());
        if let Some(reference) = times.get_mut(time_of_day(at)).filter(|_| !at.repeated) {
            reference.insert(0, (at.day, kw));
            reference.truncate(days);
        }
    }

    fn count(&mut self, slot: &Slot) -> Option<Rate> {
        let begin = slot.end.saturating_sub(QUARTER_MS);
        let span = time::day_span(time::local(begin).day);
        let over = (span.start != self.day.start && self.day.slots > 0).then_some(self.day);
        if span.start != self.day.start {
            self.day = Day {
                start: span.start,
                ..Day::default()
            };
        }
        self.day.slots += 1;
        self.day.substituted += u32::from(slot.origin != Origin::Measured);
        over.map(|day| Rate {
            end: time::day_span(time::local(day.start).day).end,
            percent: 100.0 * f64::from(day.substituted) / f64::from(day.slots),
        })
    }
}

fn time_of_day(at: time::Local) -> usize {
    usize::try_from(at.second / 900).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::day_of;

    const POLICY: Policy = Policy {
        interpolated: 8,
        longest: 288,
        days: 3,
    };

    /// End of the slot that begins at a local time of a day in summer.
    fn end(day: i64, slot: u64) -> u64 {
        time::day_span(day).start + (slot + 1) * QUARTER_MS
    }

    fn origins(news: &News) -> Vec<Origin> {
        news.slots.iter().map(|slot| slot.origin).collect()
    }

    /// A day whose value at every time is `kw`.
    fn fill(profile: &mut Profile, day: i64, kw: f64) -> Vec<News> {
        (0..96)
            .map(|slot| profile.take(end(day, slot), kw, &POLICY))
            .collect()
    }

    #[test]
    fn a_gap_of_two_hours_is_interpolated_and_flagged_and_a_longer_one_is_not() {
        let monday = day_of(2026, 6, 1);
        let mut profile = Profile::default();
        profile.take(end(monday, 0), 1.0, &POLICY);
        let news = profile.take(end(monday, 9), 10.0, &POLICY);
        let values: Vec<f64> = news.slots.iter().map(|slot| slot.kw).collect();
        assert_eq!(values, [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]);
        let mut expected = vec![Origin::Interpolated; 8];
        expected.push(Origin::Measured);
        assert_eq!(origins(&news), expected);
        let news = profile.take(end(monday, 19), 1.0, &POLICY);
        assert_eq!(
            origins(&news),
            [Origin::Measured],
            "9 missing and nothing to compare with"
        );
    }

    #[test]
    fn a_long_gap_takes_the_mean_of_the_last_three_days_of_its_class() {
        let mut profile = Profile::default();
        let monday = day_of(2026, 6, 1);
        for (i, kw) in [1.0, 2.0, 3.0, 7.0, 100.0].into_iter().enumerate() {
            fill(&mut profile, monday + i as i64, kw);
        }
        fill(&mut profile, monday + 5, 500.0);
        fill(&mut profile, monday + 6, 900.0);
        profile.take(end(monday + 7, 0), 5.0, &POLICY);
        let news = profile.take(end(monday + 7, 20), 5.0, &POLICY);
        let substitute = (3.0 + 7.0 + 100.0) / 3.0;
        assert_eq!(news.slots.len(), 20);
        assert!(
            news.slots[..19]
                .iter()
                .all(|s| s.kw == substitute && s.origin == Origin::Compared)
        );
    }

    #[test]
    fn a_holiday_is_filled_from_sundays() {
        let mut profile = Profile::default();
        let sunday = day_of(2026, 5, 17);
        for day in 0..8 {
            fill(
                &mut profile,
                sunday + day,
                if day % 7 == 0 { 40.0 } else { 4.0 },
            );
        }
        let whit_monday = sunday + 8;
        let news = profile.take(end(whit_monday, 30), 1.0, &POLICY);
        assert_eq!(
            news.slots[0],
            Slot {
                end: end(whit_monday, 0),
                kw: 40.0,
                origin: Origin::Compared
            }
        );
        assert_eq!(news.slots.len(), 31);
    }

    #[test]
    fn substitutes_are_no_references() {
        let mut profile = Profile::default();
        let monday = day_of(2026, 6, 1);
        fill(&mut profile, monday, 2.0);
        profile.take(end(monday + 1, 0), 8.0, &POLICY);
        profile.take(end(monday + 1, 40), 8.0, &POLICY);
        for slot in 41..96 {
            profile.take(end(monday + 1, slot), 8.0, &POLICY);
        }
        let news = profile.take(end(monday + 2, 50), 8.0, &POLICY);
        assert_eq!(news.slots[0].kw, 5.0, "00:00 was measured on both days");
        assert_eq!(news.slots[1].kw, 2.0, "00:15 was measured on Monday only");
        assert_eq!(news.slots[45].kw, 5.0);
    }

    #[test]
    fn a_gap_longer_than_the_longest_stays_open() {
        let mut profile = Profile::default();
        let monday = day_of(2026, 6, 1);
        fill(&mut profile, monday, 2.0);
        let mut other = profile.clone();
        assert_eq!(
            profile.take(end(monday + 4, 0), 1.0, &POLICY).slots.len(),
            289
        );
        assert_eq!(other.take(end(monday + 4, 1), 1.0, &POLICY).slots.len(), 1);
    }

    #[test]
    fn the_peak_is_the_highest_mean_of_the_month_and_starts_anew() {
        let mut profile = Profile::default();
        let last = day_of(2026, 6, 30);
        assert_eq!(profile.take(end(last, 93), 3.0, &POLICY).peak, Some(3.0));
        assert_eq!(profile.take(end(last, 94), 2.0, &POLICY).peak, None);
        assert_eq!(profile.take(end(last, 95), 4.0, &POLICY).peak, Some(4.0));
        assert_eq!(
            profile.take(end(last + 1, 0), 1.0, &POLICY).peak,
            Some(1.0),
            "July"
        );
    }

    #[test]
    fn the_rate_of_a_day_is_told_when_the_next_one_begins() {
        let mut profile = Profile::default();
        let monday = day_of(2026, 6, 1);
        for slot in (0..96).filter(|slot| !(8..14).contains(slot)) {
            assert_eq!(profile.take(end(monday, slot), 1.0, &POLICY).rates, []);
        }
        let rates = profile.take(end(monday + 1, 0), 1.0, &POLICY).rates;
        assert_eq!(
            rates,
            [Rate {
                end: time::day_span(monday).end,
                percent: 6.25
            }]
        );
    }

    #[test]
    fn a_value_that_is_not_newer_changes_nothing() {
        let mut profile = Profile::default();
        let monday = day_of(2026, 6, 1);
        profile.take(end(monday, 5), 1.0, &POLICY);
        let before = profile.clone();
        assert_eq!(profile.take(end(monday, 5), 9.0, &POLICY), News::default());
        assert_eq!(profile.take(end(monday, 1), 9.0, &POLICY), News::default());
        assert_eq!(profile, before);
    }
}
