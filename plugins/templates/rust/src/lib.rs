//! Fine dust of every hour and place: a warning when the hourly mean of PM10 stays above the lab's
//! limit, and the running mean of 24 hours.

use quartier_sdk::prelude::*;

const HOUR_S: u32 = 3600;
const HOUR_MS: u64 = 3_600_000;
/// Hours of a day that must count for its mean to count.
const ENOUGH_HOURS: usize = 18;

/// What the rule looked up once, when it started.
pub struct Dust {
    pm10: Metric,
    day_mean: Metric,
    high: Topic,
    limit: Limit,
    coverage: f64,
}

/// What it remembers, also across restarts and new versions. In a `BTreeMap`, so that the same state
/// is the same bytes.
#[derive(Default, Serialize, Deserialize)]
pub struct State {
    places: BTreeMap<AssetId, Place>,
}

#[derive(Default, Serialize, Deserialize)]
struct Place {
    /// Means of the last 24 hours that count, by the end of the hour.
    hours: BTreeMap<u64, f64>,
    newest_ms: u64,
    alarm: Alarm,
}

impl Rule for Dust {
    type State = State;
    const STATE_VERSION: u8 = 1;

    fn new(setup: &Setup) -> Result<Self, SetupError> {
        Ok(Self {
            pm10: setup.metric("pm10", "ug/m3")?,
            day_mean: setup.metric("pm10_24h", "ug/m3")?,
            high: setup.topic("pm10_high")?,
            limit: setup.limit("pm10_high", 1)?,
            coverage: setup.number("coverage", 0.0..=1.0)?,
        })
    }

    fn window(&self, state: &mut State, row: &Window, cx: &mut Context) {
        if row.metric != self.pm10 || row.span_s != HOUR_S {
            return;
        }
        let place = state.places.entry(row.asset).or_default();
        let mean = row.mean_if(self.coverage);
        // An hour that is sent again, corrected, changes the mean of the day but is not a further
        // hour above the limit.
        if row.end_ms > place.newest_ms {
            place.newest_ms = row.end_ms;
            let (asset, limit) = (row.asset, &self.limit);
            match place.alarm.step(mean, limit) {
                Some(Change::Raise) => {
                    let text = "PM10: hourly mean above the limit";
                    cx.raise(asset, self.high, limit, Severity::Warning, row.mean, text);
                }
                Some(Change::Clear) => {
                    let text = "PM10: hourly mean well below the limit";
                    cx.clear(asset, self.high, limit, row.mean, text);
                }
                None => {}
            }
        }
        place.note(row.end_ms, mean);
        if let Some(mean) = place.day_mean() {
            cx.derive(row.asset, self.day_mean, mean, place.newest_ms);
        }
    }

    fn asset_gone(&self, state: &mut State, asset: AssetId) {
        state.places.remove(&asset);
    }
}

impl Place {
    fn note(&mut self, end_ms: u64, mean: Option<f64>) {
        match mean {
            Some(mean) => self.hours.insert(end_ms, mean),
            None => self.hours.remove(&end_ms),
        };
        let oldest = self.newest_ms.saturating_sub(23 * HOUR_MS);
        self.hours.retain(|end_ms, _| *end_ms >= oldest);
    }

    fn day_mean(&self) -> Option<f64> {
        let sum: f64 = self.hours.values().sum();
        (self.hours.len() >= ENOUGH_HOURS).then(|| sum / self.hours.len() as f64)
    }
}

quartier_sdk::export!(Dust);

#[cfg(test)]
mod tests;
