//! A node's wall clock as a test sets it (libfaketime); the monotonic clock goes on.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

/// See the module.
#[derive(Debug)]
pub struct WallClock {
    library: PathBuf,
    folder: TempDir,
}

impl WallClock {
    /// So many seconds ahead; `None`, said on stderr, without libfaketime.
    pub fn ahead(seconds: i64) -> Option<Self> {
        let clock = Self {
            library: faketime()?,
            folder: TempDir::new().unwrap_or_else(|error| panic!("no temporary folder: {error}")),
        };
        clock.set(seconds);
        Some(clock)
    }

    /// Sets it so many seconds ahead; at once, as a reader must not find half a file.
    pub fn set(&self, ahead: i64) {
        let new = self.path("new");
        let written = fs::write(&new, format!("{ahead:+}\n"));
        let set = written.and_then(|()| fs::rename(new, self.path("lead")));
        assert!(set.is_ok(), "the clock is not set: {set:?}");
    }

    /// NTP says that it is right.
    pub fn synchronise(&self) {
        let touched = fs::write(self.path("synchronized"), "");
        assert!(touched.is_ok(), "{touched:?}");
    }

    /// Environment of the node that has it.
    pub fn env(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.path(name).display().to_string();
        let env = [
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", path("lead")),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
            (
                "QUARTIER_NODE__TIME_SYNCHRONISED_FILE",
                path("synchronized"),
            ),
        ];
        env.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn faketime() -> Option<PathBuf> {
    let places = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut places = places.map(|place| place.path().join("faketime/libfaketimeMT.so.1"));
    let found = places.find(|path| path.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: libfaketime is missing: apt-get install faketime");
    }
    found
}
