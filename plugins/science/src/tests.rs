//! The rule on the bench of the SDK: the vectors of the manifest, and what must not happen.

mod calibration;
mod hours;
mod readings;
mod recorded;

use quartier_sdk::testing::{Lab, Row};

use crate::Science;
use crate::raw::HOUR;
use crate::rule::State;

/// Some full hour, in milliseconds.
const T0: u64 = 490_000 * HOUR;
/// A cell of resolution 9 in Dresden.
const HOME: u64 = 0x0891_f1b0_960b_ffff;

fn lab() -> Lab<Science> {
    Lab::new(include_str!("../manifest.toml"))
}

/// A box at home with its neighbours `n1` to `n{peers}` in the same cell.
fn quarter(peers: usize) -> Lab<Science> {
    let mut lab = lab();
    lab.asset("box", "sensor_box", &[]).place("box", HOME);
    for n in 1..=peers {
        let name = format!("n{n}");
        lab.asset(&name, "sensor_box", &[]).place(&name, HOME);
    }
    lab
}

fn hour(asset: &str, metric: &str, n: u64, mean: f64) -> Row {
    Row::window(asset, metric, 3600, mean, T0 + n * HOUR)
}

#[test]
fn nothing_is_kept_of_an_asset_that_is_gone() {
    let mut lab = quarter(0);
    lab.asset("station", "reference_station", &[]);
    lab.relate("box", "calibrated_by", "station");
    for metric in ["pm2_5", "pm10"] {
        lab.reading("box", metric, 10.0, T0);
        lab.row(hour("box", metric, 1, 10.0));
    }
    lab.row(hour("box", "humidity", 1, 10.0));
    lab.row(hour("station", "pm2_5", 1, 10.0));
    assert_ne!(lab.state(), &State::default());
    lab.remove("box").remove("station");
    assert_eq!(lab.state(), &State::default());
}
