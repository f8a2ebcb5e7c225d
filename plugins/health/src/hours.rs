//! What is kept of one asset: its latest hours and the counts before them.
//!
//! Windows of one hour may come in several batches, so the counts are never stepped in place:
//! they are folded over the kept hours again whenever one changes. An evaluation therefore counts
//! once an hour, however many windows it came in.

use crate::hysteresis::{Counter, Threshold};
use crate::index::{Index, index};
use crate::tables::{LEVEL_COUNT, LEVELS, Means, Measure, Pollutant, TOPICS};

/// Milliseconds.
pub const HOUR: u64 = 3_600_000;

/// Hours kept of an asset. A pollutant's window closes with the next value of that pollutant, so
/// when a recorded file is played, the last one before a gap comes when the gap is over, while
/// the others have gone on. Live, time closes it within the hour.
pub const KEPT: usize = 12;

/// One threshold for each of [`LEVELS`].
pub type Thresholds = [Threshold; LEVEL_COUNT];

/// One hour of one asset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hour {
    /// End, milliseconds since 1970.
    pub end_ms: u64,
    /// What arrived with enough coverage.
    pub means: Means,
    /// What was last derived for this hour.
    pub told: Option<Index>,
}

/// Counts of all levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// End of the last hour counted; 0: none.
    pub end_ms: u64,
    /// By level.
    pub levels: [Counter; LEVEL_COUNT],
}

impl Counts {
    fn step(mut self, hour: &Hour, thresholds: &Thresholds) -> Self {
        let gap = self.end_ms != 0 && hour.end_ms != self.end_ms + HOUR;
        for ((counter, level), threshold) in self.levels.iter_mut().zip(LEVELS).zip(thresholds) {
            if gap {
                *counter = counter.step(None, threshold);
            }
            *counter = counter.step(hour.measure(level.measure), threshold);
        }
        self.end_ms = hour.end_ms;
        self
    }
}

impl Hour {
    fn new(end_ms: u64) -> Self {
        Self {
            end_ms,
            means: [None; 5],
            told: None,
        }
    }

    /// The value held against a level's limit; `None`: insufficient data.
    pub fn measure(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::Eaqi => index(&self.means).map(|i| f64::from(i.eaqi)),
            Measure::Mean(pollutant) => self.means[pollutant as usize],
        }
    }
}

/// State of one asset.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hours {
    /// Counts before the kept hours.
    pub base: Counts,
    /// The latest hours, ascending, [`KEPT`] at most; not always adjacent.
    pub kept: Vec<Hour>,
    /// By topic, the code of the alert that is raised; 0: none.
    pub raised: [u32; TOPICS.len()],
}

impl Hours {
    /// Whether a window that ends at `end_ms` opens a new hour, so that what is kept must be
    /// settled before it is put in.
    pub fn advances(&self, end_ms: u64) -> bool {
        self.kept
            .last()
            .is_some_and(|newest| end_ms > newest.end_ms)
    }

    /// Puts in one window's mean; `None`: too little coverage. Ignored where the hour is older
    /// than those that are kept.
    pub fn put(
        &mut self,
        end_ms: u64,
        pollutant: Pollutant,
        mean: Option<f64>,
        thresholds: &Thresholds,
    ) {
        if let Some(hour) = self.hour(end_ms, thresholds) {
            hour.means[pollutant as usize] = mean;
        }
    }

    fn hour(&mut self, end_ms: u64, thresholds: &Thresholds) -> Option<&mut Hour> {
        let place = match self.kept.binary_search_by_key(&end_ms, |hour| hour.end_ms) {
            Ok(place) => place,
            Err(0) if self.kept.len() == KEPT || end_ms <= self.base.end_ms => return None,
            Err(place) if self.kept.len() == KEPT => {
                let oldest = self.kept.remove(0);
                self.base = self.base.step(&oldest, thresholds);
                self.kept.insert(place - 1, Hour::new(end_ms));
                place - 1
            }
            Err(place) => {
                self.kept.insert(place, Hour::new(end_ms));
                place
            }
        };
        self.kept.get_mut(place)
    }

    /// Counts after the latest hour.
    pub fn counts(&self, thresholds: &Thresholds) -> Counts {
        let step = |counts: Counts, hour| counts.step(hour, thresholds);
        self.kept.iter().fold(self.base, step)
    }
}
