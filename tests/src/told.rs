//! A program of `tests/python` that is told what to do by lines of JSON, and answers each when it
//! is done. It ends with its stdin, so with its owner, and cleans up then.

use std::io::Write as _;
use std::path::Path;
use std::process::{ChildStdin, Command};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::process::Process;
use crate::wait::pause;
use crate::workspace;

/// Longest work of one command.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program.
#[derive(Debug)]
pub(crate) struct Told {
    process: Process,
    /// Where commands go, and lines that were answered by now.
    dialog: Mutex<(Option<ChildStdin>, usize)>,
}

impl Told {
    /// Starts `tests/python/SCRIPT ARGS`; its first line is the second half.
    pub(crate) fn start(script: &str, args: &[&str]) -> (Self, Value) {
        let mut command = Command::new("python3");
        command
            .arg(workspace().join("tests/python").join(script))
            .args(args);
        let (process, stdin) = Process::start_told(&mut command);
        let told = Self {
            process,
            dialog: Mutex::new((stdin, 0)),
        };
        let first = told.answer(0);
        if let Ok(mut dialog) = told.dialog.lock() {
            dialog.1 = 1;
        }
        (told, first)
    }

    /// Does what `command` says; the answer.
    pub(crate) fn tell(&self, command: &Value) -> Value {
        let Ok(mut dialog) = self.dialog.lock() else {
            panic!("a command before this one failed")
        };
        let (stdin, answered) = &mut *dialog;
        let sent = stdin
            .as_mut()
            .map(|stdin| stdin.write_all(format!("{command}\n").as_bytes()));
        assert!(
            matches!(sent, Some(Ok(()))),
            "{command}: {sent:?}: {:?}",
            self.process.stderr()
        );
        let answer = self.answer(*answered);
        *answered += 1;
        answer
    }

    fn answer(&self, number: usize) -> Value {
        let line = self
            .process
            .stdout_has(PATIENCE, |lines| lines.get(number).cloned());
        let answer = line.and_then(|line| serde_json::from_str(&line).ok());
        answer.unwrap_or_else(|| {
            panic!(
                "no answer number {number}:\n{}",
                self.process.stderr().join("\n")
            )
        })
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Ok(dialog) = self.dialog.get_mut() {
            dialog.0 = None;
        }
        let end = Instant::now() + PATIENCE;
        while self.process.is_running() && Instant::now() < end {
            pause(Duration::from_millis(5));
        }
    }
}

/// Whether this process may change the machine; says on stderr that it may not.
pub(crate) fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let root = user.and_then(|ids| ids.split_ascii_whitespace().nth(1)) == Some("0");
    if !root {
        eprintln!("SKIPPED: only root may make devices and namespaces");
    }
    root
}

/// Whether a device is there; says on stderr that it is not.
pub(crate) fn has_device(path: &str) -> bool {
    let found = Path::new(path).exists();
    if !found {
        eprintln!("SKIPPED: this kernel has no {path}");
    }
    found
}
