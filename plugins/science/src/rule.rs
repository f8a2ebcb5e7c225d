//! The rule: readings and hourly windows in, flags, plausibility, corrected values, regressions and
//! alerts out.

use std::collections::BTreeMap;

use quartier_sdk::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Pollutant;
use crate::calibration::{self, Moments};
use crate::flags::Flags;
use crate::hours::{self, Sensor, Verdict, settle};
use crate::humidity::corrected;
use crate::neighbours::{Places, Tolerance};
use crate::raw::{self, Alerts};

const SPAN_S: u32 = 3600;
const UNIT: &str = "ug/m3";

/// What it remembers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    sensors: BTreeMap<AssetId, Sensor>,
    places: Places,
    calibration: calibration::State,
}

/// What belongs to one pollutant.
#[derive(Debug)]
struct Names {
    reads: Metric,
    flags: Metric,
    corrected: Metric,
    range: Topic,
    stuck: Topic,
    suspect: Topic,
    readings: raw::Checks,
    hours: hours::Checks,
}

/// The rule.
#[derive(Debug)]
pub struct Science {
    pm2_5: Names,
    pm10: Names,
    humidity: Metric,
    plausibility: Metric,
    slope: Metric,
    intercept: Metric,
    r2: Metric,
    pairs: Metric,
    coverage: f64,
    least_pairs: u64,
    reference_kind: String,
}

impl Names {
    fn new(setup: &Setup, pollutant: Pollutant) -> Result<Self, SetupError> {
        let name = pollutant.metric();
        let (range, stuck) = (format!("{name}_out_of_range"), format!("{name}_stuck"));
        let suspect = format!("{name}_suspect");
        let peers = setup.integer("neighbours_least", 1..=1000)?;
        let silence_s = setup.integer("silence_s", 1..=86_400)?;
        Ok(Self {
            reads: setup.metric(name, UNIT)?,
            flags: setup.metric(&format!("{name}_flags"), "1")?,
            corrected: setup.metric(&format!("{name}_corrected"), UNIT)?,
            readings: raw::Checks {
                range: [
                    (setup.limit(&range, 1)?, Severity::Warning),
                    (setup.limit(&range, 2)?.below(), Severity::Warning),
                ],
                stuck: setup.limit(&stuck, 1)?.inclusive(),
                step_k: setup.number("step_k", 0.0..=100.0)?,
                step_least: setup.number(&format!("step_least.{name}"), 0.0..=1000.0)?,
                silence_ms: silence_s * 1000,
            },
            hours: hours::Checks {
                tolerance: Tolerance {
                    peers: usize::try_from(peers).unwrap_or(usize::MAX),
                    k: setup.number("neighbours_k", 0.0..=100.0)?,
                    least: setup.number("neighbours_tolerance", 0.1..=1000.0)?,
                },
                suspect: setup.limit(&suspect, 1)?,
                humid: setup.number("humid_above", 0.0..=100.0)?,
            },
            range: setup.topic(&range)?,
            stuck: setup.topic(&stuck)?,
            suspect: setup.topic(&suspect)?,
        })
    }
}

impl Rule for Science {
    type State = State;
    const STATE_VERSION: u8 = 1;

    fn new(setup: &Setup) -> Result<Self, SetupError> {
        Ok(Self {
            pm2_5: Names::new(setup, Pollutant::Pm2_5)?,
            pm10: Names::new(setup, Pollutant::Pm10)?,
            humidity: setup.metric("humidity", "%")?,
            plausibility: setup.metric("plausibility", "1")?,
            slope: setup.metric("calibration_slope", "1")?,
            intercept: setup.metric("calibration_intercept", "1")?,
            r2: setup.metric("calibration_r2", "1")?,
            pairs: setup.metric("calibration_n", "1")?,
            coverage: setup.number("coverage", 0.0..=1.0)?,
            least_pairs: setup.integer("calibration_pairs", 3..=100_000)?,
            reference_kind: setup.text("reference_kind")?.to_owned(),
        })
    }

