//! Heat: humidex of each hour, hot days, tropical nights, and the band of a reported UTCI.
//!
//! All of it is an indicator: official warnings are those of the Deutscher Wetterdienst, so no
//! severity here is above info.

use quartier_sdk::prelude::*;

use crate::clock::{DAY, HOUR};
use crate::span::Span;

/// Hours for which half of a humidex waits for the other.
const WAITING: usize = 12;
/// Valid hours with which the twelve of a night stand: 75 %.
const NIGHT_HOURS: u32 = 9;
/// Hours of the night of a tropical night, UTC: it begins 18:00 and ends 06:00.
const NIGHT_ENDS: u64 = 6;
const NIGHT_BEGINS: u64 = 18;
/// Bands of the UTCI by code: [codes, name].
const BANDS: [(u32, &str); 4] = [
    (1, "moderate"),
    (2, "strong"),
    (3, "very strong"),
    (4, "extreme"),
];

/// Felt temperature (Masterton and Richardson 1979), of air in degrees Celsius and its relative
/// humidity in %.
pub fn humidex(temperature: f64, humidity: f64) -> f64 {
    let saturated = 6.112 * 10f64.powf(7.5 * temperature / (237.7 + temperature));
    temperature + 5.0 / 9.0 * (saturated * humidity / 100.0 - 10.0)
}

/// Temperature and humidity of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Half {
    Temperature(f64),
    Humidity(f64),
}

/// Lowest temperature of a night so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Night {
    lowest: Option<f64>,
    hours: u32,
}

/// State of one place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Place {
    /// By end of the hour.
    waiting: BTreeMap<u64, Half>,
    /// Numbered by the day in which it ends.
    night: Span<Night>,
    utci: Levels,
}

/// What is derived and raised.
#[derive(Debug)]
pub struct Heat {
    humidex: Metric,
    hot_day: Metric,
    tropical_night: Metric,
    humidex_from: f64,
    hot_day_from: f64,
    tropical_night_from: f64,
    topic: Topic,
    bands: Vec<(Limit, Severity)>,
}

impl Heat {
    /// Names and thresholds from the manifest.
    pub fn new(setup: &Setup) -> Result<Self, SetupError> {
        let band = |(code, _): &(u32, &str)| Ok((setup.limit("utci_heat", *code)?, Severity::Info));
        Ok(Self {
            humidex: setup.metric("humidex", "Cel")?,
            hot_day: setup.metric("hot_day", "1")?,
            tropical_night: setup.metric("tropical_night", "1")?,
            humidex_from: setup.number("humidex_from", -50.0..=60.0)?,
            hot_day_from: setup.number("hot_day_from", -50.0..=60.0)?,
            tropical_night_from: setup.number("tropical_night_from", -50.0..=60.0)?,
            topic: setup.topic("utci_heat")?,
            bands: BANDS.iter().map(band).collect::<Result<_, _>>()?,
        })
    }

    /// Takes an hour of temperature; `enough`: it is covered well enough to count.
    pub fn temperature(&self, place: &mut Place, enough: bool, row: &Window, cx: &mut Context) {
        if enough {
            self.half(place, Half::Temperature(row.mean), row, cx);
        }
        let lowest = enough.then_some(row.min);
        let hour = row.end_ms.saturating_sub(1) % DAY / HOUR;
        let day = row.end_ms.saturating_sub(1) / DAY;
        let add = |night: &mut Night| {
            if let Some(lowest) = lowest {
                night.lowest = Some(night.lowest.map_or(lowest, |before| before.min(lowest)));
                night.hours += 1;
            }
        };
        let over = match hour {
            NIGHT_BEGINS.. => place.night.put(day + 1, false, add),
            ..NIGHT_ENDS => place.night.put(day, hour + 1 == NIGHT_ENDS, add),
            _ => Vec::from_iter(place.night.reach(day + 1)),
        };
        for (day, night) in over {
            self.night(row.asset, &night, day * DAY + NIGHT_ENDS * HOUR, cx);
        }
    }

    /// A single hour below the threshold decides; that none was takes enough hours.
    fn night(&self, asset: AssetId, night: &Night, end_ms: u64, cx: &mut Context) {
        let Some(lowest) = night.lowest else { return };
        let tropical = lowest >= self.tropical_night_from;
        if !tropical || night.hours >= NIGHT_HOURS {
            let value = f64::from(u8::from(tropical));
            cx.derive(asset, self.tropical_night, value, end_ms);
        }
    }

    /// Takes an hour of humidity.
    pub fn humidity(&self, place: &mut Place, mean: Option<f64>, row: &Window, cx: &mut Context) {
        if let Some(mean) = mean {
            self.half(place, Half::Humidity(mean), row, cx);
        }
    }

    fn half(&self, place: &mut Place, half: Half, row: &Window, cx: &mut Context) {
        let other = place.waiting.remove(&row.end_ms);
        let (temperature, humidity) = match (half, other) {
            (Half::Temperature(t), Some(Half::Humidity(h)))
            | (Half::Humidity(h), Some(Half::Temperature(t))) => (t, h),
            _ => {
                place.waiting.insert(row.end_ms, half);
                if place.waiting.len() > WAITING {
                    place.waiting.pop_first();
                }
                return;
            }
        };
        if temperature >= self.humidex_from {
            let felt = humidex(temperature, humidity);
            cx.derive(row.asset, self.humidex, felt, row.end_ms);
        }
    }

    /// Takes a day of temperature; `enough` as for an hour. One reading at the threshold decides;
    /// that none was takes enough hours.
    pub fn day(&self, enough: bool, row: &Window, cx: &mut Context) {
        let hot = row.max >= self.hot_day_from;
        if hot || enough {
            cx.derive(
                row.asset,
                self.hot_day,
                f64::from(u8::from(hot)),
                row.end_ms,
            );
        }
    }

    /// Takes an hour of UTCI.
    pub fn utci(&self, place: &mut Place, mean: Option<f64>, row: &Window, cx: &mut Context) {
        let (Some(change), Some(utci)) = (place.utci.step(mean, &self.bands), mean) else {
            return;
        };
        let limit = &change.limit;
        let band = BANDS.iter().find(|(code, _)| *code == limit.code);
        let band = band.map_or("", |(_, name)| name);
        let none = if change.raise { "" } else { "no longer " };
        let text = format!("indicator: UTCI {utci:.1} Cel, {none}{band} heat stress");
        match change.raise {
            true => cx.raise(row.asset, self.topic, limit, change.severity, utci, text),
            false => cx.clear(row.asset, self.topic, limit, utci, text),
        }
    }
}
