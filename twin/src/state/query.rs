//! Looking for assets: where, of which quarter, of which kind.

use h3o::CellIndex;

use super::{Asset, Twin};
use crate::grid::BBox;
use crate::model::{Millis, Place};
use crate::vocabulary::Domain;

/// Which assets are meant; everything given must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AssetFilter {
    /// Id of the quarter.
    pub quarter: Option<String>,
    /// Kind of the asset.
    pub kind: Option<String>,
    /// A domain that one of its metrics belongs to.
    pub domain: Option<Domain>,
    /// Where it is.
    pub region: Option<Region>,
    /// Event time of its newest reading, at least.
    pub updated_since: Option<Millis>,
}

/// A part of the Earth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Region {
    /// Within so many metres of a place.
    Near(Place, f64),
    /// Within a cell.
    Cell(CellIndex),
    /// Within a box.
    Box(BBox),
}

impl Twin {
    /// Indices of the assets that match, ascending, from behind `after`, `limit` at most. Near a
    /// place they come nearest first, and `after` is a place in that order.
    pub fn find_assets(&self, filter: &AssetFilter, after: usize, limit: usize) -> Vec<u32> {
        let quarter = match &filter.quarter {
            None => None,
            Some(id) => match self.quarter_index(id) {
                None => return Vec::new(),
                found => found,
            },
        };
        let matches = |&index: &u32| {
            self.assets
                .get(index as usize)
                .is_some_and(|asset| self.asset_matches(asset, quarter, filter))
        };
        let found: Vec<u32> = match filter.region {
            None => {
                let count = u32::try_from(self.assets.len()).unwrap_or(u32::MAX);
                return (0..count).filter(matches).skip(after).take(limit).collect();
            }
            Some(Region::Near(centre, radius_m)) => {
                let near = self.grid.near(centre, radius_m, usize::MAX);
                near.into_iter().map(|(index, _)| index).collect()
            }
            Some(Region::Cell(cell)) => sorted(self.grid.in_cell(cell).collect()),
            Some(Region::Box(bbox)) => sorted(self.grid.in_box(&bbox)),
        };
        found
            .into_iter()
            .filter(matches)
            .skip(after)
            .take(limit)
            .collect()
    }

    fn asset_matches(&self, asset: &Asset, quarter: Option<u16>, filter: &AssetFilter) -> bool {
        let of_domain = |domain: Domain| {
            asset.streams.iter().any(|(metric, _)| {
                self.metrics
                    .get(usize::from(*metric))
                    .is_some_and(|m| m.domain == domain)
            })
        };
        quarter.is_none_or(|quarter| asset.quarter == quarter)
            && filter.kind.as_ref().is_none_or(|kind| asset.kind() == kind)
            && filter
                .updated_since
                .is_none_or(|since| asset.updated >= since)
            && filter.domain.is_none_or(of_domain)
    }
}

fn sorted(mut indices: Vec<u32>) -> Vec<u32> {
    indices.sort_unstable();
    indices
}
