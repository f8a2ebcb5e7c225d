//! What happened at the door and which commands lost against others, for whoever has to account
//! for it: `audit.log` in the data folder, a JSON object a line, only ever appended to.
//!
//! Bounded: at [`FILE_BYTES`] the file becomes `audit.log.1`, that one `.2`, and so on; the oldest
//! of [`FILES`] goes. So that an attacker cannot wash the past out of it, lines of a kind beyond
//! their rate are left out, and the next one of that kind says how many (`unrecorded`). What
//! clients choose is cut at [`TEXT`] characters. No line has a secret in it.

mod settled;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;

const NAME: &str = "audit.log";
/// Bytes of a file.
const FILE_BYTES: u64 = 10_000_000;
/// Files, the current one included.
const FILES: u32 = 8;
/// Characters of an identifier or a name.
const TEXT: usize = 200;

/// What is to be recorded. Fields that do not apply are left out of the line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record<'a> {
    /// `login`, `users`, `reload`, `conflict`.
    pub what: &'a str,
    /// How it ended.
    pub result: &'a str,
    /// Where the client is.
    pub address: Option<SocketAddr>,
    /// Client identifier.
    pub client: Option<&'a str>,
    /// User name.
    pub user: Option<&'a str>,
    /// What the login was made with, or what was changed.
    pub detail: Option<&'a str>,
    /// Journal position of what the journal says itself.
    pub entry: Option<u64>,
}

/// The lines of one kind that are allowed: so many at once, and so many a second on average.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: u32,
    every: Duration,
}

/// Refusals are what an attacker makes.
const REFUSED: Rate = Rate {
    burst: 200,
    every: Duration::from_secs(1),
};
/// A city's devices may all come back at once.
const GRANTED: Rate = Rate {
    burst: 20_000,
    every: Duration::from_millis(100),
};

/// The audit of one node.
#[derive(Debug)]
pub struct Audit {
    folder: PathBuf,
    file_bytes: u64,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    file: File,
    bytes: u64,
    refused: Pace,
    granted: Pace,
    settled: Pace,
    failing: bool,
}

/// A token bucket and what it left out.
#[derive(Debug, Default)]
struct Pace {
    full_at: Option<Instant>,
    left_out: u64,
}