    fn reading(&self, state: &mut State, row: &Reading<'_>, cx: &mut Context<'_>) {
        let Some(pollutant) = self.pollutant(row.metric) else {
            return;
        };
        if self.is_reference(row.asset, cx.assets()) {
            return;
        }
        let sensor = state.sensor(row.asset, cx.assets());
        let names = self.names(pollutant);
        let raw = &mut sensor.stream(pollutant).raw;
        let alerts = raw.take(row.time_ms, row.value, &names.readings);
        order(sensor, row.time_ms);
        self.alert(row, pollutant, alerts, cx);
    }

    fn window(&self, state: &mut State, row: &Window<'_>, cx: &mut Context<'_>) {
        if row.span_s != SPAN_S {
            return;
        }
        let mean = row.mean_if(self.coverage);
        let Some(pollutant) = self.pollutant(row.metric) else {
            if row.metric == self.humidity {
                let sensor = state.sensor(row.asset, cx.assets());
                sensor.put_humidity(row.end_ms, mean);
                self.correct(sensor, row, &[Pollutant::Pm2_5, Pollutant::Pm10], cx);
            }
            return;
        };
        let reference = self.is_reference(row.asset, cx.assets());
        let sensor = state.sensor(row.asset, cx.assets());
        sensor.put(pollutant, row.end_ms, mean);
        if !reference {
            self.correct(sensor, row, &[pollutant], cx);
            let place = (row.asset, pollutant, row.end_ms);
            let checks = &self.names(pollutant).hours;
            for verdict in settle(&mut state.sensors, &state.places, place, checks) {
                self.tell(state, row.asset, pollutant, &verdict, cx);
            }
        }
        if let (Pollutant::Pm2_5, Some(mean)) = (pollutant, mean) {
            let changed = state
                .calibration
                .take(row.asset, row.end_ms, mean, cx.assets());
            for (sensor, moments) in changed {
                self.regression(sensor, &moments, row.end_ms, cx);
            }
        }
    }

    fn asset_gone(&self, state: &mut State, asset: AssetId) {
        state.sensors.remove(&asset);
        state.places.forget(asset);
        state.calibration.forget(asset);
    }

    fn asset_changed(&self, state: &mut State, asset: AssetId, assets: &Assets) {
        if state.sensors.contains_key(&asset) {
            state.place(asset, assets);
        }
    }
}

impl State {
    fn sensor(&mut self, asset: AssetId, assets: &Assets) -> &mut Sensor {
        if !self.sensors.contains_key(&asset) {
            self.place(asset, assets);
        }
        self.sensors.entry(asset).or_default()
    }

    fn place(&mut self, asset: AssetId, assets: &Assets) {
        let cell = assets.get(asset).map_or(0, |asset| asset.cell);
        self.places.put(asset, cell);
    }
}

/// Where both pollutants were measured at a time, PM2.5 must not be above PM10: it is a part of it.
fn order(sensor: &mut Sensor, time_ms: u64) {
    let newest = Pollutant::ALL.map(|p| sensor.stream(p).raw.newest());
    if let [Some((fine_at, fine)), Some((coarse_at, coarse))] = newest
        && (fine_at, coarse_at) == (time_ms, time_ms)
        && fine > coarse
    {
        for pollutant in Pollutant::ALL {
            sensor.stream(pollutant).raw.flag(time_ms, Flags::ORDER);
        }
    }
}

impl Science {
    fn pollutant(&self, metric: Metric) -> Option<Pollutant> {
        Pollutant::ALL
            .into_iter()
            .find(|p| self.names(*p).reads == metric)
    }

    fn names(&self, pollutant: Pollutant) -> &Names {
        match pollutant {
            Pollutant::Pm2_5 => &self.pm2_5,
            Pollutant::Pm10 => &self.pm10,
        }
    }

