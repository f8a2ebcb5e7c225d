//! What can be asked of windows and what comes back.

use serde::{Deserialize, Serialize};

use crate::model::Millis;

/// Lengths by bit, seconds.
const SECONDS: [u32; 5] = [600, 900, 3600, 28_800, 86_400];

/// A set of window lengths out of 600, 900, 3600, 28800 and 86400 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spans(u8);

impl Spans {
    /// No window.
    pub const NONE: Self = Self(0);
    pub(super) const HOUR: Self = Self(0b00100);
    pub(super) const RUNNING: Self = Self(0b01000);
    pub(super) const DAY: Self = Self(0b10000);
    const BASE: Self = Self(0b00111);

    /// The set of this one length; `None` where there are no such windows.
    pub fn from_seconds(seconds: u32) -> Option<Self> {
        let bit = SECONDS.iter().position(|&s| s == seconds)?;
        Some(Self(1 << bit))
    }

    /// Whether windows of this many seconds are in the set.
    pub fn contains(self, seconds: u32) -> bool {
        Self::from_seconds(seconds).is_some_and(|one| self.has(one))
    }

    /// Both sets together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether no length is in the set.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    /// The lengths in seconds, shortest first.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        let bits = self.0;
        SECONDS
            .into_iter()
            .enumerate()
            .filter(move |(i, _)| bits & (1 << i) != 0)
            .map(|(_, s)| s)
    }

    pub(super) fn has(self, one: Self) -> bool {
        self.0 & one.0 != 0
    }

    /// The windows that must be accumulated from readings: longer ones are made of hours.
    pub(super) fn base(self) -> Self {
        let hour = if self.has(Self(!Self::BASE.0)) {
            Self::HOUR
        } else {
            Self::NONE
        };
        Self(self.0 & Self::BASE.0).union(hour)
    }
}

/// One closed window of one stream; see the [module](super) for what each number means.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Closed {
    /// The stream's index.
    pub stream: u32,
    /// 600, 900, 3600, 28800 or 86400 seconds; a local day is 86400 whatever its length.
    pub span_s: u32,
    /// The window ends here, inclusive.
    pub end: Millis,
    /// Of the metric's kind, in its unit.
    pub mean: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Last value by event time.
    pub last: f64,
    /// Above 0, at most 1.
    pub coverage: f64,
}

/// What became of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// It counts.
    Accepted,
    /// It counts instead of another value that came before it for the same time.
    Replaced,
    /// The same value for the same time was there already; nothing changed.
    Duplicate,
    /// Too old: its time was settled; nothing changed.
    Late,
    /// Not finite, outside the calendar, or more than a day ahead of its arrival; nothing changed.
    Unusable,
    /// Nobody watches this stream; nothing changed.
    Unwatched,
}
