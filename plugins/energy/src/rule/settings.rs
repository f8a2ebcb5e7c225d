//! What the manifest decides: names, limits and parameters, looked up once.

use quartier_sdk::prelude::*;

use crate::minimum::{Factors, Kind};
use crate::profile::Policy;
use crate::quality::{Band, Limits};

/// What a window is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// Active power of anything.
    Active,
    /// Reactive power.
    Reactive,
    /// Power of a controllable device.
    Device,
    /// Power of a household.
    Household,
    /// Power of a plant.
    Plant,
    /// Voltage of a phase, 0 to 2.
    Phase(usize),
    /// THD.
    Thd,
    /// Frequency.
    Frequency,
}

/// Metrics that the rule derives.
pub(super) struct Derived {
    pub(super) guaranteed: Metric,
    pub(super) proposed: Metric,
    pub(super) apparent: Metric,
    pub(super) load_factor: Metric,
    pub(super) net_load: Metric,
    pub(super) profile: Metric,
    pub(super) substituted: Metric,
    pub(super) rate: Metric,
    pub(super) peak: Metric,
    pub(super) household_profile: Metric,
    pub(super) household_substituted: Metric,
    pub(super) household_peak: Metric,
    pub(super) household_shared: Metric,
    pub(super) shared: Metric,
    pub(super) residual: Metric,
    pub(super) shared_substituted: Metric,
    pub(super) self_consumption: Metric,
    pub(super) autarky: Metric,
}

/// One quantity of EN 50160.
pub(super) struct Quality {
    pub(super) limits: Limits,
    pub(super) within: Metric,
    pub(super) verdict: Metric,
    pub(super) topic: Topic,
    /// The share of the band; then, where there is one, of the absolute band.
    pub(super) codes: Vec<Limit>,
    /// For people.
    pub(super) name: &'static str,
}

/// Voltage outside the band now.
pub(super) struct Excursion {
    pub(super) topic: Topic,
    pub(super) limit: Limit,
}

/// Everything that is looked up.
pub(super) struct Settings {
    inputs: Vec<(Metric, u32, Input)>,
    pub(super) derived: Derived,
    pub(super) coverage: f64,
    pub(super) factors: Factors,
    commands: [CommandId; 4],
    pub(super) load: Topic,
    /// Warning and alarm.
    pub(super) load_levels: [(Limit, Severity); 2],
    /// Share of the rating that dimming aims at, percent.
    pub(super) dim_target: f64,
    pub(super) proposal_ms: u64,
    pub(super) excursions: [Excursion; 2],
    pub(super) voltage: Quality,
    pub(super) thd: Quality,
    pub(super) frequency: Quality,
    pub(super) policy: Policy,
    pub(super) min_participants: usize,
}

impl Settings {
    pub(super) fn new(setup: &Setup) -> Result<Self, SetupError> {
        let (alarm, warning) = (Severity::Major, Severity::Warning);
        Ok(Self {
            inputs: inputs(setup)?,
            derived: derived(setup)?,
            coverage: setup.number("coverage", 0.0..=1.0)?,
            factors: factors(setup)?,
            commands: [
                setup.command("limit_wallbox")?,
                setup.command("limit_heat_pump")?,
                setup.command("limit_cooling")?,
                setup.command("limit_battery")?,
            ],
            load: setup.topic("grid_load")?,
            load_levels: [
                (setup.limit("grid_load", 1)?, warning),
                (setup.limit("grid_load", 2)?, alarm),
            ],
            dim_target: setup.number("dim_target", 1.0..=100.0)?,
            proposal_ms: setup.integer("proposal_valid_s", 60..=86_400)? * 1000,
            excursions: [
                Excursion {
                    topic: setup.topic("voltage_high")?,
                    limit: setup.limit("voltage_high", 1)?,
                },
                Excursion {
                    topic: setup.topic("voltage_low")?,
                    limit: setup.limit("voltage_low", 1)?.below(),
                },
            ],
            voltage: voltage(setup)?,
            thd: thd(setup)?,
            frequency: frequency(setup)?,
            policy: Policy {
                interpolated: setup.integer("interpolated_max_s", 0..=86_400)? / 900,
                longest: setup.integer("substituted_max_s", 0..=2_678_400)? / 900,
                days: setup.integer("comparable_days", 1..=20)? as usize,
            },
            min_participants: setup.integer("min_participants", 1..=1000)? as usize,
        })
    }

    pub(super) fn input(&self, row: &Window) -> Option<Input> {
        let mut inputs = self.inputs.iter();
        let found = inputs.find(|(metric, span, _)| *metric == row.metric && *span == row.span_s);
        found.map(|(.., input)| *input)
    }

    pub(super) fn command(&self, kind: Kind) -> CommandId {
        self.commands[kind as usize]
    }
}

