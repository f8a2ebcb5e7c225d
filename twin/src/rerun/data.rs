//! A data folder that is only read: of a node that runs, of one that does not, of a copy.

use std::io;
use std::path::{Path, PathBuf};

use quartier_plugin_host::{Host, HostError};

use crate::event::{Decision, Entry, Event, FORMAT};
use crate::journal::{FileReader, JournalFiles, ReadError, Reader};
use crate::model::Millis;
use crate::plugins::{ArtifactError, Artifacts};
use crate::snapshots::{PluginState, Snapshots};
use crate::state::{Effects, PluginChange, SnapshotError, Twin};

/// Why the journal cannot be run again.
#[derive(Debug, thiserror::Error)]
pub enum RerunError {
    /// The folder is none of a node.
    #[error("{}: {what}; name the data folder of a node (`data` in its configuration)", path.display())]
    NoData {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// Another version wrote the folder.
    #[error("{}: the data have format {found}, this program knows {FORMAT}; use the version of `quartier` that wrote them", path.display())]
    Format {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: String,
    },
    /// A file or folder cannot be read.
    #[error("{}: cannot be read: {source}; give this user the right to read it", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The journal cannot be read.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// A snapshot is not what it should be.
    #[error("snapshots: {0}; they are of another version of `quartier`")]
    Snapshot(#[from] SnapshotError),
    /// wasmtime does not start.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A package cannot be used.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// There is no decision with that id.
    #[error(
        "there is no decision {position} in the journal, which holds entries {first} to {last}{hint}"
    )]
    NoDecision {
        /// The id asked for.
        position: u64,
        /// Oldest entry.
        first: u64,
        /// Newest entry.
        last: u64,
        /// What to do.
        hint: &'static str,
    },
    /// Neither a snapshot nor the beginning of the journal lies before.
    #[error(
        "the journal goes back to entry {first} only, and no snapshot behind which it is whole lies before entry {wanted}: the earliest possible is {earliest}"
    )]
    NotCovered {
        /// What was asked for.
        wanted: u64,
        /// Oldest entry.
        first: u64,
        /// Oldest position from which a rerun can begin.
        earliest: u64,
    },
    /// What was asked for makes no sense here.
    #[error("{0}")]
    Asked(String),
}

/// A data folder, read only.
pub struct DataFolder {
    path: PathBuf,
    journal: JournalFiles,
    snapshots: Snapshots,
    artifacts: Artifacts,
}

/// A twin at a position, with the states of its plugins there.
pub(super) struct Base {
    pub(super) twin: Twin,
    pub(super) states: Vec<PluginState>,
}

