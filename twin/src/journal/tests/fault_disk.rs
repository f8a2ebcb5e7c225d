//! A disk that fails, fills up, stalls, or loses power with what was not synced.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::journal::disk::{Disk, OsDisk, SegmentFile};

/// Shared by the test and the journal's writer.
#[derive(Clone)]
pub(super) struct FaultDisk {
    state: Arc<Mutex<State>>,
    /// Writes stall while this is locked.
    pub(super) held: Arc<Mutex<()>>,
}

#[derive(Default)]
struct State {
    files: HashMap<PathBuf, Known>,
    /// Bytes that still find room; `None`: any.
    room: Option<usize>,
    /// Operations until the power is cut.
    operations_left: Option<u64>,
    fails: Option<Operation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Write,
    Sync,
}

#[derive(Default, Clone, Copy)]
struct Known {
    synced: u64,
    name_synced: bool,
}

impl FaultDisk {
    pub(super) fn new() -> Self {
        Self {
            state: Arc::default(),
            held: Arc::default(),
        }
    }

    /// Makes the next operation of this kind fail, a write half-way.
    pub(super) fn fail_next(&self, operation: Operation) {
        self.state.lock().fails = Some(operation);
    }

    pub(super) fn fill_up(&self, room: usize) {
        self.state.lock().room = Some(room);
    }

    pub(super) fn room(&self) -> Option<usize> {
        self.state.lock().room
    }

    pub(super) fn make_room(&self) {
        self.state.lock().room = None;
    }

    /// Cuts the power before the operation after the next `operations`.
    pub(super) fn cut_power_after(&self, operations: u64) {
        self.state.lock().operations_left = Some(operations);
    }

    /// What the power cut left: synced bytes, and of others a part that `lottery` decides, with
    /// bytes that may be wrong; files whose name was not synced may be gone.
    pub(super) fn lose_what_was_not_synced(&self, mut lottery: impl FnMut(u64) -> u64) {
        let state = self.state.lock();
        let mut files: Vec<_> = state.files.iter().collect();
        files.sort_by_key(|(path, _)| *path);
        for (path, known) in files {
            let Ok(bytes) = fs::read(path) else { continue };
            if !known.name_synced && lottery(2) == 0 {
                fs::remove_file(path).unwrap();
                continue;
            }
            let synced = known.synced as usize;
            let survives = synced + lottery((bytes.len() - synced) as u64 + 1) as usize;
            let mut bytes = bytes[..survives].to_vec();
            if survives > synced && lottery(2) == 0 {
                let at = synced + lottery((survives - synced) as u64) as usize;
                bytes[at] ^= 0x40;
            }
            fs::write(path, bytes).unwrap();
        }
    }

    fn operate(&self, operation: Operation) -> io::Result<()> {
        let mut state = self.state.lock();
        if let Some(left) = &mut state.operations_left {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => return Err(io::Error::other("no power")),
            }
        }
        if state.fails.take_if(|fails| *fails == operation).is_some() {
            return Err(io::Error::other("injected"));
        }
        Ok(())
    }

    fn file(&self, path: &Path, inner: Box<dyn SegmentFile>) -> Box<dyn SegmentFile> {
        Box::new(FaultFile {
            disk: self.clone(),
            path: path.to_owned(),
            inner,
        })
    }
}

impl Disk for FaultDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        self.operate(Operation::Write)?;
        let inner = OsDisk.create(path)?;
        self.state
            .lock()
            .files
            .insert(path.to_owned(), Known::default());
        Ok(self.file(path, inner))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        let inner = OsDisk.open(path)?;
        let synced = fs::metadata(path)?.len();
        let known = Known {
            synced,
            name_synced: true,
        };
        self.state.lock().files.insert(path.to_owned(), known);
        Ok(self.file(path, inner))
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        self.operate(Operation::Sync)?;
        self.state
            .lock()
            .files
            .values_mut()
            .for_each(|known| known.name_synced = true);
        Ok(())
    }

    fn free(&self, _path: &Path) -> u64 {
        let room = self.state.lock().room;
        room.map_or(u64::MAX, |room| room as u64)
    }
}

struct FaultFile {
    disk: FaultDisk,
    path: PathBuf,
    inner: Box<dyn SegmentFile>,
}

impl SegmentFile for FaultFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        drop(self.disk.held.lock());
        let fits = {
            let mut state = self.disk.state.lock();
            let fits = state.room.map_or(bytes.len(), |room| room.min(bytes.len()));
            state.room = state.room.map(|room| room - fits);
            fits
        };
        if let Err(error) = self.disk.operate(Operation::Write) {
            self.inner.append(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.inner.append(&bytes[..fits])?;
        if fits < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.operate(Operation::Sync)?;
        let length = fs::metadata(&self.path)?.len();
        if let Some(known) = self.disk.state.lock().files.get_mut(&self.path) {
            known.synced = length;
        }
        Ok(())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.disk.operate(Operation::Write)?;
        self.inner.truncate(len)?;
        // Through the path as well, so that a writer's handle cannot hide it.
        OpenOptions::new()
            .write(true)
            .open(&self.path)?
            .set_len(len)
    }
}
