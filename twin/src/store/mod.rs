//! The small store beside the journal: the data folder itself, and in fjall under `store/` the
//! cursors, the dead letters, the audit of decisions and what the broker keeps.
//!
//! Nothing here is the only copy of a reading. Writes reach the operating system at once and the
//! disk with the next snapshot, before the journal is released: after a power cut a cursor may lag,
//! which repeats idempotent work, and it never leads, because it is set after the acknowledgement.

mod broker_disk;
mod data_dir;
mod dead_letters;
mod decisions;

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

pub use data_dir::{DataDir, DataDirError};
pub use dead_letters::{
    DEAD_LETTERS, DeadLetter, MAX_PAYLOAD, MAX_TEXT, PUT_BURST, PUT_RATE, StoredLetter,
};

use crate::files::sync_folder;

use dead_letters::DeadLetters;
use decisions::Decisions;

/// fjall's block cache, bytes.
const CACHE: u64 = 4 << 20;
/// fjall's memory for writes, bytes for each of the keyspaces.
const MEMTABLE: u64 = 2 << 20;
/// fjall's own log, bytes at most; its smallest. Its files are sparse until written.
const LOG: u64 = 64 << 20;

/// Where version 0.1 kept retained messages: payload by topic.
const OLD_RETAINED: &str = "retained";

/// The store could not be used.
#[derive(Debug, thiserror::Error)]
#[error("store: cannot {what}: {source}")]
pub struct StoreError {
    what: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    /// For `map_err`: names what was tried.
    fn on<E>(what: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self {
            what,
            source: source.into(),
        }
    }

    /// Whether what is on the disk is not what was written, as against a disk that is full, rights
    /// that lack, another process or another version.
    fn is_damage(&self) -> bool {
        use fjall::Error;
        let of_file = |error: &io::Error| {
            // Invalid input: an offset out of a file that became shorter.
            use io::ErrorKind::{InvalidData, InvalidInput, NotFound, UnexpectedEof};
            let unreadable = error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error());
            unreadable
                || matches!(
                    error.kind(),
                    InvalidData | InvalidInput | NotFound | UnexpectedEof
                )
        };
        match self.source.downcast_ref::<Error>() {
            Some(Error::Io(error) | Error::Storage(fjall::LsmError::Io(error))) => of_file(error),
            Some(error) => !matches!(
                error,
                Error::InvalidVersion(Some(_)) | Error::Poisoned | Error::Locked
            ),
            None => false,
        }
    }
}

/// Cursors, dead letters, decisions and what the broker keeps.
pub struct Store {
    database: Database,
    cursors: Keyspace,
    broker: Keyspace,
    dead_letters: DeadLetters,
    decisions: Decisions,
    /// Where a damaged store is kept.
    aside: PathBuf,
    /// It is a new one in the place of a damaged one.
    began_anew: bool,
}

