//! Files that a crash or a power cut leaves whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Mode of a file that everyone may read.
pub const READABLE: u32 = 0o644;
/// Mode of a file with secrets.
pub const PRIVATE: u32 = 0o600;

/// Puts `content` in the place of a file's: a crash leaves the old or the new one, and what this
/// returns from stays. It is written beside, with the extension `tmp`; one writer at a time.
///
/// # Errors
/// The disk's; the old content is still there, unless only the folder could not be synced.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes the names in a folder durable.
///
/// # Errors
/// The disk's.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
