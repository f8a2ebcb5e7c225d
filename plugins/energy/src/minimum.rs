//! E1: the power that stays guaranteed while a connection is dimmed (P_min of § 14a EnWG).
//!
//! BNetzA BK6-22-300, Anlage 1: what a controllable device is stands in 2.4.1 and 2.4.2, its
//! minimum in 4.5.1 (direct control) and 4.5.2 (energy-management system, EMS). The factors 0.4 and
//! the simultaneity factors (GZF) are presumed appropriate until another recommendation is in
//! force, so they are configuration. Rated power is summed in whole watts: "more than" is exact.

use serde::{Deserialize, Serialize};

/// A device counts only above this, and this stays guaranteed to each; kW.
pub const BASE_KW: f64 = 4.2;
const BASE_W: u64 = 4200;
/// A group of heat pumps or cooling plants above this is guaranteed a share of its power; W.
const SCALED_W: u64 = 11_000;

/// The four kinds of controllable device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// a: charging point that is not public.
    Wallbox,
    /// b: heat pump with its auxiliary heaters.
    HeatPump,
    /// c: room cooling.
    Cooling,
    /// d: storage, as far as it charges.
    Battery,
}

impl Kind {
    /// All, in the order of the law.
    pub const ALL: [Self; 4] = [Self::Wallbox, Self::HeatPump, Self::Cooling, Self::Battery];

    /// The kind of asset.
    pub fn asset_kind(self) -> &'static str {
        match self {
            Self::Wallbox => "wallbox",
            Self::HeatPump => "heat_pump",
            Self::Cooling => "cooling",
            Self::Battery => "battery",
        }
    }

    /// The inverse of [`asset_kind`](Self::asset_kind).
    pub fn of_asset(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.asset_kind() == kind)
    }

    fn is_grouped(self) -> bool {
        matches!(self, Self::HeatPump | Self::Cooling)
    }
}

/// What may be replaced by another recommendation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Factors {
    /// Guaranteed share of a group above 11 kW, 0 to 1.
    pub scaling: f64,
    /// GZF for 2, 3, .. 8 devices, and for 9 and more; 0 to 1.
    pub simultaneity: [f64; 8],
}

/// One installed device; `D` names it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Device<D> {
    /// Whose.
    pub id: D,
    /// Which kind.
    pub kind: Kind,
    /// Rated power, W.
    pub rated_w: u64,
}

/// One controllable device as the law counts it: all heat pumps of a connection are one.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit<D> {
    /// Which kind.
    pub kind: Kind,
    /// The devices in it; never empty.
    pub members: Vec<Device<D>>,
}

impl<D> Unit<D> {
    /// Rated power of all members, W.
    pub fn rated_w(&self) -> u64 {
        self.members.iter().map(|device| device.rated_w).sum()
    }

    fn is_scaled(&self) -> bool {
        self.kind.is_grouped() && self.rated_w() > SCALED_W
    }

    fn scaled_kw(&self, factors: &Factors) -> f64 {
        factors.scaling * kilowatts(self.rated_w())
    }

    /// Guaranteed to this device under direct control, kW (4.5.1).
    pub fn minimum_kw(&self, factors: &Factors) -> f64 {
        if self.is_scaled() {
            self.scaled_kw(factors)
        } else {
            BASE_KW
        }
    }
}

/// kW of a rated power in W.
#[expect(clippy::cast_precision_loss, reason = "no device has 2^53 watts")]
pub fn kilowatts(watts: u64) -> f64 {
    watts as f64 / 1000.0
}

/// The controllable devices behind one connection: the group of heat pumps, the group of cooling
/// plants, then wallboxes and storages one by one; each only above 4.2 kW.
pub fn units<D: Copy>(devices: &[Device<D>]) -> Vec<Unit<D>> {
    let group = |kind| Unit {
        kind,
        members: devices.iter().filter(|d| d.kind == kind).copied().collect(),
    };
    let single = |device: &Device<D>| Unit {
        kind: device.kind,
        members: vec![*device],
    };
    let singles = devices.iter().filter(|d| !d.kind.is_grouped()).map(single);
    let groups = [Kind::HeatPump, Kind::Cooling].map(group);
    let all = groups.into_iter().chain(singles);
    all.filter(|unit| unit.rated_w() > BASE_W).collect()
}

