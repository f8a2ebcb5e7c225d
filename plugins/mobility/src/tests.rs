//! The rule on the bench of the SDK: the vectors of the manifest, and what must not happen.

mod charging;
mod parking;
mod recorded;
mod roads;
mod scales;
mod sharing;

use quartier_sdk::testing::Lab;

use crate::{Mobility, State};

/// Some moment, in milliseconds: a full hour.
const T0: u64 = 490_000 * 3_600_000;

fn lab() -> Lab<Mobility> {
    Lab::new(include_str!("../manifest.toml"))
}

#[test]
fn nothing_is_kept_of_an_asset_that_is_gone() {
    let mut lab = lab();
    lab.asset("x", "anything", &[("capacity", "100"), ("lanes", "1")]);
    lab.asset("site", "charging_site", &[])
        .relate("x", "part_of", "site");
    for metric in [
        "parking_free",
        "delay",
        "pedestrian_density",
        "charging_state",
        "docks_available",
    ] {
        lab.reading("x", metric, 1.0, T0);
    }
    lab.window("x", "vehicle_flow", 900, 100.0, T0);
    lab.tick(T0 + 60_000);
    assert_ne!(lab.state(), &State::default());
    lab.remove("x").remove("site");
    assert_eq!(lab.state(), &State::default());
}
