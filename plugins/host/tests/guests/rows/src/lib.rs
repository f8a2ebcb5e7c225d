//! Test guest of the SDK. A reading of temperature is counted by asset and the count derived, and
//! what it exceeds its row's property `limit` by; two warm ones raise an alert and ask for the fan.
//! A humid hour raises another, and derives what it exceeds the limit by that the host tells. A
//! tick derives how many readings each asset has had.
#![forbid(unsafe_code)]

use quartier_sdk::prelude::*;

/// What it looks up.
pub struct Rows {
    temperature: Metric,
    humidity: Metric,
    seen: Metric,
    excess: Metric,
    limit: Prop,
    warm: Topic,
    warm_limit: Limit,
    humid: Topic,
    humid_limit: Limit,
    fan: CommandId,
}

/// What it remembers of an asset.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    readings: u32,
    warm: Alarm,
    humid: Alarm,
}

impl Rule for Rows {
    type State = BTreeMap<AssetId, Seen>;
    const STATE_VERSION: u8 = 3;

    fn new(setup: &Setup) -> Result<Self, SetupError> {
        Ok(Self {
            temperature: setup.metric("temperature", "Cel")?,
            humidity: setup.metric("humidity", "%")?,
            seen: setup.metric("seen", "1")?,
            excess: setup.metric("excess", "1")?,
            limit: setup.prop("limit")?,
            warm: setup.topic("warm")?,
            warm_limit: setup.limit("warm", 1)?,
            humid: setup.topic("humid")?,
            humid_limit: setup.limit("humid", 7)?,
            fan: setup.command("set_fan")?,
        })
    }

    fn reading(&self, state: &mut Self::State, row: &Reading, cx: &mut Context) {
        if row.metric != self.temperature {
            return;
        }
        let seen = state.entry(row.asset).or_default();
        seen.readings += 1;
        cx.derive(row.asset, self.seen, f64::from(seen.readings), row.time_ms);
        if let Some(limit) = row.prop(self.limit) {
            cx.derive(row.asset, self.excess, row.value - limit, row.time_ms);
        }
        let limit = &self.warm_limit;
        match seen.warm.step(Some(row.value), limit) {
            Some(Change::Raise) => {
                let text = format!("{} Cel", row.value);
                cx.raise(
                    row.asset,
                    self.warm,
                    limit,
                    Severity::Major,
                    row.value,
                    text,
                );
                cx.command(row.asset, self.fan, 1.0, row.time_ms + 60_000, row.time_ms);
            }
            Some(Change::Clear) => cx.clear(row.asset, self.warm, limit, row.value, ""),
            None => {}
        }
    }

    fn window(&self, state: &mut Self::State, row: &Window, cx: &mut Context) {
        if row.metric != self.humidity {
            return;
        }
        let seen = state.entry(row.asset).or_default();
        if let Some(limit) = cx.twin(row.asset, self.limit) {
            cx.derive(row.asset, self.excess, row.mean - limit, row.end_ms);
        }
        let limit = &self.humid_limit;
        let mean = row.mean_if(0.75);
        match seen.humid.step(mean, limit) {
            Some(Change::Raise) => {
                cx.raise(
                    row.asset,
                    self.humid,
                    limit,
                    Severity::Info,
                    row.mean,
                    "humid",
                );
            }
            Some(Change::Clear) => cx.clear(row.asset, self.humid, limit, row.mean, "dry"),
            None => {}
        }
    }

    fn tick(&self, state: &mut Self::State, now_ms: u64, cx: &mut Context) {
        for (asset, seen) in state {
            cx.derive(*asset, self.seen, f64::from(seen.readings), now_ms);
        }
    }

    fn asset_gone(&self, state: &mut Self::State, asset: AssetId) {
        state.remove(&asset);
    }
}

quartier_sdk::export!(Rows);