/// Guaranteed to all devices of a connection with an EMS together, kW (4.5.2); `None`: none counts.
pub fn ems_minimum_kw<D>(units: &[Unit<D>], factors: &Factors) -> Option<f64> {
    let others = units.len().checked_sub(1)?;
    let scaled = units.iter().any(Unit::is_scaled);
    let group_kw = |unit: &Unit<D>| {
        if unit.kind.is_grouped() {
            unit.scaled_kw(factors)
        } else {
            0.0
        }
    };
    let base = if scaled {
        units.iter().map(group_kw).fold(0.0, f64::max)
    } else {
        BASE_KW
    };
    let gzf = factors.simultaneity.get(others.clamp(1, 8) - 1)?;
    Some(base + others as f64 * gzf * BASE_KW)
}

/// Guaranteed to a connection whose devices are controlled directly, kW; `None`: none counts.
pub fn direct_minimum_kw<D>(units: &[Unit<D>], factors: &Factors) -> Option<f64> {
    let sum = || units.iter().map(|unit| unit.minimum_kw(factors)).sum();
    (!units.is_empty()).then(sum)
}

#[cfg(test)]
mod tests {
    use super::Kind::{Battery, Cooling, HeatPump, Wallbox};
    use super::*;

    const FACTORS: Factors = Factors {
        scaling: 0.4,
        simultaneity: [0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45],
    };

    fn installed(devices: &[(Kind, u64)]) -> Vec<Unit<usize>> {
        let device = |(id, &(kind, rated_w))| Device { id, kind, rated_w };
        units(&devices.iter().enumerate().map(device).collect::<Vec<_>>())
    }

    fn ems(devices: &[(Kind, u64)]) -> Option<f64> {
        let milli = |kw: f64| (kw * 1000.0).round() / 1000.0;
        ems_minimum_kw(&installed(devices), &FACTORS).map(milli)
    }

    #[test]
    fn the_published_vectors_hold() {
        assert_eq!(ems(&[(Wallbox, 11_000); 2]), Some(7.56));
        assert_eq!(ems(&[(HeatPump, 5000); 3]), Some(6.0));
        assert_eq!(ems(&[(HeatPump, 3000); 2]), Some(4.2));
        assert_eq!(ems(&[(Wallbox, 11_000); 5]), Some(15.12));
        assert_eq!(ems(&[(Wallbox, 11_000), (HeatPump, 15_000)]), Some(9.36));
    }

    #[test]
    fn the_thresholds_of_4200_and_11000_watts_are_not_passed_by_reaching_them() {
        assert_eq!(ems(&[(Wallbox, 4200)]), None);
        assert_eq!(ems(&[(Wallbox, 4201)]), Some(4.2));
        assert_eq!(ems(&[(HeatPump, 1400); 3]), None, "one device of 4.2 kW");
        assert_eq!(
            ems(&[(Cooling, 3700), (Cooling, 3700), (Cooling, 3600)]),
            Some(4.2)
        );
        assert_eq!(ems(&[(Cooling, 11_001)]), Some(4.4));
    }

    #[test]
    fn small_wallboxes_and_storages_are_not_added_up() {
        assert_eq!(
            ems(&[(Wallbox, 3700), (Wallbox, 3700), (Battery, 4200)]),
            None
        );
    }

    #[test]
    fn with_both_groups_the_larger_is_the_base_and_from_nine_devices_the_factor_stays() {
        assert_eq!(
            ems(&[(HeatPump, 12_000), (Cooling, 20_000)]),
            Some(8.0 + 0.8 * 4.2)
        );
        assert_eq!(ems(&[(Wallbox, 11_000); 9]), Some(19.32));
        assert_eq!(ems(&[(Wallbox, 11_000); 12]), Some(24.99));
    }

    #[test]
    fn under_direct_control_each_device_keeps_its_own_minimum() {
        let units = installed(&[(Wallbox, 22_000), (HeatPump, 20_000), (Battery, 5000)]);
        let minima: Vec<f64> = units.iter().map(|unit| unit.minimum_kw(&FACTORS)).collect();
        assert_eq!(minima, [8.0, 4.2, 4.2]);
        assert_eq!(direct_minimum_kw(&units, &FACTORS), Some(16.4));
        assert_eq!(direct_minimum_kw::<usize>(&[], &FACTORS), None);
    }
}
