//! A wall clock that the test sets (libfaketime). The monotonic clock goes on as it is.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

/// Whether libfaketime is installed; says on stderr what to do where it is not.
pub fn has_faketime() -> bool {
    library().is_some()
}

/// The wall clock of the programs that are started with its environment.
#[derive(Debug)]
pub struct WallClock {
    folder: TempDir,
    library: PathBuf,
}

impl WallClock {
    /// One that is so many seconds ahead; `None`, said on stderr, without libfaketime.
    pub fn ahead(seconds: i64) -> Option<Self> {
        let library = library()?;
        let folder = TempDir::new().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        let clock = Self { folder, library };
        clock.set(seconds);
        Some(clock)
    }

    /// It is so many seconds ahead from now on.
    pub fn set(&self, ahead: i64) {
        let path = |name: &str| self.folder.path().join(name);
        // At once: a reader must not find half a file.
        let set = fs::write(path("new"), format!("{ahead:+}\n"));
        let set = set.and_then(|()| fs::rename(path("new"), path("lead")));
        set.unwrap_or_else(|error| panic!("the wall clock cannot be set: {error}"));
    }

    /// What a program needs to see it.
    pub fn env(&self) -> Vec<(String, String)> {
        let lead = self.folder.path().join("lead");
        let env = [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", lead.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ];
        env.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }
}

fn library() -> Option<PathBuf> {
    let places = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut places = places.map(|place| place.path().join("faketime/libfaketimeMT.so.1"));
    let found = places.find(|path| path.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: libfaketime is missing: apt-get install faketime");
    }
    found
}
