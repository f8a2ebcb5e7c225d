//! Why a node does not start.

use std::net::SocketAddr;
use std::path::PathBuf;

use quartier_broker::TlsError;
use quartier_plugin_host::{HostError, LoadError};

use crate::edges::InvitationError;
use crate::engine::RecoverError;
use crate::external;
use crate::influx;
use crate::journal::{OpenError, ReadError};
use crate::plugins::ArtifactError;
use crate::registry::RegistryError;
use crate::store::{DataDirError, StoreError};

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be had.
    #[error(
        "{what} cannot listen on {address}: {source}; stop what listens there or change `{key}`"
    )]
    Listen {
        /// MQTT or HTTP.
        what: &'static str,
        /// As configured.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
        /// Which key to change.
        key: &'static str,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Data(#[from] DataDirError),
    /// The store cannot be opened.
    #[error("store: {0}")]
    Store(#[from] StoreError),
    /// The journal cannot be opened.
    #[error("journal: {0}")]
    Journal(#[from] OpenError),
    /// The journal cannot be read.
    #[error("journal: {0}")]
    Read(#[from] ReadError),
    /// The twin cannot be recovered.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// A file of the registry is wrong.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// wasmtime does not start.
    #[error("plugins: {0}")]
    Host(#[from] HostError),
    /// A plugin cannot be loaded.
    #[error("plugin: {0}")]
    Plugin(#[from] LoadError),
    /// A plugin of the configuration does not start.
    #[error("plugin {}: {why}", path.display())]
    Declared {
        /// Its folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A package cannot be used or kept.
    #[error("plugin: {0}")]
    Artifact(#[from] ArtifactError),
    /// More plugins in a quarter than a stream can be routed to.
    #[error("quarter {0} has more than {max} plugins", max = crate::state::MAX_PLUGINS)]
    TooManyPlugins(String),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The broker does not start.
    #[error("mqtt: {0}")]
    Broker(#[from] quartier_broker::StartError),
    /// A file for the connection to the external broker cannot be used.
    #[error(transparent)]
    External(#[from] external::FileError),
    /// The InfluxDB sink cannot work as configured.
    #[error(transparent)]
    Influx(#[from] influx::ConfigError),
    /// The invitations of boxes cannot be read.
    #[error(transparent)]
    Invitations(#[from] InvitationError),
    /// No thread, or a folder that cannot be made.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
