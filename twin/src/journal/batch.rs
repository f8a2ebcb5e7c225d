//! Entries on their way into the journal, already in the form that a frame's body has.

use std::io;

/// Bytes before each entry: its length.
pub(super) const ENTRY_HEADER: usize = 4;

/// A run of entries, encoded by the caller outside of any lock; clear and use it again.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    count: u32,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one entry.
    pub fn push(&mut self, entry: &[u8]) {
        self.bytes.extend_from_slice(&length(entry.len()));
        self.bytes.extend_from_slice(entry);
        self.count = self.count.saturating_add(1);
    }

    /// Adds the entry that `write` writes, without a copy. `write` must not fail for want of room:
    /// the writer grows.
    ///
    /// # Errors
    /// The error of `write`; then nothing was added.
    pub fn push_with<E>(
        &mut self,
        write: impl FnOnce(&mut EntryWriter<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&length(0));
        if let Err(error) = write(&mut EntryWriter {
            bytes: &mut self.bytes,
        }) {
            self.bytes.truncate(start);
            return Err(error);
        }
        let written = length(self.bytes.len() - start - ENTRY_HEADER);
        if let Some(place) = self.bytes.get_mut(start..start + ENTRY_HEADER) {
            place.copy_from_slice(&written);
        }
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// Number of entries.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that the batch takes in the journal.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Removes all entries and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A length that does not fit makes the batch too large to be appended, so it is never read back.
fn length(len: usize) -> [u8; ENTRY_HEADER] {
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}

/// Writes one entry into a [`Batch`]; never fails.
#[derive(Debug)]
pub struct EntryWriter<'a> {
    bytes: &'a mut Vec<u8>,
}

impl io::Write for EntryWriter<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
