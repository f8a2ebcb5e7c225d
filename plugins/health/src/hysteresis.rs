//! When an alert comes and goes: raised after some consecutive evaluations past the limit, cleared
//! after some consecutive ones well below it. An hour without enough data ends both counts: it
//! neither raises nor clears.

/// A limit with its patience.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// In the unit of the measure.
    pub limit: f64,
    /// Whether the limit itself counts as past it.
    pub inclusive: bool,
    /// Consecutive evaluations past the limit that raise, at least 1.
    pub raise_after: u8,
    /// Consecutive evaluations below `limit * (1 - clear_margin)` that clear, at least 1.
    pub clear_after: u8,
    /// Share of the limit, 0 to 1.
    pub clear_margin: f64,
}

/// How far an alert is; the default is: not raised, nothing counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counter {
    /// Raised and not cleared since.
    pub active: bool,
    /// Consecutive evaluations past the limit, up to 255.
    pub above: u8,
    /// Consecutive evaluations well below the limit, up to 255.
    pub below: u8,
}

impl Counter {
    /// After one more hour; `None`: insufficient data.
    #[must_use]
    pub fn step(self, value: Option<f64>, threshold: &Threshold) -> Self {
        let limit = threshold.limit;
        let idle = Self {
            above: 0,
            below: 0,
            ..self
        };
        let Some(value) = value else { return idle };
        if value > limit || (threshold.inclusive && value == limit) {
            let above = self.above.saturating_add(1);
            Self {
                active: self.active || above >= threshold.raise_after,
                above,
                below: 0,
            }
        } else if value < limit * (1.0 - threshold.clear_margin) {
            let below = self.below.saturating_add(1);
            Self {
                active: self.active && below < threshold.clear_after,
                above: 0,
                below,
            }
        } else {
            idle
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Threshold = Threshold {
        limit: 100.0,
        inclusive: false,
        raise_after: 2,
        clear_after: 3,
        clear_margin: 0.1,
    };

    fn active_after(values: &[Option<f64>]) -> bool {
        values
            .iter()
            .fold(Counter::default(), |c, v| c.step(*v, &LIMIT))
            .active
    }

    #[test]
    fn two_consecutive_hours_past_the_limit_raise_and_one_does_not() {
        assert!(!active_after(&[Some(101.0)]));
        assert!(active_after(&[Some(101.0), Some(101.0)]));
        assert!(!active_after(&[Some(101.0), Some(99.0), Some(101.0)]));
        assert!(
            !active_after(&[Some(100.0), Some(100.0)]),
            "the limit itself is not past it"
        );
    }

    #[test]
    fn three_consecutive_hours_ten_percent_below_clear_and_less_does_not() {
        let up = [Some(101.0), Some(101.0)];
        let then = |tail: &[Option<f64>]| active_after(&[&up, tail].concat());
        assert!(then(&[Some(89.0), Some(89.0)]));
        assert!(!then(&[Some(89.0), Some(89.0), Some(89.0)]));
        assert!(
            then(&[Some(90.0), Some(90.0), Some(90.0)]),
            "within the margin nothing clears"
        );
        assert!(then(&[Some(89.0), Some(89.0), Some(95.0), Some(89.0)]));
    }

    #[test]
    fn an_hour_without_data_ends_both_counts() {
        assert!(!active_after(&[Some(101.0), None, Some(101.0)]));
        let up = [
            Some(101.0),
            Some(101.0),
            Some(80.0),
            Some(80.0),
            None,
            Some(80.0),
        ];
        assert!(active_after(&up));
    }

    #[test]
    fn an_inclusive_limit_is_reached_by_itself() {
        let threshold = Threshold {
            inclusive: true,
            raise_after: 1,
            ..LIMIT
        };
        assert!(Counter::default().step(Some(100.0), &threshold).active);
    }
}
