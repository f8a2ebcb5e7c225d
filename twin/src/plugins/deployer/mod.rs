//! How versions come and go while the node runs: everything is checked first, off the hot path;
//! then one event in the journal does it, and what follows is the fold's.

mod boxes;
mod checks;

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLock;
use quartier_plugin_host::Package;
use tokio::task::spawn_blocking;

use super::wish::{DeployError, Done, Lab, Request};
use super::{ArtifactError, Artifacts, misnamed, record_of};
use crate::event::{Deployed, Event, How, Order, Origin, PluginRecord, Removed, Stage};
use crate::recorder::Recorder;
use crate::state::Twin;

use checks::{joined, rejected};

/// Changes what runs.
pub struct Deployer {
    artifacts: Arc<Artifacts>,
    recorder: Recorder,
    twin: Arc<RwLock<Twin>>,
    labs: HashMap<String, Lab>,
}

impl Deployer {
    /// For a node.
    pub fn new(
        artifacts: Arc<Artifacts>,
        recorder: Recorder,
        twin: Arc<RwLock<Twin>>,
        labs: Vec<Lab>,
    ) -> Self {
        let labs = labs.into_iter().map(|lab| (lab.id.clone(), lab)).collect();
        Self {
            artifacts,
            recorder,
            twin,
            labs,
        }
    }

    /// Labs: id, keys, quarters.
    pub fn labs(&self) -> Vec<(String, Vec<String>, Vec<String>)> {
        let keys = |lab: &Lab| lab.keys.iter().map(ToString::to_string).collect();
        let labs = self.labs.values();
        let mut labs: Vec<_> = labs
            .map(|lab| (lab.id.clone(), keys(lab), lab.quarters.clone()))
            .collect();
        labs.sort();
        labs
    }

    /// The programs.
    pub fn artifacts(&self) -> &Arc<Artifacts> {
        &self.artifacts
    }

    /// Deploys a signed package.
    ///
    /// # Errors
    /// See [`DeployError`].
    pub async fn deploy(
        &self,
        package: Package,
        stage: Stage,
        config: Vec<(String, String)>,
        request: Request,
    ) -> Result<Done, DeployError> {
        if stage > Stage::Quarter {
            let wanted = "deploy to stage shadow or quarter; the others are reached by promotion";
            return Err(DeployError::Rejected(wanted.to_owned()));
        }
        // The lab's word first: what nobody signed is not compiled, nor kept as machine code.
        self.verify(&package, Some(&request.quarter))?;
        let artifacts = Arc::clone(&self.artifacts);
        let checked = spawn_blocking(move || {
            let plugin = artifacts.check(&package)?;
            Ok::<_, ArtifactError>((plugin, package))
        });
        let (plugin, package) = joined(checked.await)?.map_err(rejected)?;
        let record = record_of(&plugin, &request.quarter, stage, Origin::Api, config);
        if let Some(why) = misnamed(plugin.manifest()) {
            return Err(DeployError::Rejected(why));
        }
        self.fits(&record)?;
        self.try_out(plugin, &record).await?;
        let artifacts = Arc::clone(&self.artifacts);
        joined(spawn_blocking(move || artifacts.keep(&package)).await)??;
        let deployed = deployed(record, How::Deploy, &request);
        self.done(vec![deployed]).await
    }

    /// The stage that a promotion of this version would reach.
    ///
    /// # Errors
    /// There is no such version, or no stage behind its own.
    pub fn next_stage(
        &self,
        quarter: &str,
        plugin: &str,
        version: Option<&str>,
    ) -> Result<Stage, DeployError> {
        let record = self.find(quarter, plugin, version)?;
        record.stage.next().ok_or_else(|| {
            DeployError::Conflict(format!(
                "{plugin} {} runs in the whole city",
                record.version
            ))
        })
    }

