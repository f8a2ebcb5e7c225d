//! Which window goes to which rule.

mod loading;
mod metering;
mod network;
mod settings;
mod supply;

use quartier_sdk::prelude::*;

use loading::Network;
use metering::{Metering, Source};
use settings::{Input, Settings};
use supply::{Mean, Supply};

/// The energy lab's rules.
pub struct Energy(Settings);

/// All that they remember.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    network: Network,
    supply: BTreeMap<AssetId, Supply>,
    metering: Metering,
}

/// What an asset is to the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Feeder or transformer.
    Grid,
    /// Connection point, or a device that can be dimmed.
    Behind,
    /// Anything else.
    Meter,
}

fn role(assets: &Assets, id: AssetId) -> Role {
    match assets.get(id).map(|asset| asset.kind.as_str()) {
        Some("feeder" | "transformer") => Role::Grid,
        Some("connection_point" | "wallbox" | "heat_pump" | "cooling" | "battery") => Role::Behind,
        _ => Role::Meter,
    }
}

impl Rule for Energy {
    type State = State;
    const STATE_VERSION: u8 = 1;

    fn new(setup: &Setup) -> Result<Self, SetupError> {
        Settings::new(setup).map(Self)
    }

    fn window(&self, state: &mut State, row: &Window, cx: &mut Context) {
        let set = &self.0;
        let Some(input) = set.input(row) else {
            return;
        };
        let value = row.mean_if(set.coverage);
        let mean = Mean {
            asset: row.asset,
            end: row.end_ms,
            value,
        };
        let network = &mut state.network;
        match input {
            Input::Active => match role(cx.assets(), row.asset) {
                Role::Grid => {
                    network.power(set, row, (value, false), cx);
                    state.profile(set, Source::Public, mean, cx);
                }
                Role::Behind => network.draw(set, row, value, cx),
                Role::Meter => state.profile(set, Source::Public, mean, cx),
            },
            Input::Reactive if role(cx.assets(), row.asset) == Role::Grid => {
                network.power(set, row, (value, true), cx);
            }
            Input::Reactive => {}
            Input::Device => network.draw(set, row, value, cx),
            Input::Household => state.profile(set, Source::Household, mean, cx),
            Input::Plant => state.profile(set, Source::Plant, mean, cx),
            Input::Phase(phase) => state.supply(mean.asset).voltage(set, phase, mean, cx),
            Input::Thd => state.supply(mean.asset).thd(set, mean, cx),
            Input::Frequency => state.supply(mean.asset).frequency(set, mean, cx),
        }
    }

    fn asset_gone(&self, state: &mut State, asset: AssetId) {
        state.network.forget(asset);
        state.supply.remove(&asset);
        state.metering.forget(asset);
    }
}

impl State {
    fn supply(&mut self, asset: AssetId) -> &mut Supply {
        self.supply.entry(asset).or_default()
    }

    fn profile(&mut self, set: &Settings, source: Source, mean: Mean, cx: &mut Context) {
        if let Some(kw) = mean.value {
            self.metering
                .take(set, (mean.asset, source), (mean.end, kw), cx);
        }
    }
}
