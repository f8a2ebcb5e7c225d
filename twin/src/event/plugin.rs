//! What the journal holds of plugins: who runs where, in which version, by whose word.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Digest;

/// How far a version has come in the city; the three steps of the proposal behind a trial.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    ToSchema,
    ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Evaluates beside the running version and publishes nothing.
    Shadow,
    /// Step 1: runs in the quarter it was made for.
    #[default]
    Quarter,
    /// Step 2: runs in the quarters of other labs too.
    Labs,
    /// Step 3: runs in every quarter.
    City,
}

impl Stage {
    /// The name in the configuration and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Quarter => "quarter",
            Self::Labs => "labs",
            Self::City => "city",
        }
    }

    /// Whether its decisions change the twin.
    pub fn acts(self) -> bool {
        self != Self::Shadow
    }

    /// The step after this one.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Shadow => Some(Self::Quarter),
            Self::Quarter => Some(Self::Labs),
            Self::Labs => Some(Self::City),
            Self::City => None,
        }
    }
}

/// Who declared a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A `[[plugin]]` of the configuration; it goes when it is taken out there.
    #[default]
    Configuration,
    /// The API.
    Api,
    /// Box: a `[[plugin]]` of its city's configuration.
    City,
}

/// A deployed plugin version, as far as the fold needs it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PluginRecord {
    /// Id of the quarter.
    pub quarter: String,
    /// Id of the plugin, from its manifest.
    pub plugin: String,
    /// Version, from its manifest.
    pub version: String,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// SHA-256 of the manifest.
    pub manifest: Digest,
    /// Keys of the manifest's `[config]` with other values than there, sorted.
    pub config: Vec<(String, String)>,
    /// How far it has come.
    pub stage: Stage,
    /// Who declared it.
    pub origin: Origin,
    /// Metrics whose readings it gets.
    pub metrics: Vec<String>,
    /// Windows it gets: metric and span in seconds.
    pub windows: Vec<(String, u32)>,
    /// Metrics it derives.
    pub derives: Vec<String>,
    /// Asset kinds it sees; empty: all.
    pub kinds: Vec<String>,
    /// Readings per batch at most.
    pub batch: u32,
    /// Metrics whose newest value of the row's asset it gets with every row.
    pub properties: Vec<String>,
    /// Seconds of logical time between two calls of `on-tick`; `None`: never called.
    pub tick_s: Option<u32>,
    /// Commands it may ask for.
    pub commands: Vec<CommandGrant>,
}

impl PluginRecord {
    /// Whether both are the same program with the same settings.
    pub fn same_program(&self, other: &Self) -> bool {
        (&self.digest, &self.manifest, &self.config)
            == (&other.digest, &other.manifest, &other.config)
    }

    /// What a configuration says of it, as one value: while that stays the same, a restart leaves
    /// alone what was deployed, promoted or rolled back since.
    pub fn declaration(&self) -> Digest {
        Digest::of_value(&(self.digest, self.manifest, &self.config, self.stage))
    }
}

/// A command that a manifest grants.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CommandGrant {
    /// Name in the manifest.
    pub name: String,
    /// Asset kind it is for.
    pub kind: String,
    /// Property it sets.
    pub property: String,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Commands an hour and asset at most.
    pub rate_per_hour: u32,
    /// Whether a person must approve each.
    pub requires_approval: bool,
    /// The manifest's own interlocks.
    pub interlocks: Vec<super::Interlock>,
}

/// Why a version runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It was deployed.
    #[default]
    Deploy,
    /// It came a stage further.
    Promote,
    /// The version before came back.
    Rollback,
}

/// A version runs from here on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Deployed {
    /// What runs, and where.
    pub record: PluginRecord,
    /// Why it runs.
    pub how: How,
    /// User who did it; empty: the configuration.
    pub by: String,
    /// Reason given.
    pub why: String,
}

/// A plugin runs no more.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Removed {
    /// Id of the quarter.
    pub quarter: String,
    /// Id of the plugin.
    pub plugin: String,
    /// Only this version; `None`: all of them.
    pub version: Option<String>,
    /// User who did it; empty: the configuration.
    pub by: String,
    /// Reason given.
    pub why: String,
}

/// A version took over in a line of batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The line of batches, see [`super::Decision::run`].
    pub run: u64,
    /// Version that took over.
    pub version: String,
    /// Why it did not take the state of the version before; `None`: it did, or there was none.
    pub fresh: Option<String>,
    /// Why it does not run at all: the version before goes on.
    pub failed: Option<String>,
}

/// A plugin fell too far behind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parked {
    /// The line of batches, see [`super::Decision::run`].
    pub run: u64,
    /// Rows that waited for it.
    pub waiting: u64,
}
