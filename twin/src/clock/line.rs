//! The arithmetic of a clock that is set: two readings of one line, in microseconds.
//!
//! Invariants: `time` is as right as what is known; `at` never goes back. Where the line was set
//! back, `at` runs at half the speed until `time` has caught up.

/// A clock as it was set at one moment of the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// The monotonic clock then.
    from: i64,
    /// The time then.
    time: i64,
    /// How far `at` was ahead of it then.
    ahead: i64,
}

impl Line {
    pub(super) fn new(mono: i64, time: i64) -> Self {
        Self {
            from: mono,
            time,
            ahead: 0,
        }
    }

    /// The time.
    pub(super) fn time(&self, mono: i64) -> i64 {
        self.time + (mono - self.from)
    }

    /// The time, but never before what it was.
    pub(super) fn at(&self, mono: i64) -> i64 {
        self.time(mono) + self.ahead(mono)
    }

    /// How far `at` is ahead.
    pub(super) fn ahead(&self, mono: i64) -> i64 {
        (self.ahead - (mono - self.from) / 2).max(0)
    }

    pub(super) fn set(&mut self, mono: i64, time: i64) {
        *self = Self {
            from: mono,
            time,
            ahead: (self.at(mono) - time).max(0),
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn at_never_goes_back_and_time_is_what_was_set(
            sets in prop::collection::vec((0i64..10_000_000, -1_000_000_000_000i64..1_000_000_000_000), 1..40),
        ) {
            let mut line = Line::new(0, 0);
            let (mut mono, mut last) = (0, 0);
            for (passed, time) in sets {
                mono += passed;
                prop_assert!(line.at(mono) >= last);
                line.set(mono, time);
                prop_assert_eq!(line.time(mono), time);
                prop_assert!(line.at(mono) >= last.max(time));
                last = line.at(mono);
            }
            // It ends: twice the lead later both are the same.
            let lead = line.ahead(mono);
            prop_assert_eq!(line.ahead(mono + 2 * lead), 0);
        }
    }
}
