//! What the configuration declares, and the events that bring a recovered twin there.

use quartier_plugin_host::{Package, Plugin, Runner};

use crate::config::{Config, Plugin as Declaration};
use crate::edges::packages;
use crate::event::{
    DeployOrder, Deployed, EdgeOrdered, Event, How, Interlock, Order, Origin, PluginRecord,
    Removed, Stamp,
};
use crate::model::{AssetRecord, Millis, QuarterRecord};
use crate::node::StartError;
use crate::plugins::{Artifacts, dictionary, misnamed, record_of};
use crate::registry::{load_assets, load_cells};
use crate::state::{Edge, EdgeStanding, MAX_ORDERS, MAX_PLUGINS, Twin};

/// Far below what one MQTT packet to a box may hold (1 MiB), at under 1 KiB for an asset.
const ASSETS_OF_AN_ORDER: usize = 500;

/// A plugin of the configuration.
struct Wanted {
    record: PluginRecord,
    /// Bytes of its package as a box gets it; `None`: it is not signed, and a box takes none of it.
    bytes: Option<u64>,
}

/// Quarters, assets and plugins of the configuration, read and checked.
pub struct Declared {
    quarters: Vec<QuarterRecord>,
    assets: Vec<AssetRecord>,
    plugins: Vec<Wanted>,
    interlocks: Vec<Interlock>,
    node: String,
    is_box: bool,
}

impl Declared {
    /// Reads every file that the configuration names; the packages of plugins are kept.
    pub(crate) fn read(config: &Config, artifacts: &Artifacts) -> Result<Self, StartError> {
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
            let same = |other: &&Wanted| other.record.quarter == record.quarter;
            if plugins.iter().filter(same).count() == MAX_PLUGINS {
                return Err(StartError::TooManyPlugins(record.quarter));
            }
            let signed = package.signature.is_some();
            let bytes = signed.then(|| packages::encode(&package).len() as u64);
            plugins.push(Wanted { record, bytes });
        }
        Ok(Self {
            quarters,
            assets,
            plugins,
            interlocks: config.interlocks.iter().map(Interlock::from).collect(),
            node: config.node.name.clone(),
            is_box: config.uplink.is_some(),
        })
    }

    /// The events that are missing for the twin to be as declared. Nothing is removed but plugins:
    /// an asset that left the file may have come from elsewhere.
    pub(crate) fn events(&self, twin: &Twin) -> Vec<Event<'static>> {
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
        let at_box = |quarter: &str| twin.edges().of_quarter(quarter).is_some();
        for record in self.assets.iter().filter(|record| !at_box(&record.quarter)) {
            if !is_registered(twin, record) {
                events.push(Event::AssetPut(record.clone()));
            }
        }
        let edges = twin
            .edges()
            .iter()
            .filter(|edge| edge.standing != EdgeStanding::Retired);
        events.extend(edges.flat_map(|edge| self.orders(edge)));
        for deployed in twin.deployments().map(|deployment| &deployment.record) {
            if deployed.origin == Origin::Configuration && !self.names(deployed) {
                events.push(Event::PluginRemoved(named_no_more(deployed)));
            }
        }
        // A box that names none of its own keeps those that the city gave it.
        let own = !self.is_box || !self.interlocks.is_empty();
        if own && twin.commands().interlocks() != self.interlocks {
            events.push(Event::InterlocksPut(self.interlocks.clone()));
        }
        let here = self.plugins.iter().map(|wanted| &wanted.record);
        for record in here.filter(|record| !at_box(&record.quarter)) {
            if !is_declared(twin, record) {
                events.push(Event::PluginDeployed(deployed(record.clone())));
            }
        }
        events
    }

    fn names(&self, deployed: &PluginRecord) -> bool {
        let mut records = self.plugins.iter().map(|wanted| &wanted.record);
        records.any(|record| record.quarter == deployed.quarter && record.plugin == deployed.plugin)
    }

    /// What a box is to have of the city's configuration, and has not and is not told already.
    pub(crate) fn orders(&self, edge: &Edge) -> Vec<Event<'static>> {
        let here = |record: &&AssetRecord| record.quarter == edge.record.quarter;
        let assets = self.assets.iter().filter(here);
        let missing = assets.filter(|record| !is_registered(edge.replica(), record));
        let missing: Vec<_> = missing.cloned().collect();
        let parts = missing.chunks(ASSETS_OF_AN_ORDER);
        let mut orders: Vec<_> = parts.map(|part| Order::Assets(part.to_vec())).collect();
        if edge.replica().commands().interlocks() != self.interlocks {
            orders.push(Order::Interlocks(self.interlocks.clone()));
        }
        orders.extend(self.plugin_orders(edge));
        let waits = |order: &Order| edge.orders().values().any(|waits| waits.order == *order);
        orders.retain(|order| !waits(order));
        let ordered = |order| {
            Event::EdgeOrdered(EdgeOrdered {
                node: edge.record.node.clone(),
                order,
                stamp: Stamp {
                    time: Millis::now(),
                    count: 0,
                    node: self.node.clone(),
                },
                by: String::new(),
                why: "the configuration of the city says so".to_owned(),
            })
        };
        let room = MAX_ORDERS.saturating_sub(edge.orders().len());
        orders.into_iter().take(room).map(ordered).collect()
    }

    fn plugin_orders(&self, edge: &Edge) -> Vec<Order> {
        let mut orders = Vec::new();
        let here = |wanted: &&Wanted| wanted.record.quarter == edge.record.quarter;
        for Wanted { record, bytes } in self.plugins.iter().filter(here) {
            if is_declared(edge.replica(), record) {
                continue;
            }
            let Some(bytes) = *bytes else {
                let (plugin, node) = (&record.plugin, &edge.record.node);
                tracing::warn!(
                    plugin,
                    node,
                    "a box takes no plugin that is not signed: quartier plugin sign"
                );
                continue;
            };
            let record = PluginRecord {
                origin: Origin::City,
                ..record.clone()
            };
            orders.push(Order::Deploy(DeployOrder {
                deployed: deployed(record),
                bytes,
            }));
        }
        let running = edge.replica().deployments();
        let records = running.map(|deployment| &deployment.record);
        let over = records.filter(|record| record.origin == Origin::City && !self.names(record));
        orders.extend(over.map(|record| Order::Remove(named_no_more(record))));
        orders
    }
}

fn is_declared(twin: &Twin, record: &PluginRecord) -> bool {
    let past = twin.past(&record.quarter, &record.plugin);
    past.and_then(|past| past.declared) == Some(record.declaration())
}

fn deployed(record: PluginRecord) -> Deployed {
    Deployed {
        record,
        how: How::Deploy,
        by: String::new(),
        why: "the configuration names it".to_owned(),
    }
}

fn named_no_more(record: &PluginRecord) -> Removed {
    Removed {
        quarter: record.quarter.clone(),
        plugin: record.plugin.clone(),
        version: Some(record.version.clone()),
        why: "the configuration names it no more".to_owned(),
        ..Removed::default()
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
