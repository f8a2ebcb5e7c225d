//! `make bench`: mosquitto and Quartier in turn, in one run, under the same load, and what the
//! twin and the plugins cost by themselves. Prints a table of ratios; `--json FILE` writes every figure.
//!
//! `cargo run --release --package quartier-tests --bin bench [-- --json FILE] [--quick]
//! [--only path|fold|memory|idle|flood|plugins|edge]`

mod edge;
mod flood;
mod generator;
mod idle;
mod mosquitto;
mod path;
mod plugins;
mod receiver;
mod table;
mod twin;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use table::Table;

/// How long and how much.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Of each measurement under load.
    pub(crate) time: Duration,
    /// Assets of the measurements of memory and recovery, two streams each.
    pub(crate) assets: u32,
    /// Readings of the fold's measurement.
    pub(crate) folds: u64,
    /// Idle connections.
    pub(crate) idle: u32,
    /// Publishes that no filter matches.
    pub(crate) unmatched: u32,
    /// Readings of a box without its city.
    pub(crate) week: u64,
}

/// Measures one part of the whole.
type Part = fn(&mut Table, &Extent) -> Result<()>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run() -> Result<()> {
    let (mut json, mut quick, mut only) = (None, false, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => quick = true,
            "--json" => json = Some(PathBuf::from(arguments.next().context("--json FILE")?)),
            "--only" => only = Some(arguments.next().context("--only PART")?),
            other => {
                bail!("{other:?} is not known; usage: bench [--json FILE] [--quick] [--only PART]")
            }
        }
    }
    let extent = if quick {
        Extent {
            time: Duration::from_secs(3),
            assets: 20_000,
            folds: 500_000,
            idle: 2_000,
            unmatched: 50_000,
            week: 1_000_000,
        }
    } else {
        Extent {
            time: Duration::from_secs(15),
            assets: 100_000,
            folds: 5_000_000,
            idle: 10_000,
            unmatched: 300_000,
            // Seven days at a hundred a second.
            week: 60_480_000,
        }
    };
    let mut table = Table::default();
    let parts: [(&str, Part); 7] = [
        ("path", path::measure),
        ("fold", twin::fold_rate),
        ("memory", twin::memory_and_recovery),
        ("idle", idle::measure),
        ("flood", flood::measure),
        ("plugins", plugins::measure),
        ("edge", edge::measure),
    ];
    if let Some(only) = &only
        && parts.iter().all(|(name, _)| name != only)
    {
        bail!("--only {only}: the parts are path, fold, memory, idle, flood, plugins, edge");
    }
    for (name, measure) in parts {
        if only.as_deref().is_none_or(|only| only == name) {
            measure(&mut table, &extent)?;
        }
    }
    println!("\n{}", table.text());
    if let Some(file) = json {
        let text = serde_json::to_string_pretty(&table.json(quick))?;
        std::fs::write(&file, text + "\n").with_context(|| file.display().to_string())?;
        println!("written to {}", file.display());
    }
    Ok(())
}