impl Pace {
    /// How many were left out before this one; `None`: so is this one.
    fn admit(&mut self, rate: Rate, now: Instant) -> Option<u64> {
        let full_at = self.full_at.unwrap_or(now).max(now);
        if full_at.duration_since(now) > rate.every * rate.burst {
            self.left_out += 1;
            return None;
        }
        self.full_at = Some(full_at + rate.every);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    what: &'a str,
    result: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<u64>,
    #[serde(skip_serializing_if = "is_zero")]
    unrecorded: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Audit {
    /// Opens or makes the file in `folder`, readable by its owner only.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Self::with(folder, FILE_BYTES)
    }

    fn with(folder: &Path, file_bytes: u64) -> io::Result<Self> {
        let file = open(&folder.join(NAME))?;
        let bytes = file.metadata()?.len();
        let log = Log {
            file,
            bytes,
            refused: Pace::default(),
            granted: Pace::default(),
            settled: Pace::default(),
            failing: false,
        };
        Ok(Self {
            folder: folder.to_owned(),
            file_bytes,
            log: Mutex::new(log),
        })
    }

    /// A login that was granted.
    pub(super) fn granted(&self, record: Record<'_>) {
        let mut log = self.log.lock();
        if let Some(left_out) = log.granted.admit(GRANTED, Instant::now()) {
            self.write(&mut log, record, left_out);
        }
    }

    /// A login that was refused.
    pub(super) fn refused(&self, record: Record<'_>) {
        let mut log = self.log.lock();
        if let Some(left_out) = log.refused.admit(REFUSED, Instant::now()) {
            self.write(&mut log, record, left_out);
        }
    }

    /// What an operator did.
    pub fn done(&self, record: Record<'_>) {
        self.write(&mut self.log.lock(), record, 0);
    }

    fn write(&self, log: &mut Log, record: Record<'_>, unrecorded: u64) {
        self.keep(log, line(record, unrecorded));
    }

    /// A fault of the disk is told once: nobody is locked out because the audit is full.
    fn keep(&self, log: &mut Log, lines: io::Result<Vec<u8>>) {
        let written = lines.and_then(|lines| self.append(log, &lines));
        match written {
            Ok(()) => log.failing = false,
            Err(error) => {
                if !std::mem::replace(&mut log.failing, true) {
                    tracing::error!(%error, folder = %self.folder.display(), "audit.log cannot be written; logins go on without it");
                }
            }
        }
    }

    fn append(&self, log: &mut Log, line: &[u8]) -> io::Result<()> {
        if log.bytes > 0 && log.bytes + line.len() as u64 > self.file_bytes {
            self.rotate()?;
            log.file = open(&self.folder.join(NAME))?;
            log.bytes = 0;
        }
        log.file.write_all(line)?;
        log.bytes += line.len() as u64;
        Ok(())
    }

    fn rotate(&self) -> io::Result<()> {
        for age in (0..FILES - 1).rev() {
            if self.path(age).exists() {
                fs::rename(self.path(age), self.path(age + 1))?;
            }
        }
        Ok(())
    }

    fn path(&self, age: u32) -> PathBuf {
        match age {
            0 => self.folder.join(NAME),
            age => self.folder.join(format!("{NAME}.{age}")),
        }
    }
}

fn line(record: Record<'_>, unrecorded: u64) -> io::Result<Vec<u8>> {
    let cut = |text: &str| text.chars().take(TEXT).collect::<String>();
    let line = Line {
        time: Timestamp::now().to_string(),
        what: record.what,
        result: record.result,
        address: record.address,
        client: record.client.map(cut),
        user: record.user.map(cut),
        detail: record.detail.map(cut),
        entry: record.entry,
        unrecorded,
    };
    let mut line = serde_json::to_vec(&line).map_err(io::Error::other)?;
    line.push(b'\n');
    Ok(line)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn lines(path: &Path) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn what_a_client_chooses_stays_in_its_line_and_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path()).unwrap();
        let long = "x".repeat(100_000);
        audit.refused(Record {
            what: "login",
            result: "bad",
            client: Some("a\n{\"what\":\"reload\"}"),
            user: Some(&long),
            ..Record::default()
        });
        let path = folder.path().join(NAME);
        let found = lines(&path);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["client"], "a\n{\"what\":\"reload\"}");
        assert_eq!(found[0]["user"].as_str().unwrap().len(), TEXT);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn it_never_grows_beyond_its_files_and_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::with(folder.path(), 1000).unwrap();
        for n in 0..500 {
            let detail = n.to_string();
            audit.done(Record {
                what: "reload",
                detail: Some(&detail),
                ..Record::default()
            });
        }
        let files: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .collect();
        assert_eq!(files.len(), FILES as usize);
        assert!(files.iter().all(|bytes| *bytes <= 1000), "{files:?}");
        let newest = lines(&folder.path().join(NAME));
        assert_eq!(newest.last().unwrap()["detail"], "499");
        let older = lines(&folder.path().join("audit.log.1"));
        let next: u32 = newest[0]["detail"].as_str().unwrap().parse().unwrap();
        assert_eq!(older.last().unwrap()["detail"], (next - 1).to_string());
    }

    #[test]
    fn a_flood_of_refusals_is_left_out_and_counted_and_hides_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::open(folder.path()).unwrap();
        for _ in 0..10_000 {
            audit.refused(Record::default());
        }
        let written = lines(&folder.path().join(NAME)).len();
        assert!((200..1_000).contains(&written), "{written}");
        audit.granted(Record::default());
        assert_eq!(lines(&folder.path().join(NAME)).len(), written + 1);
        let mut pace = Pace::default();
        let now = Instant::now();
        while pace.admit(REFUSED, now).is_some() {}
        assert_eq!(pace.admit(REFUSED, now + REFUSED.every), Some(1));
    }
}
