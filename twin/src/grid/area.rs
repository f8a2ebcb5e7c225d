//! Area topics: a place as the levels of a topic, and the filter that holds a cell.

use std::fmt;

use h3o::{CellIndex, Resolution};
use thiserror::Error;

/// The levels that address a place under `area/v1`; shown as `{r6}/{d7}/{d8}/{d9}/{d10}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AreaLevels {
    /// The cell at resolution 6, shown in hex.
    pub r6: CellIndex,
    /// The child digits at resolutions 7 to 10, each 0 to 6.
    pub digits: [u8; 4],
}

impl fmt::Display for AreaLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.r6)?;
        self.digits
            .iter()
            .try_for_each(|digit| write!(f, "/{digit}"))
    }
}

/// A cell that no single area filter can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("cell {cell} has resolution {}; an area filter needs 6 to 10", .cell.resolution())]
pub struct AreaError {
    /// The cell asked for.
    pub cell: CellIndex,
}

const DIGITS: [Resolution; 4] = [
    Resolution::Seven,
    Resolution::Eight,
    Resolution::Nine,
    Resolution::Ten,
];

/// The levels of the topics of everything in `cell`; `None` where it is coarser than resolution
/// 10. Give it the asset's resolution-12 cell, so that topics and cell aggregates agree.
pub fn area_topic_levels(cell: CellIndex) -> Option<AreaLevels> {
    let mut digits = [0; 4];
    for (digit, resolution) in digits.iter_mut().zip(DIGITS) {
        *digit = cell.direction_at(resolution)?.into();
    }
    Some(AreaLevels {
        r6: cell.parent(Resolution::Six)?,
        digits,
    })
}

/// The MQTT filter of everything within a cell of resolution 6 to 10:
/// `area/v1/{r6}/{d7}/{d8}/#` for resolution 8.
///
/// # Errors
/// [`AreaError`] for any other resolution.
pub fn area_filter(cell: CellIndex) -> Result<String, AreaError> {
    let error = AreaError { cell };
    if cell.resolution() > Resolution::Ten {
        return Err(error);
    }
    let mut filter = format!("area/v1/{}", cell.parent(Resolution::Six).ok_or(error)?);
    for direction in DIGITS
        .into_iter()
        .map_while(|resolution| cell.direction_at(resolution))
    {
        filter.push('/');
        filter.push_str(&u8::from(direction).to_string());
    }
    filter.push_str("/#");
    Ok(filter)
}
