//! Feeds of sharing systems (GBFS): one that is older than its limit is stale.
//!
//! A feed's age is the time since the newest report of any of its stations. A station that is
//! `part_of` a system stands for the system's feed; one that is part of none is a feed by itself.
//! Ages are taken at ticks. `feed_stale` is told when it changes, the alert after some ticks.

use std::collections::BTreeMap;

use quartier_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// What is known of stations and was told of feeds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    /// Time of a station's newest report.
    stations: BTreeMap<AssetId, u64>,
    feeds: BTreeMap<AssetId, Feed>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Feed {
    told: Option<bool>,
    stale: Alarm,
}

impl State {
    /// Forgets an asset.
    pub fn forget(&mut self, asset: AssetId) {
        self.stations.remove(&asset);
        self.feeds.remove(&asset);
    }

    /// Newest report by feed.
    fn newest(&self, assets: &Assets) -> BTreeMap<AssetId, u64> {
        let mut newest = BTreeMap::new();
        for (&station, &time) in &self.stations {
            let feed = assets.related(station, "part_of").next().unwrap_or(station);
            let known = newest.entry(feed).or_insert(time);
            *known = time.max(*known);
        }
        newest
    }
}

/// The rule.
#[derive(Debug)]
pub struct Sharing {
    vehicles: Metric,
    docks: Metric,
    stale: Metric,
    topic: Topic,
    limit: Limit,
}

impl Sharing {
    /// Looks up its names and limits.
    ///
    /// # Errors
    /// What the manifest lacks.
    pub fn new(setup: &Setup) -> Result<Self, SetupError> {
        Ok(Self {
            vehicles: setup.metric("vehicles_available", "1")?,
            docks: setup.metric("docks_available", "1")?,
            stale: setup.metric("feed_stale", "1")?,
            topic: setup.topic("feed_stale")?,
            limit: setup.limit("feed_stale", 1)?,
        })
    }

    /// Takes a reading that is its own.
    pub fn reading(&self, state: &mut State, row: &Reading<'_>) {
        if row.metric == self.vehicles || row.metric == self.docks {
            let newest = state.stations.entry(row.asset).or_default();
            *newest = row.time_ms.max(*newest);
        }
    }

    /// Tells which feeds are stale at a time.
    pub fn tick(&self, state: &mut State, now_ms: u64, cx: &mut Context<'_>) {
        for (id, time) in state.newest(cx.assets()) {
            let age_s = now_ms.saturating_sub(time) as f64 / 1000.0;
            let stale = self.limit.is_past(age_s);
            let feed = state.feeds.entry(id).or_default();
            if feed.told.replace(stale) != Some(stale) {
                cx.derive(id, self.stale, f64::from(u8::from(stale)), now_ms);
            }
            let (topic, limit) = (self.topic, &self.limit);
            let text = || format!("nothing newer than {age_s:.0} s");
            match feed.stale.step(Some(age_s), limit) {
                Some(Change::Raise) => {
                    cx.raise(id, topic, limit, Severity::Warning, age_s, text());
                }
                Some(Change::Clear) => cx.clear(id, topic, limit, age_s, text()),
                None => {}
            }
        }
    }
}
