//! An SD card that knows what a power cut would leave of it, breaks and fills up; see
//! `tests/python/card.py`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::has_program;
use crate::process::run;
use crate::told::{Told, has_device, is_root};

/// Longest run of mount.
const PATIENCE: Duration = Duration::from_secs(30);

/// A card in use.
#[derive(Debug)]
pub struct Card {
    told: Told,
    folder: TempDir,
}

/// What passed to the card.
#[derive(Debug, Clone, Copy)]
pub struct CardFigures {
    /// Writes.
    pub writes: u64,
    /// Bytes written, those of the file system's own structures included.
    pub bytes: u64,
    /// Flushes of the card's cache.
    pub flushes: u64,
}

impl Card {
    /// A new one with an empty ext4, mounted; `None`, said on stderr, where that cannot be.
    pub fn new(megabytes: u32) -> Option<Self> {
        let can = is_root()
            && has_device("/dev/fuse")
            && has_device("/dev/loop-control")
            && has_program("/usr/sbin/mkfs.ext4", "e2fsprogs");
        if !can {
            return None;
        }
        let folder = temporary();
        let path = folder.path().display().to_string();
        let (told, _) = Told::start("card.py", &[&path, &megabytes.to_string()]);
        Some(Self { told, folder })
    }

    /// Its file system.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mnt")
    }

    /// What passed to it by now.
    pub fn figures(&self) -> CardFigures {
        let said = self.told.tell(&json!({}));
        let figure = |name: &str| said[name].as_u64().unwrap_or_default();
        CardFigures {
            writes: figure("writes"),
            bytes: figure("bytes"),
            flushes: figure("flushes"),
        }
    }

    /// What a power cut at this instant leaves: all that was flushed, and of the rest this share.
    pub fn cut(&self, keep: f64) -> Left {
        let folder = temporary();
        let image = folder.path().join("left.img");
        self.told.tell(&json!({ "cut": image, "keep": keep }));
        let left = Left { folder };
        let path = left.path();
        if let Err(error) = std::fs::create_dir(&path) {
            panic!("{}: {error}", path.display());
        }
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop,noatime"]).arg(image).arg(path);
        let done = run(&mut mount, PATIENCE);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        left
    }

    /// The power fails for this card itself, as in [`Card::cut`], and it is mounted as it is left:
    /// nobody may have a file open there.
    pub fn loses_power(&self, keep: f64) {
        self.told.tell(&json!({ "power": keep }));
    }

    /// Writes fail from now on, as on a card that is worn out; the file system becomes read-only.
    pub fn breaks(&self) {
        self.told.tell(&json!({ "broken": true }));
    }

    /// Writes work again, and the file system is mounted anew: nobody may have a file open there.
    pub fn heals(&self) {
        self.told.tell(&json!({ "broken": false, "remount": true }));
    }
}

/// What a power cut left, mounted as at the next start.
#[derive(Debug)]
pub struct Left {
    folder: TempDir,
}

impl Left {
    /// Its file system.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mnt")
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        let done = run(Command::new("umount").arg(self.path()), PATIENCE);
        if done.code != Some(0) {
            eprintln!("{}", done.stderr);
        }
    }
}

fn temporary() -> TempDir {
    TempDir::new().unwrap_or_else(|error| panic!("no temporary folder: {error}"))
}

/// Bytes free on the file system of `path` for everyone, by `df`.
pub fn free_bytes(path: &Path) -> u64 {
    let mut df = Command::new("df");
    df.args(["--output=avail", "-B1"]).arg(path);
    let done = run(&mut df, PATIENCE);
    let last = done.stdout.lines().last().unwrap_or_default().trim();
    last.parse()
        .unwrap_or_else(|_| panic!("df: {} {}", done.stdout, done.stderr))
}
