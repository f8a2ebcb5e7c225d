//! Quarters whose home is a box: what a city orders, and what a box does with it.

use std::sync::Arc;

use quartier_plugin_host::Package;
use tokio::task::spawn_blocking;

use super::Deployer;
use super::checks::{joined, rejected};
use crate::edges::packages;
use crate::event::{DeployOrder, Deployed, EdgeOrdered, Event, Order, Stage};
use crate::plugins::wish::DeployError;
use crate::plugins::{ArtifactError, record_of};
use crate::state::MAX_ORDERS;

impl Deployer {
    /// The order to the box that is the home of `quarter`; `None`: there is no box.
    pub(super) fn order(
        &self,
        quarter: &str,
        by: &str,
        why: &str,
        order: impl FnOnce() -> Result<Order, DeployError>,
    ) -> Result<Option<Event<'static>>, DeployError> {
        let node = {
            let twin = self.twin.read();
            let Some(edge) = twin.edges().of_quarter(quarter) else {
                return Ok(None);
            };
            let node = edge.record.node.clone();
            if edge.orders().len() >= MAX_ORDERS {
                let why = format!("{MAX_ORDERS} orders wait for box {node} already");
                return Err(DeployError::Conflict(why));
            }
            node
        };
        Ok(Some(Event::EdgeOrdered(EdgeOrdered {
            node,
            order: order()?,
            stamp: self.recorder.stamp(),
            by: by.to_owned(),
            why: why.to_owned(),
        })))
    }

    pub(super) fn deploy_order(&self, deployed: &Deployed) -> Result<Order, DeployError> {
        let package = self.artifacts.package(&deployed.record)?;
        if package.signature.is_none() {
            return Err(DeployError::Signature(format!(
                "{} is not signed, and a box takes nothing that is not: quartier plugin sign",
                deployed.record.plugin
            )));
        }
        Ok(Order::Deploy(DeployOrder {
            deployed: deployed.clone(),
            bytes: packages::encode(&package).len() as u64,
        }))
    }

    /// Box: what an order of the city asks for, checked: the package against its digests and its
    /// lab's signature, the record against the manifest, an instance started. The package is kept.
    ///
    /// # Errors
    /// See [`DeployError`]; nothing changed.
    pub async fn ordered(
        &self,
        order: &DeployOrder,
        package: Package,
    ) -> Result<Event<'static>, DeployError> {
        let wanted = &order.deployed.record;
        let found = (package.component_digest(), package.manifest_digest());
        if found != (wanted.digest, wanted.manifest) {
            return Err(DeployError::Rejected(
                "the package is another one than was ordered".to_owned(),
            ));
        }
        // Beyond its own quarter a lab reaches by the city's promotion, which is this order.
        self.verify(
            &package,
            (wanted.stage <= Stage::Quarter).then_some(&wanted.quarter),
        )?;
        let artifacts = Arc::clone(&self.artifacts);
        let checked = spawn_blocking(move || {
            let plugin = artifacts.check(&package)?;
            artifacts.keep(&package)?;
            Ok::<_, ArtifactError>(plugin)
        });
        let plugin = joined(checked.await)?.map_err(rejected)?;
        let record = record_of(
            &plugin,
            &wanted.quarter,
            wanted.stage,
            wanted.origin,
            wanted.config.clone(),
        );
        if record != *wanted {
            return Err(DeployError::Rejected(
                "the manifest does not say what the order says: city and box have different \
                 versions of quartier"
                    .to_owned(),
            ));
        }
        self.fits(&record)?;
        self.try_out(plugin, &record).await?;
        Ok(Event::PluginDeployed(order.deployed.clone()))
    }
}
