//! Snapshot files: the twin at a journal position together with the state of every plugin after
//! the last batch cut up to that position, so that replay can go on from there.
//!
//! `DATA/snapshots/{position, 20 digits}.snap`: 8 bytes `QTRSNAP2`, 4 bytes CRC-32 (little-endian)
//! of the rest, then postcard of [`Snapshot`]. A file is written beside, synced and renamed, so a
//! file with that name is whole; the newest two are kept.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"QTRSNAP2";
/// One more than needed, so that a damaged newest file costs a longer replay and nothing else.
const KEPT: usize = 2;

/// What a snapshot file holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Journal position of the twin.
    pub position: u64,
    /// [`crate::state::Twin::to_bytes`].
    pub twin: Vec<u8>,
    /// State of each plugin.
    pub plugins: Vec<PluginState>,
}

/// What a plugin answered to `snapshot`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginState {
    /// Its line of batches.
    pub run: u64,
    /// Opaque.
    pub state: Vec<u8>,
}

/// The folder of the snapshots.
#[derive(Debug, Clone)]
pub struct Snapshots {
    folder: PathBuf,
}

impl Snapshots {
    /// In `folder`, which is made when it is not there.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Writes a snapshot durably and removes the oldest; returns the position from which on the
    /// journal is still needed.
    ///
    /// # Errors
    /// The disk's; then the snapshots there were are still there.
    pub fn write(&self, snapshot: &Snapshot) -> io::Result<u64> {
        let body = postcard::to_allocvec(snapshot).map_err(io::Error::other)?;
        let path = self.folder.join(format!("{:020}.snap", snapshot.position));
        let beside = path.with_extension("tmp");
        let mut file = File::create(&beside)?;
        file.write_all(MAGIC)?;
        file.write_all(&crc32fast::hash(&body).to_le_bytes())?;
        file.write_all(&body)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(&self.folder)?.sync_all()?;
        let files = self.files()?;
        let old = files.len().saturating_sub(KEPT);
        for (_, path) in files.iter().take(old) {
            fs::remove_file(path)?;
        }
        Ok(files.get(old).map_or(0, |(position, _)| *position))
    }

    /// The newest snapshot that can be read and is not newer than `upto`; where all are newer, the
    /// oldest of them. Damaged ones are logged and passed over.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn newest(&self, upto: u64) -> io::Result<Option<Snapshot>> {
        let files = self.files()?;
        let (old, new): (Vec<_>, Vec<_>) =
            files.iter().partition(|(position, _)| *position <= upto);
        for (_, path) in old.into_iter().rev().chain(new) {
            match read(path) {
                Ok(snapshot) => return Ok(Some(snapshot)),
                Err(error) => {
                    tracing::error!(file = %path.display(), %error, "a snapshot cannot be read");
                }
            }
        }
        Ok(None)
    }

    /// Position of the newest file, readable or not; 0 without one.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn last_position(&self) -> io::Result<u64> {
        Ok(self.files()?.last().map_or(0, |(position, _)| *position))
    }

    /// Position and path, oldest first.
    fn files(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let position = path
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse().ok());
            if let Some(position) =
                position.filter(|_| path.extension().is_some_and(|e| e == "snap"))
            {
                files.push((position, path));
            }
        }
        files.sort_unstable();
        Ok(files)
    }
}

fn read(path: &Path) -> io::Result<Snapshot> {
    let bytes = fs::read(path)?;
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "damaged");
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let (crc, body) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
    if u32::from_le_bytes(*crc) != crc32fast::hash(body) {
        return Err(damaged());
    }
    postcard::from_bytes(body).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::{Snapshot, Snapshots};

    fn snapshot(position: u64) -> Snapshot {
        Snapshot {
            position,
            twin: vec![7; 100],
            plugins: Vec::new(),
        }
    }

    #[test]
    fn a_damaged_newest_snapshot_costs_a_longer_replay_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(folder.path().join("s")).unwrap();
        let newest = || snapshots.newest(u64::MAX).unwrap();
        assert_eq!(newest(), None);
        assert_eq!(snapshots.write(&snapshot(10)).unwrap(), 10);
        assert_eq!(snapshots.write(&snapshot(20)).unwrap(), 10);
        assert_eq!(snapshots.write(&snapshot(30)).unwrap(), 20);
        assert_eq!(newest(), Some(snapshot(30)));
        let file = folder.path().join("s/00000000000000000030.snap");
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[50] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(newest(), Some(snapshot(20)));
    }

    #[test]
    fn a_snapshot_beyond_what_outputs_have_seen_is_used_only_without_an_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(folder.path().join("s")).unwrap();
        snapshots.write(&snapshot(10)).unwrap();
        snapshots.write(&snapshot(20)).unwrap();
        let position = |upto| snapshots.newest(upto).unwrap().map(|s| s.position);
        assert_eq!(position(20), Some(20));
        assert_eq!(position(19), Some(10));
        assert_eq!(position(9), Some(10));
    }
}
