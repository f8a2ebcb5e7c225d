//! Several limits in one alert topic, of which the worst that is raised stands.

use serde::{Deserialize, Serialize};

use crate::context::Severity;
use crate::hysteresis::{Alarm, Limit};

/// What a topic is to say now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LevelChange {
    /// The level that now stands; of a clear: the one that stood.
    pub limit: Limit,
    /// Its severity.
    pub severity: Severity,
    /// Raised, or cleared. A raise takes the place of what the topic said before.
    pub raise: bool,
}

/// How far the levels of a topic are, each by itself; part of a rule's state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Levels {
    alarms: Vec<Alarm>,
    /// Code that stands.
    told: Option<u32>,
}

impl Levels {
    /// The code that stands.
    #[must_use]
    pub fn code(&self) -> Option<u32> {
        self.told
    }

    /// After one more evaluation of all levels, the mildest first; `None` and NaN: insufficient
    /// data. At most one change: from one level to another is a raise of the other.
    pub fn step(
        &mut self,
        value: Option<f64>,
        levels: &[(Limit, Severity)],
    ) -> Option<LevelChange> {
        self.alarms.resize(levels.len(), Alarm::default());
        let mut worst = None;
        for (alarm, level) in self.alarms.iter_mut().zip(levels) {
            alarm.step(value, &level.0);
            if alarm.is_active() {
                worst = Some(level);
            }
        }
        let before = std::mem::replace(&mut self.told, worst.map(|(limit, _)| limit.code));
        if before == self.told {
            return None;
        }
        let stood = || levels.iter().find(|(limit, _)| Some(limit.code) == before);
        let (limit, severity) = *worst.or_else(stood)?;
        Some(LevelChange {
            limit,
            severity,
            raise: worst.is_some(),
        })
    }
}

#[cfg(test)]
mod tests;
