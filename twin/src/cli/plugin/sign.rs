//! `quartier plugin sign`: the lab's word that a manifest, and by its digest the component, is theirs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail};
use clap::Args;
use quartier_plugin_host::{Manifest, Package, SigningKey};

use crate::cli::{Failure, Outcome, because};

/// What to sign, and with what.
#[derive(Debug, Args)]
pub(in crate::cli) struct SignArgs {
    /// Folder of the rule, or the dist/ in it.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Key of `quartier plugin keygen`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

pub(super) fn run(args: &SignArgs) -> Outcome {
    let key = key(&args.key).map_err(Failure::usage)?;
    let dist = args.dir.join("dist");
    let dir = if dist.is_dir() { &dist } else { &args.dir };
    let mut package = Package::read(dir).map_err(Failure::usage)?;
    is_bound(dir, &package).map_err(Failure::usage)?;
    let signature = key.sign(&package.manifest).map_err(Failure::usage)?;
    package.signature = Some(format!("{signature}\n"));
    let cannot = format!("{}: cannot be written", dir.display());
    package
        .write(dir)
        .map_err(|error| Failure::fault(because(cannot)(error)))?;
    let id = key.public().id();
    println!(
        "{}: signed with the key {id}",
        dir.join("manifest.sig").display()
    );
    Ok(())
}

fn key(path: &Path) -> anyhow::Result<SigningKey> {
    let cannot = format!("{}: cannot be read", path.display());
    let pem = fs::read_to_string(path).map_err(because(cannot))?;
    SigningKey::from_pem(&pem).map_err(because(path.display()))
}

/// A signature of a manifest that names another component would be refused by every node.
fn is_bound(dir: &Path, package: &Package) -> anyhow::Result<()> {
    let path = dir.join("manifest.toml");
    let manifest = Manifest::parse(&package.manifest).map_err(because(path.display()))?;
    let named = manifest.component_sha256.ok_or_else(|| {
        anyhow!(
            "{}: no component_sha256: run `quartier plugin build` first",
            path.display()
        )
    })?;
    let digest = package.component_digest().to_string();
    if named != digest {
        bail!(
            "{}: component_sha256 is not that of component.wasm ({digest}): build again",
            path.display()
        );
    }
    Ok(())
}
