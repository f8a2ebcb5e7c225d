//! Programs that clients are written in: Node with the packages of `tests/web`, Python with those
//! of `tests/python`. `deploy/setup test` installs both.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace;

/// Debian's browser.
const CHROMIUM: &str = "/usr/bin/chromium";

/// `node SCRIPT`, a script of `tests/web`; `None`, said on stderr, where something is missing.
pub fn node_script(script: &str) -> Option<Command> {
    let folder = workspace().join("tests/web");
    if !folder.join("node_modules/mqtt").is_dir() {
        return missing(&folder.join("node_modules"));
    }
    let mut command = Command::new("node");
    command.arg(folder.join(script));
    Some(command)
}

/// The Python that has Paho; `None`, said on stderr, where it is missing.
pub fn python() -> Option<PathBuf> {
    let python = workspace().join("tests/python/.venv/bin/python");
    if !python.is_file() {
        return missing(&python);
    }
    Some(python)
}

/// The browser; `None`, said on stderr, where it is missing.
pub fn chromium() -> Option<&'static str> {
    crate::has_program(CHROMIUM, "chromium").then_some(CHROMIUM)
}

fn missing<T>(path: &Path) -> Option<T> {
    eprintln!(
        "SKIPPED: there is no {}: run deploy/setup test",
        path.display()
    );
    None
}
