//! The vocabulary: what each metric means. One file, `metrics.toml`, compiled in.
//!
//! Invariant: names are unique and one topic level each, every unit is in the table of [`units`],
//! every range is finite and not empty, every alias leads to a metric and hides none.

mod parse;
pub mod units;

use std::sync::LazyLock;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

pub use parse::VocabularyError;
use units::Target;

/// The part of city life a metric belongs to; the third level of its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// Power, energy, voltage, load.
    Energy,
    /// Parking, traffic, charging, sharing.
    Mobility,
    /// Air, noise, weather.
    Environment,
    /// Indices and heat stress that speak of people.
    Health,
    /// Plausibility and calibration.
    Science,
    /// The device itself: battery, signal; and every metric the vocabulary does not know.
    Device,
}

impl Domain {
    /// The name in topics and paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Energy => "energy",
            Self::Mobility => "mobility",
            Self::Environment => "environment",
            Self::Health => "health",
            Self::Science => "science",
            Self::Device => "device",
        }
    }
}

/// How values of a metric are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MeanKind {
    /// Sum over number.
    #[default]
    Arithmetic,
    /// Sound levels: 10 lg of the mean of 10^(L/10).
    Energetic,
}

/// One entry of the vocabulary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// One topic level in snake_case, `pm2_5`.
    pub name: String,
    /// Third level of its topic.
    pub domain: Domain,
    /// UCUM code, `ug/m3`; `1` for plain numbers.
    pub unit: String,
    /// Smallest and largest plausible value, in `unit`; outside: quality bad.
    pub range: (f64, f64),
    /// Arithmetic unless said otherwise.
    #[serde(default)]
    pub mean: MeanKind,
    /// Says something of a household or a person: published under `personal/` only.
    #[serde(default)]
    pub personal: bool,
    /// Usual reporting interval, seconds, for coverage; an asset's `interval_s` goes before it.
    #[serde(default)]
    pub interval_s: Option<u32>,
    /// For people.
    pub description: String,
    /// Where the metric is defined (Smart Data Models, QUDT, DATEX II).
    pub definition: String,
}

/// A metric with what decoding needs of it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) metric: Metric,
    pub(crate) target: Target,
}

/// All metrics the platform knows.
#[derive(Debug)]
pub struct Vocabulary {
    known: Vec<Known>,
    /// Names and aliases, to the place in `known`.
    by_name: HashMap<String, usize>,
}

static BUILTIN: LazyLock<Vocabulary> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "compiled in, and a test parses it")]
    Vocabulary::parse(include_str!("../../metrics.toml")).expect("metrics.toml is valid")
});

impl Vocabulary {
    /// The vocabulary that is compiled in: `twin/metrics.toml`.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// The metric of exactly this name; aliases are not names.
    pub fn get(&self, name: &str) -> Option<&Metric> {
        self.resolve(name)
            .map(|known| &known.metric)
            .filter(|metric| metric.name == name)
    }

    /// All metrics, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Metric> {
        self.known.iter().map(|known| &known.metric)
    }

    /// The metric that a sender means by `name`: a name or an alias, exact spelling.
    pub(crate) fn resolve(&self, name: &str) -> Option<&Known> {
        self.by_name
            .get(name)
            .and_then(|place| self.known.get(*place))
    }
}
