//! The state as bytes: what a restart reads before it replays the rest of the journal.

use super::Twin;

/// A snapshot that cannot be read; the journal's beginning is needed then.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not what [`Twin::to_bytes`] wrote.
    #[error("the snapshot cannot be decoded: {0}")]
    Decode(#[from] postcard::Error),
}

impl Twin {
    /// The whole state; the same state gives the same bytes.
    ///
    /// # Errors
    /// Never for a state that was folded; the encoder's signature allows it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SnapshotError> {
        Ok(postcard::to_allocvec(self)?)
    }

    /// The state that [`Twin::to_bytes`] wrote.
    ///
    /// # Errors
    /// Bytes of another origin or format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let mut twin: Self = postcard::from_bytes(bytes)?;
        twin.rebuild();
        Ok(twin)
    }
}