impl Store {
    /// Opens the store in `dir`, or makes one there that keeps [`DEAD_LETTERS`] dead letters. A
    /// damaged one is set aside as `DIR.corrupt`, in the place of an earlier one, and a new one made.
    ///
    /// # Errors
    /// What fjall says: locked by another process, no room, no right.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        let dir = dir.as_ref();
        match Self::open_with(dir, DEAD_LETTERS) {
            Err(error) if error.is_damage() => {
                let aside = aside(dir);
                tracing::error!(%error, aside = %aside.display(), "the store is damaged, set aside");
                set_aside(dir, &aside).map_err(StoreError::on("set a damaged one aside"))?;
                let mut store = Self::open_with(dir, DEAD_LETTERS)?;
                store.began_anew = true;
                Ok(store)
            }
            opened => opened,
        }
    }

    fn open_with(dir: &Path, dead_letters: u64) -> Result<Self, StoreError> {
        let database = Database::builder(dir)
            .cache_size(CACHE)
            .max_journaling_size(LOG)
            .worker_threads(1)
            .max_cached_files(Some(32))
            .open()
            .map_err(StoreError::on("open it"))?;
        let keyspace = |name| {
            database
                .keyspace(name, || {
                    KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE)
                })
                .map_err(StoreError::on("open a keyspace"))
        };
        let cursors = keyspace("cursors")?;
        let broker = keyspace("broker")?;
        let letters = keyspace("dead_letters")?;
        let decisions = Decisions::open(keyspace("decisions")?, decisions::KEPT)?;
        let dead_letters = DeadLetters::open(database.clone(), letters, dead_letters)?;
        if database.keyspace_exists(OLD_RETAINED) {
            broker_disk::take_over(&database, keyspace(OLD_RETAINED)?, &broker)?;
        }
        // Damage is to be found now, not when a client comes.
        for entry in cursors.iter().chain(broker.iter()) {
            entry.key().map_err(StoreError::on("read it"))?;
        }
        Ok(Self {
            database,
            cursors,
            broker,
            dead_letters,
            decisions,
            aside: aside(dir),
            began_anew: false,
        })
    }

    /// Whether this is a new store in the place of a damaged one: no cursor is known, and no
    /// session is left.
    pub fn began_anew(&self) -> bool {
        self.began_anew
    }

    /// The folder of a damaged store, as long as it is there.
    pub fn set_aside(&self) -> Option<&Path> {
        self.aside.exists().then_some(self.aside.as_path())
    }

    /// How far the reader `name` has come in the journal; 0 where it never said.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn cursor(&self, name: &str) -> Result<u64, StoreError> {
        let value = self
            .cursors
            .get(name)
            .map_err(StoreError::on("read a cursor"))?;
        value.map_or(Ok(0), |value| position(&value))
    }

    /// Every cursor with its name, for the position up to which all readers are done (the least)
    /// and the one that the journal must not hand out again (the greatest).
    ///
    /// # Errors
    /// The store could not be read.
    pub fn cursors(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let read = |guard: fjall::Guard| {
            let (name, value) = guard
                .into_inner()
                .map_err(StoreError::on("read the cursors"))?;
            Ok((
                String::from_utf8_lossy(&name).into_owned(),
                position(&value)?,
            ))
        };
        self.cursors.iter().map(read).collect()
    }

    /// The reader `name` is done with everything up to `position`. Call it after what was read is
    /// acknowledged, never before.
    ///
    /// # Errors
    /// The store could not be written; the cursor is the old one.
    pub fn set_cursor(&self, name: &str, position: u64) -> Result<(), StoreError> {
        self.cursors
            .insert(name, position.to_be_bytes())
            .map_err(StoreError::on("write a cursor"))
    }

    /// Forgets the reader `name`, so that it no longer holds the journal.
    ///
    /// # Errors
    /// The store could not be written; the cursor is still there.
    pub fn remove_cursor(&self, name: &str) -> Result<(), StoreError> {
        self.cursors
            .remove(name)
            .map_err(StoreError::on("remove a cursor"))
    }

    /// Keeps what was rejected; returns its id. `None`: more came than [`PUT_BURST`] and
    /// [`PUT_RATE`] allow, and it was only counted. Never waits for a disk: a thread of the store
    /// writes it.
    pub fn put_dead_letter(&self, letter: DeadLetter) -> Option<u64> {
        self.dead_letters.put(letter)
    }

    /// Dead letters, newest first, `limit` at most: those older than the id `before`, those whose
    /// reason is `reason`, where given. Reads files.
    ///
    /// # Errors
    /// The store could not be read.
    pub fn dead_letters(
        &self,
        limit: usize,
        before: Option<u64>,
        reason: Option<&str>,
    ) -> Result<Vec<StoredLetter>, StoreError> {
        self.dead_letters.list(limit, before, reason)
    }

    /// Dead letters kept.
    pub fn dead_letter_count(&self) -> u64 {
        self.dead_letters.count()
    }

    /// Dead letters that were only counted since the start, because too many came.
    pub fn dead_letters_skipped(&self) -> u64 {
        self.dead_letters.skipped()
    }

    /// Whether a write failed once: fjall takes none from then on, until the store is opened anew.
    pub fn is_poisoned(&self) -> bool {
        let persisted = self.database.persist(PersistMode::Buffer);
        matches!(persisted, Err(fjall::Error::Poisoned))
    }

    /// Puts everything on disk. Blocks for it.
    ///
    /// # Errors
    /// The store could not be written.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.dead_letters.flush()?;
        self.database
            .persist(PersistMode::SyncAll)
            .map_err(StoreError::on("sync"))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.dead_letters.close();
        if let Err(error) = self.flush() {
            tracing::error!(%error, "the store was closed without a sync");
        }
    }
}

/// Where a damaged store in `dir` is kept.
fn aside(dir: &Path) -> PathBuf {
    dir.with_extension("corrupt")
}

fn set_aside(dir: &Path, aside: &Path) -> io::Result<()> {
    match fs::remove_dir_all(aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => fs::rename(dir, aside)?,
    }
    dir.parent().map_or(Ok(()), sync_folder)
}

fn position(value: &[u8]) -> Result<u64, StoreError> {
    let bytes = value
        .try_into()
        .map_err(StoreError::on("understand a cursor"))?;
    Ok(u64::from_be_bytes(bytes))
}
