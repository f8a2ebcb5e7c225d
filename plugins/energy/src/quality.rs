//! E3: voltage quality by EN 50160, over whole weeks and years of Berlin time.
//!
//! A limit is a share of 10-minute means, counted for each phase alone: pooled, a sound phase would
//! hide a bad one. A period of which a mean is missing gets no verdict: unknown is never "held", and
//! not "failed" either. The means of a stream come in order of time.

use serde::{Deserialize, Serialize};

use crate::time::{Span, TEN_MINUTES_MS};

/// What becomes of a period; the number is the value that is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Means are missing.
    Unknown = 0,
    /// Every limit was held.
    Held = 1,
    /// A limit was not held.
    Failed = 2,
}

impl Verdict {
    /// Of several parts: one that failed decides, then one that is unknown.
    pub fn of_all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::Held;
        for part in parts {
            all = match (all, part) {
                (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
                (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
                (Self::Held, Self::Held) => Self::Held,
            };
        }
        all
    }
}

/// Values that lie within.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// Smallest.
    pub low: f64,
    /// Largest.
    pub high: f64,
}

impl Band {
    /// `nominal` + `up` % / - `down` %.
    pub fn around(nominal: f64, up: f64, down: f64) -> Self {
        Self {
            low: nominal - nominal * down / 100.0,
            high: nominal + nominal * up / 100.0,
        }
    }

    /// Whether a value lies within; the ends do.
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// Bands and the share of means, percent, that must lie in each.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// The band that a share must keep.
    pub band: Band,
    /// That share, percent.
    pub share: f64,
    /// The band that every mean must keep.
    pub absolute: Option<Band>,
    /// Share of the period's means that must be there for a verdict, 0 to 1.
    pub complete: f64,
}

/// Means of one stream in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// All.
    pub means: u32,
    /// Within the band.
    pub within: u32,
    /// Within the absolute band.
    pub tolerable: u32,
}

impl Tally {
    /// Counts one mean.
    pub fn add(&mut self, mean: f64, limits: &Limits) {
        let count = |band: &Band| u32::from(band.holds(mean));
        self.means += 1;
        self.within += count(&limits.band);
        self.tolerable += limits.absolute.as_ref().map_or(1, count);
    }

    /// Percent within the band; `None` without a mean.
    pub fn share(&self) -> Option<f64> {
        (self.means > 0).then(|| 100.0 * f64::from(self.within) / f64::from(self.means))
    }

    /// Whether the share is kept; exact, without division.
    pub fn keeps_share(&self, limits: &Limits) -> bool {
        100.0 * f64::from(self.within) >= limits.share * f64::from(self.means)
    }

    /// What becomes of the period.
    pub fn verdict(&self, period: Span, limits: &Limits) -> Verdict {
        let expected = (period.end - period.start) / TEN_MINUTES_MS;
        if self.means == 0 || f64::from(self.means) < limits.complete * expected as f64 {
            Verdict::Unknown
        } else if self.keeps_share(limits) && self.tolerable == self.means {
            Verdict::Held
        } else {
            Verdict::Failed
        }
    }
}

/// One stream: the period that runs, and the one before until it is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stream {
    /// End of the newest mean; 0: none yet.
    pub through: u64,
    start: u64,
    now: Tally,
    done: Option<(u64, Tally)>,
}

impl Stream {
    /// Takes the mean of the 10 minutes that end at `end`, or none where too little of them is
    /// covered. `period` is the one those minutes lie in.
    pub fn take(&mut self, end: u64, mean: Option<f64>, period: Span, limits: &Limits) {
        if end <= self.through {
            return;
        }
        if period.start != self.start {
            self.done = (self.through > 0).then_some((self.start, self.now));
            (self.start, self.now) = (period.start, Tally::default());
        }
        self.through = end;
        if let Some(mean) = mean {
            self.now.add(mean, limits);
        }
    }

