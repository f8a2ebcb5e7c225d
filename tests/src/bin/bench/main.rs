//! `make bench`: mosquitto and Quartier in turn, in one run, under the same load, and what the
//! twin costs by itself. Prints a table of ratios; `--json FILE` writes every figure.
//!
//! `cargo run --release --package quartier-tests --bin bench [-- --json FILE] [--quick]`

mod generator;
mod mosquitto;
mod path;
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
}

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
    let (mut json, mut quick) = (None, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => quick = true,
            "--json" => json = Some(PathBuf::from(arguments.next().context("--json FILE")?)),
            other => bail!("{other:?} is not known; usage: bench [--json FILE] [--quick]"),
        }
    }
    let extent = if quick {
        Extent {
            time: Duration::from_secs(3),
            assets: 20_000,
            folds: 500_000,
        }
    } else {
        Extent {
            time: Duration::from_secs(15),
            assets: 100_000,
            folds: 5_000_000,
        }
    };
    let mut table = Table::default();
    path::measure(&mut table, &extent)?;
    twin::fold_rate(&mut table, &extent);
    twin::memory_and_recovery(&mut table, &extent)?;
    println!("\n{}", table.text());
    if let Some(file) = json {
        let text = serde_json::to_string_pretty(&table.json(quick))?;
        std::fs::write(&file, text + "\n").with_context(|| file.display().to_string())?;
        println!("written to {}", file.display());
    }
    Ok(())
}
