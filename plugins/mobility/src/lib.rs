//! The mobility lab's rule: car parks, roads and junctions, charging sites, sharing feeds and
//! crowding. Each is a file of its own; [`bands`] has the tables with their sources, the manifest
//! the limits and the patience of the alerts.
//!
//! What combines streams of one asset is corrected when the rest becomes known ([`evaluations`]);
//! what combines assets is decided at ticks. So nothing depends on how batches are cut.

#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

use quartier_sdk::prelude::*;
use serde::{Deserialize, Serialize};

pub mod bands;
pub mod charging;
pub mod evaluations;
pub mod parking;
pub mod road;
pub mod scale;
pub mod sharing;

/// The rule.
#[derive(Debug)]
pub struct Mobility {
    parking: parking::Parking,
    roads: road::Roads,
    junctions: scale::Scale,
    crowds: scale::Scale,
    charging: charging::Charging,
    sharing: sharing::Sharing,
}

/// What it remembers, part by part.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    parking: parking::State,
    roads: road::State,
    junctions: scale::State,
    crowds: scale::State,
    charging: charging::State,
    sharing: sharing::State,
}

impl Rule for Mobility {
    type State = State;
    const STATE_VERSION: u8 = 1;

    fn new(setup: &Setup) -> Result<Self, SetupError> {
        Ok(Self {
            parking: parking::Parking::new(setup)?,
            roads: road::Roads::new(setup)?,
            junctions: scale::Scale::junction(setup)?,
            crowds: scale::Scale::crowding(setup)?,
            charging: charging::Charging::new(setup)?,
            sharing: sharing::Sharing::new(setup)?,
        })
    }

    fn reading(&self, state: &mut State, row: &Reading<'_>, cx: &mut Context<'_>) {
        self.parking.reading(&mut state.parking, row, cx);
        self.junctions.reading(&mut state.junctions, row, cx);
        self.crowds.reading(&mut state.crowds, row, cx);
        self.charging.reading(&mut state.charging, row);
        self.sharing.reading(&mut state.sharing, row);
    }

    fn window(&self, state: &mut State, row: &Window<'_>, cx: &mut Context<'_>) {
        self.roads.window(&mut state.roads, row, cx);
    }

    fn tick(&self, state: &mut State, now_ms: u64, cx: &mut Context<'_>) {
        self.charging.tick(&mut state.charging, cx);
        self.sharing.tick(&mut state.sharing, now_ms, cx);
    }

    fn asset_gone(&self, state: &mut State, asset: AssetId) {
        state.parking.remove(&asset);
        state.roads.remove(&asset);
        state.junctions.remove(&asset);
        state.crowds.remove(&asset);
        state.charging.forget(asset);
        state.sharing.forget(asset);
    }
}

quartier_sdk::export!(Mobility);

#[cfg(test)]
mod tests;
