//! The data folder: one process at a time, one format.
//!
//! `lock` is held as long as the folder is in use and names the process; `format` holds the
//! version of the entries ([`crate::event::FORMAT`]) and is written before anything else.

use std::cmp::Ordering;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::event::FORMAT;
use crate::files;

/// A data folder could not be used. Every message is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The folder is not there and cannot be made, or is no folder.
    #[error(
        "cannot create the data folder {path}: {source}; create it or set node.data to another"
    )]
    Create {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file in the folder cannot be read or written.
    #[error(
        "cannot use {path} in the data folder: {source}; give this user the right to read and write it"
    )]
    Access {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process uses the folder.
    #[error(
        "the data folder {path} is in use by process {process}; stop that one or set node.data to another folder"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Its process id as it wrote it.
        process: String,
    },
    /// A later version wrote the folder.
    #[error(
        "the data folder {path} has format {found}, this program knows up to {FORMAT}; start the later version that wrote it"
    )]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// An earlier version wrote the folder.
    #[error(
        "the data folder {path} has format {found}, this program needs {FORMAT}; set node.data to a new folder"
    )]
    Older {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// There are data and nothing says in which format.
    #[error(
        "{path} does not name the format of the data folder; restore it from a backup or set node.data to a new folder"
    )]
    Unknown {
        /// The format file.
        path: PathBuf,
    },
}

/// A data folder in use by this process, until it is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the folder where it is missing, locks it and checks its format.
    ///
    /// # Errors
    /// See [`DataDirError`]; the folder's data are as they were.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataDirError> {
        let path = path.as_ref().to_owned();
        fs::create_dir_all(&path).map_err(|source| DataDirError::Create {
            path: path.clone(),
            source,
        })?;
        let lock = lock(&path)?;
        check_format(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the journal is.
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// Where the store is.
    pub fn store(&self) -> PathBuf {
        self.path.join("store")
    }
}

fn lock(dir: &Path) -> Result<File, DataDirError> {
    let path = dir.join("lock");
    let access = |source| DataDirError::Access {
        path: path.clone(),
        source,
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(access)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            // Who it is only helps; that it is locked is certain.
            let _ = file.read_to_string(&mut process);
            let process = match process.trim() {
                "" => "unknown".to_owned(),
                id => id.to_owned(),
            };
            return Err(DataDirError::InUse {
                path: dir.to_owned(),
                process,
            });
        }
        Err(TryLockError::Error(source)) => return Err(access(source)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(access)?;
    Ok(file)
}

fn check_format(dir: &Path) -> Result<(), DataDirError> {
    let path = dir.join("format");
    let found = match fs::read_to_string(&path) {
        Ok(text) => text
            .trim()
            .parse()
            .map_err(|_| DataDirError::Unknown { path: path.clone() })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if dir.join("journal").exists() || dir.join("store").exists() {
                return Err(DataDirError::Unknown { path });
            }
            // On disk with its name before the journal begins.
            files::replace(&path, format!("{FORMAT}\n").as_bytes(), files::READABLE)
                .map_err(|source| DataDirError::Access { path, source })?;
            FORMAT
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(DataDirError::Unknown { path });
        }
        Err(source) => return Err(DataDirError::Access { path, source }),
    };
    match found.cmp(&FORMAT) {
        Ordering::Equal => Ok(()),
        Ordering::Greater => Err(DataDirError::Newer {
            path: dir.to_owned(),
            found,
        }),
        Ordering::Less => Err(DataDirError::Older {
            path: dir.to_owned(),
            found,
        }),
    }
}
