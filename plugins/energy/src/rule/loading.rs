//! E2 and the dimming of E1: what a feeder or transformer carries, and what is proposed when that
//! is too much.
//!
//! P and Q of a quarter of an hour come as two windows; each stream in order, so a quarter of an
//! hour is complete before the next one is. The draw of a device is its newest mean, half an hour
//! old at most; without one, its rated power.

use quartier_sdk::prelude::*;

use super::network::{self, Connection};
use super::settings::Settings;
use crate::dimming::{Draw, limits_kw, needed_kw, net_draw_kw};
use crate::minimum::{Device, Unit, direct_minimum_kw, ems_minimum_kw, kilowatts, units};
use crate::time::{QUARTER_MS, local};

/// Code of the alarm among the levels of loading.
const ALARM: u32 = 2;
/// Quarters of an hour of which only P or only Q is there, at most.
const WAITING: usize = 12;

/// A power of a quarter of an hour; within: `None` where too little of it is covered.
type Half = Option<Option<f64>>;

/// State of one feeder or transformer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Load {
    waiting: BTreeMap<u64, (Half, Half)>,
    /// End of the newest quarter of an hour that is evaluated; 0: none yet.
    through: u64,
    levels: Levels,
}

/// What was proposed to a device.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Told {
    limit_kw: f64,
    until: u64,
}

/// State of E1 and E2.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Network {
    loads: BTreeMap<AssetId, Load>,
    /// Newest mean of a device or connection point: end and kW.
    draws: BTreeMap<AssetId, (u64, f64)>,
    /// Guaranteed power as last said, kW, and the day it was said.
    guaranteed: BTreeMap<AssetId, (f64, i64)>,
    /// By what is overloaded: the limit of each device, kW.
    dims: BTreeMap<AssetId, BTreeMap<AssetId, f64>>,
    told: BTreeMap<AssetId, Told>,
}

/// P and Q of a quarter of an hour that is complete.
#[derive(Debug, Clone, Copy)]
struct Quarter {
    end: u64,
    active_kw: f64,
    reactive_kvar: f64,
}

impl Load {
    /// Puts in one half; the quarter of an hour, once both are there.
    fn put(&mut self, end: u64, value: Option<f64>, reactive: bool) -> Option<(u64, Half, Half)> {
        if end <= self.through {
            return None;
        }
        let halves = self.waiting.entry(end).or_default();
        *(if reactive {
            &mut halves.1
        } else {
            &mut halves.0
        }) = Some(value);
        let (p, q) = *halves;
        if p.is_some() && q.is_some() {
            self.waiting = self.waiting.split_off(&(end + 1));
            return Some((end, p, q));
        }
        if self.waiting.len() > WAITING {
            self.waiting.pop_first();
        }
        None
    }
}

impl Network {
    pub(super) fn forget(&mut self, asset: AssetId) {
        self.loads.remove(&asset);
        self.draws.remove(&asset);
        self.guaranteed.remove(&asset);
        self.dims.remove(&asset);
        for limits in self.dims.values_mut() {
            limits.remove(&asset);
        }
        self.told.remove(&asset);
    }

    /// A mean of a device or connection point.
    pub(super) fn draw(&mut self, set: &Settings, row: &Window, kw: Option<f64>, cx: &mut Context) {
        if let Some(kw) = kw {
            self.draws.insert(row.asset, (row.end_ms, kw));
        }
        let Some(connection) = network::connection_of(cx.assets(), row.asset) else {
            return;
        };
        let Some(kw) = minimum_kw(set, &connection) else {
            return;
        };
        let said = (kw, local(row.end_ms).day);
        if self.guaranteed.insert(connection.id, said) != Some(said) {
            cx.derive(connection.id, set.derived.guaranteed, kw, row.end_ms);
        }
    }

