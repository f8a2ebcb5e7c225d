//! The tables: upper limits of the levels A to E, and what is beyond the last is one level worse.
//!
//! A change of a number is a new version of the table and of the plugin.

/// Whether a value that equals an upper limit belongs to the level below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// "Up to": the limit is the last value of its level.
    Included,
    /// "Less than": the limit is the first value of the next level.
    Excluded,
}

/// Upper limits of levels, the best first, and whether they belong to their level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bands {
    upper: &'static [f64],
    limit: Limit,
}

/// Road: density in passenger cars a kilometre of lane, A to E; F above. Highway Capacity Manual,
/// basic segments (11, 18, 26, 35, 45 passenger cars a mile of lane).
pub const HCM_DENSITY: Bands = Bands {
    upper: &[7.0, 11.0, 16.0, 22.0, 28.0],
    limit: Limit::Included,
};

/// Junction without signals: mean delay in seconds, A to D; E from the last on. F of the HBS is a
/// stream that wants more than its capacity, which the delay does not show: it is never given.
pub const HBS_DELAY: Bands = Bands {
    upper: &[10.0, 20.0, 30.0, 45.0],
    limit: Limit::Excluded,
};

/// Walkway: persons a square metre, A to E; F above. Fruin, Pedestrian Planning and Design, 1971
/// (35, 25, 15, 10 and 5 square feet a person).
pub const FRUIN_WALKWAY: Bands = Bands {
    upper: &[0.31, 0.43, 0.72, 1.08, 2.17],
    limit: Limit::Included,
};

impl Bands {
    /// The level of a value: 1 is A. NaN is beyond every limit, so that it looks never good.
    #[must_use]
    pub fn level(&self, value: f64) -> u8 {
        let within = |upper: &&f64| match self.limit {
            Limit::Included => value <= **upper,
            Limit::Excluded => value < **upper,
        };
        let passed = self.upper.iter().take_while(|upper| !within(upper)).count();
        u8::try_from(passed + 1).unwrap_or(u8::MAX)
    }
}

/// The letter of a level: `A` for 1.
#[must_use]
pub fn letter(level: u8) -> char {
    char::from(b'@'.saturating_add(level.min(26)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(bands: &Bands, values: &[f64]) -> String {
        values.iter().map(|&v| letter(bands.level(v))).collect()
    }

    #[test]
    fn a_density_at_its_limit_still_has_the_better_level() {
        let at = [0.0, 7.0, 11.0, 16.0, 22.0, 28.0];
        assert_eq!(letters(&HCM_DENSITY, &at), "AABCDE");
        let above = at.map(|limit| limit + 0.01);
        assert_eq!(letters(&HCM_DENSITY, &above), "ABCDEF");
    }

    #[test]
    fn a_delay_at_its_limit_has_the_worse_level_and_none_is_f() {
        let at = [0.0, 10.0, 20.0, 30.0, 45.0, 7200.0];
        assert_eq!(letters(&HBS_DELAY, &at), "ABCDEE");
        assert_eq!(letters(&HBS_DELAY, &[9.99, 19.99, 29.99, 44.99]), "ABCD");
    }

    #[test]
    fn crowding_goes_from_a_to_f() {
        let at = [0.31, 0.43, 0.72, 1.08, 2.17, 2.18];
        assert_eq!(letters(&FRUIN_WALKWAY, &at), "ABCDEF");
        let above = [0.32, 0.44, 0.73, 1.09];
        assert_eq!(letters(&FRUIN_WALKWAY, &above), "BCDE");
    }

    #[test]
    fn what_is_no_number_has_the_worst_level() {
        assert_eq!(letters(&HCM_DENSITY, &[f64::NAN]), "F");
    }
}
