//! Programs of a toolchain: where they are, what to do where one is not, what they said when they
//! failed.

use std::env;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::anyhow;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{Failure, because};

/// What a language needs, and how one gets it.
pub(super) struct Need {
    /// `C needs clang with the target wasm32 and wasm-ld`.
    pub(super) what: &'static str,
    /// Command on Debian.
    pub(super) debian: &'static str,
    /// On other systems.
    pub(super) elsewhere: &'static str,
}

impl Need {
    /// The toolchain is not there: wrong usage, exit code 2.
    pub(super) fn missing(&self, found: &str) -> Failure {
        Failure::usage(anyhow!(
            "{}; {found}\n  on Debian: {}\n  elsewhere: {}",
            self.what,
            self.debian,
            self.elsewhere
        ))
    }
}

/// Every program of this name on the PATH, in its order.
pub(super) fn on_path(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = env::split_paths(&path).collect();
    let name = name.to_owned();
    folders
        .into_iter()
        // An empty entry is the current folder, whose programs nobody meant.
        .filter(|folder| folder.is_absolute())
        .map(move |folder| folder.join(&name))
        .filter(|program| is_program(program))
}

/// The first of these names that is on the PATH.
pub(super) fn first_on_path(names: &[&str]) -> Option<PathBuf> {
    names.iter().find_map(|name| on_path(name).next())
}

pub(super) fn is_program(path: &Path) -> bool {
    let meta = path.metadata();
    meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Runs a program to its end.
///
/// # Errors
/// It cannot be started, or fails: then with all that it said.
pub(super) fn run(command: &mut Command) -> Result<String, Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let ran = command
        .output()
        .map_err(|error| Failure::fault(because(&program)(error)))?;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    if ran.status.success() {
        return Ok(said);
    }
    let complaint = String::from_utf8_lossy(&ran.stderr);
    Err(Failure::fault(anyhow!(
        "{program}: {}\n{said}{}",
        ran.status,
        complaint.trim_end()
    )))
}

/// Says on a terminal what is going on; elsewhere nothing.
pub(super) struct Spinner(ProgressBar);

impl Spinner {
    pub(super) fn start(what: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {prefix}: {msg} {elapsed}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    pub(super) fn say(&self, what: &'static str) {
        self.0.set_message(what);
    }

    pub(super) fn end(self) {
        drop(self);
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