    /// A mean of P or Q of a feeder or transformer.
    pub(super) fn power(
        &mut self,
        set: &Settings,
        row: &Window,
        (value, reactive): (Option<f64>, bool),
        cx: &mut Context,
    ) {
        let load = self.loads.entry(row.asset).or_default();
        let Some((end, p, q)) = load.put(row.end_ms, value, reactive) else {
            return;
        };
        if load.through != 0 && end != load.through + QUARTER_MS {
            load.levels.step(None, &set.load_levels);
        }
        load.through = end;
        let (Some(active_kw), Some(reactive_kvar)) = (p.flatten(), q.flatten()) else {
            load.levels.step(None, &set.load_levels);
            return;
        };
        let quarter = Quarter {
            end,
            active_kw,
            reactive_kvar,
        };
        self.evaluate(set, row.asset, quarter, cx);
    }

    fn evaluate(&mut self, set: &Settings, asset: AssetId, at: Quarter, cx: &mut Context) {
        let (p, q) = (at.active_kw, at.reactive_kvar);
        let apparent = (p * p + q * q).sqrt();
        cx.derive(asset, set.derived.apparent, apparent, at.end);
        let Some(rated) = rated_kva(asset, at.end, cx) else {
            return;
        };
        let percent = 100.0 * apparent / rated;
        cx.derive(asset, set.derived.load_factor, percent, at.end);
        let load = self.loads.entry(asset).or_default();
        if let Some(change) = load.levels.step(Some(percent), &set.load_levels) {
            let (limit, topic) = (change.limit, set.load);
            let text = format!("{apparent:.0} kVA of {rated:.0} kVA, {percent:.0} %");
            match change.raise {
                true => cx.raise(asset, topic, &limit, change.severity, percent, text),
                false => cx.clear(asset, topic, &limit, percent, text),
            }
        }
        if load.levels.code() != Some(ALARM) {
            if let Some(limits) = self.dims.remove(&asset) {
                self.propose(set, limits.into_keys(), at.end, cx);
            }
            return;
        }
        if percent > set.load_levels[1].0.limit && at.active_kw > 0.0 {
            let target = rated * set.dim_target / 100.0;
            self.dim(
                set,
                asset,
                at,
                needed_kw(at.active_kw, at.reactive_kvar, target),
                cx.assets(),
            );
        }
        let devices = self
            .dims
            .get(&asset)
            .map(|limits| limits.keys().copied().collect());
        let devices: Vec<AssetId> = devices.unwrap_or_default();
        self.propose(set, devices.into_iter(), at.end, cx);
    }

    /// Limits for all devices below; while the alarm stands they only get tighter.
    fn dim(&mut self, set: &Settings, asset: AssetId, at: Quarter, needed: f64, assets: &Assets) {
        let mut draws = Vec::new();
        let mut members = Vec::new();
        for connection in network::connections_below(assets, asset) {
            for (draw, devices) in self.draws_of(set, &connection, at.end) {
                draws.push(draw);
                members.push(devices);
            }
        }
        let limits = self.dims.entry(asset).or_default();
        for (limit, devices) in limits_kw(&draws, needed).into_iter().zip(members) {
            let total: u64 = devices.iter().map(|device| device.rated_w).sum();
            for device in devices {
                let share = kilowatts(device.rated_w) / kilowatts(total);
                let own = limits.entry(device.id).or_insert(f64::INFINITY);
                *own = own.min(whole_watts(limit * share));
            }
        }
    }

