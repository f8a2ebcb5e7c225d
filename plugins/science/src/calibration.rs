//! A sensor against its reference: `reference = intercept + slope * sensor` by ordinary least
//! squares over hourly pairs in which both hours are covered.
//!
//! A sensor names its reference by the relation `calibrated_by`. Pairs are summed up in blocks of
//! thirty days, of which the latest three count: the regression follows the last 60 to 90 days, and
//! what is kept does not grow with the readings. A new reference starts anew.
//!
//! A station that reports once an hour needs its attribute `interval_s = 3600`; else a reading of it
//! stands for the usual interval of the metric, and no hour of it is covered.

use std::collections::BTreeMap;

use quartier_sdk::prelude::*;
use serde::{Deserialize, Serialize};

/// The relation from a sensor to its reference.
pub const RELATION: &str = "calibrated_by";

const BLOCK_MS: u64 = 30 * 86_400_000;
const BLOCKS: usize = 3;
/// Hours of a reference that wait for sensors: 90 days, so that recorded sensors can be played
/// after their reference.
const REFERENCE_HOURS: usize = 2160;
/// Hours of a sensor that wait for the reference.
const SENSOR_HOURS: usize = 48;

/// Count, means and central moments of pairs; exact to rounding whatever their size.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Moments {
    n: u32,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

/// A regression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// Reference per sensor.
    pub slope: f64,
    /// ug/m3.
    pub intercept: f64,
    /// Share of the reference's variance that the sensor explains.
    pub r2: f64,
}

impl Moments {
    /// One more pair (Welford).
    pub fn add(&mut self, x: f64, y: f64) {
        self.n = self.n.saturating_add(1);
        let n = f64::from(self.n);
        let (dx, dy) = (x - self.x, y - self.y);
        self.x += dx / n;
        self.y += dy / n;
        self.xx += dx * (x - self.x);
        self.yy += dy * (y - self.y);
        self.xy += dx * (y - self.y);
    }

    /// Both together (Chan).
    #[must_use]
    pub fn and(self, other: &Self) -> Self {
        let n = self.n.saturating_add(other.n);
        if self.n == 0 || other.n == 0 {
            return if self.n == 0 { *other } else { self };
        }
        let (a, b, all) = (f64::from(self.n), f64::from(other.n), f64::from(n));
        let (dx, dy) = (other.x - self.x, other.y - self.y);
        let between = a * b / all;
        Self {
            n,
            x: self.x + dx * b / all,
            y: self.y + dy * b / all,
            xx: self.xx + other.xx + dx * dx * between,
            yy: self.yy + other.yy + dy * dy * between,
            xy: self.xy + other.xy + dx * dy * between,
        }
    }

    /// Pairs.
    #[must_use]
    pub fn pairs(&self) -> u32 {
        self.n
    }

    /// The regression of y on x; `None` where x or y never differs.
    #[must_use]
    pub fn fit(&self) -> Option<Fit> {
        let varies = self.xx > 0.0 && self.yy > 0.0;
        let slope = varies.then(|| self.xy / self.xx)?;
        Some(Fit {
            slope,
            intercept: self.y - slope * self.x,
            r2: (self.xy * self.xy / (self.xx * self.yy)).min(1.0),
        })
    }
}

/// What is known of one sensor.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Sensor {
    reference: AssetId,
    /// Hourly means that wait for the reference, by end.
    waiting: BTreeMap<u64, f64>,
    blocks: BTreeMap<u64, Moments>,
}

impl Sensor {
    fn pair(&mut self, end_ms: u64, x: f64, y: f64) -> Moments {
        self.blocks.entry(end_ms / BLOCK_MS).or_default().add(x, y);
        while self.blocks.len() > BLOCKS {
            self.blocks.pop_first();
        }
        let none = Moments::default();
        self.blocks.values().fold(none, |all, block| all.and(block))
    }
}

