//! Cells as numbers in which every cell's descendants are one contiguous range.
//!
//! A place code is the H3 index without its mode, its resolution and its digits below
//! resolution 12: 7 bits base cell, then 12 digits of 3 bits, 43 bits in all. Digits below the
//! cell's own resolution are 7, which no real digit is; so the code of a coarse cell is also an
//! upper bound of its descendants' codes, and no two cells share a code.

use std::ops::RangeInclusive;

use h3o::{CellIndex, LatLng, Resolution};

use crate::model::Place;

/// The resolution that everything is kept at.
pub(super) const FINEST: Resolution = Resolution::Twelve;
/// Number of [`FINEST`].
pub(super) const FINEST_LEVEL: u8 = 12;
/// Bits of a place code.
pub(super) const CODE_BITS: u32 = 43;

const BITS_BELOW_FINEST: u32 = 9;
const CELL_MODE: u64 = 1 << 59;
const RESOLUTION_SHIFT: u32 = 52;

/// The resolution-12 cell of a place.
///
/// `None` never happens for a [`Place`], whose coordinates are finite.
pub fn cell_of(place: Place) -> Option<CellIndex> {
    Some(position(place)?.to_cell(FINEST))
}

/// The place as h3o wants it.
pub(super) fn position(place: Place) -> Option<LatLng> {
    LatLng::new(place.lat(), place.lon()).ok()
}

/// The cell at resolution 12: the ancestor of a finer cell, the centre child of a coarser one.
pub(super) fn at_finest(cell: CellIndex) -> Option<CellIndex> {
    cell.parent(FINEST).or_else(|| cell.center_child(FINEST))
}

/// Place code of a cell; a cell finer than 12 has that of its ancestor.
pub(super) fn code(cell: CellIndex) -> u64 {
    (u64::from(cell) >> BITS_BELOW_FINEST) & ((1 << CODE_BITS) - 1)
}

/// The bits of the digits below `level` (0 to 12).
pub(super) fn below(level: u8) -> u64 {
    (1 << (3 * u32::from(FINEST_LEVEL.saturating_sub(level)))) - 1
}

/// Codes of everything within a cell of resolution 0 to 12.
pub(super) fn codes(cell: CellIndex) -> RangeInclusive<u64> {
    let last = code(cell);
    last & !below(cell.resolution().into())..=last
}

/// The cell at `level` (0 to 12) that holds the place code.
pub(super) fn cell_at(code: u64, level: u8) -> Option<CellIndex> {
    let digits = (code & ((1 << CODE_BITS) - 1)) | below(level);
    let unused = (1 << BITS_BELOW_FINEST) - 1;
    let bits =
        CELL_MODE | u64::from(level) << RESOLUTION_SHIFT | digits << BITS_BELOW_FINEST | unused;
    CellIndex::try_from(bits).ok()
}

/// The coarsest level at which two place codes, or aggregate keys, part: 0 to 12, and 13 where
/// they are equal. Parting in the base cell or above it counts as 0.
pub(super) fn parting_level(a: u64, b: u64) -> u8 {
    match (a ^ b).checked_ilog2() {
        None => FINEST_LEVEL + 1,
        Some(bit) => FINEST_LEVEL.saturating_sub((bit / 3).min(u32::from(FINEST_LEVEL)) as u8),
    }
}
