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
            eprintln!("quartier-edge: {}", with_causes(&failure.error));
            ExitCode::from(failure.code)
        }
    }
}

/// The error and its causes, those left out that it names itself.
fn with_causes(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !said.contains(&cause) {
            let colon = if said.is_empty() { "" } else { ": " };
            said.push_str(colon);
            said.push_str(&cause);
        }
    }
    said
}
