//! Nasty names in the real servers: what is asked back is what was sent.

use std::collections::BTreeMap;

use super::protocol::{stored_field, stored_tag};
use super::rig::{EPOCH, Rig, Sample, config, v1, v2};
use super::servers::{Kind, Server};

const NAMES: [&str; 22] = [
    "plain",
    "with space",
    "comma,inside",
    "equals=inside",
    "quote\"inside",
    "\"quoted\"",
    "it's",
    "back\\slash",
    "back\\\\slashes",
    "before comma\\,x",
    "before space\\ x",
    "before equals\\=x",
    "before quote\\\"x",
    "ends with backslash\\",
    "ends with comma,",
    " space around ",
    "Straße äöü ☃",
    "new\nline,area=x no2=1 1\nenvironment,device=injected no2=666 1",
    "tab\tand\rreturn",
    "nul\0",
    "#comment",
    "{json: [1]}",
];

/// Each name as area, device and field, each with a value of its own.
fn samples() -> Vec<Sample> {
    let each = NAMES.iter().enumerate();
    each.map(|(n, name)| Sample {
        area: (*name).into(),
        ..Sample::of(name, name, n as f64, EPOCH)
    })
    .collect()
}

/// (area, device, field) to value, as it should be stored.
fn expected() -> BTreeMap<(String, String, String), f64> {
    let key = |s: &Sample| {
        (
            stored_tag(&s.area),
            stored_tag(&s.device),
            stored_field(&s.field),
        )
    };
    samples()
        .iter()
        .map(|sample| (key(sample), sample.value))
        .collect()
}

#[tokio::test]
async fn influxdb_1_stores_nasty_names_as_they_were_sent() {
    let Some(mut server) = Server::prepare(Kind::Influx1) else {
        return;
    };
    server.start().await;
    server.query("CREATE DATABASE city").await;
    let rig = Rig::start(config(&server.url(), v1()), vec![samples()]);
    rig.caught_up().await;
    assert_eq!(rig.dead(), []);
    let found = server.query("SELECT * FROM environment").await;
    let columns: Vec<_> = found[0]["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c.as_str().unwrap())
        .collect();
    let place = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    let (area, device) = (place("area"), place("device"));
    let mut stored = BTreeMap::new();
    for row in found[0]["values"].as_array().unwrap() {
        assert_eq!(row[0], EPOCH);
        for (column, name) in columns.iter().enumerate() {
            if !["time", "area", "cell", "device"].contains(name) && !row[column].is_null() {
                let tag = |at: usize| row[at].as_str().unwrap().to_owned();
                let key = (tag(area), tag(device), (*name).to_owned());
                assert!(stored.insert(key, row[column].as_f64().unwrap()).is_none());
            }
        }
    }
    assert_eq!(stored, expected());
}

#[tokio::test]
async fn victoria_metrics_stores_nasty_names_as_they_were_sent() {
    let Some(mut server) = Server::prepare(Kind::VictoriaMetrics) else {
        return;
    };
    server.start().await;
    let rig = Rig::start(config(&server.url(), v2()), vec![samples()]);
    rig.caught_up().await;
    let mut stored = BTreeMap::new();
    for series in server.export().await {
        let label = |name: &str| series["metric"][name].as_str().unwrap().to_owned();
        let field = label("__name__")
            .strip_prefix("environment_")
            .unwrap()
            .to_owned();
        let key = (label("area"), label("device"), field);
        assert_eq!(series["values"].as_array().unwrap().len(), 1, "{key:?}");
        assert!(
            stored
                .insert(key, series["values"][0].as_f64().unwrap())
                .is_none()
        );
    }
    assert_eq!(stored, expected());
}