    /// Takes a version one stage further. `to`: where somebody expects it to come; `quarters`: the
    /// other labs' quarters at stage labs, all of them where none is named.
    ///
    /// # Errors
    /// See [`DeployError`].
    pub async fn promote(
        &self,
        plugin: &str,
        version: Option<&str>,
        to: Option<Stage>,
        quarters: Vec<String>,
        request: Request,
    ) -> Result<Done, DeployError> {
        let record = self.find(&request.quarter, plugin, version)?;
        let next = self.next_stage(&request.quarter, plugin, version)?;
        if to.is_some_and(|to| to != next) {
            return Err(DeployError::Conflict(format!(
                "{plugin} {} is at stage {}; the next one is {}",
                record.version,
                record.stage.as_str(),
                next.as_str()
            )));
        }
        let places = self.places(&request.quarter, next, quarters);
        let mut events = Vec::new();
        for place in places {
            let placed = PluginRecord {
                quarter: place,
                stage: next,
                origin: Origin::Api,
                ..record.clone()
            };
            self.fits(&placed)?;
            events.push(deployed(placed, How::Promote, &request));
        }
        self.done(events).await
    }

    /// The quarters in which a version of `quarter` runs at a stage, its own first. `chosen`: at
    /// stage labs, where somebody chose.
    pub fn places(&self, quarter: &str, stage: Stage, chosen: Vec<String>) -> Vec<String> {
        let mut places = match stage {
            Stage::Shadow | Stage::Quarter => Vec::new(),
            Stage::Labs if !chosen.is_empty() => chosen,
            Stage::Labs => self.quarters_of_labs(),
            Stage::City => self.all_quarters(),
        };
        places.retain(|place| place != quarter);
        places.insert(0, quarter.to_owned());
        places
    }

    /// Brings back the version that acted before.
    ///
    /// # Errors
    /// See [`DeployError`].
    pub async fn rollback(&self, plugin: &str, request: Request) -> Result<Done, DeployError> {
        let before = {
            let twin = self.twin.read();
            let past = twin.home(&request.quarter).past(&request.quarter, plugin);
            past.and_then(|past| past.history.last().cloned())
        };
        let mut record = before.ok_or_else(|| {
            DeployError::NotFound(format!(
                "no version of {plugin} ran in {} before this one",
                request.quarter
            ))
        })?;
        record.origin = Origin::Api;
        let program = self.artifacts.get(&record)?;
        self.try_out(program, &record).await?;
        let event = deployed(record, How::Rollback, &request);
        self.done(vec![event]).await
    }

    /// Ends a version, or all versions, of a plugin in a quarter.
    ///
    /// # Errors
    /// See [`DeployError`].
    pub async fn remove(
        &self,
        plugin: &str,
        version: Option<&str>,
        request: Request,
    ) -> Result<Done, DeployError> {
        let twin = Arc::clone(&self.twin);
        let found = {
            let twin = twin.read();
            let home = twin.home(&request.quarter);
            let mut running = home.deployments_of(&request.quarter, plugin);
            running
                .find(|d| version.is_none_or(|version| d.record.version == version))
                .map(|d| d.record.clone())
        };
        let record = found.ok_or_else(|| missing(&request.quarter, plugin, version))?;
        let removed = Removed {
            quarter: request.quarter.clone(),
            plugin: plugin.to_owned(),
            version: version.map(str::to_owned),
            by: request.by,
            why: request.why,
        };
        let order = self.order(&request.quarter, &removed.by, &removed.why, || {
            Ok(Order::Remove(removed.clone()))
        })?;
        let event = order.unwrap_or(Event::PluginRemoved(removed));
        let ordered = matches!(event, Event::EdgeOrdered(_));
        let position = self.recorder.record(vec![event]).await?;
        Ok(Done {
            position,
            ordered: ordered
                .then(|| request.quarter.clone())
                .into_iter()
                .collect(),
            plugin: record.plugin,
            version: record.version,
            stage: record.stage,
            quarters: vec![request.quarter],
        })
    }

