//! The low-voltage network as the assets' relations tell it.
//!
//! A transformer `feeds` feeders, a feeder `feeds` connection points, meters and devices, a
//! connection point `connects` (or `feeds`) the devices behind it.

use quartier_sdk::prelude::*;

use crate::minimum::{Device, Kind};

const DOWN: [&str; 2] = ["feeds", "connects"];

/// What § 14a looks at as one: a connection point, or a device that has none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Connection {
    /// The connection point, or the device.
    pub(super) id: AssetId,
    /// Controlled through an energy-management system.
    pub(super) ems: bool,
    /// Behind it; those that are public or of no known rating are left out.
    pub(super) devices: Vec<Device<AssetId>>,
}

fn below(assets: &Assets, id: AssetId) -> impl Iterator<Item = AssetId> {
    DOWN.into_iter()
        .flat_map(move |kind| assets.related(id, kind))
}

/// The device that an asset is; `None`: none that counts.
pub(super) fn device(assets: &Assets, id: AssetId) -> Option<Device<AssetId>> {
    let asset = assets.get(id)?;
    let kind = Kind::of_asset(&asset.kind)?;
    let rated_kw = asset
        .number("rated_kw")
        .filter(|kw| (0.0..=1e6).contains(kw))?;
    let public = asset.attribute("public") == Some("true");
    let rated_w = (rated_kw * 1000.0).round() as u64;
    (!public).then_some(Device { id, kind, rated_w })
}

fn point(assets: &Assets, asset: &Asset) -> Connection {
    let behind: BTreeSet<AssetId> = below(assets, asset.id).collect();
    Connection {
        id: asset.id,
        ems: asset.attribute("ems") == Some("true"),
        devices: behind
            .into_iter()
            .filter_map(|id| device(assets, id))
            .collect(),
    }
}

/// The connection that an asset is or is behind.
pub(super) fn connection_of(assets: &Assets, id: AssetId) -> Option<Connection> {
    let asset = assets.get(id)?;
    if asset.kind == "connection_point" {
        return Some(point(assets, asset));
    }
    let device = device(assets, id)?;
    let above = DOWN.into_iter().flat_map(|kind| assets.relating(id, kind));
    let mut points = above.filter_map(|id| assets.get(id));
    let found = points.find(|asset| asset.kind == "connection_point");
    Some(found.map_or_else(
        || Connection {
            id,
            ems: false,
            devices: vec![device],
        },
        |found| point(assets, found),
    ))
}

/// All connections below a feeder or transformer, each once, by number.
pub(super) fn connections_below(assets: &Assets, id: AssetId) -> Vec<Connection> {
    let mut seen = BTreeSet::from([id]);
    let mut found = BTreeMap::new();
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        for next in below(assets, id) {
            if !seen.insert(next) {
                continue;
            }
            match connection_of(assets, next) {
                Some(connection) => drop(found.insert(connection.id, connection)),
                None => open.push(next),
            }
        }
    }
    found.into_values().collect()
}
