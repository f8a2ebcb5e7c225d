//! What is asked of the deployer, what it did, and why it did not.

use quartier_plugin_host::PublicKey;

use super::ArtifactError;
use crate::event::Stage;
use crate::recorder::RecordError;

/// A quarter lab that may deploy.
#[derive(Debug, Clone, PartialEq)]
pub struct Lab {
    /// As manifests name it.
    pub id: String,
    /// Keys that sign its manifests.
    pub keys: Vec<PublicKey>,
    /// Quarters into which its plugins go without a promotion.
    pub quarters: Vec<String>,
}

/// Who does something, where and why.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request {
    /// Id of the quarter.
    pub quarter: String,
    /// User; empty where nobody logged in.
    pub by: String,
    /// Reason given.
    pub why: String,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Done {
    /// Journal position of the last event.
    pub position: u64,
    /// Id of the plugin.
    pub plugin: String,
    /// Version that runs, or ran.
    pub version: String,
    /// Stage of it.
    pub stage: Stage,
    /// Quarters in which something changed.
    pub quarters: Vec<String>,
    /// Quarters whose boxes were given an order; `outcomes` of `/api/v1/edges/{node}` say what came
    /// of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ordered: Vec<String>,
}

/// Why something was not done; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The package or the wish is not right.
    #[error("{0}")]
    Rejected(String),
    /// Its signature is not one of its lab's.
    #[error("{0}")]
    Signature(String),
    /// There is no such quarter, plugin or version.
    #[error("{0}")]
    NotFound(String),
    /// It contradicts what runs.
    #[error("{0}")]
    Conflict(String),
    /// The package cannot be kept.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The event is not in the journal, or not known to be.
    #[error(transparent)]
    Record(#[from] RecordError),
}
