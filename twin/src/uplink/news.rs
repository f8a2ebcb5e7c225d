//! What must not wait behind a backlog: alerts, commands, orders taken, health, and the newest
//! values while the ordered entries are behind. Deflated postcard behind a byte of version.
//!
//! All of it comes again with the ordered entries. `told` is the position of the box's journal up
//! to which alerts and commands are told here, so that the city knows what it has heard before.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chain::JournalId;
use super::squeeze::{MAX_BYTES, UplinkError, pack, unpack};
use crate::event::{OrderTaken, Stage};
use crate::model::{Millis, Place, Quality};
use crate::state::{Alert, AlertKey, Command, Correction};

const VERSION: u8 = 2;

/// News of a box.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct News {
    /// Which journal.
    pub journal: JournalId,
    /// When it was sent, by the box's clock.
    pub sent: Millis,
    /// Last durable position of the box's journal.
    pub head: u64,
    /// Position up to which alerts and commands are told.
    pub told: u64,
    /// `alerts` and `commands` are all there are: what is not among them is over.
    pub whole: bool,
    /// Alerts raised (`Some`) or over.
    pub alerts: Vec<(AlertKey, Option<Alert>)>,
    /// Commands that changed.
    pub commands: Vec<Command>,
    /// Orders taken.
    pub orders: Vec<OrderTaken>,
    /// What became known of times that were guessed.
    pub corrections: Vec<Correction>,
    /// Newest values.
    pub values: Vec<NewsValue>,
    /// How the box is.
    pub health: Option<Health>,
}

/// The newest value of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewsValue {
    /// Id of the asset.
    pub asset: String,
    /// Name of the metric.
    pub metric: String,
    /// The unit as sent, where the vocabulary does not know the metric.
    pub unit: Option<String>,
    /// In the metric's unit.
    pub value: f64,
    /// Event time.
    pub time: Millis,
    /// As the box has it.
    pub quality: Quality,
    /// Where the asset is.
    pub place: Option<Place>,
}

/// How a box is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Version of its program.
    pub version: String,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Bytes of its journal.
    pub journal_bytes: u64,
    /// What these may reach.
    pub journal_quota_bytes: u64,
    /// Free bytes of the file system of its data.
    pub disk_free_bytes: u64,
    /// Size of it.
    pub disk_bytes: u64,
    /// Degrees Celsius of its processor, where there is a sensor.
    pub temperature_c: Option<f64>,
    /// Whether it knows the time, or guesses it.
    pub time_known: bool,
    /// Its plugins.
    pub plugins: Vec<PluginHealth>,
    /// Parts that are not well, with what to do.
    pub warnings: Vec<String>,
}

/// A plugin of a box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginHealth {
    /// Id of the plugin.
    pub plugin: String,
    /// Version that runs.
    pub version: String,
    /// How far it has come.
    pub stage: Stage,
    /// Whether it was set aside.
    pub quarantined: bool,
}

impl News {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = postcard::to_allocvec(self).unwrap_or_default();
        let mut payload = vec![VERSION];
        payload.extend(pack(&bytes));
        payload
    }

    /// What a payload says.
    ///
    /// # Errors
    /// See [`UplinkError`].
    pub fn decode(payload: &[u8]) -> Result<Self, UplinkError> {
        match payload.split_first() {
            Some((&VERSION, packed)) => postcard::from_bytes(&unpack(packed, MAX_BYTES)?)
                .map_err(|error| UplinkError::Decode(error.to_string())),
            first => Err(UplinkError::Version(
                first.map_or(0, |(version, _)| *version),
            )),
        }
    }
}