    /// An official station, or whatever a sensor is calibrated by, is not judged.
    fn is_reference(&self, asset: AssetId, assets: &Assets) -> bool {
        let named = || {
            assets
                .relating(asset, calibration::RELATION)
                .next()
                .is_some()
        };
        assets
            .get(asset)
            .is_some_and(|a| a.kind == self.reference_kind)
            || named()
    }

    fn correct(
        &self,
        sensor: &Sensor,
        row: &Window<'_>,
        pollutants: &[Pollutant],
        cx: &mut Context<'_>,
    ) {
        for pollutant in pollutants {
            if let Some((mean, humidity)) = sensor.with_humidity(*pollutant, row.end_ms) {
                let value = corrected(*pollutant, mean, humidity);
                cx.derive(
                    row.asset,
                    self.names(*pollutant).corrected,
                    value,
                    row.end_ms,
                );
            }
        }
    }

    fn alert(&self, row: &Reading<'_>, pollutant: Pollutant, alerts: Alerts, cx: &mut Context<'_>) {
        let (names, asset, value) = (self.names(pollutant), row.asset, row.value);
        let label = pollutant.label();
        if let Some(change) = alerts.range {
            let (topic, limit) = (names.range, &change.limit);
            let text = format!(
                "{label} {value} {UNIT}: the sensor's range ends at {}",
                limit.limit
            );
            match change.raise {
                true => cx.raise(asset, topic, limit, change.severity, value, text),
                false => cx.clear(asset, topic, limit, value, text),
            }
        }
        let (topic, limit, run_s) = (names.stuck, &names.readings.stuck, alerts.run_s);
        let text = || {
            format!(
                "{label} {value} {UNIT}, the same for {:.0} min",
                run_s / 60.0
            )
        };
        match alerts.stuck {
            Some(Change::Raise) => cx.raise(asset, topic, limit, Severity::Warning, run_s, text()),
            Some(Change::Clear) => cx.clear(asset, topic, limit, run_s, text()),
            None => {}
        }
    }

    fn tell(
        &self,
        state: &State,
        asset: AssetId,
        pollutant: Pollutant,
        verdict: &Verdict,
        cx: &mut Context<'_>,
    ) {
        let names = self.names(pollutant);
        let sensor = state.sensors.get(&asset);
        if let Some((mean, flags)) = verdict.judged {
            cx.derive(asset, names.flags, flags.number(), verdict.end_ms);
            if let Some(lowest) = sensor.and_then(|s| s.plausibility(verdict.end_ms)) {
                cx.derive(asset, self.plausibility, lowest, verdict.end_ms);
            }
            self.suspect(asset, pollutant, mean, verdict, cx);
        }
    }

    fn suspect(
        &self,
        asset: AssetId,
        pollutant: Pollutant,
        mean: f64,
        verdict: &Verdict,
        cx: &mut Context<'_>,
    ) {
        let (Some(change), Some(comparison)) = (verdict.suspect, verdict.comparison) else {
            return;
        };
        let names = self.names(pollutant);
        let (topic, limit, value) = (names.suspect, &names.hours.suspect, comparison.distance);
        let (label, median, peers) = (pollutant.label(), comparison.median, verdict.peers);
        let text =
            format!("{label} {mean:.1} {UNIT}; {peers} neighbours have a median of {median:.1}");
        match change {
            Change::Raise => cx.raise(asset, topic, limit, Severity::Warning, value, text),
            Change::Clear => cx.clear(asset, topic, limit, value, text),
        }
    }

    fn regression(&self, sensor: AssetId, moments: &Moments, end_ms: u64, cx: &mut Context<'_>) {
        cx.derive(sensor, self.pairs, f64::from(moments.pairs()), end_ms);
        let enough = u64::from(moments.pairs()) >= self.least_pairs;
        if let Some(fit) = moments.fit().filter(|_| enough) {
            cx.derive(sensor, self.slope, fit.slope, end_ms);
            cx.derive(sensor, self.intercept, fit.intercept, end_ms);
            cx.derive(sensor, self.r2, fit.r2, end_ms);
        }
    }
}
