//! `quartier plugin keygen`: the key that signs a lab's rules.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use quartier_plugin_host::SigningKey;

use crate::cli::{Failure, Outcome, because};

/// Where to.
#[derive(Debug, Args)]
pub(in crate::cli) struct KeygenArgs {
    /// Write NAME.key, for its owner only, and NAME.pub.
    #[arg(long, value_name = "NAME", default_value = "lab")]
    out: PathBuf,
}

pub(super) fn run(args: &KeygenArgs) -> Outcome {
    let named = |ending: &str| {
        let mut path = args.out.clone().into_os_string();
        path.push(ending);
        PathBuf::from(path)
    };
    let (secret, public) = (named(".key"), named(".pub"));
    if let Some(there) = [&secret, &public].into_iter().find(|path| path.exists()) {
        let message = format!(
            "{}: is there already; a key is never replaced",
            there.display()
        );
        return Err(Failure::usage(anyhow::anyhow!(message)));
    }
    let pem = SigningKey::generate().map_err(Failure::fault)?;
    let key = SigningKey::from_pem(&pem).map_err(Failure::fault)?.public();
    write(&secret, &pem, 0o600).map_err(Failure::fault)?;
    write(&public, &format!("{key}\n"), 0o644).map_err(Failure::fault)?;
    println!("{}: signs; keep it", secret.display());
    println!("{}: {key}", public.display());
    println!(
        "A node takes rules signed with it once its configuration has\n[[lab]]\nid = \"...\" # `lab` \
         of the manifests\nkeys = [\"{key}\"]"
    );
    Ok(())
}

fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let write = || {
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(because(format!("{}: cannot be written", path.display())))
}