impl DataFolder {
    /// Opens `path`; components are compiled anew, so that nothing has to be written.
    ///
    /// # Errors
    /// It is no data folder of this version.
    pub fn open(path: &Path) -> Result<Self, RerunError> {
        let missing = |what| RerunError::NoData {
            path: path.to_owned(),
            what,
        };
        if !path.is_dir() {
            return Err(missing("there is no such folder"));
        }
        let format = path.join("format");
        let found = match std::fs::read_to_string(&format) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(missing("the file `format` is not there"));
            }
            Err(source) => {
                return Err(RerunError::Io {
                    path: format,
                    source,
                });
            }
        };
        if found != FORMAT.to_string() {
            let path = path.to_owned();
            return Err(RerunError::Format { path, found });
        }
        let dir = path.join("journal");
        let journal = JournalFiles::open(&dir).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => missing("the folder `journal` is not there"),
            _ => RerunError::Io { path: dir, source },
        })?;
        Ok(Self {
            path: path.to_owned(),
            journal,
            snapshots: Snapshots::read_only(path.join("snapshots")),
            artifacts: Artifacts::new(Host::without_deadlines()?, path),
        })
    }

    /// Its programs.
    pub fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }

    /// Its programs alone.
    pub fn into_artifacts(self) -> Artifacts {
        self.artifacts
    }

    /// Position of the oldest entry.
    pub fn first(&self) -> u64 {
        self.journal.first()
    }

    /// A reader of the entries from `from` on.
    ///
    /// # Errors
    /// They are gone.
    pub fn reader(&self, from: u64) -> Result<FileReader, RerunError> {
        Ok(self.journal.reader(from)?)
    }

    /// Position and time of the newest entry; `None` in an empty journal.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn end(&self) -> Result<Option<(u64, Millis)>, RerunError> {
        for first in self.journal.segments().iter().rev() {
            let mut last = None;
            self.each(*first, u64::MAX, |position, entry| {
                last = Some((position, entry.at));
                true
            })?;
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }

    /// Position of the first entry that was made at `time` or later; the one behind the last where
    /// there is none.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn position_at(&self, time: Millis) -> Result<u64, RerunError> {
        let mut begin = self.first();
        for first in self.journal.segments() {
            let mut at = None;
            self.each(*first, *first, |_, entry| {
                at = Some(entry.at);
                false
            })?;
            match at {
                Some(at) if at >= time => break,
                _ => begin = *first,
            }
        }
        let mut found = begin;
        self.each(begin, u64::MAX, |position, entry| {
            found = if entry.at < time {
                position + 1
            } else {
                position
            };
            entry.at < time
        })?;
        Ok(found)
    }

    /// Gives the entries from `from` to `upto` to `see` until it says no; gaps are passed over.
    fn each(
        &self,
        from: u64,
        upto: u64,
        mut see: impl FnMut(u64, &Entry<'_>) -> bool,
    ) -> Result<(), RerunError> {
        let mut reader = self.reader(from)?;
        loop {
            let frame = match reader.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(ReadError::Gap { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            for (position, bytes) in frame.entries() {
                if position > upto {
                    return Ok(());
                }
                if let Ok(entry) = postcard::from_bytes(bytes)
                    && !see(position, &entry)
                {
                    return Ok(());
                }
            }
        }
    }

    /// The decision recorded at a position.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn decision(&self, position: u64) -> Result<(Millis, Decision), RerunError> {
        let first = self.first();
        let mut found = None;
        if position >= first {
            self.each(position, position, |_, entry| {
                if let Event::Decided(decision) = &entry.event {
                    found = Some((entry.at, decision.clone()));
                }
                false
            })?;
        }
        let last = match found {
            Some(found) => return Ok(found),
            None => self.end()?.map_or(0, |(last, _)| last),
        };
        let hint = match position < first {
            true => "; the node may still have it in its audit: say --node URL",
            false => "",
        };
        Err(RerunError::NoDecision {
            position,
            first,
            last,
            hint,
        })
    }

    /// The oldest position from which a rerun can begin; `None`: from none.
    ///
    /// # Errors
    /// The folder of the snapshots cannot be read.
    pub fn earliest(&self) -> Result<Option<u64>, RerunError> {
        let first = self.first();
        if first == 1 {
            return Ok(Some(0));
        }
        let positions = self.positions()?;
        Ok(positions
            .into_iter()
            .find(|at| at.saturating_add(1) >= first))
    }

    fn positions(&self) -> Result<Vec<u64>, RerunError> {
        self.snapshots.positions().map_err(|source| RerunError::Io {
            path: self.path.join("snapshots"),
            source,
        })
    }

    /// The twin at the newest position up to `upto` from which the journal can be run.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn base(&self, upto: u64) -> Result<Base, RerunError> {
        let first = self.first();
        let covered = |at: &u64| *at <= upto && at.saturating_add(1) >= first;
        if self.positions()?.iter().any(covered) {
            let snapshot = self
                .snapshots
                .before(upto)
                .map_err(|source| RerunError::Io {
                    path: self.path.join("snapshots"),
                    source,
                })?;
            if let Some(snapshot) = snapshot.filter(|snapshot| covered(&snapshot.position)) {
                return Ok(Base {
                    twin: Twin::from_bytes(&snapshot.twin)?,
                    states: snapshot.plugins,
                });
            }
        }
        if first > 1 {
            return Err(RerunError::NotCovered {
                wanted: upto + 1,
                first,
                earliest: self.earliest()?.map_or(first, |at| at + 1),
            });
        }
        Ok(Base {
            twin: Twin::new(),
            states: Vec::new(),
        })
    }
}

/// The twin as it was behind a position.
///
/// # Errors
/// No rerun can begin before it.
pub fn twin_at(
    data: &DataFolder,
    position: u64,
    watch: super::Watch<'_>,
) -> Result<Twin, RerunError> {
    let mut twin = data.base(position)?.twin;
    let from = twin.position();
    let mut effects = Effects::default();
    data.each(from + 1, position, |at, entry| {
        if at % super::WATCHED == 0 {
            watch("approaching", at - from, Some(position - from));
        }
        twin.fold(at, entry, &mut effects);
        effects.clear();
        true
    })?;
    Ok(twin)
}

/// What was done that the version of a decision runs: deployed, promoted, brought back; `None`
/// where neither snapshot nor journal say.
///
/// # Errors
/// The data cannot be read.
pub fn deployment_of(
    data: &DataFolder,
    position: u64,
    decision: &Decision,
) -> Result<Option<PluginChange>, RerunError> {
    let mut twin = match data.base(position.saturating_sub(1)) {
        Ok(base) => base.twin,
        Err(RerunError::NotCovered { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut effects = Effects::default();
    data.each(twin.position() + 1, decision.to, |position, entry| {
        twin.fold(position, entry, &mut effects);
        effects.clear();
        true
    })?;
    let past = twin.past(&decision.quarter, &decision.plugin);
    let changes = past.map(|past| past.changes.as_slice()).unwrap_or_default();
    let brought = |change: &&PluginChange| {
        change.how.is_some() && change.version == decision.version && change.position <= decision.to
    };
    Ok(changes.iter().rev().find(brought).cloned())
}
