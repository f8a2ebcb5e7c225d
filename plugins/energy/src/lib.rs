//! The energy lab's plugin: § 14a EnWG minimum power and a dimming proposal (E1), loading of feeders
//! and transformers (E2), EN 50160 (E3), the load profile in quarters of an hour with its gaps and
//! its peak (E4), shared energy, self-consumption and autarky (E5).
//!
//! The rules themselves are plain functions in a module each; `rule` gives them windows. Everything
//! works on closed windows, so nothing depends on how readings are cut into batches.
#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

pub mod dimming;
pub mod holidays;
pub mod minimum;
pub mod profile;
pub mod quality;
pub mod sharing;
pub mod time;

mod rule;

pub use rule::{Energy, State};

quartier_sdk::export!(Energy);
