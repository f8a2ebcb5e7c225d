//! The rules as a whole on the bench: what comes in and what is said.

mod air;
mod heat;
mod limits;
mod noise;
mod recorded;
mod rooms;
mod state;
mod trees;

use std::path::PathBuf;

use quartier_sdk::testing::{Lab, Row, Said};

use crate::Health;
use crate::clock::{DAY, HOUR, days};

/// The beginning of an hour on 13 February 2141.
const T0: u64 = 1_500_000 * HOUR;

/// The bench with one place, `street`.
fn lab() -> Lab<Health> {
    let mut lab = Lab::new(include_str!("../../manifest.toml"));
    lab.asset("street", "sensor_box", &[]);
    lab
}

/// UTC.
fn at(year: u64, month: u64, day: u64, hour: u64) -> u64 {
    days(year, month, day) * DAY + hour * HOUR
}

/// An hour of the street that ends then, covered whole.
fn hour(metric: &str, mean: f64, end_ms: u64) -> Row {
    Row::window("street", metric, 3600, mean, end_ms)
}

/// Topic, code, raised.
fn alerts(said: &[Said]) -> Vec<(&str, u32, bool)> {
    said.iter()
        .filter_map(|said| match said {
            Said::Raised { rule, code, .. } => Some((rule.as_str(), *code, true)),
            Said::Cleared { rule, code, .. } => Some((rule.as_str(), *code, false)),
            _ => None,
        })
        .collect()
}

/// What was said of a topic: raised or cleared.
fn of_topic(said: &[Said], topic: &str) -> Vec<bool> {
    said.iter().filter_map(|said| said.alert(topic)).collect()
}

/// Time and value of what was derived.
fn derived(said: &[Said], name: &str) -> Vec<(u64, f64)> {
    let of = |said: &Said| match said {
        Said::Derived {
            metric,
            value,
            time_ms,
            ..
        } if metric == name => Some((*time_ms, *value)),
        _ => None,
    };
    said.iter().filter_map(of).collect()
}

/// A folder of recorded data; `None` where it is not there.
fn data(folder: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = path.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there", path.display());
    None
}
