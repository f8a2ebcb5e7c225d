//! What the configuration declares, and the events that bring a recovered twin there.

use quartier_plugin_host::{Package, Plugin, Runner};

use super::StartError;
use crate::config::{Config, Plugin as Declaration};
use crate::event::{Deployed, Event, How, Interlock, Origin, PluginRecord, Removed};
use crate::model::{AssetRecord, QuarterRecord};
use crate::plugins::{Artifacts, dictionary, misnamed, record_of};
use crate::registry::{load_assets, load_cells};
use crate::state::{MAX_PLUGINS, Twin};

/// Quarters, assets and plugins of the configuration, read and checked.
pub(super) struct Declared {
    quarters: Vec<QuarterRecord>,
    assets: Vec<AssetRecord>,
    plugins: Vec<PluginRecord>,
    interlocks: Vec<Interlock>,
}

impl Declared {
    /// Reads every file that the configuration names; the packages of plugins are kept.
    pub(super) fn read(config: &Config, artifacts: &Artifacts) -> Result<Self, StartError> {
        let (mut quarters, mut assets, mut plugins) = (Vec::new(), Vec::new(), Vec::new());
        for quarter in &config.quarters {
            let cells = quarter.cells_file.as_deref().map(load_cells).transpose()?;
            quarters.push(QuarterRecord {
                id: quarter.id.clone(),
                name: quarter.name.clone(),
                cells: cells.unwrap_or_default(),
                timezone: quarter.timezone.clone(),
            });
            if let Some(path) = &quarter.assets_file {
                assets.append(&mut load_assets(path, &quarter.id)?);
            }
        }
        for wanted in &config.plugins {
            let package = Package::read(&wanted.path)?;
            let plugin = artifacts.check(&package)?;
            try_out(artifacts, &plugin, wanted)?;
            artifacts.keep(&package)?;
            let config = wanted.config.clone().into_iter().collect();
            let origin = Origin::Configuration;
            let record = record_of(&plugin, &wanted.quarter, wanted.stage, origin, config);
            let same = |other: &&PluginRecord| other.quarter == record.quarter;
            if plugins.iter().filter(same).count() == MAX_PLUGINS {
                return Err(StartError::TooManyPlugins(record.quarter));
            }
            plugins.push(record);
        }
        Ok(Self {
            quarters,
            assets,
            plugins,
            interlocks: config.interlocks.iter().map(Interlock::from).collect(),
        })
    }

    /// The events that are missing for the twin to be as declared. Nothing is removed but plugins:
    /// an asset that left the file may have come from elsewhere.
    pub(super) fn events(&self, twin: &Twin) -> Vec<Event<'static>> {
        let mut events = Vec::new();
        for record in &self.quarters {
            if !twin
                .quarters()
                .iter()
                .any(|quarter| quarter.record == *record)
            {
                events.push(Event::QuarterPut(record.clone()));
            }
        }
        for record in &self.assets {
            if !is_registered(twin, record) {
                events.push(Event::AssetPut(record.clone()));
            }
        }
        for deployed in twin.deployments().map(|deployment| &deployment.record) {
            let wanted = |record: &PluginRecord| {
                record.quarter == deployed.quarter && record.plugin == deployed.plugin
            };
            if deployed.origin == Origin::Configuration && !self.plugins.iter().any(wanted) {
                events.push(Event::PluginRemoved(Removed {
                    quarter: deployed.quarter.clone(),
                    plugin: deployed.plugin.clone(),
                    version: Some(deployed.version.clone()),
                    why: "the configuration names it no more".to_owned(),
                    ..Removed::default()
                }));
            }
        }
        if twin.commands().interlocks() != self.interlocks {
            events.push(Event::InterlocksPut(self.interlocks.clone()));
        }
        for record in &self.plugins {
            let past = twin.past(&record.quarter, &record.plugin);
            if past.and_then(|past| past.declared) != Some(record.declaration()) {
                events.push(Event::PluginDeployed(Deployed {
                    record: record.clone(),
                    how: How::Deploy,
                    by: String::new(),
                    why: "the configuration names it".to_owned(),
                }));
            }
        }
        events
    }
}

/// Starts an instance and throws it away, so that a wrong name or setting is known before anything
/// runs.
fn try_out(artifacts: &Artifacts, plugin: &Plugin, wanted: &Declaration) -> Result<(), StartError> {
    let failed = |why: String| StartError::Declared {
        path: wanted.path.clone(),
        why,
    };
    if let Some(why) = misnamed(plugin.manifest()) {
        return Err(failed(why));
    }
    let names = dictionary(plugin, &Twin::new());
    let config = wanted.config.clone().into_iter().collect();
    let tried = Runner::new(artifacts.host(), plugin, names, config);
    tried.map(|_| ()).map_err(|error| failed(error.to_string()))
}

fn is_registered(twin: &Twin, record: &AssetRecord) -> bool {
    let quarter = twin.quarter_index(&record.quarter);
    let index = quarter.and_then(|quarter| twin.asset_index(quarter, &record.id));
    let detail = index.and_then(|i| twin.assets().get(i as usize)?.detail.as_deref());
    detail.is_some_and(|detail| {
        detail.kind == record.kind
            && detail.name == record.name
            && detail.attributes == record.attributes
            && detail.relations == record.relations
            && detail.registered == record.place
    })
}
