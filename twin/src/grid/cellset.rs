//! The area of a quarter: a set of cells of mixed resolutions.
//!
//! Invariant: sorted by place code, and no cell is within another; so the last cell that starts
//! at or before a place is the only one that can hold it.

use std::str::FromStr;

use h3o::CellIndex;
use thiserror::Error;

use super::key::{self, FINEST};

/// The cells of a quarter, resolution 0 to 12; usually compacted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CellSet {
    cells: Vec<CellIndex>,
}

/// A line of a cells file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CellSetError {
    /// Not an H3 cell.
    #[error("line {line}: {text:?} is not an H3 cell; write one a line, such as 891f1b0960bffff")]
    NotACell {
        /// Counted from 1.
        line: usize,
        /// The start of the line.
        text: String,
    },
    /// Finer than the twin's grid.
    #[error("line {line}: cell {cell} has resolution {}; take its parent at 12", .cell.resolution())]
    TooFine {
        /// Counted from 1.
        line: usize,
        /// The cell on it.
        cell: CellIndex,
    },
}

/// As much of a bad line as an error shows, characters.
const SHOWN: usize = 40;

impl CellSet {
    /// Reads one cell a line, in hex; empty lines and lines that start with `#` are skipped.
    /// Cells within others are absorbed.
    ///
    /// # Errors
    /// [`CellSetError`] names the first line that is no cell of resolution 0 to 12.
    pub fn parse(text: &str) -> Result<Self, CellSetError> {
        let mut cells = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let cell = CellIndex::from_str(text).map_err(|_| CellSetError::NotACell {
                line,
                text: text.chars().take(SHOWN).collect(),
            })?;
            if cell.resolution() > FINEST {
                return Err(CellSetError::TooFine { line, cell });
            }
            cells.push(cell);
        }
        Ok(Self::new(cells))
    }

    /// The cells as a set: those within others are absorbed; of those finer than 12, their
    /// ancestors at 12 are taken.
    pub fn new(cells: impl IntoIterator<Item = CellIndex>) -> Self {
        let mut cells: Vec<_> = cells
            .into_iter()
            .map(|cell| cell.parent(FINEST).unwrap_or(cell))
            .collect();
        cells.sort_unstable_by_key(|&cell| (*key::codes(cell).start(), cell.resolution()));
        cells.dedup_by(|next, kept| key::code(*next) <= key::code(*kept));
        Self { cells }
    }

    /// The cells, sorted by place, none within another.
    pub fn cells(&self) -> &[CellIndex] {
        &self.cells
    }

    /// Whether the set has no cell.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Whether one of the set's cells is the cell or an ancestor of it.
    pub fn contains(&self, cell: CellIndex) -> bool {
        let (first, last) = key::codes(cell.parent(FINEST).unwrap_or(cell)).into_inner();
        let after = self
            .cells
            .partition_point(|&held| *key::codes(held).start() <= first);
        let held = after.checked_sub(1).and_then(|at| self.cells.get(at));
        held.is_some_and(|&held| last <= key::code(held))
    }

    /// Area on the sphere, square kilometres: the sum of the cells' exact areas.
    pub fn area_km2(&self) -> f64 {
        self.cells.iter().map(|cell| cell.area_km2()).sum()
    }
}
