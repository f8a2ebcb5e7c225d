//! A plugin on its way to a box over a thin link that breaks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quartier_plugin_host::Package;
use quartier_tests::{
    CITY, City, Conditions, Lab, Net, Node, NodeConfig, Side, Subscriber, Way, eventually,
    has_mosquitto_clients, mosquitto_pub,
};
use serde_json::{Value, json};

const BOX: &str = "box-1";
const QUARTER: &str = "dresden-ost";
const WAIT: Duration = Duration::from_secs(120);
/// Bytes of a chunk, by the contract.
const CHUNK: u64 = 32 << 10;
/// A chunk takes about a second and a half: long enough to be met on its way.
const THIN: Conditions = Conditions {
    delay_ms: 20,
    jitter_ms: 0,
    loss: 0.0,
    rate_bits: 192_000,
    cut: false,
};

struct Rig {
    net: Arc<Net>,
    city: City,
    edge: Node,
}

impl Rig {
    fn new(lab: &Lab) -> Option<Self> {
        let net = Arc::new(Net::new()?);
        let inside = |side| Some((Arc::clone(&net), side));
        let city = City::start(
            NodeConfig {
                inside: inside(Side::City),
                more: lab.config(&[QUARTER]),
                ..NodeConfig::of(QUARTER)
            },
            SocketAddr::from((CITY, 8883)),
        );
        let mut config = city.enrol(BOX, QUARTER).config();
        config.inside = inside(Side::Box);
        config.more.push_str(&lab.config(&[QUARTER]));
        let edge = Node::start(config);
        let rig = Self { net, city, edge };
        rig.is_connected(true);
        Some(rig)
    }

    fn is_connected(&self, wanted: bool) {
        eventually("the link is as it should be", WAIT, || {
            match (self.edge.figure("quartier_uplink_connected") == 1.0) == wanted {
                true => Ok(()),
                false => Err(self.edge.json("/readyz").to_string()),
            }
        });
    }

    fn deploys(&self, package: &Package) -> u64 {
        let answer = self.city.operator().deployed(QUARTER, package, &[]);
        answer["position"].as_u64().unwrap()
    }

    /// What became of an order; `None`: it waits.
    fn outcome(&self, number: u64) -> Option<Value> {
        let edge = self.city.edge(BOX);
        let mut known = edge["outcomes"].as_array().into_iter().flatten();
        known.find(|outcome| outcome["number"] == number).cloned()
    }

    fn is_done(&self, number: u64) {
        eventually("the order is taken", WAIT, || match self.outcome(number) {
            Some(outcome) => {
                assert_eq!(outcome["refused"], Value::Null, "{outcome}");
                Ok(())
            }
            None => Err(self.city.edge(BOX).to_string()),
        });
    }

    fn runs(&self, version: &str) {
        eventually("the city sees what runs on the box", WAIT, || {
            let edge = self.city.edge(BOX);
            match edge["health"]["plugins"][0]["version"] == version {
                true => Ok(()),
                false => Err(edge["health"].to_string()),
            }
        });
    }

    /// Bytes of a package that have arrived and are kept.
    fn arrived(&self) -> u64 {
        let folder = self.edge.folder().join("data/incoming");
        let parts = std::fs::read_dir(folder).into_iter().flatten().flatten();
        parts
            .filter_map(|part| part.metadata().ok())
            .map(|part| part.len())
            .sum()
    }

    fn has_arrived(&self, bytes: u64) {
        eventually("the next chunk arrives", WAIT, || {
            let arrived = self.arrived();
            match arrived >= bytes {
                true => Ok(()),
                false => Err(format!("{arrived} of {bytes} bytes")),
            }
        });
    }

    fn chunks(&self) -> u64 {
        self.edge.figure("quartier_package_chunks_total") as u64
    }
}

#[test]
fn an_update_whose_link_is_cut_at_every_chunk_boundary_goes_on_where_it_was_and_runs() {
    let lab = Lab::new("tests");
    let Some(first) = lab.package("rows", &[]) else {
        return;
    };
    let change = ("version = \"1.0.0\"", "version = \"1.0.9\"");
    let updated = lab.package("rows", &[change]).unwrap();
    let Some(rig) = Rig::new(&lab) else { return };
    rig.is_done(rig.deploys(&first));
    rig.runs("1.0.0");
    let chunks = rig.chunks();
    assert!(chunks > 1, "{chunks} chunks have no boundary");
    rig.net.set(Way::Down, THIN);
    let number = rig.deploys(&updated);
    for boundary in 1..chunks {
        rig.has_arrived(boundary * CHUNK);
        rig.net.set_both(Conditions::cut());
        assert_eq!(rig.arrived(), boundary * CHUNK, "cut at the boundary");
        rig.is_connected(false);
        rig.net.set(Way::Up, Conditions::default());
        rig.net.set(Way::Down, THIN);
        rig.is_connected(true);
    }
    rig.is_done(number);
    assert_eq!(rig.chunks(), 2 * chunks, "each chunk came once");
    assert_eq!(rig.arrived(), 0, "nothing is left of it");
    rig.runs("1.0.9");
    rig.city.is_equal(BOX, 1, WAIT);
}

#[test]
fn a_command_does_not_wait_for_a_package_on_a_thin_link() {
    let lab = Lab::new("tests");
    let Some(package) = lab.package("rows", &[]) else {
        return;
    };
    if !has_mosquitto_clients() {
        return;
    }
    let Some(rig) = Rig::new(&lab) else { return };
    let reading = format!("dt/{QUARTER}/w1/limit_kw");
    mosquitto_pub(rig.edge.mqtt(), &["-q", "1", "-t", &reading, "-m", "9"]);
    eventually("the city knows the device", WAIT, || {
        match rig.city.edge(BOX)["assets"] == 1 {
            true => Ok(()),
            false => Err(rig.city.edge(BOX).to_string()),
        }
    });
    let topic = format!("cmd/v1/{QUARTER}/w1");
    let device = Subscriber::start(rig.edge.mqtt(), "5", &[&topic], &[]);
    rig.net.set(Way::Down, THIN);
    let number = rig.deploys(&package);
    rig.has_arrived(CHUNK);
    let wish = json!({ "quarter": QUARTER, "asset": "w1", "property": "limit_kw", "value": 4.0,
        "why": "the grid" });
    let asked = rig.city.operator().post("/api/v1/commands", &wish);
    assert_eq!(asked.status, 202, "{}", asked.text());
    device.expect("the command", |line| line.payload.contains("limit_kw"));
    assert!(rig.arrived() > 0, "the package is still on its way");
    assert_eq!(rig.outcome(number), None);
    rig.is_done(number);
}
