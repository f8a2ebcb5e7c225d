//! Where the broker keeps what must survive the process: a map from bytes to bytes, the host's.

/// The disk failed; the host's log says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the broker's state could not be read or written")]
pub struct DiskFailed;

/// Keys that were put or, without a value, removed.
pub type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A durable map. It may block: it is read once, by [`crate::Broker::start`], and then written by a
/// thread of the broker's own.
pub trait Disk: Send + Sync + 'static {
    /// Calls `each(key, value)` for all there is, in the order of the keys.
    ///
    /// # Errors
    /// Not everything could be read.
    fn read(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), DiskFailed>;

    /// Makes all changes or none. They are on disk when it returns.
    ///
    /// # Errors
    /// Nothing changed.
    fn write(&self, changes: Changes) -> Result<(), DiskFailed>;
}
