//! The configuration: one TOML file, with `QUARTIER_SECTION__KEY` in the environment before it.
//!
//! Paths in the file are relative to the folder of the file. Whatever is wrong is found here,
//! before a port opens, and the message names file, line and key.

mod load;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use crate::external::Address;

pub use load::ConfigError;

/// The roles a user can have; what each may do is decided by the access rules.
pub const ROLES: [&str; 6] = ["device", "utility", "lab", "dashboard", "edge", "operator"];

/// One node, as configured.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
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
    /// The durable log.
    #[serde(default)]
    pub journal: Journal,
    /// Quarters of this node.
    #[serde(default, rename = "quarter")]
    pub quarters: Vec<Quarter>,
    /// Plugins of these quarters.
    #[serde(default, rename = "plugin")]
    pub plugins: Vec<Plugin>,
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

/// The MQTT front door.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mqtt {
    /// Address of MQTT 3.1.1 and 5.
    pub listen: SocketAddr,
    /// `none`, or the role that a client without login gets.
    pub anonymous: String,
    /// Connections at once.
    pub max_connections: usize,
    /// Largest packet, bytes.
    pub max_packet: usize,
    /// An MQTT 5 broker in place of the embedded one.
    pub external: Option<Address>,
    /// Login there: user.
    pub external_user: Option<String>,
    /// Login there: file with the password in its first line.
    pub external_password_file: Option<PathBuf>,
    /// Authorities to trust there (PEM); absent: those of the system.
    pub external_ca_file: Option<PathBuf>,
    /// Certificate chain to show there (PEM).
    pub external_cert_file: Option<PathBuf>,
    /// Its key (PEM).
    pub external_key_file: Option<PathBuf>,
    /// Nodes of one group share the telemetry of the quarters that they have in common. Empty: the
    /// node is alone and its subscription is not shared. mosquitto 2.0.11 needs that where nothing
    /// may be lost: it forgets shared subscriptions when it restarts.
    pub external_group: String,
    /// Who may log in.
    #[serde(rename = "user")]
    pub users: Vec<User>,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 1883)),
            anonymous: "none".to_owned(),
            max_connections: 20_000,
            max_packet: 1024 * 1024,
            external: None,
            external_user: None,
            external_password_file: None,
            external_ca_file: None,
            external_cert_file: None,
            external_key_file: None,
            external_group: "quartier".to_owned(),
            users: Vec::new(),
        }
    }
}

/// Someone who may log in.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// User name.
    pub name: String,
    /// Argon2id in PHC form, from `quartier user add`.
    pub password_hash: String,
    /// See [`ROLES`].
    pub roles: Vec<String>,
}

impl std::fmt::Debug for User {
    /// Without the hash: it is nobody's business in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("roles", &self.roles)
            .finish()
    }
}

/// API and health.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address of the API.
    pub listen: SocketAddr,
    /// Origins of pages that may use `/mqtt` beside the node's own; `*` is all.
    pub allow_origins: Vec<String>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
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

/// The durable log.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Journal {
    /// Disk it may use.
    pub quota_bytes: u64,
    /// What happens then.
    pub when_full: WhenFull,
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
            segment_bytes: 64 * 1024 * 1024,
            snapshot_entries: 500_000,
        }
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
}

/// How far a plugin has come in the city.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Runs in the quarter it was made for.
    #[default]
    Quarter,
}
