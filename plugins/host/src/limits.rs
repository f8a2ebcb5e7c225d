//! What an instance may grow to: linear memory and tables.

use wasmtime::ResourceLimiter;

/// Elements of a table at most; a rule has a function table and no more.
pub(crate) const TABLE_ELEMENTS: usize = 20_000;

/// Ends the call that grows past the quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooLarge {
    #[error("more memory than the quota of {0} bytes")]
    Memory(usize),
    #[error("a table of more than {TABLE_ELEMENTS} elements")]
    Table,
}

/// Quota of one instance.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Quota of all linear memories together.
    pub(crate) memory_bytes: usize,
    /// What they have now.
    pub(crate) used: usize,
}

impl ResourceLimiter for Limits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_sub(current).saturating_add(desired);
        match used <= self.memory_bytes {
            true => {
                self.used = used;
                Ok(true)
            }
            false => Err(TooLarge::Memory(self.memory_bytes).into()),
        }
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        match desired <= TABLE_ELEMENTS {
            true => Ok(true),
            false => Err(TooLarge::Table.into()),
        }
    }
}
