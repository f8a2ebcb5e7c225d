//! Who measures near an asset: those within two cells of H3 resolution 9, some 600 m.

use std::collections::{BTreeMap, BTreeSet};

use h3o::{CellIndex, Resolution};
use quartier_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::stats::median_and_mad;

const RESOLUTION: Resolution = Resolution::Nine;
const RINGS: u32 = 2;

/// Where the sensors are, by cell of resolution 9.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Places {
    cells: BTreeMap<AssetId, u64>,
    assets: BTreeMap<u64, BTreeSet<AssetId>>,
}

impl Places {
    /// Puts an asset where it is; one without a place, or one known only to be somewhere in a
    /// larger cell, is nowhere.
    pub fn put(&mut self, asset: AssetId, cell: u64) {
        self.forget(asset);
        let cell = CellIndex::try_from(cell).ok();
        if let Some(cell) = cell.and_then(|cell| cell.parent(RESOLUTION)) {
            let cell = u64::from(cell);
            self.cells.insert(asset, cell);
            self.assets.entry(cell).or_default().insert(asset);
        }
    }

    /// Takes an asset away.
    pub fn forget(&mut self, asset: AssetId) {
        let Some(cell) = self.cells.remove(&asset) else {
            return;
        };
        if let Some(there) = self.assets.get_mut(&cell) {
            there.remove(&asset);
            if there.is_empty() {
                self.assets.remove(&cell);
            }
        }
    }

    /// The others within two cells.
    #[must_use]
    pub fn near(&self, asset: AssetId) -> Vec<AssetId> {
        let cell = self.cells.get(&asset).copied();
        let Some(cell) = cell.and_then(|cell| CellIndex::try_from(cell).ok()) else {
            return Vec::new();
        };
        let around: Vec<CellIndex> = cell.grid_disk(RINGS);
        let there = around
            .iter()
            .filter_map(|cell| self.assets.get(&u64::from(*cell)));
        there
            .flatten()
            .copied()
            .filter(|other| *other != asset)
            .collect()
    }
}

/// How an hour compares with that of the neighbours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Median of the neighbours, ug/m3.
    pub median: f64,
    /// Distance from it, as a share of the largest that is tolerated: above 1 the hour is unlike.
    pub distance: f64,
}

/// What is tolerated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Neighbours needed.
    pub peers: usize,
    /// Median absolute deviations (not scaled).
    pub k: f64,
    /// ug/m3, where the neighbours agree closely.
    pub least: f64,
}

/// Compares a mean with those of the neighbours; `None`: there are too few.
#[must_use]
pub fn compare(mean: f64, neighbours: &[f64], tolerance: &Tolerance) -> Option<Comparison> {
    if neighbours.len() < tolerance.peers {
        return None;
    }
    let (median, mad) = median_and_mad(neighbours)?;
    let far = (tolerance.k * mad).max(tolerance.least);
    Some(Comparison {
        median,
        distance: (mean - median).abs() / far,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(rings: u32) -> Vec<u64> {
        let home = CellIndex::try_from(0x0891_f1b0_960b_ffff).unwrap();
        let cells: Vec<CellIndex> = home.grid_ring(rings);
        cells.into_iter().map(u64::from).collect()
    }

    #[test]
    fn near_is_within_two_cells_whatever_the_resolution_of_the_place() {
        let mut places = Places::default();
        let finer = |cell: u64| {
            let cell = CellIndex::try_from(cell).unwrap();
            u64::from(cell.center_child(Resolution::Twelve).unwrap())
        };
        let (home, far) = (around(0), around(3));
        places.put(AssetId(1), finer(home[0]));
        let ring = around(1).into_iter().chain(around(2));
        for (id, cell) in (2..).zip(ring) {
            places.put(AssetId(id), if id % 2 == 0 { cell } else { finer(cell) });
        }
        for (id, cell) in (100..).zip(far) {
            places.put(AssetId(id), cell);
        }
        places.put(AssetId(200), finer(home[0]));
        let mut near: Vec<u32> = places.near(AssetId(1)).iter().map(|id| id.0).collect();
        near.sort_unstable();
        assert_eq!(near, (2..20).chain([200]).collect::<Vec<_>>());
    }

    #[test]
    fn who_has_no_place_or_left_is_near_nobody() {
        let mut places = Places::default();
        let home = around(0)[0];
        let coarse = CellIndex::try_from(home)
            .unwrap()
            .parent(Resolution::Eight)
            .unwrap();
        places.put(AssetId(1), home);
        for (id, cell) in [(2, 0), (3, u64::MAX), (4, coarse.into())] {
            places.put(AssetId(id), cell);
            assert_eq!(places.near(AssetId(id)), []);
        }
        assert_eq!(places.near(AssetId(1)), []);
        places.put(AssetId(5), home);
        assert_eq!(places.near(AssetId(1)), [AssetId(5)]);
        places.forget(AssetId(5));
        assert_eq!(places.near(AssetId(1)), []);
    }

    #[test]
    fn a_mean_is_unlike_beyond_three_deviations_or_five_micrograms() {
        let rule = Tolerance {
            peers: 5,
            k: 3.0,
            least: 5.0,
        };
        let calm = [10.0, 10.0, 11.0, 10.0, 11.0];
        let distance = |mean, near: &[f64]| compare(mean, near, &rule).map(|c| c.distance);
        assert_eq!(distance(15.0, &calm), Some(1.0), "5 ug/m3 are tolerated");
        assert_eq!(distance(4.0, &calm), Some(1.2));
        let mixed = [10.0, 14.0, 18.0, 22.0, 26.0];
        assert_eq!(distance(30.0, &mixed), Some(1.0), "3 deviations of 4");
        assert_eq!(distance(30.0, &mixed[1..]), None, "four are too few");
    }
}
