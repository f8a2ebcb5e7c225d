//! Car parks: occupancy, and whether the capacity they are said to have is stale.
//!
//! Occupancy is `1 - free/capacity` in percent and is never clamped. Where more spaces are free
//! than there are said to be, it is negative, `parking_capacity_stale` is 1 beside it, and after
//! some readings there is an alert: the number stays what the formula gives, so that a capacity
//! that is put right later can be applied to the recorded values.
//!
//! The capacity is the newest reading of `parking_capacity`; where the car park never sent one, the
//! asset's attribute `capacity`. Without either, and at a capacity of 0, there is no occupancy.

use std::collections::BTreeMap;

use quartier_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::evaluations::{Evaluations, Keep};

/// Readings are evaluated by themselves: a car park that reports changes may be silent for long.
const KEEP: Keep = Keep {
    latest: 1,
    gap_ms: u64::MAX,
};

/// State of one car park.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Lot {
    /// Spaces by its newest reading of the capacity.
    capacity: Option<f64>,
    /// Time and value of its newest reading of free spaces.
    free: Option<(u64, f64)>,
    full: Evaluations,
    stale: Evaluations,
}

/// Car parks by asset.
pub type State = BTreeMap<AssetId, Lot>;

/// What free spaces mean at a capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// Percent; negative at a stale capacity; `None` at a capacity of 0.
    pub occupancy: Option<f64>,
    /// Free spaces are this share of the capacity, percent; `None` at a capacity of 0.
    pub free_share: Option<f64>,
    /// More are free than there are said to be.
    pub stale: bool,
}

/// Judges a number of free spaces.
#[must_use]
pub fn judge(free: f64, capacity: f64) -> Judged {
    let free_share = (capacity > 0.0).then(|| 100.0 * free / capacity);
    Judged {
        occupancy: (capacity > 0.0).then(|| 100.0 * (capacity - free) / capacity),
        free_share,
        stale: free > capacity,
    }
}

/// The rule.
#[derive(Debug)]
pub struct Parking {
    free: Metric,
    capacity: Metric,
    occupancy: Metric,
    stale: Metric,
    full_topic: Topic,
    full_limit: Limit,
    stale_topic: Topic,
    stale_limit: Limit,
}

impl Parking {
    /// Looks up its names and limits.
    ///
    /// # Errors
    /// What the manifest lacks.
    pub fn new(setup: &Setup) -> Result<Self, SetupError> {
        Ok(Self {
            free: setup.metric("parking_free", "1")?,
            capacity: setup.metric("parking_capacity", "1")?,
            occupancy: setup.metric("parking_occupancy", "%")?,
            stale: setup.metric("parking_capacity_stale", "1")?,
            full_topic: setup.topic("car_park_full")?,
            full_limit: setup.limit("car_park_full", 1)?.inclusive(),
            stale_topic: setup.topic("parking_capacity_stale")?,
            stale_limit: setup.limit("parking_capacity_stale", 1)?,
        })
    }

    /// Takes a reading that is its own.
    pub fn reading(&self, lots: &mut State, row: &Reading<'_>, cx: &mut Context<'_>) {
        let own = row.metric == self.free || row.metric == self.capacity;
        if !own || row.quality == Quality::Bad {
            return;
        }
        let lot = lots.entry(row.asset).or_default();
        if row.metric == self.free {
            lot.free = Some((row.time_ms, row.value));
        } else if lot.capacity.replace(row.value) == Some(row.value) {
            return;
        }
        let said = cx.assets().get(row.asset);
        let attribute = said.and_then(|asset| asset.number("capacity"));
        let capacity = lot.capacity.or(attribute.filter(|spaces| *spaces >= 0.0));
        if let (Some((time, free)), Some(capacity)) = (lot.free, capacity) {
            self.tell(row.asset, lot, (time, free, capacity), cx);
        }
    }

    fn tell(
        &self,
        asset: AssetId,
        lot: &mut Lot,
        (time, free, capacity): (u64, f64, f64),
        cx: &mut Context<'_>,
    ) {
        let judged = judge(free, capacity);
        if let Some(occupancy) = judged.occupancy {
            cx.derive(asset, self.occupancy, occupancy, time);
        }
        let flag = f64::from(u8::from(judged.stale));
        cx.derive(asset, self.stale, flag, time);

        let (topic, limit) = (self.full_topic, &self.full_limit);
        let change = lot.full.put(time, judged.occupancy, limit, KEEP);
        let value = judged.occupancy.unwrap_or_default();
        let text = || format!("{free} of {capacity} spaces free, {value:.0} % occupied");
        match change {
            Some(Change::Raise) => cx.raise(asset, topic, limit, Severity::Info, value, text()),
            Some(Change::Clear) => cx.clear(asset, topic, limit, value, text()),
            None => {}
        }

        let (topic, limit) = (self.stale_topic, &self.stale_limit);
        let change = lot.stale.put(time, judged.free_share, limit, KEEP);
        let value = judged.free_share.unwrap_or_default();
        let text = || format!("{free} spaces free of {capacity} that the car park is said to have");
        match change {
            Some(Change::Raise) => cx.raise(asset, topic, limit, Severity::Warning, value, text()),
            Some(Change::Clear) => cx.clear(asset, topic, limit, value, text()),
            None => {}
        }
    }
}
