//! What is kept of one place's air: its latest hours and the alert counts before them.
//!
//! The windows of an hour come one by one, so the counts are never stepped in place: they are folded
//! over the kept hours again whenever one changes. An evaluation therefore counts once an hour,
//! however many windows it came in, and a late one corrects what followed from it.

use quartier_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::clock::HOUR;
use crate::index::{Index, index};
use crate::tables::{Means, Measure, Pollutant, TOPIC_COUNT};

/// Hours kept of a place. A pollutant's window closes with the next value of that pollutant, so
/// when a recorded file is played, the last one before a gap comes when the gap is over, while
/// the others have gone on. Live, time closes it within the hour.
pub const KEPT: usize = 12;

/// One alert topic with its levels, the mildest first.
#[derive(Debug, Clone)]
pub struct TopicRule {
    /// Number of the topic.
    pub topic: Topic,
    /// What is held against the limits.
    pub measure: Measure,
    /// Limits and how bad it is to be past them; the codes rise.
    pub levels: Vec<(Limit, Severity)>,
}

/// All topics of hourly air.
pub type Topics = [TopicRule; TOPIC_COUNT];

/// One hour of one place.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Hour {
    /// End, milliseconds since 1970.
    pub end_ms: u64,
    means: Means,
    /// Pollutants whose window came, by bit; also those without enough data.
    seen: u8,
    index: Option<Index>,
    /// What was last derived for this hour.
    pub told: Option<Index>,
}

impl Hour {
    fn new(end_ms: u64) -> Self {
        Self {
            end_ms,
            means: [None; 5],
            seen: 0,
            index: None,
            told: None,
        }
    }

    fn put(&mut self, pollutant: Pollutant, mean: Option<f64>) {
        self.means[pollutant as usize] = mean;
        self.seen |= 1 << pollutant as u8;
        self.index = index(&self.means);
    }

    /// Its classes; `None` where no pollutant has enough data.
    pub fn index(&self) -> Option<Index> {
        self.index
    }

    /// The value held against a limit; `None`: insufficient data.
    pub fn measure(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::Eaqi => self.index.map(|index| f64::from(index.eaqi)),
            Measure::Mean(pollutant) => self.means[pollutant as usize],
        }
    }
}

/// Counts of all topics.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Counts {
    /// End of the last hour counted; 0: none.
    end_ms: u64,
    topics: [Levels; TOPIC_COUNT],
}

impl Counts {
    fn step(&mut self, hour: &Hour, rules: &Topics) {
        let gap = self.end_ms != 0 && hour.end_ms != self.end_ms + HOUR;
        for (levels, rule) in self.topics.iter_mut().zip(rules) {
            if gap {
                levels.step(None, &rule.levels);
            }
            levels.step(hour.measure(rule.measure), &rule.levels);
        }
        self.end_ms = hour.end_ms;
    }

    fn codes(&self) -> [Option<u32>; TOPIC_COUNT] {
        self.topics.each_ref().map(Levels::code)
    }
}

/// State of one place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Hours {
    /// Counts after the last hour that is no longer kept.
    base: Counts,
    /// Ascending by end; there may be gaps.
    pub kept: Vec<Hour>,
    /// By topic, the code that was raised last and not cleared.
    pub raised: [Option<u32>; TOPIC_COUNT],
}

impl Hours {
    /// Puts in one window's mean, `None`: too little coverage, and gives its hour; `None` where
    /// that is older than those that are kept.
    pub fn put(
        &mut self,
        end_ms: u64,
        pollutant: Pollutant,
        mean: Option<f64>,
        rules: &Topics,
    ) -> Option<&mut Hour> {
        let place = self.place(end_ms, rules)?;
        let hour = self.kept.get_mut(place)?;
        hour.put(pollutant, mean);
        Some(hour)
    }

    fn place(&mut self, end_ms: u64, rules: &Topics) -> Option<usize> {
        match self.kept.binary_search_by_key(&end_ms, |hour| hour.end_ms) {
            Ok(place) => Some(place),
            Err(0) if self.kept.len() == KEPT || end_ms <= self.base.end_ms => None,
            Err(place) if self.kept.len() == KEPT => {
                let oldest = self.kept.remove(0);
                self.base.step(&oldest, rules);
                self.kept.insert(place - 1, Hour::new(end_ms));
                Some(place - 1)
            }
            Err(place) => {
                self.kept.insert(place, Hour::new(end_ms));
                Some(place)
            }
        }
    }

    /// By topic, the code that stands after the latest hour. While a pollutant of the hour before is
    /// missing in the latest one, that one makes an alert worse, but neither better nor go.
    pub fn codes(&self, rules: &Topics) -> [Option<u32>; TOPIC_COUNT] {
        let Some((latest, earlier)) = self.kept.split_last() else {
            return self.base.codes();
        };
        let mut counts = self.base.clone();
        for hour in earlier {
            counts.step(hour, rules);
        }
        let before = counts.codes();
        counts.step(latest, rules);
        let mut codes = counts.codes();
        let awaited = earlier
            .last()
            .filter(|hour| hour.end_ms + HOUR == latest.end_ms)
            .is_some_and(|hour| hour.seen & !latest.seen != 0);
        if awaited {
            for (code, before) in codes.iter_mut().zip(before) {
                *code = (*code).max(before);
            }
        }
        codes
    }

    /// The latest value of a measure among the kept hours. A change has one: only an hour with a
    /// value moves an alert; a correction that takes the value away leaves the one before it, else 0.
    pub fn latest(&self, measure: Measure) -> f64 {
        let newest_first = self.kept.iter().rev();
        newest_first
            .filter_map(|hour| hour.measure(measure))
            .next()
            .unwrap_or_default()
    }
}
