//! What humid air does to a sensor that counts scattered light: the correction of its PM values.
//!
//! Empirical, for SDS011, from a comparison in Poland, as used by hackAIR and collected in the wiki
//! of opendata-stuttgart (Luftfeuchte-Korrektur). It depends on what the particles are made of, so
//! that a corrected value is a better guess and no measurement.

use crate::Pollutant;

/// The value that dry air would have shown; `humidity` in percent, held within 0 and 100.
#[must_use]
pub fn corrected(pollutant: Pollutant, value: f64, humidity: f64) -> f64 {
    let (factor, power) = match pollutant {
        Pollutant::Pm2_5 => (0.48756, 8.60068),
        Pollutant::Pm10 => (0.81559, 5.83411),
    };
    value / (1.0 + factor * (humidity.clamp(0.0, 100.0) / 100.0).powf(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dry_air_changes_nothing_and_saturated_air_takes_off_the_whole_factor() {
        assert_eq!(corrected(Pollutant::Pm2_5, 20.0, 0.0), 20.0);
        assert_eq!(corrected(Pollutant::Pm2_5, 20.0, 100.0), 20.0 / 1.48756);
        assert_eq!(corrected(Pollutant::Pm10, 20.0, 100.0), 20.0 / 1.81559);
        assert_eq!(corrected(Pollutant::Pm10, 20.0, 104.0), 20.0 / 1.81559);
    }

    #[test]
    fn at_80_percent_the_values_are_those_of_the_formula() {
        // Computed apart, with 30 digits.
        let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-9, "{got} {want}");
        near(corrected(Pollutant::Pm2_5, 20.0, 80.0), 18.664762486078);
        near(corrected(Pollutant::Pm10, 20.0, 80.0), 16.368424375045);
    }
}
