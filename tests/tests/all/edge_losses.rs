//! Entries of a box that are gone before the city has them: said as they are, and box and city are
//! equal again, because the box's state comes instead.

use std::fs;
use std::time::Duration;

use quartier_tests::{
    City, Load, LoadOptions, Node, NodeConfig, counters, eventually, free_address,
};
use serde_json::{Value, json};

const BOX: &str = "box-1";
const QUARTER: &str = "dresden-ost";
const WAIT: Duration = Duration::from_secs(90);

struct Rig {
    city: City,
    edge: Node,
    /// Position up to which the city has the box's entries.
    had: u64,
}

impl Rig {
    /// A box with this `[journal]` whose city has what it wrote and is away now.
    fn new(journal: &str) -> Self {
        let mut city = City::start(NodeConfig::of(QUARTER), free_address());
        let mut config = city.enrol(BOX, QUARTER).config();
        config.journal = journal.to_owned();
        let edge = Node::start(config);
        publish(&edge, "uptime", 100);
        let mut had = 0;
        eventually("the city has the first readings", WAIT, || {
            let known = city.edge(BOX);
            had = known["position"].as_u64().unwrap_or_default();
            match known["readings"].as_u64() >= Some(100) && known["behind"] == 0 {
                true => Ok(()),
                false => Err(known.to_string()),
            }
        });
        city.node.terminate();
        Self { city, edge, had }
    }

    /// The city is back: the loss is known to the entry, and the states are equal all the same.
    fn is_repaired(&self) -> Value {
        eventually("the city has asked for the box's state", WAIT, || {
            let known = self.city.edge(BOX);
            match known["repaired"] == 1 && known["behind"] == 0 {
                true => Ok(()),
                false => Err(known.to_string()),
            }
        });
        let known = self.city.edge(BOX);
        let position = known["position"].as_u64().unwrap();
        self.city.is_equal(BOX, position, WAIT);
        self.city.has_same_past(BOX, &self.edge, WAIT);
        assert_eq!(known["refused"], 0, "{known:#}");
        known
    }
}

fn publish(node: &Node, metric: &str, readings: u64) {
    let options = LoadOptions {
        metric: metric.to_owned(),
        most: readings / 2,
        ..LoadOptions::new(QUARTER, 2)
    };
    Load::start(node.mqtt(), &options).finish(WAIT);
}

#[test]
fn what_a_full_journal_dropped_is_said_and_box_and_city_are_equal_again() {
    let mut rig = Rig::new(
        "sync_ms = 2\nquota_bytes = 3000000\nsegment_bytes = 262144\nwhen_full = \"drop_oldest\"\n",
    );
    while rig.edge.figure("quartier_journal_dropped_entries") == 0.0 {
        publish(&rig.edge, "battery_level", 4000);
    }
    rig.city.node.restart();
    let known = rig.is_repaired();
    // Up to where they are gone; some of them the city has.
    let dropped = rig.edge.figure("quartier_journal_dropped_entries") as u64;
    let lost = json!([{ "first": rig.had + 1, "last": dropped }]);
    assert_eq!(known["lost"], lost, "{known:#}");
    let newest = |node: &Node| {
        let found = counters(node.mqtt(), "battery_level", |found| found.len() == 2);
        let values = found.into_iter().map(|(asset, (value, _))| (asset, value));
        values.collect::<Vec<_>>()
    };
    assert_eq!(newest(&rig.city.node), newest(&rig.edge));
}

#[test]
fn a_damaged_segment_is_declared_to_the_city_and_box_and_city_are_equal_again() {
    let mut rig = Rig::new("sync_ms = 2\nsegment_bytes = 65536\nsnapshot_entries = 2000\n");
    publish(&rig.edge, "battery_level", 8000);
    rig.edge.terminate();
    let journal = rig.edge.folder().join("data/journal");
    let files = fs::read_dir(&journal)
        .unwrap()
        .map(|file| file.unwrap().path());
    let mut segments: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .collect();
    segments.sort();
    let damaged = &segments[segments.len() / 2];
    let mut bytes = fs::read(damaged).unwrap();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 16] {
        *byte ^= 0x55;
    }
    fs::write(damaged, bytes).unwrap();
    rig.edge.restart();
    rig.city.node.restart();
    let known = rig.is_repaired();
    let lost = &known["lost"];
    assert!(lost[0]["first"].as_u64() > Some(rig.had), "{known:#}");
    assert!(
        lost[0]["last"].as_u64() < known["position"].as_u64(),
        "{known:#}"
    );
    assert_eq!(
        known["readings"], 8100,
        "the box had counted them: {known:#}"
    );
}
