//! The rules as a plugin, with its manifest.
#![expect(
    clippy::unwrap_used,
    reason = "what cannot be read here fails the test"
)]

mod loading;
mod metering;
mod recorded;
mod sharing;
mod supply;
mod vectors;

use quartier_energy::Energy;
use quartier_sdk::testing::{Lab, Said};

/// Monday, 1 June 2026, 00:00 in Berlin, milliseconds since 1970.
const MONDAY: u64 = 1_780_264_800_000;
const QUARTER: u64 = 900_000;

const MANIFEST: &str = include_str!("../../manifest.toml");

fn lab() -> Lab<Energy> {
    Lab::new(MANIFEST)
}

/// End of the n-th quarter of an hour of that Monday, from 1.
fn quarter(n: u64) -> u64 {
    MONDAY + n * QUARTER
}

/// Asset and value of what was derived under a metric.
fn derived<'a>(said: &'a [Said], name: &str) -> Vec<(&'a str, f64)> {
    let value = |said: &'a Said| Some((said.asset(), said.derived(name)?));
    said.iter().filter_map(value).collect()
}

/// Asset and argument of every command.
fn commands<'a>(said: &'a [Said]) -> Vec<(&'a str, f64)> {
    let command = |said: &'a Said| match said {
        Said::Command { asset, arg, .. } => Some((asset.as_str(), *arg)),
        _ => None,
    };
    said.iter().filter_map(command).collect()
}

/// Asset, topic, code and whether it is raised, of every alert.
fn alerts<'a>(said: &'a [Said]) -> Vec<(&'a str, &'a str, u32, bool)> {
    let alert = |said: &'a Said| match said {
        Said::Raised {
            asset, rule, code, ..
        } => Some((asset.as_str(), rule.as_str(), *code, true)),
        Said::Cleared {
            asset, rule, code, ..
        } => Some((asset.as_str(), rule.as_str(), *code, false)),
        _ => None,
    };
    said.iter().filter_map(alert).collect()
}
