//! Where the assets are, and which are near, in a cell or in a box.
//!
//! One ordered map from (place code, asset) to position: a cell at any resolution is one range
//! of it, with the positions beside the keys. A search goes down the cells from the 122 base
//! cells, drops those whose bounding circle is out of reach, stops where few assets are left,
//! and tests these exactly. It needs no neighbourhood of cells, so pentagons, poles and the
//! antimeridian are no special cases.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use h3o::{CellIndex, LatLng};

use super::bbox::BBox;
use super::key::{self, FINEST};
use super::nearest::Nearest;
use crate::model::Place;

/// A cell with no more assets than this is not divided further.
const FEW: usize = 48;

/// Bound on the distance from a cell's centre to any point whose resolution-12 cell descends
/// from it, in average edge lengths of its resolution. Not proven: the largest measured is 1.144,
/// over 1.5 million points all over the Earth, corners of coarse cells and around pentagons.
const REACH: f64 = 1.3;

/// Which assets are where: assets by index, each at most at one place.
#[derive(Debug, Clone, Default)]
pub struct Grid {
    cells: Vec<Option<CellIndex>>,
    places: BTreeMap<(u64, u32), Place>,
}

impl Grid {
    /// Places, moves or (with `None`) removes an asset. Indices are dense: memory grows with the
    /// largest one.
    pub fn put(&mut self, asset: u32, place: Option<Place>) {
        let at = asset as usize;
        if let Some(old) = self.cell(asset) {
            self.places.remove(&(key::code(old), asset));
        }
        let cell = place.and_then(key::cell_of);
        if let (Some(cell), Some(place)) = (cell, place) {
            self.places.insert((key::code(cell), asset), place);
        }
        if at >= self.cells.len() && cell.is_some() {
            self.cells.resize(at + 1, None);
        }
        if let Some(slot) = self.cells.get_mut(at) {
            *slot = cell;
        }
    }

    /// The asset's cell at resolution 12; `None` where it has no place.
    pub fn cell(&self, asset: u32) -> Option<CellIndex> {
        self.cells.get(asset as usize).copied().flatten()
    }

    /// How many assets have a place.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no asset has a place.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The nearest `limit` assets within `radius_m` metres, and their great-circle distances in
    /// metres ([`LatLng::distance_m`]), sorted by distance, then index. A negative or NaN radius
    /// finds none.
    pub fn near(&self, centre: Place, radius_m: f64, limit: usize) -> Vec<(u32, f64)> {
        let mut nearest = Nearest::new(limit, radius_m);
        let Some(origin) = key::position(centre) else {
            return Vec::new();
        };
        // Nearest first. The bits of distances, which are never negative, sort as the distances.
        let mut queue = BinaryHeap::new();
        let push = |queue: &mut BinaryHeap<_>, cell: CellIndex, nearest: &Nearest| {
            let distance = origin.distance_m(LatLng::from(cell));
            let at_least = (distance - reach_m(cell)).max(0.0);
            if nearest.wants(at_least) {
                queue.push(Reverse((at_least.to_bits(), u64::from(cell), cell)));
            }
        };
        for cell in CellIndex::base_cells() {
            push(&mut queue, cell, &nearest);
        }
        while let Some(Reverse((at_least, _, cell))) = queue.pop() {
            if !nearest.wants(f64::from_bits(at_least)) {
                break;
            }
            match self.divide(cell) {
                Some(children) => children.for_each(|child| push(&mut queue, child, &nearest)),
                None => {
                    for (&(_, asset), &place) in self.places.range(keys(cell)) {
                        if let Some(position) = key::position(place) {
                            nearest.offer(asset, origin.distance_m(position));
                        }
                    }
                }
            }
        }
        nearest.finish()
    }

    /// The assets within a cell, in the order of their cells, then index. To resolution 12 by
    /// the hierarchy; finer by the position itself.
    pub fn in_cell(&self, cell: CellIndex) -> impl Iterator<Item = u32> + '_ {
        let fine = cell.resolution() > FINEST;
        // A cell finer than 12 can reach over the border of its ancestor at 12.
        let mut within = match cell.parent(FINEST).filter(|_| fine) {
            Some(ancestor) => ancestor.grid_disk::<Vec<_>>(1),
            None => vec![cell],
        };
        within.sort_unstable_by_key(|&cell| key::code(cell));
        within
            .into_iter()
            .flat_map(|within| self.places.range(keys(within)))
            .filter(move |&(_, &place)| {
                !fine || key::position(place).is_some_and(|p| p.to_cell(cell.resolution()) == cell)
            })
            .map(|(&(_, asset), _)| asset)
    }

    /// The assets in a box, sorted by index.
    pub fn in_box(&self, area: &BBox) -> Vec<u32> {
        let mut found = Vec::new();
        let mut open: Vec<_> = CellIndex::base_cells().collect();
        while let Some(cell) = open.pop() {
            let reach = cell.resolution().edge_length_rads() * REACH;
            if !area.may_meet(LatLng::from(cell), reach) {
                continue;
            }
            match self.divide(cell) {
                Some(children) => open.extend(children),
                None => found.extend(
                    self.places
                        .range(keys(cell))
                        .filter(|&(_, &place)| area.contains(place))
                        .map(|(&(_, asset), _)| asset),
                ),
            }
        }
        found.sort_unstable();
        found
    }

    /// The children of a cell that is worth dividing.
    fn divide(&self, cell: CellIndex) -> Option<impl Iterator<Item = CellIndex> + use<>> {
        let finer = cell.resolution().succ().filter(|&finer| finer <= FINEST)?;
        let many = self.places.range(keys(cell)).nth(FEW).is_some();
        many.then(|| cell.children(finer))
    }
}

fn reach_m(cell: CellIndex) -> f64 {
    cell.resolution().edge_length_m() * REACH
}

fn keys(cell: CellIndex) -> std::ops::RangeInclusive<(u64, u32)> {
    let (first, last) = key::codes(cell).into_inner();
    (first, u32::MIN)..=(last, u32::MAX)
}