    /// What was counted in a period.
    pub fn tally(&self, period: Span) -> Tally {
        match self.done {
            _ if self.start == period.start => self.now,
            Some((start, tally)) if start == period.start => tally,
            _ => Tally::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{day_of, week_span};

    fn voltage() -> Limits {
        Limits {
            band: Band::around(230.0, 10.0, 10.0),
            share: 95.0,
            absolute: Some(Band::around(230.0, 10.0, 15.0)),
            complete: 1.0,
        }
    }

    fn week(year: i64, month: i64, day: i64) -> Span {
        week_span(day_of(year, month, day) as u64 * 86_400_000)
    }

    fn verdict(period: Span, means: impl IntoIterator<Item = f64>) -> Verdict {
        let mut tally = Tally::default();
        means
            .into_iter()
            .for_each(|mean| tally.add(mean, &voltage()));
        tally.verdict(period, &voltage())
    }

    fn low(count: usize, of: usize, volts: f64) -> impl Iterator<Item = f64> {
        (0..of).map(move |i| if i < count { volts } else { 231.0 })
    }

    #[test]
    fn fifty_of_1008_low_means_are_held_and_fifty_one_are_not() {
        let june = week(2026, 6, 3);
        assert_eq!(verdict(june, low(50, 1008, 200.0)), Verdict::Held);
        assert_eq!(verdict(june, low(51, 1008, 200.0)), Verdict::Failed);
    }

    #[test]
    fn one_mean_outside_the_absolute_band_fails_and_its_ends_do_not() {
        let june = week(2026, 6, 3);
        assert_eq!(verdict(june, low(1, 1008, 253.1)), Verdict::Failed);
        assert_eq!(verdict(june, low(1, 1008, 253.0)), Verdict::Held);
        assert_eq!(verdict(june, low(1, 1008, 195.4)), Verdict::Failed);
        assert_eq!(verdict(june, low(1, 1008, 195.5)), Verdict::Held);
    }

    #[test]
    fn a_week_without_one_of_its_means_is_unknown_also_when_the_others_are_bad() {
        let june = week(2026, 6, 3);
        assert_eq!(verdict(june, low(0, 1007, 0.0)), Verdict::Unknown);
        assert_eq!(verdict(june, low(900, 1007, 100.0)), Verdict::Unknown);
    }

    #[test]
    fn weeks_of_167_and_169_hours_are_complete_with_1002_and_1014_means() {
        assert_eq!(
            verdict(week(2026, 3, 25), low(0, 1001, 0.0)),
            Verdict::Unknown
        );
        assert_eq!(verdict(week(2026, 3, 25), low(0, 1002, 0.0)), Verdict::Held);
        assert_eq!(
            verdict(week(2026, 10, 21), low(0, 1008, 0.0)),
            Verdict::Unknown
        );
        assert_eq!(
            verdict(week(2026, 10, 21), low(0, 1014, 0.0)),
            Verdict::Held
        );
    }

    #[test]
    fn a_failed_part_decides_and_an_unknown_one_hides_held_ones() {
        use Verdict::{Failed, Held, Unknown};
        assert_eq!(Verdict::of_all([Held, Held]), Held);
        assert_eq!(Verdict::of_all([Held, Unknown]), Unknown);
        assert_eq!(Verdict::of_all([Unknown, Failed]), Failed);
    }

    #[test]
    fn a_stream_keeps_the_week_before_until_the_next_one_is_over() {
        let (first, second) = (week(2026, 6, 3), week(2026, 6, 10));
        let mut stream = Stream::default();
        let mut end = first.start;
        while end < second.start + TEN_MINUTES_MS {
            end += TEN_MINUTES_MS;
            let period = week_span(end - TEN_MINUTES_MS);
            stream.take(end, Some(231.0), period, &voltage());
        }
        assert_eq!(stream.tally(first).means, 1008);
        assert_eq!(stream.tally(second).means, 1);
        stream.take(end, Some(231.0), second, &voltage());
        assert_eq!(stream.tally(second).means, 1, "twice the same window");
        assert_eq!(stream.tally(week(2026, 6, 17)).means, 0);
    }
}
