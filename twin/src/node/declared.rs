//! What the configuration declares, and the events that bring a recovered twin there.

use quartier_plugin_host::{Host, Plugin};

use super::StartError;
use crate::config::Config;
use crate::event::{Event, PluginRecord};
use crate::model::{AssetRecord, QuarterRecord};
use crate::registry::{load_assets, load_cells};
use crate::state::{MAX_PLUGINS, Twin};

/// Quarters, assets and plugins of the configuration, read and checked.
pub(super) struct Declared {
    quarters: Vec<QuarterRecord>,
    assets: Vec<AssetRecord>,
    /// Quarter, plugin and the record that deploys it.
    pub(super) plugins: Vec<(Plugin, PluginRecord)>,
}

impl Declared {
    /// Reads every file that the configuration names.
    pub(super) fn read(config: &Config, host: &Host) -> Result<Self, StartError> {
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
            let plugin = host.load(&wanted.path)?;
            let record = deployment(&wanted.quarter, &plugin);
            let same = |(_, other): &&(Plugin, PluginRecord)| other.quarter == record.quarter;
            if plugins.iter().filter(same).count() == MAX_PLUGINS {
                return Err(StartError::TooManyPlugins(record.quarter));
            }
            plugins.push((plugin, record));
        }
        Ok(Self {
            quarters,
            assets,
            plugins,
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
            let wanted = |(_, r): &(Plugin, PluginRecord)| {
                r.quarter == deployed.quarter && r.plugin == deployed.plugin
            };
            if !self.plugins.iter().any(wanted) {
                let (quarter, plugin) = (deployed.quarter.clone(), deployed.plugin.clone());
                events.push(Event::PluginRemoved { quarter, plugin });
            }
        }
        for (_, record) in &self.plugins {
            let running = twin.deployment(&record.quarter, &record.plugin);
            if running.is_none_or(|deployment| deployment.record != *record) {
                events.push(Event::PluginDeployed(record.clone()));
            }
        }
        events
    }
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

fn deployment(quarter: &str, plugin: &Plugin) -> PluginRecord {
    let manifest = plugin.manifest();
    PluginRecord {
        quarter: quarter.to_owned(),
        plugin: manifest.id.clone(),
        version: manifest.version.clone(),
        digest: plugin.digest().to_owned(),
        metrics: manifest.reads.metrics.clone(),
        windows: manifest
            .reads
            .windows
            .iter()
            .map(|w| (w.metric.clone(), w.span_s))
            .collect(),
        derives: manifest.emits.derived.clone(),
        kinds: manifest.reads.kinds.clone(),
        batch: manifest.reads.batch,
    }
}
