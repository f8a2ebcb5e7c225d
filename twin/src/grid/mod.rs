//! The H3 index of the twin: which assets are where, and live aggregates for each cell.
//!
//! Pure: no clock, no I/O, and the same calls in the same order give the same answers bit for
//! bit. It is not part of the snapshot; it is rebuilt from the assets.
//!
//! Containment is that of the hierarchy: an asset belongs to its resolution-12 cell and to that
//! cell's ancestors. H3 parents do not enclose their children exactly, so near a border an
//! ancestor can differ from the cell that H3 gives for the same position at that resolution.
//! Grid, aggregates, area topics and quarters all go by the hierarchy and agree with each other.

mod aggregates;
mod area;
mod bbox;
mod cellset;
mod key;
mod nearest;
mod partial;
mod places;
mod walk;

#[cfg(test)]
mod tests;

pub use aggregates::{Aggregates, CellAggregate};
pub use area::{AreaError, AreaLevels, area_filter, area_topic_levels};
pub use bbox::BBox;
pub use cellset::{CellSet, CellSetError};
pub use key::cell_of;
pub use partial::{Aggregate, Sample};
pub use places::Grid;
