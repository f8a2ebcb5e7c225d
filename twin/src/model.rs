//! The words of the platform as types: time, quality, place, reading, registry records.
//!
//! Everything here is plain data that the journal and the snapshot can hold (serde, postcard).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// The wall clock. Only the edge of the program may ask it; the fold never does.
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_millisecond())
    }

    /// This time plus `ms` milliseconds, saturating.
    #[must_use]
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time, saturating; negative when `earlier` is later.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Millis {
    /// RFC 3339 in UTC, with milliseconds only where there are any; out of the calendar: the number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => fmt::Display::fmt(&time, f),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}

/// How far a value can be trusted; the numbers are those of the plugin interface.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// As measured, within the metric's plausible range.
    #[default]
    Good = 0,
    /// Kept, but something about it is unsure: an unknown metric or unit.
    Uncertain = 1,
    /// Outside the metric's plausible range: kept, left out of windows and aggregates.
    Bad = 2,
}

impl Quality {
    /// The name on the wire: `good`, `uncertain`, `bad`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Uncertain => "uncertain",
            Self::Bad => "bad",
        }
    }
}

/// A place on Earth, WGS 84 degrees; always finite, latitude within ±90, longitude within ±180.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Place {
    lat: f64,
    lon: f64,
}

impl Place {
    /// `None` where a coordinate is not finite or out of range.
    pub fn new(lat: f64, lon: f64) -> Option<Self> {
        ((-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon))
            .then_some(Self { lat, lon })
    }

    /// Latitude, degrees north.
    pub fn lat(self) -> f64 {
        self.lat
    }

    /// Longitude, degrees east.
    pub fn lon(self) -> f64 {
        self.lon
    }
}

/// The longest name of a quarter, an asset or a metric, bytes.
pub const MAX_NAME: usize = 128;

/// Whether `name` can be one level of a topic and one part of a path: 1 to [`MAX_NAME`] bytes,
/// no `/`, `+`, `#`, white space or control character, not starting with `$`.
pub fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && !name.starts_with('$')
        && !name
            .chars()
            .any(|c| matches!(c, '/' | '+' | '#') || c.is_control() || c.is_whitespace())
}

/// One value of one metric of one asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading<'a> {
    /// Name of the metric, see `metrics.toml`; a name that is not there is kept too.
    pub metric: &'a str,
    /// In the metric's unit; finite.
    pub value: f64,
    /// Event time.
    pub time: Millis,
    /// Good unless something speaks against it.
    pub quality: Quality,
    /// The unit as sent, only where the vocabulary does not know the metric.
    pub unit: Option<&'a str>,
}

/// What one publish said of one asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observed<'a> {
    /// Id of the quarter.
    pub quarter: &'a str,
    /// Id of the asset within its quarter.
    pub asset: &'a str,
    /// Where the asset said it is.
    pub place: Option<Place>,
    /// In the order of the payload.
    #[serde(borrow)]
    pub readings: Vec<Reading<'a>>,
}

/// A quarter as the registry knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuarterRecord {
    /// One topic level, `johannstadt`.
    pub id: String,
    /// For people, `Johannstadt`.
    pub name: String,
    /// Compacted H3 cells, as numbers; empty: the quarter has no area yet.
    pub cells: Vec<u64>,
    /// IANA time zone that decides where a day begins, `Europe/Berlin`.
    pub timezone: String,
}

/// An asset as the registry knows it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AssetRecord {
    /// Id of the quarter.
    pub quarter: String,
    /// One topic level, unique in its quarter.
    pub id: String,
    /// `meter`, `wallbox`, `feeder`, `car_park`, `sensor_box`; `unknown` where nobody said.
    pub kind: String,
    /// For people.
    pub name: String,
    /// Position, where known.
    pub place: Option<Place>,
    /// Facts that rarely change, sorted by key: `capacity`, `rated_kw`, `interval_s`.
    pub attributes: Vec<(String, String)>,
    /// Typed edges to other assets of the quarter, (`feeds`, asset id), sorted.
    pub relations: Vec<(String, String)>,
    /// Registered by its first reading, not by a person.
    pub automatic: bool,
}
