//! `quartier plugin deploy`: a signed package to a running node.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum as _};
use indicatif::{ProgressBar, ProgressStyle};
use quartier_plugin_host::{Manifest, Package};
use reqwest::Method;
use reqwest::multipart::{Form, Part};

use crate::cli::node_client::{Content, NodeArgs};
use crate::cli::{Failure, Outcome, because};
use crate::event::Stage;

/// A package to deploy.
#[derive(Debug, Args)]
pub(in crate::cli) struct DeployArgs {
    /// Folder with manifest.toml, component.wasm and manifest.sig.
    #[arg(default_value = "dist")]
    dist: PathBuf,
    /// Id of the quarter.
    #[arg(long, value_name = "ID")]
    quarter: String,
    /// `shadow` evaluates beside the running version, `quarter` acts.
    #[arg(long, default_value = "quarter", value_parser = stage)]
    stage: Stage,
    /// A key of the manifest's [config] with another value.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Reason, kept in the journal.
    #[arg(long, default_value = "")]
    why: String,
    #[command(flatten)]
    node: NodeArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn stage(text: &str) -> Result<Stage, String> {
    match Stage::from_str(text, true) {
        Ok(stage) if stage <= Stage::Quarter => Ok(stage),
        _ => Err("shadow or quarter; promotion reaches the others".to_owned()),
    }
}

pub(super) fn run(args: &DeployArgs) -> Outcome {
    let package = Package::read(&args.dist).map_err(Failure::usage)?;
    let manifest = Manifest::parse(&package.manifest).map_err(|error| {
        let path = args.dist.join("manifest.toml");
        Failure::usage(because(path.display())(error))
    })?;
    let Some(signature) = package.signature else {
        return Err(Failure::usage(anyhow::anyhow!(
            "{}: not signed; quartier plugin sign {} --key LAB.key",
            args.dist.display(),
            args.dist.display()
        )));
    };
    let file = |bytes: Vec<u8>, name: &'static str| Part::bytes(bytes).file_name(name);
    let mut form = Form::new()
        .part(
            "manifest",
            file(package.manifest.into_bytes(), "manifest.toml"),
        )
        .part("component", file(package.component, "component.wasm"))
        .text("signature", signature)
        .text("stage", args.stage.as_str())
        .text("why", args.why.clone());
    for pair in &args.set {
        form = form.text("set", pair.clone());
    }
    let spinner = spinner(format!(
        "{} {} to {}",
        manifest.id, manifest.version, args.quarter
    ));
    let path = ["api", "v1", "plugins", &args.quarter];
    let client = args.node.client()?;
    let done = client.send(Method::POST, &path, &[], Content::Form(form));
    spinner.finish_and_clear();
    super::manage::print_done(&done?, "deployed", args.json);
    Ok(())
}

/// Turns on a terminal while the node checks and compiles.
fn spinner(what: String) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
