//! What is checked before anything changes.

use std::fmt::Display;
use std::sync::Arc;

use quartier_plugin_host::{Manifest, Package, Plugin, Runner};
use tokio::task::spawn_blocking;

use super::Deployer;
use crate::event::PluginRecord;
use crate::plugins::wish::DeployError;
use crate::plugins::{ArtifactError, dictionary};

impl Deployer {
    /// Whether a key that its lab has here now has signed it.
    pub fn is_signed(&self, package: &Package) -> bool {
        self.verify(package, None).is_ok()
    }

    /// `quarter`: where the lab must be at home; `None`: any lab that is known here.
    pub(super) fn verify(
        &self,
        package: &Package,
        quarter: Option<&String>,
    ) -> Result<(), DeployError> {
        let wrong = |error: &dyn Display| DeployError::Rejected(error.to_string());
        package.check_sizes().map_err(|error| wrong(&error))?;
        let manifest = Manifest::parse(&package.manifest)
            .map_err(|error| wrong(&format_args!("manifest.toml: {error}")))?;
        let refused = |why: String| Err(DeployError::Signature(why));
        let Some(lab) = self.labs.get(&manifest.lab) else {
            return refused(format!(
                "lab {:?} has no key here: add a [[lab]] to the configuration of the node",
                manifest.lab
            ));
        };
        if let Some(quarter) = quarter
            && !lab.quarters.contains(quarter)
        {
            return refused(format!(
                "lab {} may not deploy to {quarter}, only to {}; promotion to stage labs brings a \
                 plugin to other quarters",
                lab.id,
                lab.quarters.join(", ")
            ));
        }
        let Some(signature) = &package.signature else {
            return refused("the manifest is not signed: quartier plugin sign".to_owned());
        };
        let verdicts = lab
            .keys
            .iter()
            .map(|key| key.verify(&package.manifest, signature));
        let mut why = format!("lab {} has no keys", lab.id);
        for verdict in verdicts {
            match verdict {
                Ok(()) => return Ok(()),
                Err(error) => why = format!("not signed by lab {}: {error}", lab.id),
            }
        }
        refused(why)
    }

    /// Whether it contradicts nothing that runs.
    pub(super) fn fits(&self, record: &PluginRecord) -> Result<(), DeployError> {
        let twin = self.twin.read();
        if twin.quarter_index(&record.quarter).is_none() {
            return Err(DeployError::NotFound(format!(
                "there is no quarter {:?} on this node",
                record.quarter
            )));
        }
        let home = twin.home(&record.quarter);
        let mut running = home.deployments_of(&record.quarter, &record.plugin);
        let Some(same) = running.find(|d| d.record.version == record.version) else {
            return Ok(());
        };
        let (plugin, version) = (&record.plugin, &record.version);
        if (same.record.digest, same.record.manifest) != (record.digest, record.manifest) {
            return Err(DeployError::Conflict(format!(
                "version {version} of {plugin} runs in {} with another content: raise `version` \
                 in the manifest",
                record.quarter
            )));
        }
        if same.record.stage.acts() && !record.stage.acts() {
            return Err(DeployError::Conflict(format!(
                "{plugin} {version} acts in {} already; a shadow of itself would tell nothing",
                record.quarter
            )));
        }
        Ok(())
    }

    /// Starts an instance and throws it away, so that a wrong configuration is known before
    /// anything changes.
    pub(super) async fn try_out(
        &self,
        plugin: Plugin,
        record: &PluginRecord,
    ) -> Result<(), DeployError> {
        let names = dictionary(&plugin, &self.twin.read());
        let (artifacts, config) = (Arc::clone(&self.artifacts), record.config.clone());
        let tried = spawn_blocking(move || {
            Runner::new(artifacts.host(), &plugin, names, config).map(|_| ())
        });
        joined(tried.await)?.map_err(|error| DeployError::Rejected(error.to_string()))
    }
}

/// A package that cannot be used is the sender's fault.
pub(super) fn rejected(error: ArtifactError) -> DeployError {
    match error {
        ArtifactError::Load(error) => DeployError::Rejected(error.to_string()),
        other => other.into(),
    }
}

/// The work of a blocking task; a panic in it is an internal fault.
pub(super) fn joined<T>(result: Result<T, tokio::task::JoinError>) -> Result<T, DeployError> {
    result.map_err(|error| DeployError::Rejected(format!("the check broke off: {error}")))
}
