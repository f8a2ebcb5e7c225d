//! The checks that an hour did not pass, as the bits of `pm2_5_flags` and `pm10_flags`, and what
//! they mean for `plausibility`.

use serde::{Deserialize, Serialize};

/// A set of bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flags(u8);

impl Flags {
    /// A reading outside the sensor's range.
    pub const RANGE: Self = Self(1);
    /// A reading of PM2.5 above that of PM10 of the same time.
    pub const ORDER: Self = Self(2);
    /// A step that a Hampel filter would take out.
    pub const STEP: Self = Self(4);
    /// The same value, not 0, for an hour.
    pub const STUCK: Self = Self(8);
    /// Unlike its neighbours for three hours.
    pub const NEIGHBOURS: Self = Self(16);
    /// Mean relative humidity beyond what the sensor is made for.
    pub const HUMID: Self = Self(32);
    /// Too few neighbours to compare with.
    pub const ALONE: Self = Self(64);

    /// Of a number of bits.
    #[must_use]
    pub fn number(self) -> f64 {
        f64::from(self.0)
    }

    /// Whether any of the bits of the other is set.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Sets the bits of the other.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// 1: nothing speaks against the hour. 0.5: it is in doubt: a step, or humid air. 0: it is not
    /// plausible. That there is nobody to compare with takes nothing away.
    #[must_use]
    pub fn plausibility(self) -> f64 {
        let wrong = Self(Self::RANGE.0 | Self::ORDER.0 | Self::STUCK.0 | Self::NEIGHBOURS.0);
        let doubtful = Self(Self::STEP.0 | Self::HUMID.0);
        match (self.has(wrong), self.has(doubtful)) {
            (true, _) => 0.0,
            (false, true) => 0.5,
            (false, false) => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_halves_and_error_ends_plausibility() {
        let of = |flags: &[Flags]| {
            let mut all = Flags::default();
            flags.iter().for_each(|flag| all.add(*flag));
            (all.number(), all.plausibility())
        };
        assert_eq!(of(&[]), (0.0, 1.0));
        assert_eq!(of(&[Flags::ALONE]), (64.0, 1.0));
        assert_eq!(of(&[Flags::STEP, Flags::HUMID]), (36.0, 0.5));
        for wrong in [Flags::RANGE, Flags::ORDER, Flags::STUCK, Flags::NEIGHBOURS] {
            assert_eq!(of(&[wrong, Flags::HUMID]).1, 0.0, "{wrong:?}");
        }
    }
}
