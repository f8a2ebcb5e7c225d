//! Why a runner could not be made, saved or restored.

/// A runner could not be made, saved or restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunnerError {
    /// The dictionary lacks a name of the manifest.
    #[error("plugin {plugin}: the dictionary has no {name}")]
    Dictionary {
        /// Id of the plugin.
        plugin: String,
        /// What is missing.
        name: String,
    },
    /// A key that the manifest's `[config]` does not have.
    #[error("plugin {plugin}: unknown configuration key {key}")]
    Config {
        /// Id of the plugin.
        plugin: String,
        /// The key.
        key: String,
    },
    /// The bytes are not a snapshot of this version.
    #[error("plugin {plugin}: not a snapshot of this version of the host")]
    Snapshot {
        /// Id of the plugin.
        plugin: String,
    },
    /// The plugin failed.
    #[error("plugin {plugin}: {failure}")]
    Failed {
        /// Id of the plugin.
        plugin: String,
        /// How.
        failure: String,
    },
}
