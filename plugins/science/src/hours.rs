//! Checks of hours: neighbours and humidity, and the verdict over all checks.
//!
//! An hour of a stream is judged, once, when the next window of the same stream closes: by then the
//! neighbours have had an hour to close theirs. What they close later is not looked at. The verdict
//! therefore comes an hour after the hour, carries the hour's own time, and is never taken back.

use std::collections::BTreeMap;

use quartier_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Pollutant;
use crate::flags::Flags;
use crate::neighbours::{Comparison, Places, Tolerance, compare};
use crate::raw::{HOUR, Raw};

/// Hours of a stream that others may still compare themselves with.
const KEPT: usize = 4;

/// Hourly means by end; `None`: insufficient data.
pub type Means = BTreeMap<u64, Option<f64>>;

/// State of one stream.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Stream {
    /// Checks of single readings.
    pub raw: Raw,
    means: Means,
    neighbours: Alarm,
    /// The last hour that was judged; 0: none.
    judged: u64,
    /// Verdicts of the latest hours.
    flags: BTreeMap<u64, Flags>,
}

/// State of one asset.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sensor {
    /// By `Pollutant as usize`.
    streams: [Stream; 2],
    humidity: Means,
}

impl Sensor {
    /// The stream of a pollutant.
    pub fn stream(&mut self, pollutant: Pollutant) -> &mut Stream {
        let [pm2_5, pm10] = &mut self.streams;
        match pollutant {
            Pollutant::Pm2_5 => pm2_5,
            Pollutant::Pm10 => pm10,
        }
    }

    fn known(&self, pollutant: Pollutant) -> &Stream {
        let [pm2_5, pm10] = &self.streams;
        match pollutant {
            Pollutant::Pm2_5 => pm2_5,
            Pollutant::Pm10 => pm10,
        }
    }

    /// An hour's mean and humidity, where both are known.
    #[must_use]
    pub fn with_humidity(&self, pollutant: Pollutant, end_ms: u64) -> Option<(f64, f64)> {
        let mean = self.known(pollutant).means.get(&end_ms).copied()??;
        let humidity = self.humidity.get(&end_ms).copied()??;
        Some((mean, humidity))
    }

    /// Takes the mean humidity of an hour.
    pub fn put_humidity(&mut self, end_ms: u64, mean: Option<f64>) {
        keep(&mut self.humidity, end_ms, mean);
    }

    /// Takes the mean of an hour.
    pub fn put(&mut self, pollutant: Pollutant, end_ms: u64, mean: Option<f64>) {
        keep(&mut self.stream(pollutant).means, end_ms, mean);
    }

    /// The lowest plausibility of an hour over the pollutants that are judged.
    #[must_use]
    pub fn plausibility(&self, end_ms: u64) -> Option<f64> {
        let flags = self.streams.iter().filter_map(|s| s.flags.get(&end_ms));
        flags.map(|flags| flags.plausibility()).reduce(f64::min)
    }
}

fn keep<T>(hours: &mut BTreeMap<u64, T>, end_ms: u64, value: T) {
    hours.insert(end_ms, value);
    while hours.len() > KEPT {
        hours.pop_first();
    }
}

/// How hours are judged.
#[derive(Debug, Clone)]
pub struct Checks {
    /// Of the neighbours.
    pub tolerance: Tolerance,
    /// Of the distance from the neighbours: raised after the rule's three hours.
    pub suspect: Limit,
    /// Mean relative humidity above which an hour is in doubt, percent.
    pub humid: f64,
}

/// The verdict on an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// End of the hour.
    pub end_ms: u64,
    /// `None`: insufficient data; then only the count of suspect hours ended.
    pub judged: Option<(f64, Flags)>,
    /// How it compares.
    pub comparison: Option<Comparison>,
    /// Neighbours that it was compared with.
    pub peers: usize,
    /// What it did to the alert.
    pub suspect: Option<Change>,
}

/// Judges the hours of a stream before `end_ms` that are not judged yet, oldest first.
pub fn settle(
    sensors: &mut BTreeMap<AssetId, Sensor>,
    places: &Places,
    (asset, pollutant, end_ms): (AssetId, Pollutant, u64),
    checks: &Checks,
) -> Vec<Verdict> {
    let Some(stream) = sensors.get(&asset).map(|sensor| sensor.known(pollutant)) else {
        return Vec::new();
    };
    let open = stream
        .means
        .range(..end_ms)
        .filter(|(end, _)| **end > stream.judged);
    let open: Vec<(u64, Option<f64>)> = open.map(|(end, mean)| (*end, *mean)).collect();
    if open.is_empty() {
        return Vec::new();
    }
    let near = places.near(asset);
    let mut verdicts = Vec::new();
    for (hour, mean) in open {
        let theirs = near.iter().filter_map(|id| {
            let other = sensors.get(id)?;
            other.known(pollutant).means.get(&hour).copied()?
        });
        let theirs: Vec<f64> = theirs.collect();
        let comparison = mean.and_then(|mean| compare(mean, &theirs, &checks.tolerance));
        if let Some(sensor) = sensors.get_mut(&asset) {
            verdicts.push(judge(
                sensor,
                pollutant,
                (hour, mean),
                comparison,
                theirs.len(),
                checks,
            ));
        }
    }
    verdicts
}

fn judge(
    sensor: &mut Sensor,
    pollutant: Pollutant,
    (hour, mean): (u64, Option<f64>),
    comparison: Option<Comparison>,
    peers: usize,
    checks: &Checks,
) -> Verdict {
    let humidity = sensor.humidity.get(&hour).copied().flatten();
    let stream = sensor.stream(pollutant);
    if stream.judged != 0 && hour != stream.judged + HOUR {
        stream.neighbours.step(None, &checks.suspect);
    }
    stream.judged = hour;
    let distance = comparison.map(|comparison| comparison.distance);
    let suspect = stream.neighbours.step(distance, &checks.suspect);
    let mut flags = stream.raw.settle(hour);
    if comparison.is_none() {
        flags.add(Flags::ALONE);
    }
    if stream.neighbours.is_active() {
        flags.add(Flags::NEIGHBOURS);
    }
    if humidity.is_some_and(|humidity| humidity > checks.humid) {
        flags.add(Flags::HUMID);
    }
    if mean.is_some() {
        keep(&mut stream.flags, hour, flags);
    }
    Verdict {
        end_ms: hour,
        judged: mean.map(|mean| (mean, flags)),
        comparison,
        peers,
        suspect,
    }
}
