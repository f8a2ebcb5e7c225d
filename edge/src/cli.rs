//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::enroll::{self, EnrollArgs};
use crate::serve;

/// A quarter's node on a small box: broker, journal, twin, rules and commands, and the uplink to
/// the city.
#[derive(Debug, Parser)]
#[command(name = "quartier-edge", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the node until SIGTERM.
    Serve {
        /// Configuration.
        #[arg(
            long,
            default_value = "/etc/quartier-edge/quartier.toml",
            value_name = "FILE"
        )]
        config: PathBuf,
    },
    /// Give this box its identity: a key that is made here, a certificate from the city.
    Enroll(EnrollArgs),
}

/// Why a command failed, and with which exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: anyhow::Error,
    pub(crate) code: u8,
}

impl Failure {
    /// Wrong usage or configuration.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            error: error.into(),
            code: 2,
        }
    }

    /// A fault while running.
    pub(crate) fn fault(error: impl Into<anyhow::Error>) -> Self {
        Self {
            error: error.into(),
            code: 1,
        }
    }
}

pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Serve { config } => serve::run(&config),
        Command::Enroll(args) => enroll::run(&args),
    }
}