fn inputs(setup: &Setup) -> Result<Vec<(Metric, u32, Input)>, SetupError> {
    let table = [
        ("active_power", "kW", 900, Input::Active),
        ("reactive_power", "kvar", 900, Input::Reactive),
        ("charging_power", "kW", 900, Input::Device),
        ("heat_pump_power", "kW", 900, Input::Device),
        ("cooling_power", "kW", 900, Input::Device),
        ("battery_power", "kW", 900, Input::Device),
        ("household_power", "kW", 900, Input::Household),
        ("pv_power", "kW", 900, Input::Plant),
        ("voltage_l1", "V", 600, Input::Phase(0)),
        ("voltage_l2", "V", 600, Input::Phase(1)),
        ("voltage_l3", "V", 600, Input::Phase(2)),
        ("thd", "%", 600, Input::Thd),
        ("frequency", "Hz", 600, Input::Frequency),
    ];
    let row = |(name, unit, span, input)| Ok((setup.metric(name, unit)?, span, input));
    table.into_iter().map(row).collect()
}

fn derived(setup: &Setup) -> Result<Derived, SetupError> {
    Ok(Derived {
        guaranteed: setup.metric("guaranteed_power", "kW")?,
        proposed: setup.metric("proposed_limit", "kW")?,
        apparent: setup.metric("apparent_power", "kVA")?,
        load_factor: setup.metric("load_factor", "%")?,
        net_load: setup.metric("net_load", "kW")?,
        profile: setup.metric("load_profile", "kW")?,
        substituted: setup.metric("load_substituted", "1")?,
        rate: setup.metric("substitution_rate", "%")?,
        peak: setup.metric("peak_load", "kW")?,
        household_profile: setup.metric("household_profile", "kW")?,
        household_substituted: setup.metric("household_substituted", "1")?,
        household_peak: setup.metric("household_peak", "kW")?,
        household_shared: setup.metric("household_shared", "kWh")?,
        shared: setup.metric("shared_energy", "kWh")?,
        residual: setup.metric("shared_residual", "kWh")?,
        shared_substituted: setup.metric("shared_substituted", "%")?,
        self_consumption: setup.metric("self_consumption", "%")?,
        autarky: setup.metric("autarky", "%")?,
    })
}

fn factors(setup: &Setup) -> Result<Factors, SetupError> {
    let mut simultaneity = [0.0; 8];
    for (devices, factor) in (2..).zip(&mut simultaneity) {
        *factor = setup.number(&format!("gzf.{devices}"), 0.0..=1.0)?;
    }
    Ok(Factors {
        scaling: setup.number("scaling_factor", 0.0..=1.0)?,
        simultaneity,
    })
}

fn voltage(setup: &Setup) -> Result<Quality, SetupError> {
    let nominal = setup.number("nominal_voltage_v", 1.0..=1000.0)?;
    let band = setup.number("voltage_band_percent", 0.0..=100.0)?;
    let low = setup.number("voltage_low_percent", 0.0..=100.0)?;
    let topic = "voltage_quality";
    let codes = vec![setup.limit(topic, 1)?, setup.limit(topic, 2)?];
    Ok(Quality {
        limits: Limits {
            band: Band::around(nominal, band, band),
            share: codes[0].limit,
            absolute: Some(Band::around(nominal, band, low)),
            complete: setup.number("week_complete", 0.0..=1.0)?,
        },
        within: setup.metric("voltage_within", "%")?,
        verdict: setup.metric("voltage_verdict", "1")?,
        topic: setup.topic(topic)?,
        codes,
        name: "voltage",
    })
}

fn thd(setup: &Setup) -> Result<Quality, SetupError> {
    let code = setup.limit("thd_quality", 1)?;
    let band = Band {
        low: 0.0,
        high: setup.number("thd_max_percent", 0.0..=100.0)?,
    };
    Ok(Quality {
        limits: Limits {
            band,
            share: code.limit,
            absolute: None,
            complete: setup.number("week_complete", 0.0..=1.0)?,
        },
        within: setup.metric("thd_within", "%")?,
        verdict: setup.metric("thd_verdict", "1")?,
        topic: setup.topic("thd_quality")?,
        codes: vec![code],
        name: "THD",
    })
}

fn frequency(setup: &Setup) -> Result<Quality, SetupError> {
    let code = setup.limit("frequency_quality", 1)?;
    let nominal = setup.number("nominal_frequency_hz", 1.0..=400.0)?;
    let band = setup.number("frequency_band_percent", 0.0..=100.0)?;
    Ok(Quality {
        limits: Limits {
            band: Band::around(nominal, band, band),
            share: code.limit,
            absolute: None,
            complete: setup.number("year_complete", 0.0..=1.0)?,
        },
        within: setup.metric("frequency_within", "%")?,
        verdict: setup.metric("frequency_verdict", "1")?,
        topic: setup.topic("frequency_quality")?,
        codes: vec![code],
        name: "frequency",
    })
}
