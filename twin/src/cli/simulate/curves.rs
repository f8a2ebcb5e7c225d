//! How a day goes, as shares of 0 to 1 by the hour.

use std::f64::consts::PI;

use crate::model::Millis;

/// Hours since midnight in Central European Time, 0 to 24.
pub(super) fn local_hour(time: Millis) -> f64 {
    let ms = (time.0 + 3_600_000).rem_euclid(86_400_000);
    #[expect(clippy::cast_precision_loss, reason = "less than a day")]
    let hours = ms as f64 / 3_600_000.0;
    hours
}

/// A hill of 1 around `at`, `width` hours to either side.
fn hill(hour: f64, at: f64, width: f64) -> f64 {
    let away = (hour - at + 12.0).rem_euclid(24.0) - 12.0;
    (-(away / width).powi(2)).exp()
}

/// Traffic: two rush hours on a broad day.
pub(super) fn traffic(hour: f64) -> f64 {
    (0.5 * hill(hour, 13.0, 5.0) + 0.5 * hill(hour, 8.0, 1.5) + 0.6 * hill(hour, 17.0, 2.0))
        .min(1.0)
}

/// Demand of a household: a morning, a noon and a higher evening.
pub(super) fn household(hour: f64) -> f64 {
    0.5 * hill(hour, 7.5, 1.5) + 0.35 * hill(hour, 12.5, 2.0) + hill(hour, 19.5, 2.5)
}

/// The sun between 6 and 20.
pub(super) fn sun(hour: f64) -> f64 {
    ((hour - 6.0) / 14.0 * PI).sin().max(0.0) * f64::from(u8::from((6.0..20.0).contains(&hour)))
}

/// Warmth: lowest at 4, highest at 16.
pub(super) fn warmth(hour: f64) -> f64 {
    0.5 - 0.5 * ((hour - 4.0) / 12.0 * PI).cos()
}
