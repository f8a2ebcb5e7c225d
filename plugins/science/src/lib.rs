//! The science lab's rule: is a citizen's sensor plausible, and how does it compare with a reference?
//!
//! [`raw`] checks single readings (range, step, stuck), [`hours`] hourly means ([`neighbours`],
//! humidity) and gives the verdict as [`flags`], [`humidity`] corrects, [`calibration`] compares
//! with a reference. What combines streams works on closed hours, so that nothing depends on how
//! batches are cut; checks of readings keep their state by stream.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

pub mod calibration;
pub mod flags;
pub mod hours;
pub mod humidity;
pub mod neighbours;
pub mod raw;
pub mod rule;
pub mod stats;

pub use rule::Science;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pollutant {
    /// Particles below 2.5 um.
    Pm2_5,
    /// Particles below 10 um.
    Pm10,
}

impl Pollutant {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Pm2_5, Self::Pm10];

    /// Name in the vocabulary.
    #[must_use]
    pub fn metric(self) -> &'static str {
        match self {
            Self::Pm2_5 => "pm2_5",
            Self::Pm10 => "pm10",
        }
    }

    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Pm2_5 => "PM2.5",
            Self::Pm10 => "PM10",
        }
    }
}

quartier_sdk::export!(Science);

#[cfg(test)]
mod tests;
