//! The energy lab's plugin.
#![forbid(unsafe_code)]

pub mod dimming;
pub mod holidays;
pub mod minimum;
pub mod profile;
pub mod quality;
pub mod sharing;
pub mod time;