/// Sensors and references.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    references: BTreeMap<AssetId, BTreeMap<u64, f64>>,
    sensors: BTreeMap<AssetId, Sensor>,
}

impl State {
    /// Forgets an asset.
    pub fn forget(&mut self, asset: AssetId) {
        self.references.remove(&asset);
        self.sensors.remove(&asset);
    }

    /// Takes an hourly mean with enough coverage; the sensors whose regression changed by it.
    pub fn take(
        &mut self,
        asset: AssetId,
        end_ms: u64,
        mean: f64,
        assets: &Assets,
    ) -> Vec<(AssetId, Moments)> {
        let sensors: Vec<AssetId> = assets.relating(asset, RELATION).collect();
        let mut changed = Vec::new();
        if !sensors.is_empty() {
            keep(
                self.references.entry(asset).or_default(),
                end_ms,
                mean,
                REFERENCE_HOURS,
            );
        }
        for id in sensors {
            let sensor = self.sensors.get_mut(&id).filter(|s| s.reference == asset);
            let waiting = sensor.and_then(|s| s.waiting.remove(&end_ms).map(|x| (s, x)));
            if let Some((sensor, x)) = waiting {
                changed.push((id, sensor.pair(end_ms, x, mean)));
            }
        }
        let mut named = assets.related(asset, RELATION);
        let reference = named.find(|id| assets.get(*id).is_some());
        if let Some(moments) = reference.and_then(|r| self.sensor(asset, r, end_ms, mean)) {
            changed.push((asset, moments));
        }
        changed
    }

    fn sensor(
        &mut self,
        id: AssetId,
        reference: AssetId,
        end_ms: u64,
        mean: f64,
    ) -> Option<Moments> {
        let sensor = self.sensors.entry(id).or_default();
        if sensor.reference != reference {
            *sensor = Sensor {
                reference,
                ..Sensor::default()
            };
        }
        let known = self.references.get(&reference).and_then(|r| r.get(&end_ms));
        match known {
            Some(y) => Some(sensor.pair(end_ms, mean, *y)),
            None => {
                keep(&mut sensor.waiting, end_ms, mean, SENSOR_HOURS);
                None
            }
        }
    }
}

fn keep(hours: &mut BTreeMap<u64, f64>, end_ms: u64, mean: f64, most: usize) {
    hours.insert(end_ms, mean);
    while hours.len() > most {
        hours.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(f64, f64)]) -> Moments {
        let mut moments = Moments::default();
        pairs.iter().for_each(|(x, y)| moments.add(*x, *y));
        moments
    }

    #[test]
    fn pairs_on_a_line_give_that_line() {
        let fit = of(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)]).fit().unwrap();
        let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-12, "{got} {want}");
        near(fit.slope, 2.0);
        near(fit.intercept, 3.0);
        near(fit.r2, 1.0);
    }

    #[test]
    fn what_never_differs_gives_no_line() {
        assert_eq!(of(&[]).fit(), None);
        assert_eq!(of(&[(1.0, 2.0)]).fit(), None);
        assert_eq!(of(&[(1.0, 2.0), (1.0, 3.0)]).fit(), None);
        assert_eq!(of(&[(1.0, 2.0), (2.0, 2.0)]).fit(), None);
    }

    #[test]
    fn blocks_together_are_as_the_pairs_together() {
        let pairs: Vec<(f64, f64)> = (0..40)
            .map(|i| (f64::from(i * 7 % 13), f64::from(i * 5 % 17)))
            .collect();
        let all = of(&pairs).fit().unwrap();
        for cut in [0, 1, 20, 39, 40] {
            let both = of(&pairs[..cut]).and(&of(&pairs[cut..]));
            let fit = both.fit().unwrap();
            assert_eq!(both.pairs(), 40);
            assert!((fit.slope - all.slope).abs() < 1e-12);
            assert!((fit.intercept - all.intercept).abs() < 1e-12);
            assert!((fit.r2 - all.r2).abs() < 1e-12);
        }
    }
}
