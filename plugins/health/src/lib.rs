//! The health lab's rule: European (EAQI) and German (LQI) air quality index of every hour and
//! place, and alerts on poor air and on the legal thresholds.
//!
//! [`rule`] is the rule, [`tables`] its numbers and their sources; the manifest holds the limits
//! and the patience of the alerts. `guest` binds it to `quartier:rule` and exists on wasm32 only.

pub mod bytes;
pub mod hours;
pub mod hysteresis;
pub mod index;
pub mod rule;
pub mod settings;
pub mod tables;

#[cfg(target_arch = "wasm32")]
mod guest;

#[cfg(test)]
mod tests;
