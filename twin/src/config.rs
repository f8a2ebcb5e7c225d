//! The configuration: one TOML file, with `QUARTIER_SECTION__KEY` in the environment before it.
//!
//! Paths in the file are relative to the folder of the file. Whatever is wrong is found here,
//! before a port opens, and the message names file, line and key.

mod check;
mod edge;
mod load;
mod mqtt;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::event::{self, Stage};

pub use edge::{Edge, Uplink};
pub use load::ConfigError;
pub use mqtt::{Acl, Mqtt, Token, User, WhenQueueFull};

/// The roles a user can have; what each may do is decided by the access rules.
pub const ROLES: [&str; 6] = ["device", "utility", "lab", "dashboard", "edge", "operator"];

/// One node, as configured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file that it was read from.
    #[serde(skip)]
    pub file: PathBuf,
    /// Who this node is.
    pub node: Node,
    /// The MQTT front door.
    #[serde(default)]
    pub mqtt: Mqtt,
    /// API and health.
    #[serde(default)]
    pub http: Http,
    /// The InfluxDB sink; absent: off.
    pub influx: Option<Influx>,
    /// A box's way to its city; absent: there is none.
    pub uplink: Option<Uplink>,
    /// Boxes of a city.
    #[serde(default)]
    pub edge: Edge,
    /// The durable log.
    #[serde(default)]
    pub journal: Journal,
    /// Quarters of this node.
    #[serde(default, rename = "quarter")]
    pub quarters: Vec<Quarter>,
    /// Plugins of these quarters.
    #[serde(default, rename = "plugin")]
    pub plugins: Vec<Plugin>,
    /// Labs that may deploy plugins.
    #[serde(default, rename = "lab")]
    pub labs: Vec<Lab>,
    /// Safety limits of commands to devices.
    #[serde(default, rename = "interlock")]
    pub interlocks: Vec<Interlock>,
}

/// Who this node is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// One topic level, unique in the city.
    pub name: String,
    /// City, quarter or edge.
    pub role: Role,
    /// Folder of journal, store and snapshots.
    pub data: PathBuf,
    /// On a box: the file that NTP touches whenever it has set the clock.
    #[serde(default = "synchronised")]
    pub time_synchronised_file: PathBuf,
}

/// What systemd-timesyncd touches.
fn synchronised() -> PathBuf {
    PathBuf::from("/run/systemd/timesync/synchronized")
}

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// All quarters.
    City,
    /// One quarter in the data centre.
    Quarter,
    /// One quarter on a box in the street.
    Edge,
}

impl Role {
    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::City => "city",
            Self::Quarter => "quarter",
            Self::Edge => "edge",
        }
    }
}

/// API and health.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address of the API.
    pub listen: SocketAddr,
    /// Address of the API over TLS, with the certificate files of [`Mqtt`].
    pub tls_listen: Option<SocketAddr>,
    /// Origins of pages that may use `/mqtt` beside the node's own; `*` is all.
    pub allow_origins: Vec<String>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls_listen: None,
            allow_origins: Vec::new(),
        }
    }
}

/// Which write API the InfluxDB has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InfluxApi {
    /// `/write`: InfluxDB 1.x.
    V1,
    /// `/api/v2/write`: InfluxDB 2.x, 3.x, VictoriaMetrics.
    V2,
}

/// The InfluxDB sink.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Influx {
    /// Base URL.
    pub url: String,
    /// v1 or v2.
    pub api: InfluxApi,
    /// v2: organisation.
    #[serde(default)]
    pub org: String,
    /// v2: bucket.
    #[serde(default)]
    pub bucket: String,
    /// v2: file with the token.
    pub token_file: Option<PathBuf>,
    /// v1: database.
    #[serde(default)]
    pub database: String,
    /// v1: user.
    pub user: Option<String>,
    /// v1: file with the password.
    pub password_file: Option<PathBuf>,
}

/// What the journal does when its quota is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// Takes nothing more: devices keep what was not acknowledged.
    #[default]
    Refuse,
    /// Deletes the oldest segment, delivered or not.
    DropOldest,
}

/// Hardly longer than a sync takes on a disk of a data centre.
const SYNC_MS: u32 = 2;
/// A sync costs an SD card five blocks beside the data.
const SYNC_MS_ON_A_CARD: u32 = 250;
/// Some weeks of a quarter, some hours of a busy city.
const KEEP_BYTES: u64 = 2_000_000_000;

