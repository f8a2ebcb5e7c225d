//! Levels of one raw metric: crowding of a walkway (Fruin), delay at a junction (HBS).

use std::collections::BTreeMap;

use quartier_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bands::{Bands, FRUIN_WALKWAY, HBS_DELAY, letter};

/// How far the alert of one place is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Place {
    levels: Levels,
    /// Time of the last evaluation: a value that comes again for the same time is not counted.
    time: u64,
}

/// Places by asset.
pub type State = BTreeMap<AssetId, Place>;

/// The rule: a metric, its table and the levels that alert, the mildest first.
#[derive(Debug)]
pub struct Scale {
    reads: Metric,
    derives: Metric,
    bands: Bands,
    topic: Topic,
    limits: Vec<(Limit, Severity)>,
    unit: &'static str,
}

impl Scale {
    /// Walkways: crowding.
    ///
    /// # Errors
    /// What the manifest lacks.
    pub fn crowding(setup: &Setup) -> Result<Self, SetupError> {
        let (dense, packed) = (setup.limit("crowding", 5)?, setup.limit("crowding", 6)?);
        Ok(Self {
            reads: setup.metric("pedestrian_density", "1/m2")?,
            derives: setup.metric("crowding_level", "1")?,
            bands: FRUIN_WALKWAY,
            topic: setup.topic("crowding")?,
            limits: vec![(dense, Severity::Warning), (packed, Severity::Major)],
            unit: "persons a square metre",
        })
    }

    /// Junctions without signals: delay.
    ///
    /// # Errors
    /// What the manifest lacks.
    pub fn junction(setup: &Setup) -> Result<Self, SetupError> {
        let long = setup.limit("junction_delay", 5)?.inclusive();
        Ok(Self {
            reads: setup.metric("delay", "s")?,
            derives: setup.metric("junction_level_of_service", "1")?,
            bands: HBS_DELAY,
            topic: setup.topic("junction_delay")?,
            limits: vec![(long, Severity::Warning)],
            unit: "s mean delay",
        })
    }

    /// Takes a reading that is its own.
    pub fn reading(&self, places: &mut State, row: &Reading<'_>, cx: &mut Context<'_>) {
        if row.metric != self.reads || row.quality == Quality::Bad {
            return;
        }
        let level = self.bands.level(row.value);
        cx.derive(row.asset, self.derives, f64::from(level), row.time_ms);
        let place = places.entry(row.asset).or_default();
        if row.time_ms <= place.time {
            return;
        }
        place.time = row.time_ms;
        let Some(change) = place.levels.step(Some(row.value), &self.limits) else {
            return;
        };
        let (value, unit) = (row.value, self.unit);
        let text = format!("level {}, {value:.2} {unit}", letter(level));
        let (asset, topic, limit) = (row.asset, self.topic, &change.limit);
        match change.raise {
            true => cx.raise(asset, topic, limit, change.severity, value, text),
            false => cx.clear(asset, topic, limit, value, text),
        }
    }
}
