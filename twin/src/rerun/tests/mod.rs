//! Data folders with thousands of decisions: what a rerun says of them, and what it must not miss.

mod record;
mod verified;
mod what_if;

use std::path::Path;

use quartier_plugin_host::Package;

use super::{DataFolder, Report, Which, verify};
use record::{Recorder, artifacts, component, record};

/// The plugin that counts readings and does harm where a value is -1.
fn hostile() -> Option<Package> {
    Some(Package::read(&component("hostile")?).unwrap())
}

/// 3000 readings with a decision for every second one; every `poison`th is a poisoned one.
fn recorded(data: &Path, package: &Package, mode: &str, poison: u32, lag: usize) -> u64 {
    let (artifacts, plugins) = artifacts(data, &[package]);
    let mut recorder = Recorder::new(data, &artifacts, lag);
    recorder.deploy(record(&plugins[0], 2, &[("mode", mode)]));
    for number in 1..=3000 {
        recorder.power(if number % poison == 0 { -1.0 } else { 7.0 });
        if number % 700 == 0 {
            recorder.snapshot();
        }
        if number % 50 == 0 {
            recorder.tick();
        }
    }
    recorder.end()
}

fn verified(data: &Path, which: Which) -> Report {
    let data = DataFolder::open(data).unwrap();
    verify(&data, which, &mut |_, _, _| {}).unwrap()
}
