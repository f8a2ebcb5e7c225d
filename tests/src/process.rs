//! Processes: started with their output captured, ended with their owner.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::wait::eventually_some;

/// Lines of one output, growing while the process runs.
#[derive(Debug, Default)]
struct Captured {
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

impl Captured {
    fn lock(&self) -> MutexGuard<'_, (Vec<String>, bool)> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(self: &Arc<Self>, output: Option<impl Read + Send + 'static>) {
        let Some(output) = output else {
            self.lock().1 = true;
            return;
        };
        let captured = Arc::clone(self);
        thread::spawn(move || {
            let mut reader = BufReader::new(output);
            let mut line = Vec::new();
            while reader
                .read_until(b'\n', &mut line)
                .is_ok_and(|read| read > 0)
            {
                let text = String::from_utf8_lossy(&line)
                    .trim_end_matches(['\n', '\r'])
                    .to_owned();
                captured.lock().0.push(text);
                captured.more.notify_all();
                line.clear();
            }
            captured.lock().1 = true;
            captured.more.notify_all();
        });
    }

    fn wait_for<T>(&self, within: Duration, find: impl Fn(&[String]) -> Option<T>) -> Option<T> {
        let end = Instant::now() + within;
        let mut state = self.lock();
        loop {
            if let Some(found) = find(&state.0) {
                return Some(found);
            }
            let left = end.checked_duration_since(Instant::now())?;
            if state.1 {
                return None;
            }
            let waited = self.more.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A running process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    out: Arc<Captured>,
    err: Arc<Captured>,
}

impl Process {
    /// Starts `command` with both outputs captured and nothing to read.
    pub fn start(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::null()).0
    }

    /// The same with a stdin to write to; it is closed when that is dropped.
    pub(crate) fn start_told(command: &mut Command) -> (Self, Option<ChildStdin>) {
        Self::start_with(command, Stdio::piped())
    }

    fn start_with(command: &mut Command, stdin: Stdio) -> (Self, Option<ChildStdin>) {
        let name = command.get_program().to_string_lossy().into_owned();
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("{name} does not start: {error}"),
        };
        let (out, err) = (Arc::<Captured>::default(), Arc::<Captured>::default());
        out.follow(child.stdout.take());
        err.follow(child.stderr.take());
        let stdin = child.stdin.take();
        let process = Self {
            child,
            name,
            out,
            err,
        };
        (process, stdin)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What `find` finds in the lines of stderr, as soon as it does; `None` at the deadline or
    /// when the process has closed its stderr.
    pub fn stderr_has<T>(
        &self,
        within: Duration,
        find: impl Fn(&[String]) -> Option<T>,
    ) -> Option<T> {
        self.err.wait_for(within, find)
    }

    /// The same of stdout.
    pub fn stdout_has<T>(
        &self,
        within: Duration,
        find: impl Fn(&[String]) -> Option<T>,
    ) -> Option<T> {
        self.out.wait_for(within, find)
    }

    /// stdout so far.
    pub fn stdout(&self) -> Vec<String> {
        self.out.lock().0.clone()
    }

    /// stderr so far.
    pub fn stderr(&self) -> Vec<String> {
        self.err.lock().0.clone()
    }

    /// SIGKILL, and waits for the end.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM; does not wait.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        let done = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(
            done.is_ok_and(|status| status.success()),
            "kill -TERM {pid} did not work"
        );
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end; panics with its stderr at the deadline.
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let name = self.name.clone();
        let err = Arc::clone(&self.err);
        let end = Instant::now() + within;
        eventually_some(
            "end of the process",
            within + Duration::from_secs(1),
            || {
                let ended = self.child.try_wait().ok().flatten();
                if ended.is_none() && Instant::now() > end {
                    panic!(
                        "{name} still runs after {within:?}; stderr:\n{}",
                        err.lock().0.join("\n")
                    );
                }
                ended
            },
        )
    }

    /// Waits until both outputs are read to their end; call it after the process ended.
    pub fn drain(&self) {
        for output in [&self.out, &self.err] {
            output.wait_for(Duration::from_secs(5), |_| None::<()>);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// What a process left behind.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Its stdout.
    pub stdout: String,
    /// Its stderr.
    pub stderr: String,
}

/// Runs a program to its end; panics at the deadline.
pub fn run(command: &mut Command, within: Duration) -> Finished {
    let mut process = Process::start(command);
    let status = process.wait(within);
    process.drain();
    Finished {
        code: status.code(),
        stdout: process.stdout().join("\n"),
        stderr: process.stderr().join("\n"),
    }
}

/// User and system time of a process so far, seconds, from `/proc/PID/stat` (ticks of 10 ms).
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Fields after the command's closing parenthesis: state is the 3rd field, utime the 14th.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = rest.split_ascii_whitespace().skip(11).take(2);
    ticks
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

/// Resident memory of a process, bytes, from `/proc/PID/status`.
pub fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|l| l.trim().trim_end_matches(" kB").trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// A command with its arguments.
pub(crate) fn command<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}
