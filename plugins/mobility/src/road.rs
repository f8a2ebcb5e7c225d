//! Roads: density and level of service of each quarter of an hour.
//!
//! Density is `k = q / (v * lanes)` of the mean flow and the mean speed of one window, in passenger
//! cars a kilometre of lane; where the share of heavy vehicles of the same window is known, each of
//! them stands for some passenger cars. Both means need their coverage, and the asset its attribute
//! `lanes`: otherwise there is no level, and never one from an older window. A mean speed of 0 gives
//! none either: nobody drives, or all stand, and flow alone does not say which.
//!
//! The mean speed of a detector is above the mean along the road, so that the density is, in
//! congestion, somewhat low.

use std::collections::BTreeMap;

use quartier_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bands::{HCM_DENSITY, letter};
use crate::evaluations::{Evaluations, Keep};

const SPAN_S: u32 = 900;
/// Windows of flow and speed close each with the next value of its own stream: some may be late.
const KEEP: Keep = Keep {
    latest: 8,
    gap_ms: SPAN_S as u64 * 1000,
};

/// What arrived of one window, with enough coverage.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Quarter {
    /// Vehicles an hour, all lanes.
    pub flow: Option<f64>,
    /// km/h.
    pub speed: Option<f64>,
    /// Share of heavy vehicles, percent.
    pub heavy: Option<f64>,
}

impl Quarter {
    /// Passenger cars a kilometre of lane; `heavy_as`: passenger cars that a heavy vehicle counts
    /// for.
    #[must_use]
    pub fn density(&self, lanes: f64, heavy_as: f64) -> Option<f64> {
        let (flow, speed) = (self.flow?, self.speed?);
        let share = self.heavy.unwrap_or(0.0).clamp(0.0, 100.0) / 100.0;
        let cars = flow * (1.0 + share * (heavy_as - 1.0));
        (speed > 0.0 && lanes >= 1.0).then(|| cars / (speed * lanes))
    }
}

/// State of one road.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Road {
    /// The latest windows by their end, with the density last told.
    latest: BTreeMap<u64, (Quarter, Option<f64>)>,
    congested: Evaluations,
}

/// Roads by asset.
pub type State = BTreeMap<AssetId, Road>;

/// The rule.
#[derive(Debug)]
pub struct Roads {
    flow: Metric,
    speed: Metric,
    heavy: Metric,
    density: Metric,
    level: Metric,
    topic: Topic,
    limit: Limit,
    coverage: f64,
    heavy_as: f64,
}

impl Roads {
    /// Looks up its names and limits.
    ///
    /// # Errors
    /// What the manifest lacks.
    pub fn new(setup: &Setup) -> Result<Self, SetupError> {
        Ok(Self {
            flow: setup.metric("vehicle_flow", "1/h")?,
            speed: setup.metric("vehicle_speed", "km/h")?,
            heavy: setup.metric("heavy_vehicle_share", "%")?,
            density: setup.metric("vehicle_density", "1/km")?,
            level: setup.metric("level_of_service", "1")?,
            topic: setup.topic("road_congested")?,
            limit: setup.limit("road_congested", 6)?,
            coverage: setup.number("coverage", 0.0..=1.0)?,
            heavy_as: setup.number("passenger_cars_per_heavy_vehicle", 1.0..=10.0)?,
        })
    }

    /// Takes a window that is its own.
    pub fn window(&self, roads: &mut State, row: &Window<'_>, cx: &mut Context<'_>) {
        let own = [self.flow, self.speed, self.heavy].contains(&row.metric);
        if !own || row.span_s != SPAN_S {
            return;
        }
        let road = roads.entry(row.asset).or_default();
        let (quarter, told) = road.latest.entry(row.end_ms).or_default();
        let mean = row.mean_if(self.coverage);
        match row.metric {
            metric if metric == self.flow => quarter.flow = mean,
            metric if metric == self.speed => quarter.speed = mean,
            _ => quarter.heavy = mean,
        }
        let asset = cx.assets().get(row.asset);
        let lanes = asset.and_then(|asset| asset.number("lanes"));
        let density = lanes.and_then(|lanes| quarter.density(lanes, self.heavy_as));
        if let Some(density) = density.filter(|density| *told != Some(*density)) {
            *told = Some(density);
            let level = f64::from(HCM_DENSITY.level(density));
            cx.derive(row.asset, self.density, density, row.end_ms);
            cx.derive(row.asset, self.level, level, row.end_ms);
        }
        while road.latest.len() > KEEP.latest {
            road.latest.pop_first();
        }
        self.alert(row, road, density, cx);
    }

    fn alert(&self, row: &Window<'_>, road: &mut Road, density: Option<f64>, cx: &mut Context<'_>) {
        let change = road.congested.put(row.end_ms, density, &self.limit, KEEP);
        let value = density.unwrap_or_default();
        let level = letter(HCM_DENSITY.level(value));
        let text = || format!("level of service {level}, {value:.1} passenger cars a km of lane");
        let (asset, topic, limit) = (row.asset, self.topic, &self.limit);
        match change {
            Some(Change::Raise) => cx.raise(asset, topic, limit, Severity::Warning, value, text()),
            Some(Change::Clear) => cx.clear(asset, topic, limit, value, text()),
            None => {}
        }
    }
}
