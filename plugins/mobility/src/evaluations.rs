//! An alarm over evaluations that can still be corrected.
//!
//! A value may become known piece by piece: the capacity after the free spaces, the speed after the
//! flow. The counts of the alarm are therefore never stepped in place: they are folded over the
//! latest evaluations again whenever one of them changes, so that each counts once.

use quartier_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// How long evaluations stay open, and what is a gap between two.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Evaluations that can be corrected, at least 1.
    pub latest: usize,
    /// Two that are further apart have insufficient data between them; milliseconds.
    pub gap_ms: u64,
}

/// An alarm and its latest evaluations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Evaluations {
    /// After the evaluations that are no longer kept.
    base: Alarm,
    /// Time of the last of these; 0: none.
    until: u64,
    /// Time and value, ascending; `None`: insufficient data.
    kept: Vec<(u64, Option<f64>)>,
    /// What was told last.
    active: bool,
}

impl Evaluations {
    /// Puts in, or corrects, the evaluation of a time. Ignored where it is older than those kept.
    pub fn put(
        &mut self,
        time_ms: u64,
        value: Option<f64>,
        limit: &Limit,
        keep: Keep,
    ) -> Option<Change> {
        match self.kept.binary_search_by_key(&time_ms, |(time, _)| *time) {
            Ok(place) => {
                if let Some((_, known)) = self.kept.get_mut(place) {
                    *known = value;
                }
            }
            Err(0) if !self.kept.is_empty() && self.kept.len() >= keep.latest => return None,
            Err(_) if time_ms <= self.until => return None,
            Err(place) => self.kept.insert(place, (time_ms, value)),
        }
        if self.kept.len() > keep.latest {
            let (time, value) = self.kept.remove(0);
            self.base = step(self.base, self.until, (time, value), limit, keep);
            self.until = time;
        }
        self.tell(limit, keep)
    }

    fn tell(&mut self, limit: &Limit, keep: Keep) -> Option<Change> {
        let (mut alarm, mut before) = (self.base, self.until);
        for &evaluation in &self.kept {
            alarm = step(alarm, before, evaluation, limit, keep);
            before = evaluation.0;
        }
        let was = std::mem::replace(&mut self.active, alarm.is_active());
        match (was, self.active) {
            (false, true) => Some(Change::Raise),
            (true, false) => Some(Change::Clear),
            _ => None,
        }
    }
}

fn step(
    mut alarm: Alarm,
    before: u64,
    (time, value): (u64, Option<f64>),
    limit: &Limit,
    keep: Keep,
) -> Alarm {
    if before != 0 && time.saturating_sub(before) > keep.gap_ms {
        alarm.step(None, limit);
    }
    alarm.step(value, limit);
    alarm
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Keep = Keep {
        latest: 3,
        gap_ms: 10,
    };
    const LIMIT: Limit = Limit {
        code: 1,
        limit: 100.0,
        raise_after: 2,
        clear_after: 3,
        clear_margin: Margin::Share(0.1),
        inclusive: false,
        direction: Direction::Above,
    };

    fn all(puts: &[(u64, Option<f64>)]) -> Vec<Option<Change>> {
        let mut evaluations = Evaluations::default();
        puts.iter()
            .map(|&(time, value)| evaluations.put(time, value, &LIMIT, KEEP))
            .collect()
    }

    #[test]
    fn a_corrected_evaluation_counts_once() {
        let same = [(10, Some(101.0)), (10, Some(102.0)), (10, Some(103.0))];
        assert_eq!(all(&same), [None, None, None]);
        let two = [(10, Some(101.0)), (20, None), (20, Some(101.0))];
        assert_eq!(all(&two), [None, None, Some(Change::Raise)]);
    }

    #[test]
    fn a_correction_can_take_an_alarm_back() {
        let puts = [(10, Some(101.0)), (20, Some(101.0)), (20, Some(50.0))];
        assert_eq!(all(&puts), [None, Some(Change::Raise), Some(Change::Clear)]);
    }

    #[test]
    fn a_gap_ends_the_count() {
        assert_eq!(all(&[(10, Some(101.0)), (21, Some(101.0))]), [None, None]);
    }

    #[test]
    fn counts_go_on_behind_what_is_kept_and_what_is_older_changes_nothing() {
        let mut evaluations = Evaluations::default();
        for time in 1..=5 {
            evaluations.put(time * 10, Some(101.0), &LIMIT, KEEP);
        }
        assert_eq!(evaluations.put(20, Some(0.0), &LIMIT, KEEP), None);
        assert_eq!(evaluations.put(60, Some(80.0), &LIMIT, KEEP), None);
        assert_eq!(evaluations.put(70, Some(80.0), &LIMIT, KEEP), None);
        assert_eq!(
            evaluations.put(80, Some(80.0), &LIMIT, KEEP),
            Some(Change::Clear)
        );
    }
}