    /// What is dimmed as one behind a connection: everything with an EMS, else device by device.
    fn draws_of(
        &self,
        set: &Settings,
        connection: &Connection,
        end: u64,
    ) -> Vec<(Draw, Vec<Device<AssetId>>)> {
        let units = units(&connection.devices);
        let of_device = |device: &Device<AssetId>| {
            let newest = self.newest(device.id, end);
            newest.unwrap_or(kilowatts(device.rated_w)).max(0.0)
        };
        let of_unit = |unit: &Unit<AssetId>| unit.members.iter().map(of_device).sum::<f64>();
        let gross: f64 = units.iter().map(of_unit).sum();
        let metered = units
            .iter()
            .flat_map(|unit| &unit.members)
            .all(|d| d.id != connection.id);
        let grid = metered.then(|| self.newest(connection.id, end)).flatten();
        let credit = if gross > 0.0 {
            net_draw_kw(grid, gross) / gross
        } else {
            1.0
        };
        if connection.ems {
            let Some(minimum_kw) = ems_minimum_kw(&units, &set.factors) else {
                return Vec::new();
            };
            let devices: Vec<_> = units.into_iter().flat_map(|unit| unit.members).collect();
            let rated_kw = kilowatts(devices.iter().map(|device| device.rated_w).sum());
            let draw_kw = gross * credit;
            return vec![(
                Draw {
                    draw_kw,
                    minimum_kw,
                    rated_kw,
                },
                devices,
            )];
        }
        let one = |unit: Unit<AssetId>| {
            let draw = Draw {
                draw_kw: of_unit(&unit) * credit,
                minimum_kw: unit.minimum_kw(&set.factors),
                rated_kw: kilowatts(unit.rated_w()),
            };
            (draw, unit.members)
        };
        units.into_iter().map(one).collect()
    }

    fn newest(&self, asset: AssetId, end: u64) -> Option<f64> {
        let (at, kw) = *self.draws.get(&asset)?;
        (at + 2 * QUARTER_MS > end).then_some(kw)
    }

    /// Tells each device the tightest of its limits, where it was not told that, or not lately.
    fn propose(
        &mut self,
        set: &Settings,
        devices: impl Iterator<Item = AssetId>,
        end: u64,
        cx: &mut Context,
    ) {
        for id in devices {
            let Some(device) = network::device(cx.assets(), id) else {
                continue;
            };
            let rated_kw = kilowatts(device.rated_w);
            let limits = self.dims.values().filter_map(|limits| limits.get(&id));
            let limit = limits.copied().reduce(f64::min);
            let until = end + set.proposal_ms;
            let told = match limit {
                Some(limit_kw) => self.told.insert(id, Told { limit_kw, until }),
                None => self.told.remove(&id),
            };
            let arg = limit.unwrap_or(rated_kw);
            match told {
                Some(told) if limit == Some(told.limit_kw) && told.until > end => {
                    self.told.insert(id, told);
                    continue;
                }
                None if limit.is_none() => continue,
                _ => {}
            }
            cx.command(
                id,
                set.command(device.kind),
                arg,
                until,
                intent(id, end, arg),
            );
            cx.derive(id, set.derived.proposed, arg, end);
        }
    }
}

fn minimum_kw(set: &Settings, connection: &Connection) -> Option<f64> {
    let units = units(&connection.devices);
    match connection.ems {
        true => ems_minimum_kw(&units, &set.factors),
        false => direct_minimum_kw(&units, &set.factors),
    }
}

/// Says once a day that it is missing.
fn rated_kva(asset: AssetId, end: u64, cx: &mut Context) -> Option<f64> {
    let found = cx.assets().get(asset)?;
    let rated = found.number("rated_kva").filter(|kva| *kva > 0.0);
    if rated.is_none() && local(end).second == 0 {
        let what = "no load factor: set the attribute rated_kva to its rated power in kVA";
        cx.log(Level::Warn, format!("{}: {what}", found.urn));
    }
    rated
}

/// Rounded up, so that a share of the guaranteed minimum is not cut.
fn whole_watts(kw: f64) -> f64 {
    (kw * 1000.0 - 1e-6).ceil() / 1000.0
}

/// The same for the same device, quarter of an hour and limit, and for nothing else (FNV-1a).
fn intent(device: AssetId, end: u64, limit_kw: f64) -> u64 {
    let words = [u64::from(device.0), end, limit_kw.to_bits()];
    let bytes = words.into_iter().flat_map(u64::to_le_bytes);
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.fold(0xcbf2_9ce4_8422_2325, step)
}
