//! A city and the box of its one quarter, with a link between them that can be cut.

use std::time::Duration;

use quartier_plugin_host::Package;
use serde_json::{Value, json};

use crate::broker::free_address;
use crate::fleet::{City, Identity};
use crate::lab::Api;
use crate::link::Link;
use crate::node::{Node, NodeConfig};
use crate::wait::eventually;

const SOON: Duration = Duration::from_secs(60);

/// See the module. The quarter has a wallbox `w1`, which came down from the city.
#[derive(Debug)]
pub struct Pair {
    /// The city.
    pub city: City,
    /// The box.
    pub edge: Node,
    link: Link,
}

impl Pair {
    /// Name of the box.
    pub const BOX: &'static str = "box-1";
    /// The quarter.
    pub const QUARTER: &'static str = "dresden-ost";

    /// With this text at the end of both configurations.
    pub fn start(city: &str, edge: &str) -> Self {
        Self::of(
            NodeConfig {
                more: city.to_owned(),
                ..NodeConfig::default()
            },
            |identity| {
                let mut config = identity.config();
                config.more.push_str(edge);
                config
            },
        )
    }

    /// With these configurations; that of the city without its quarter.
    pub fn of(city: NodeConfig, edge: impl FnOnce(&Identity) -> NodeConfig) -> Self {
        let config = NodeConfig {
            quarters: vec![(Self::QUARTER.to_owned(), Some(assets()))],
            ..city
        };
        let city = City::start(config, free_address());
        let link = Link::to(city.mqtts());
        let identity = city.enrol(Self::BOX, Self::QUARTER);
        let edge = Node::start(edge(&identity.through(link.address())));
        let pair = Self { city, edge, link };
        eventually("the asset came down", SOON, || {
            let edge = pair.city.edge(Self::BOX);
            match edge["assets"] == 1 {
                true => Ok(()),
                false => Err(edge.to_string()),
            }
        });
        pair
    }

    /// The box's API as anybody calls it.
    pub fn local(&self) -> Api {
        Api::of(self.edge.http())
    }

    /// Cuts the link; the box knows.
    pub fn cut(&self) {
        self.link.cut();
        self.is_connected(false);
    }

    /// Mends the link; the box knows.
    pub fn mend(&self) {
        self.link.mend();
        self.is_connected(true);
    }

    fn is_connected(&self, wanted: bool) {
        let wanted = f64::from(u8::from(wanted));
        eventually(&format!("connected = {wanted}"), SOON, || {
            match self.edge.figure("quartier_uplink_connected") == wanted {
                true => Ok(()),
                false => Err(self.edge.json("/readyz").to_string()),
            }
        });
    }

    /// What became of an order.
    pub fn outcome(&self, number: u64) -> Value {
        let mut outcome = Value::Null;
        eventually("the order is taken", SOON, || {
            let edge = self.city.edge(Self::BOX);
            let mut known = edge["outcomes"].as_array().into_iter().flatten();
            match known.find(|outcome| outcome["number"] == number) {
                Some(found) => {
                    outcome = found.clone();
                    Ok(())
                }
                None => Err(edge.to_string()),
            }
        });
        outcome
    }

    /// Deploys at the city; the number of the order.
    pub fn deploys(&self, package: &Package) -> u64 {
        let answer = self.city.operator().deployed(Self::QUARTER, package, &[]);
        assert_eq!(answer["ordered"], json!([Self::QUARTER]), "{answer}");
        answer["position"].as_u64().unwrap_or_default()
    }
}

fn assets() -> String {
    json!({ "type": "FeatureCollection", "features": [{
        "type": "Feature", "id": "w1",
        "geometry": { "type": "Point", "coordinates": [13.76, 51.05] },
        "properties": { "kind": "wallbox" },
    }] })
    .to_string()
}