    fn find(
        &self,
        quarter: &str,
        plugin: &str,
        version: Option<&str>,
    ) -> Result<PluginRecord, DeployError> {
        let twin = self.twin.read();
        let running = twin.home(quarter).deployments_of(quarter, plugin);
        let mut wanted: Vec<_> = running
            .filter(|d| version.is_none_or(|version| d.record.version == version))
            .map(|d| &d.record)
            .collect();
        // Without a version the shadow is meant: it is what waits for a promotion.
        wanted.sort_by_key(|record| record.stage);
        match (wanted.as_slice(), version) {
            ([], _) => Err(missing(quarter, plugin, version)),
            ([first, second, ..], None) if !first.stage.acts() && !second.stage.acts() => {
                Err(DeployError::Conflict(format!(
                    "{plugin} has several shadows in {quarter}: name the version"
                )))
            }
            ([first, ..], _) => Ok((*first).clone()),
        }
    }

    fn quarters_of_labs(&self) -> Vec<String> {
        let known = self.all_quarters();
        let of_labs =
            |quarter: &String| self.labs.values().any(|lab| lab.quarters.contains(quarter));
        known.into_iter().filter(of_labs).collect()
    }

    fn all_quarters(&self) -> Vec<String> {
        let twin = self.twin.read();
        let quarters = twin.quarters().iter();
        quarters.map(|quarter| quarter.record.id.clone()).collect()
    }

    async fn done(&self, events: Vec<Deployed>) -> Result<Done, DeployError> {
        let mut records: Vec<PluginRecord> = events.iter().map(|d| d.record.clone()).collect();
        let (mut ordered, mut recorded) = (Vec::new(), Vec::new());
        for deployed in events {
            let order = self.order(
                &deployed.record.quarter,
                &deployed.by,
                &deployed.why,
                || self.deploy_order(&deployed),
            )?;
            if order.is_some() {
                ordered.push(deployed.record.clone());
            }
            recorded.push(order.unwrap_or(Event::PluginDeployed(deployed)));
        }
        let position = self.recorder.record(recorded).await?;
        // What a box does with it shows when it has taken the order.
        records.retain(|record| !ordered.contains(record));
        if records.is_empty()
            && let Some(first) = ordered.first()
        {
            return Ok(Done {
                position,
                plugin: first.plugin.clone(),
                version: first.version.clone(),
                stage: first.stage,
                quarters: Vec::new(),
                ordered: ordered
                    .iter()
                    .map(|record| record.quarter.clone())
                    .collect(),
            });
        }
        let twin = self.twin.read();
        let is_placed = |record: &&PluginRecord| {
            let mut running = twin.deployments_of(&record.quarter, &record.plugin);
            running.any(|d| d.record.same_program(record) && d.record.stage == record.stage)
        };
        let (placed, full): (Vec<&PluginRecord>, Vec<_>) = records.iter().partition(is_placed);
        let quarters = |records: &[&PluginRecord]| {
            let quarters = records.iter().map(|record| record.quarter.clone());
            quarters.collect::<Vec<_>>()
        };
        let Some(first) = placed.first().filter(|_| full.is_empty()) else {
            return Err(DeployError::Conflict(format!(
                "{} plugins, shadows included, run already in {}; it runs in {:?} now",
                crate::state::MAX_PLUGINS,
                quarters(&full).join(", "),
                quarters(&placed)
            )));
        };
        Ok(Done {
            position,
            plugin: first.plugin.clone(),
            version: first.version.clone(),
            stage: first.stage,
            quarters: quarters(&placed),
            ordered: ordered
                .iter()
                .map(|record| record.quarter.clone())
                .collect(),
        })
    }
}

fn deployed(record: PluginRecord, how: How, request: &Request) -> Deployed {
    Deployed {
        record,
        how,
        by: request.by.clone(),
        why: request.why.clone(),
    }
}

fn missing(quarter: &str, plugin: &str, version: Option<&str>) -> DeployError {
    let version = version.map(|v| format!(" {v}")).unwrap_or_default();
    DeployError::NotFound(format!("{plugin}{version} does not run in {quarter}"))
}
