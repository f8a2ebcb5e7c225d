//! The tables of the two indices and of the alert thresholds of single hours, with their sources.
//!
//! Limits are upper bounds of hourly means in ug/m3, inclusive. A change of a number is a new
//! version of the table and of the plugin.

use quartier_sdk::prelude::Severity;

/// Unit of pollutants.
pub const UNIT: &str = "ug/m3";

/// To whole ug/m3, half up: means are rounded before they are held against a table or a limit value.
pub fn half_up(mean: f64) -> f64 {
    (mean + 0.5).floor()
}

/// What the rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pollutant {
    /// Particles below 2.5 um.
    Pm2_5,
    /// Particles below 10 um.
    Pm10,
    /// Nitrogen dioxide.
    No2,
    /// Ozone.
    O3,
    /// Sulphur dioxide.
    So2,
}

impl Pollutant {
    /// In the order of the tables' rows.
    pub const ALL: [Self; 5] = [Self::Pm2_5, Self::Pm10, Self::No2, Self::O3, Self::So2];

    /// Name in the vocabulary.
    pub fn metric(self) -> &'static str {
        match self {
            Self::Pm2_5 => "pm2_5",
            Self::Pm10 => "pm10",
            Self::No2 => "no2",
            Self::O3 => "o3",
            Self::So2 => "so2",
        }
    }

    /// For people.
    pub fn label(self) -> &'static str {
        match self {
            Self::Pm2_5 => "PM2.5",
            Self::Pm10 => "PM10",
            Self::No2 => "NO2",
            Self::O3 => "O3",
            Self::So2 => "SO2",
        }
    }
}

/// Hourly means of one place, by `Pollutant as usize`; `None`: insufficient data.
pub type Means = [Option<f64>; 5];

/// European Air Quality Index, revision 2024 (European Environment Agency,
/// <https://airindex.eea.europa.eu>): good, fair, moderate, poor, very poor; above: extremely poor.
pub const EAQI: [[u16; 5]; 5] = [
    [5, 15, 50, 90, 140],
    [15, 45, 120, 195, 270],
    [10, 25, 60, 100, 150],
    [60, 100, 120, 160, 180],
    [20, 40, 125, 190, 275],
];

/// Luftqualitaetsindex of the German Environment Agency (UBA,
/// <https://www.umweltbundesamt.de/berechnungsgrundlagen-luftqualitaetsindex>): sehr gut, gut,
/// maessig, schlecht; above: sehr schlecht.
pub const LQI: [[u16; 4]; 5] = [
    [5, 15, 30, 50],
    [9, 27, 54, 90],
    [10, 30, 60, 100],
    [24, 72, 144, 240],
    [10, 30, 60, 100],
];

/// What an alert's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The class of the EAQI, 1 to 6; the limit is reached by it.
    Eaqi,
    /// An hourly mean in ug/m3; the limit is passed above it.
    Mean(Pollutant),
}

/// One limit of one alert topic. The number of the limit itself is the manifest's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Name of the alert topic, as in the manifest.
    pub topic: &'static str,
    /// The manifest's code of the limit; rises with the severity within a topic.
    pub code: u32,
    /// How bad it is.
    pub severity: Severity,
    /// What is held against the limit.
    pub measure: Measure,
}

const fn level(topic: &'static str, code: u32, severity: Severity, measure: Measure) -> Level {
    Level {
        topic,
        code,
        severity,
        measure,
    }
}

/// Number of [`TOPICS`].
pub const TOPIC_COUNT: usize = 5;

/// Alert topics in the order of [`LEVELS`].
pub const TOPICS: [&str; TOPIC_COUNT] = [
    "eaqi_poor",
    "no2_alarm",
    "so2_alarm",
    "o3_information",
    "o3_alarm",
];

/// All levels; those of one topic stand together, the worst last.
pub const LEVELS: [Level; 7] = [
    level("eaqi_poor", 4, Severity::Warning, Measure::Eaqi),
    level("eaqi_poor", 5, Severity::Major, Measure::Eaqi),
    level("eaqi_poor", 6, Severity::Major, Measure::Eaqi),
    level(
        "no2_alarm",
        1,
        Severity::Critical,
        Measure::Mean(Pollutant::No2),
    ),
    level(
        "so2_alarm",
        1,
        Severity::Critical,
        Measure::Mean(Pollutant::So2),
    ),
    level(
        "o3_information",
        1,
        Severity::Warning,
        Measure::Mean(Pollutant::O3),
    ),
    level(
        "o3_alarm",
        1,
        Severity::Critical,
        Measure::Mean(Pollutant::O3),
    ),
];
