//! `quartier-edge`: a quarter's node on a small box. Parses, starts logging, runs, and maps what
//! came of it to the exit code: 0 done, 1 failed, 2 wrong usage or configuration.

#![forbid(unsafe_code)]

mod cli;
mod enroll;
mod orders;
mod serve;
mod uplink;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("quartier-edge: {:#}", failure.error);
            ExitCode::from(failure.code)
        }
    }
}
