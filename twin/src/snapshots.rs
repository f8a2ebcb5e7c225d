//! Snapshot files: the twin at a journal position together with the state of every plugin after
//! the last batch cut up to that position, so that replay can go on from there.
//!
//! `DATA/snapshots/{position, 20 digits}.snap`: 8 bytes `QTRSNAP4`, 4 bytes CRC-32 (little-endian)
//! of the rest, then postcard of [`Snapshot`]. A file is written beside, synced and renamed, so a
//! file with that name is whole. The newest two are kept, and of the older ones those behind which
//! the journal is still there, [`MOST`] in all, spread evenly: from them decisions are run again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files;

const MAGIC: &[u8; 8] = b"QTRSNAP4";
/// One more than needed, so that a damaged newest file costs a longer replay and nothing else.
const KEPT: usize = 2;
/// Files in all at most.
const MOST: usize = 24;

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

    /// The snapshots in `folder`, which is only read.
    pub fn read_only(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Writes a snapshot durably and removes those that serve nothing any more; returns the
    /// position from which on recovery still needs the journal. `oldest`: the first position of the
    /// journal.
    ///
    /// # Errors
    /// The disk's; then the snapshots there were are still there.
    pub fn write(&self, snapshot: &Snapshot, oldest: u64) -> io::Result<u64> {
        let body = postcard::to_allocvec(snapshot).map_err(io::Error::other)?;
        let path = self.folder.join(format!("{:020}.snap", snapshot.position));
        let crc = crc32fast::hash(&body).to_le_bytes();
        let content = [&MAGIC[..], &crc[..], &body[..]].concat();
        files::replace(&path, &content, files::READABLE)?;
        let files = self.files()?;
        let positions: Vec<u64> = files.iter().map(|(position, _)| *position).collect();
        for index in superfluous(&positions, oldest) {
            if let Some((_, path)) = files.get(index) {
                fs::remove_file(path)?;
            }
        }
        // Without a second one the whole journal is.
        let needed = positions.len().checked_sub(KEPT);
        let needed = needed.and_then(|index| positions.get(index));
        Ok(needed.copied().unwrap_or(0))
    }

    /// The newest snapshot that can be read and is not newer than `upto`.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn before(&self, upto: u64) -> io::Result<Option<Snapshot>> {
        let files = self.files()?;
        let old = files.iter().filter(|(position, _)| *position <= upto);
        for (_, path) in old.rev() {
            match read(path) {
                Ok(snapshot) => return Ok(Some(snapshot)),
                Err(error) => {
                    tracing::warn!(file = %path.display(), %error, "a snapshot cannot be read");
                }
            }
        }
        Ok(None)
    }

    /// Position of every file, readable or not, oldest first; none where there is no folder.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn positions(&self) -> io::Result<Vec<u64>> {
        match self.files() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            files => Ok(files?.into_iter().map(|(position, _)| position).collect()),
        }
    }

    /// The newest snapshot that can be read and is not newer than `upto`; where all are newer, the
    /// oldest of them. Those behind which the journal, whose first position is `oldest`, does not
    /// go on are only taken where there are no others. Damaged ones are logged and passed over.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn newest(&self, upto: u64, oldest: u64) -> io::Result<Option<Snapshot>> {
        let files = self.files()?;
        let (usable, cut_off): (Vec<_>, Vec<_>) =
            files.iter().partition(|file| goes_on(file.0, oldest));
        let (old, new): (Vec<_>, Vec<_>) = usable.into_iter().partition(|file| file.0 <= upto);
        let candidates = old.into_iter().rev().chain(new);
        for (_, path) in candidates.chain(cut_off.into_iter().rev()) {
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

/// Whether a journal that begins with `oldest` goes on behind a snapshot at `position`.
fn goes_on(position: u64, oldest: u64) -> bool {
    position.saturating_add(1) >= oldest
}

/// Indices of snapshots that go: those before the journal, then those whose neighbours are nearest
/// to one another, until [`MOST`] are left. The newest [`KEPT`] stay.
fn superfluous(positions: &[u64], oldest: u64) -> Vec<usize> {
    let newest = positions.len().saturating_sub(KEPT);
    let serves = |index: &usize| {
        let position = positions.get(*index).copied().unwrap_or(0);
        *index >= newest || goes_on(position, oldest)
    };
    let mut stay: Vec<usize> = (0..positions.len()).filter(serves).collect();
    while stay.len() > MOST {
        let between = |place: &usize| {
            let at = |place: usize| stay.get(place).and_then(|index| positions.get(*index));
            let (before, after) = (at(place - 1), at(place + 1));
            before
                .zip(after)
                .map_or(u64::MAX, |(before, after)| after - before)
        };
        let Some(place) = (1..stay.len() - KEPT).min_by_key(between) else {
            break;
        };
        stay.remove(place);
    }
    (0..positions.len())
        .filter(|index| !stay.contains(index))
        .collect()
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
        let newest = || snapshots.newest(u64::MAX, 1).unwrap();
        assert_eq!(newest(), None);
        assert_eq!(snapshots.write(&snapshot(10), 1).unwrap(), 0);
        assert_eq!(snapshots.write(&snapshot(20), 1).unwrap(), 10);
        assert_eq!(snapshots.write(&snapshot(30), 1).unwrap(), 20);
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
        snapshots.write(&snapshot(10), 1).unwrap();
        snapshots.write(&snapshot(20), 1).unwrap();
        let position = |upto| snapshots.newest(upto, 1).unwrap().map(|s| s.position);
        assert_eq!(position(20), Some(20));
        assert_eq!(position(19), Some(10));
        assert_eq!(position(9), Some(10));
    }

    #[test]
    fn a_snapshot_is_used_only_where_the_journal_goes_on_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(folder.path().join("s")).unwrap();
        for position in [10, 20, 30] {
            snapshots.write(&snapshot(position), 1).unwrap();
        }
        let position = |upto, oldest| {
            let newest = snapshots.newest(upto, oldest).unwrap();
            newest.map(|snapshot| snapshot.position)
        };
        assert_eq!(position(15, 11), Some(10));
        assert_eq!(position(15, 12), Some(20), "what outputs have seen lags");
        assert_eq!(position(15, 31), Some(30));
        assert_eq!(position(15, 32), Some(30), "none goes on: the nearest");
    }

    #[test]
    fn old_snapshots_stay_with_their_journal_spread_evenly_and_the_newest_two_always() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::open(folder.path().join("s")).unwrap();
        for position in 1..=200 {
            let needed = snapshots.write(&snapshot(position * 10), 1).unwrap();
            assert_eq!(needed, (position - 1) * 10);
        }
        let kept = snapshots.positions().unwrap();
        assert_eq!(kept.len(), 24);
        assert_eq!((kept[0], kept[22], kept[23]), (10, 1990, 2000));
        let widest = kept.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(widest <= 2 * 2000 / 22, "{kept:?}");
        snapshots.write(&snapshot(2010), 1500).unwrap();
        let kept = snapshots.positions().unwrap();
        assert!(kept[0] >= 1499 && kept.len() > 2, "{kept:?}");
        snapshots.write(&snapshot(2020), 9999).unwrap();
        assert_eq!(snapshots.positions().unwrap(), [2010, 2020]);
        assert_eq!(snapshots.before(2019).unwrap(), Some(snapshot(2010)));
        assert_eq!(snapshots.before(2009).unwrap(), None);
    }
}
