//! The command line: one file a command.

mod area;
mod cert;
mod check;
mod command;
mod decision;
mod demo;
mod edge;
mod edit;
mod node_client;
mod plot;
mod plugin;
mod progress;
mod publish;
mod replay;
mod rules;
mod serve;
mod simulate;
mod token;
mod user;
mod whatif;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

/// Digital twins of city quarters: MQTT in, H3 grid, rules as WebAssembly, open interfaces out.
#[derive(Debug, Parser)]
#[command(name = "quartier", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node.
    Serve(ServeArgs),
    /// Run three quarters with simulated devices, everything embedded.
    Demo(demo::DemoArgs),
    /// Look at a configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Publish as a number of simulated devices of a quarter.
    Simulate(simulate::SimulateArgs),
    /// Publish a recorded file as devices would.
    Replay(replay::ReplayArgs),
    /// Print the MQTT filter of the area around a place.
    Area(area::AreaArgs),
    /// A lab's rules: begin, build, test, sign, deploy.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// The boxes of a city: invite, list, drain, retire.
    #[command(subcommand)]
    Edge(edge::EdgeCommand),
    /// Who may log in.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Bearer tokens, which a client sends as its password.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Certificates for TLS.
    #[command(subcommand)]
    Cert(cert::CertCommand),
    /// Commands to devices: what waits, what was sent, and asking for one.
    #[command(subcommand, name = "command")]
    Device(command::CommandCommand),
    /// Why something was decided, and whether it would be decided again.
    #[command(subcommand)]
    Decision(decision::DecisionCommand),
    /// Run what was recorded with another rule, other settings or other readings.
    Whatif(Box<whatif::WhatIfArgs>),
    /// Print the completions of a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// Configuration file.
    #[arg(long, default_value = "quartier.toml")]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether a configuration is right, and what is wrong with it.
    Check {
        /// Configuration file.
        #[arg(default_value = "quartier.toml")]
        file: PathBuf,
        /// Print what every role and user may do.
        #[arg(long)]
        rules: bool,
        /// With --rules: print what this user may do.
        #[arg(long, value_name = "NAME", requires = "rules")]
        user: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Why a command did not do what it was asked. The messages name their causes themselves.
#[derive(Debug)]
enum Failure {
    /// Wrong usage or configuration: exit code 2.
    Usage(anyhow::Error),
    /// A fault while running: exit code 1.
    Fault(anyhow::Error),
}

impl Failure {
    fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }

    fn fault(error: impl Into<anyhow::Error>) -> Self {
        Self::Fault(error.into())
    }
}

type Outcome = Result<(), Failure>;

/// `what` with its cause behind it, in one message.
fn because<E: std::fmt::Display>(what: impl std::fmt::Display) -> impl FnOnce(E) -> anyhow::Error {
    move |error| anyhow::anyhow!("{what}: {error}")
}

/// Runs a command; the exit code of the process.
pub fn run(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Serve(args) => serve::run(&args.config),
        Command::Demo(args) => demo::run(&args),
        Command::Config(ConfigCommand::Check {
            file,
            rules,
            user,
            json,
        }) => check::run(&file, rules.then_some(user.as_deref()), json),
        Command::Simulate(args) => simulate::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Area(args) => area::run(&args),
        Command::Plugin(command) => plugin::run(&command),
        Command::Edge(command) => edge::run(&command),
        Command::User(command) => user::run(&command),
        Command::Token(command) => token::run(&command),
        Command::Cert(command) => cert::run(&command),
        Command::Device(command) => command::run(&command),
        Command::Decision(command) => decision::run(&command),
        Command::Whatif(args) => whatif::run(&args),
        Command::Completions { shell } => {
            let mut command = Cli::command();
            clap_complete::generate(shell, &mut command, "quartier", &mut std::io::stdout());
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Fault(error)) => {
            eprintln!("quartier: {error}");
            ExitCode::from(1)
        }
        Err(Failure::Usage(error)) => {
            eprintln!("quartier: {error}");
            ExitCode::from(2)
        }
    }
}

/// A table for people: a line a row, columns as wide as they have to be.
fn print_columns(head: &[&str], rows: &[Vec<String>]) {
    let head: Vec<_> = head.iter().map(|name| (*name).to_owned()).collect();
    let lines = || std::iter::once(&head).chain(rows);
    let width = |column: usize| {
        let cells = lines().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    for line in lines() {
        let cells = line.iter().zip(&widths);
        let text: String = cells
            .map(|(cell, width)| format!("{cell:width$}  "))
            .collect();
        println!("{}", text.trim_end());
    }
}
