//! The health lab's rule: indices of air quality, limit values, noise, heat, the air in rooms, and
//! the fans of city trees.
//!
//! One file a rule; [`tables`] and the manifest hold their numbers and sources. Every rule works on
//! closed windows, one at a time, and keeps its state by asset, so what it says does not depend on
//! how rows are cut into batches.
#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

pub mod air;
pub mod clock;
pub mod heat;
pub mod hours;
pub mod index;
pub mod limits;
pub mod noise;
pub mod rooms;
pub mod sound;
pub mod span;
pub mod tables;
pub mod trees;

use quartier_sdk::prelude::*;

use tables::{Pollutant, UNIT};

/// Seconds of the windows that are read.
const TEN_MINUTES: u32 = 600;
const HOUR: u32 = 3600;
const EIGHT_HOURS: u32 = 28_800;
const DAY: u32 = 86_400;

/// What a stream measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measured {
    Pollutant(Pollutant),
    Sound,
    Temperature,
    Humidity,
    Utci,
    Co2,
}

/// What the rules remember.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    air: BTreeMap<AssetId, hours::Hours>,
    years: BTreeMap<AssetId, limits::Year>,
    sound: BTreeMap<AssetId, sound::Place>,
    heat: BTreeMap<AssetId, heat::Place>,
    rooms: BTreeMap<AssetId, Levels>,
    trees: BTreeMap<AssetId, trees::Tree>,
}

/// The rules of the health lab.
#[derive(Debug)]
pub struct Health {
    streams: Vec<(Metric, Measured)>,
    /// Share of a window that must be covered, 0 to 1.
    coverage: f64,
    air: air::Air,
    limits: limits::Limits,
    sound: sound::Sound,
    heat: heat::Heat,
    rooms: rooms::Rooms,
    trees: trees::Trees,
}

impl Rule for Health {
    type State = State;
    const STATE_VERSION: u8 = 2;

    fn new(setup: &Setup) -> Result<Self, SetupError> {
        let mut streams = vec![
            (setup.metric("laeq", "dB(A)")?, Measured::Sound),
            (setup.metric("temperature", "Cel")?, Measured::Temperature),
            (setup.metric("humidity", "%")?, Measured::Humidity),
            (setup.metric("utci", "Cel")?, Measured::Utci),
            (setup.metric("co2", "ppm")?, Measured::Co2),
        ];
        for pollutant in Pollutant::ALL {
            let metric = setup.metric(pollutant.metric(), UNIT)?;
            streams.push((metric, Measured::Pollutant(pollutant)));
        }
        Ok(Self {
            streams,
            coverage: setup.number("coverage", 0.0..=1.0)?,
            air: air::Air::new(setup)?,
            limits: limits::Limits::new(setup)?,
            sound: sound::Sound::new(setup)?,
            heat: heat::Heat::new(setup)?,
            rooms: rooms::Rooms::new(setup)?,
            trees: trees::Trees::new(setup)?,
        })
    }

    fn window(&self, state: &mut State, row: &Window<'_>, cx: &mut Context<'_>) {
        let stream = self
            .streams
            .iter()
            .find(|(metric, _)| *metric == row.metric);
        let Some((_, measured)) = stream else { return };
        let mean = row.mean_if(self.coverage);
        match (*measured, row.span_s) {
            (Measured::Pollutant(pollutant), span) => {
                self.pollutant(state, (pollutant, span), mean, row, cx);
            }
            (Measured::Sound, HOUR) => {
                let place = state.sound.entry(row.asset).or_default();
                self.sound.hour(place, mean, row, cx);
            }
            (Measured::Temperature, HOUR) => {
                let place = state.heat.entry(row.asset).or_default();
                self.heat.temperature(place, mean.is_some(), row, cx);
            }
            (Measured::Temperature, DAY) => self.heat.day(mean.is_some(), row, cx),
            (Measured::Humidity, HOUR) => {
                let place = state.heat.entry(row.asset).or_default();
                self.heat.humidity(place, mean, row, cx);
            }
            (Measured::Utci, HOUR) => {
                let place = state.heat.entry(row.asset).or_default();
                self.heat.utci(place, mean, row, cx);
            }
            (Measured::Co2, TEN_MINUTES) => self.rooms.co2(&mut state.rooms, mean, row, cx),
            _ => {}
        }
    }

    fn tick(&self, state: &mut State, now_ms: u64, cx: &mut Context<'_>) {
        self.trees.tick(&mut state.trees, now_ms, cx);
    }

    fn asset_gone(&self, state: &mut State, asset: AssetId) {
        state.air.remove(&asset);
        state.years.remove(&asset);
        state.sound.remove(&asset);
        state.heat.remove(&asset);
        state.rooms.remove(&asset);
        trees::gone(&mut state.trees, asset);
    }

    fn asset_changed(&self, state: &mut State, asset: AssetId, assets: &Assets) {
        trees::changed(&mut state.trees, asset, assets);
    }
}

impl Health {
    fn pollutant(
        &self,
        state: &mut State,
        (pollutant, span_s): (Pollutant, u32),
        mean: Option<f64>,
        row: &Window<'_>,
        cx: &mut Context<'_>,
    ) {
        match span_s {
            HOUR => {
                self.air.hour(&mut state.air, pollutant, mean, row, cx);
                let year = state.years.entry(row.asset).or_default();
                self.limits.hour(year, pollutant, mean, row, cx);
                self.trees.hour(&mut state.trees, pollutant, mean, row, cx);
            }
            EIGHT_HOURS if pollutant == Pollutant::O3 => {
                let year = state.years.entry(row.asset).or_default();
                self.limits.ozone(year, mean, row, cx);
            }
            DAY => {
                let year = state.years.entry(row.asset).or_default();
                self.limits.day(year, pollutant, mean, row, cx);
            }
            _ => {}
        }
    }
}

quartier_sdk::export!(Health);

#[cfg(test)]
mod tests;
