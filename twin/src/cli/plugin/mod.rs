//! `quartier plugin`: a lab's rule, from an empty folder to what runs in the city. One file a
//! command, or a few that belong together.

mod build;
mod deploy;
mod expected;
mod keygen;
mod language;
mod logs;
mod manage;
mod new;
mod project;
mod sample;
mod sign;
mod templates;
mod test;

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
    /// Run a rule on recorded readings, under the limits it will have in the node.
    Test(Box<test::TestArgs>),
    /// Deploy a signed package to a node.
    Deploy(deploy::DeployArgs),
    /// Print what runs on a node, shadows included, with its figures.
    List(manage::ListArgs),
    /// Print the versions of a plugin and who did what with it.
    Show(manage::TargetArgs),
    /// Compare a shadow's decisions with those of the version that acts.
    Compare(logs::CompareArgs),
    /// Take a version one stage further: shadow, quarter, labs, city.
    Promote(manage::PromoteArgs),
    /// Bring back the version that acted before.
    Rollback(manage::RollbackArgs),
    /// End a plugin, or one version of it.
    Remove(manage::RemoveArgs),
    /// Print what a plugin says.
    Logs(logs::LogsArgs),
}

pub(super) fn run(command: &PluginCommand) -> Outcome {
    match command {
        PluginCommand::New(args) => new::run(args),
        PluginCommand::Build(args) => build::run(args),
        PluginCommand::Keygen(args) => keygen::run(args),
        PluginCommand::Sign(args) => sign::run(args),
        PluginCommand::Test(args) => test::run(args),
        PluginCommand::Deploy(args) => deploy::run(args),
        PluginCommand::List(args) => manage::list(args),
        PluginCommand::Show(args) => manage::show(args),
        PluginCommand::Compare(args) => logs::compare(args),
        PluginCommand::Promote(args) => manage::promote(args),
        PluginCommand::Rollback(args) => manage::rollback(args),
        PluginCommand::Remove(args) => manage::remove(args),
        PluginCommand::Logs(args) => logs::logs(args),
    }
}
