//! Charging sites: how many of their points are free, busy, down or silent.
//!
//! A point (OCPI: an EVSE) is an asset of its own, `part_of` its site, and says its OCPI status as a
//! number of `charging_state`. Counts are taken at ticks, from the newest status of every point, so
//! that they depend on the journal alone; they are told when they changed, at the time of the
//! newest status. A point of the kind `evse` that never said anything counts as unknown, as does
//! one whose status is no OCPI status; one that is planned or removed is left out.

use std::collections::{BTreeMap, BTreeSet};

use quartier_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// Kind of the assets that are charging points before they said anything.
const POINT: &str = "evse";

/// What a status means for somebody who wants to charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Use {
    /// Can be used now.
    Free,
    /// In use, blocked or reserved.
    Busy,
    /// Cannot be used before somebody repairs or enables it.
    Down,
    /// Does not say.
    Unknown,
    /// Not there yet, or no more.
    LeftOut,
}

impl Use {
    /// Of a value of `charging_state`: the statuses of OCPI 2.2.1, `mod_locations`, in the order of
    /// its table, from 1.
    #[must_use]
    pub fn of(code: f64) -> Self {
        const STATUSES: [(f64, Use); 9] = [
            (1.0, Use::Free),    // AVAILABLE
            (2.0, Use::Busy),    // BLOCKED
            (3.0, Use::Busy),    // CHARGING
            (4.0, Use::Down),    // INOPERATIVE
            (5.0, Use::Down),    // OUTOFORDER
            (6.0, Use::LeftOut), // PLANNED
            (7.0, Use::LeftOut), // REMOVED
            (8.0, Use::Busy),    // RESERVED
            (9.0, Use::Unknown), // UNKNOWN
        ];
        let found = STATUSES.iter().find(|(status, _)| *status == code);
        found.map_or(Self::Unknown, |(_, meaning)| *meaning)
    }
}

/// Points of one site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    free: u32,
    busy: u32,
    down: u32,
    unknown: u32,
}

impl Counts {
    fn add(&mut self, point: Use) {
        match point {
            Use::Free => self.free += 1,
            Use::Busy => self.busy += 1,
            Use::Down => self.down += 1,
            Use::Unknown => self.unknown += 1,
            Use::LeftOut => {}
        }
    }
}

/// What is known of points and was told of sites.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    /// Newest status and its time.
    points: BTreeMap<AssetId, (Use, u64)>,
    told: BTreeMap<AssetId, Counts>,
}

impl State {
    /// Forgets an asset.
    pub fn forget(&mut self, asset: AssetId) {
        self.points.remove(&asset);
        self.told.remove(&asset);
    }

    /// Counts by site, and the time of its newest status; sites of which no point ever said
    /// anything have no time and are left out.
    fn sites(&self, assets: &Assets) -> BTreeMap<AssetId, (Counts, u64)> {
        let silent = assets.of_kind(POINT).map(|asset| asset.id);
        let points: BTreeSet<AssetId> = self.points.keys().copied().chain(silent).collect();
        let mut sites: BTreeMap<AssetId, (Counts, u64)> = BTreeMap::new();
        for point in points {
            let (status, time) = self
                .points
                .get(&point)
                .copied()
                .unwrap_or((Use::Unknown, 0));
            for site in assets.related(point, "part_of") {
                let (counts, newest) = sites.entry(site).or_default();
                counts.add(status);
                *newest = time.max(*newest);
            }
        }
        sites.retain(|_, (_, newest)| *newest != 0);
        sites
    }
}

/// The rule.
#[derive(Debug)]
pub struct Charging {
    state: Metric,
    free: Metric,
    busy: Metric,
    down: Metric,
    unknown: Metric,
}

impl Charging {
    /// Looks up its names.
    ///
    /// # Errors
    /// What the manifest lacks.
    pub fn new(setup: &Setup) -> Result<Self, SetupError> {
        Ok(Self {
            state: setup.metric("charging_state", "1")?,
            free: setup.metric("charging_points_free", "1")?,
            busy: setup.metric("charging_points_busy", "1")?,
            down: setup.metric("charging_points_down", "1")?,
            unknown: setup.metric("charging_points_unknown", "1")?,
        })
    }

    /// Takes a reading that is its own.
    pub fn reading(&self, state: &mut State, row: &Reading<'_>) {
        if row.metric == self.state {
            state
                .points
                .insert(row.asset, (Use::of(row.value), row.time_ms));
        }
    }

    /// Tells the counts that changed.
    pub fn tick(&self, state: &mut State, cx: &mut Context<'_>) {
        for (site, (counts, time)) in state.sites(cx.assets()) {
            if state.told.insert(site, counts) == Some(counts) {
                continue;
            }
            for (metric, count) in [
                (self.free, counts.free),
                (self.busy, counts.busy),
                (self.down, counts.down),
                (self.unknown, counts.unknown),
            ] {
                cx.derive(site, metric, f64::from(count), time);
            }
        }
    }
}
