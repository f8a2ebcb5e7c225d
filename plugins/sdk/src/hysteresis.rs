//! When an alert comes and goes: raised after some consecutive evaluations past the limit, cleared
//! after some consecutive ones well on the other side of it. An evaluation without data ends both
//! counts: it neither raises nor clears. A value between limit and margin ends them too.

use serde::{Deserialize, Serialize};

/// How far on the good side of a limit a value has to be to clear.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Margin {
    /// Share of the limit's amount, 0 to 1.
    Share(f64),
    /// In the limit's unit, from 0: 2 dB.
    Absolute(f64),
}

/// On which side of a limit it is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// A value above it is past it.
    Above,
    /// A value below it is past it.
    Below,
}

/// A limit with its patience; [`Setup::limit`](crate::Setup::limit) reads it from the manifest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Its code in the manifest.
    pub code: u32,
    /// In the unit of the measure.
    pub limit: f64,
    /// Consecutive evaluations past the limit that raise, at least 1.
    pub raise_after: u32,
    /// Consecutive evaluations beyond the margin that clear, at least 1.
    pub clear_after: u32,
    /// How far on the good side.
    pub clear_margin: Margin,
    /// Whether the limit itself counts as past it.
    pub inclusive: bool,
    /// Which side is past it.
    pub direction: Direction,
}

impl Limit {
    /// The same, with the limit itself past it.
    #[must_use]
    pub fn inclusive(self) -> Self {
        let inclusive = true;
        Self { inclusive, ..self }
    }

    /// The same, passed below.
    #[must_use]
    pub fn below(self) -> Self {
        let direction = Direction::Below;
        Self { direction, ..self }
    }

    /// The same with another margin.
    #[must_use]
    pub fn margin(self, clear_margin: Margin) -> Self {
        Self {
            clear_margin,
            ..self
        }
    }

    /// Whether the value is past the limit; NaN is not.
    #[must_use]
    pub fn is_past(&self, value: f64) -> bool {
        let past = match self.direction {
            Direction::Above => value > self.limit,
            Direction::Below => value < self.limit,
        };
        past || (self.inclusive && value == self.limit)
    }

    /// Whether the value is on the good side beyond the margin; NaN is not.
    #[must_use]
    pub fn is_well_clear(&self, value: f64) -> bool {
        let by = match self.clear_margin {
            Margin::Share(share) => self.limit.abs() * share,
            Margin::Absolute(by) => by,
        };
        match self.direction {
            Direction::Above => value < self.limit - by,
            Direction::Below => value > self.limit + by,
        }
    }
}

/// What a step did to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is to be raised now.
    Raise,
    /// It is to be cleared now.
    Clear,
}

/// How far an alert is; the default is: not raised, nothing counted. Part of a rule's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Alarm {
    active: bool,
    /// Consecutive evaluations past the limit, up to what raises.
    past: u32,
    /// Consecutive evaluations beyond the margin, up to what clears.
    clear: u32,
}

impl Alarm {
    /// Whether it is raised.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// After one more evaluation; `None` and NaN: insufficient data.
    pub fn step(&mut self, value: Option<f64>, limit: &Limit) -> Option<Change> {
        let (past, clear) = match value {
            Some(value) if limit.is_past(value) => (self.past.saturating_add(1), 0),
            Some(value) if limit.is_well_clear(value) => (0, self.clear.saturating_add(1)),
            _ => (0, 0),
        };
        self.past = past.min(limit.raise_after);
        self.clear = clear.min(limit.clear_after);
        if !self.active && past > 0 && past >= limit.raise_after {
            self.active = true;
            Some(Change::Raise)
        } else if self.active && clear > 0 && clear >= limit.clear_after {
            self.active = false;
            Some(Change::Clear)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests;