/// The durable log.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Journal {
    /// Disk it may use.
    pub quota_bytes: u64,
    /// What happens then.
    pub when_full: WhenFull,
    /// Bytes of the journal that stay although nothing needs them any more, so that what was
    /// decided can be verified and tried otherwise; half of the quota at most. Absent:
    /// 2,000,000,000 or half of the quota. What is still needed counts first: with a backlog of
    /// this size nothing more is kept.
    pub keep_bytes: Option<u64>,
    /// Least time between two syncs of the disk, milliseconds: what arrives meanwhile is written
    /// together, and is acknowledged together. Absent: 2, and 250 on a box, whose card wears out
    /// by syncs.
    pub sync_ms: Option<u32>,
    /// Size of a segment file.
    pub segment_bytes: u64,
    /// Entries between two snapshots of the twin.
    pub snapshot_entries: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            quota_bytes: 10_000_000_000,
            when_full: WhenFull::Refuse,
            keep_bytes: None,
            sync_ms: None,
            segment_bytes: 64 * 1024 * 1024,
            snapshot_entries: 500_000,
        }
    }
}

impl Journal {
    /// Bytes kept for verification, see [`Journal::keep_bytes`].
    pub fn kept_bytes(&self) -> u64 {
        let half = self.quota_bytes / 2;
        self.keep_bytes.unwrap_or(KEEP_BYTES).min(half)
    }
}

impl Config {
    /// Least time between two syncs of the journal, see [`Journal::sync_ms`].
    pub fn sync_window(&self) -> Duration {
        let by_role = match self.node.role {
            Role::City | Role::Quarter => SYNC_MS,
            Role::Edge => SYNC_MS_ON_A_CARD,
        };
        Duration::from_millis(self.journal.sync_ms.unwrap_or(by_role).into())
    }

    /// The file that NTP touches; `None`: the wall clock is believed.
    pub fn time_file(&self) -> Option<&Path> {
        let guesses = self.node.role == Role::Edge;
        guesses.then_some(&self.node.time_synchronised_file)
    }
}

/// One quarter.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quarter {
    /// One topic level.
    pub id: String,
    /// For people.
    pub name: String,
    /// Compacted H3 cells, one a line.
    pub cells_file: Option<PathBuf>,
    /// Assets: GeoJSON (`.geojson`, `.json`) or TOML (`.toml`).
    pub assets_file: Option<PathBuf>,
    /// IANA name; decides where a day begins.
    #[serde(default = "berlin")]
    pub timezone: String,
}

fn berlin() -> String {
    "Europe/Berlin".to_owned()
}

/// A plugin of a quarter.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// Id of the quarter.
    pub quarter: String,
    /// Folder with `manifest.toml` and the component.
    pub path: PathBuf,
    /// How far it has come.
    #[serde(default)]
    pub stage: Stage,
    /// Keys of the manifest's `[config]` that are otherwise here.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
}

/// A safety limit of commands to devices, whoever asks for them.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Interlock {
    /// Asset kind it is for; absent: every one.
    pub kind: String,
    /// Property it guards; absent: every one.
    pub property: String,
    /// Metric of the same asset that `above` and `below` are held against.
    pub metric: String,
    /// Commands are held while the metric is above.
    pub above: Option<f64>,
    /// Commands are held while the metric is below.
    pub below: Option<f64>,
    /// Smallest value that may be commanded at all.
    pub min: Option<f64>,
    /// Largest value that may be commanded at all.
    pub max: Option<f64>,
    /// For people: why.
    pub reason: String,
}

impl From<&Interlock> for event::Interlock {
    fn from(configured: &Interlock) -> Self {
        let Interlock {
            kind,
            property,
            metric,
            above,
            below,
            min,
            max,
            reason,
        } = configured;
        Self {
            kind: kind.clone(),
            property: property.clone(),
            metric: metric.clone(),
            above: *above,
            below: *below,
            min: *min,
            max: *max,
            reason: reason.clone(),
        }
    }
}

/// A quarter lab whose signed plugins are taken over HTTP.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lab {
    /// As manifests name it.
    pub id: String,
    /// Keys that sign its manifests, `ed25519:..` as `quartier plugin keygen` prints them.
    pub keys: Vec<String>,
    /// Quarters into which its plugins go without a promotion; absent: the one named like the lab.
    pub quarters: Option<Vec<String>>,
}
