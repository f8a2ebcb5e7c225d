//! `quartier`: the twin service and the operator's command line. Parses, starts logging, runs,
//! and maps what came of it to the exit code: 0 done, 1 failed, 2 wrong usage or configuration.

use std::process::ExitCode;

use clap::Parser;
use quartier_twin::cli::Cli;

fn main() -> ExitCode {
    end_with_the_reader();
    quartier_twin::cli::run(Cli::parse())
}

/// Who reads the output may have seen enough, as `head` does. `println!` panics then; it is no
/// fault, so nothing is said.
fn end_with_the_reader() {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if message.starts_with("failed printing to stdout") && message.contains("Broken pipe") {
            std::process::exit(0);
        }
        otherwise(panic);
    }));
}
