//! `quartier plugin`: a lab's rule, from an empty folder to a signed package. One file a command.

mod build;
mod keygen;
mod language;
mod new;
mod project;
mod sample;
mod sign;
mod templates;

use clap::Subcommand;

use super::Outcome;

/// A lab's rules.
#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Make the folder of a new rule: manifest, a page of code with its test, a sample, a README.
    New(new::NewArgs),
    /// Make the component of a rule: dist/manifest.toml and dist/component.wasm.
    Build(build::BuildArgs),
    /// Make the key that signs a lab's rules, and its public key.
    Keygen(keygen::KeygenArgs),
    /// Sign what was built: dist/manifest.sig.
    Sign(sign::SignArgs),
}

pub(super) fn run(command: &PluginCommand) -> Outcome {
    match command {
        PluginCommand::New(args) => new::run(args),
        PluginCommand::Build(args) => build::run(args),
        PluginCommand::Keygen(args) => keygen::run(args),
        PluginCommand::Sign(args) => sign::run(args),
    }
}
