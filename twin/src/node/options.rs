//! What parts of the node are given, from the configuration.

use std::sync::Arc;

use quartier_plugin_host::PublicKey;

use super::StartError;
use crate::config::{self, Config, Influx, InfluxApi, WhenFull};
use crate::influx::{self, InfluxConfig};
use crate::journal::{self, Journal, SegmentJournal};
use crate::plugins::Lab;
use crate::store::DataDir;

/// Bytes of the disk for store, snapshots and audit: a store that could not write once needs a
/// restart, the journal waits.
const RESERVE: u64 = 16 << 20;

/// Labs with their keys, which the configuration's check has read before.
pub(super) fn labs(config: &Config) -> Vec<Lab> {
    let lab = |lab: &config::Lab| Lab {
        id: lab.id.clone(),
        keys: lab
            .keys
            .iter()
            .filter_map(|key| key.parse::<PublicKey>().ok())
            .collect(),
        quarters: lab.quarters.clone().unwrap_or_else(|| vec![lab.id.clone()]),
    };
    config.labs.iter().map(lab).collect()
}

/// `floor`: the last position that a cursor or a snapshot has seen. It must not be given to
/// another entry, whatever happened to the last segment.
pub(super) fn open_journal(
    config: &Config,
    data: &DataDir,
    floor: u64,
) -> Result<Arc<dyn Journal>, StartError> {
    let options = journal::Options {
        floor,
        segment_bytes: config.journal.segment_bytes,
        quota_bytes: config.journal.quota_bytes,
        keep_bytes: config.journal.kept_bytes(),
        when_full: match config.journal.when_full {
            WhenFull::Refuse => journal::WhenFull::Refuse,
            WhenFull::DropOldest => journal::WhenFull::DropOldest,
        },
        commit_window: config.sync_window(),
        reserve_bytes: RESERVE,
        ..journal::Options::default()
    };
    Ok(Arc::new(SegmentJournal::open(data.journal(), options)?))
}

pub(super) fn sink_config(configured: &Influx) -> InfluxConfig {
    let configured = configured.clone();
    let api = match configured.api {
        InfluxApi::V1 => influx::InfluxApi::V1 {
            database: configured.database,
            user: configured.user,
            password_file: configured.password_file,
        },
        InfluxApi::V2 => influx::InfluxApi::V2 {
            org: configured.org,
            bucket: configured.bucket,
            token_file: configured.token_file,
        },
    };
    InfluxConfig::new(configured.url, api)
}
