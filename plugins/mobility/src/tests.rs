//! The rule on the bench of the SDK: the vectors of the manifest, and what must not happen.

mod charging;
mod parking;
mod recorded;
mod roads;
mod scales;
mod sharing;

use quartier_sdk::testing::Lab;

use crate::Mobility;

/// Some moment, in milliseconds: a full hour.
const T0: u64 = 490_000 * 3_600_000;

fn lab() -> Lab<Mobility> {
    Lab::new(include_str!("../manifest.toml"))
}
