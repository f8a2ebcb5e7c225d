//! `quartier plugin build`: from a rule's folder to `dist/manifest.toml` and `dist/component.wasm`.
//!
//! What comes out imports nothing beyond the interface, and its manifest names its digest.

mod c;
mod component;
mod python;
mod rust;
mod tool;
mod typescript;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use quartier_plugin_host::{Manifest, Package};
use serde_json::json;

use super::language::Language;
use super::project::Project;
use crate::cli::{Failure, Outcome, because};
use tool::Spinner;

/// What to build.
#[derive(Debug, Args)]
pub(in crate::cli) struct BuildArgs {
    /// Folder of the rule.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &BuildArgs) -> Outcome {
    let project = Project::open(&args.dir).map_err(Failure::usage)?;
    let started = Instant::now();
    let spinner = Spinner::start(&format!(
        "{} ({})",
        project.manifest.id,
        project.language.title()
    ));
    let component = match project.language {
        Language::Rust => rust::component(&project, &spinner)?,
        Language::C => c::component(&project, &spinner)?,
        Language::Ts => typescript::component(&project, &spinner)?,
        Language::Python => python::component(&project, &spinner)?,
    };
    component::check(&component, &project.manifest).map_err(Failure::fault)?;
    spinner.end();
    let package = package(&project, component).map_err(Failure::fault)?;
    let dist = args.dir.join("dist");
    let cannot = format!("{}: cannot be written", dist.display());
    package
        .write(&dist)
        .map_err(|error| Failure::fault(because(cannot)(error)))?;
    let (bytes, sha256) = (package.component.len(), package.component_digest());
    let path = dist.join("component.wasm");
    if args.json {
        let built = json!({
            "plugin": project.manifest.id,
            "version": project.manifest.version,
            "language": project.language.key(),
            "component": path,
            "bytes": bytes,
            "sha256": sha256.to_string(),
            "seconds": started.elapsed().as_secs_f64(),
        });
        println!("{built}");
    } else {
        let (id, version) = (&project.manifest.id, &project.manifest.version);
        println!(
            "{id} {version}: {}, {bytes} bytes, imports nothing but the interface",
            path.display()
        );
        println!("sha256 {sha256}");
    }
    Ok(())
}

/// The manifest as it was written, behind the digest of the component.
fn package(project: &Project, component: Vec<u8>) -> anyhow::Result<Package> {
    let mut package = Package {
        manifest: String::new(),
        component,
        signature: None,
    };
    package.manifest = format!(
        "component_sha256 = \"{}\"\n{}",
        package.component_digest(),
        project.manifest_text
    );
    Manifest::parse(&package.manifest).map_err(because("dist/manifest.toml"))?;
    Ok(package)
}
