//! `quartier`: the twin service and the operator's command line. Parses, starts logging, runs,
//! and maps what came of it to the exit code: 0 done, 1 failed, 2 wrong usage or configuration.

use std::process::ExitCode;

use clap::Parser;
use quartier_twin::cli::Cli;

fn main() -> ExitCode {
    quartier_twin::cli::run(Cli::parse())
}
