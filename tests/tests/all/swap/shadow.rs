//! A shadow beside the version that acts, and its promotion.

use std::collections::BTreeMap;
use std::time::Duration;

use quartier_tests::{Api, Client, ConnectOptions, Lab, Packet, eventually};
use serde_json::{Value, json};

use super::{PATIENCE, PLUGIN, node, rows, runs};

/// A device whose readings are minutes apart.
struct Device {
    client: Client,
    minute: u64,
}

impl Device {
    fn reads(&mut self, values: &[u32]) {
        for value in values {
            self.minute += 1;
            let (hour, minute) = (self.minute / 60, self.minute % 60);
            let time = format!("2026-01-01T{hour:02}:{minute:02}:00Z");
            let payload = format!("{{\"value\":{value},\"time\":\"{time}\"}}");
            let message = ("dt/johannstadt/box-1/temperature", payload.as_str());
            self.client.publish_all(&[message]).unwrap();
        }
    }
}

fn tally(what: &Value) -> [u64; 4] {
    let keys = ["same", "different", "only_running", "only_shadow"];
    keys.map(|key| what[key].as_u64().unwrap_or_default())
}

/// What came on a subscription so far, by topic.
fn heard(client: &mut Client, all: &mut BTreeMap<String, Vec<Value>>) {
    while let Some(packet) = client.receive(Duration::from_millis(300)).unwrap() {
        if let Packet::Publish {
            topic, payload, id, ..
        } = packet
        {
            client.acknowledge(id);
            let payload = serde_json::from_slice(&payload).unwrap_or_default();
            all.entry(topic).or_default().push(payload);
        }
    }
    client.flush().unwrap();
}

#[test]
fn a_shadow_says_what_it_would_do_and_does_it_once_it_is_promoted() {
    let lab = Lab::new("tests");
    let Some(first) = rows(&lab, "1.0.0", 30) else {
        return;
    };
    let node = node(&lab);
    let api = Api::of(node.http());
    let connect = |id: &str| {
        Client::connect(node.mqtt(), &ConnectOptions::new(id))
            .unwrap()
            .0
    };
    let mut device = Device {
        client: connect("box-1"),
        minute: 0,
    };
    api.deployed("johannstadt", &first, &[]);
    runs(&node, "1.0.0");
    device.reads(&[20, 21]);
    let shadow = [("stage", "shadow"), ("why", "a trial")];
    api.deployed("johannstadt", &rows(&lab, "1.1.0", 30).unwrap(), &shadow);
    runs(&node, "1.1.0");
    // Warm twice, and cool again twice: an alert, a command, the end of the alert.
    device.reads(&[24, 33, 34, 20, 20, 21]);
    let compared = |total: [u64; 4]| {
        let mut last = Value::Null;
        eventually("both have answered", PATIENCE, || {
            last = node.json(&format!("{PLUGIN}/comparison"));
            if tally(&last["total"]) == total {
                Ok(())
            } else {
                Err(last.to_string())
            }
        });
        last
    };
    let alike = compared([9, 0, 0, 0]);
    assert_eq!(
        tally(&alike["outputs"]["alert warm"]),
        [1, 0, 0, 0],
        "{alike}"
    );
    assert_eq!(alike["examples"], json!([]), "{alike}");
    let gone = api.call(
        "DELETE",
        &format!("{PLUGIN}?version=1.1.0&why=over"),
        "",
        &[],
    );
    assert_eq!(gone.status, 200, "{}", gone.text());

    api.deployed("johannstadt", &rows(&lab, "1.2.0", 25).unwrap(), &shadow);
    runs(&node, "1.2.0");
    let (mut utility, mut topics) = (connect("utility"), BTreeMap::new());
    for filter in ["alert/v1/#", "decision/v1/#", "twin/v1/+/+/+/seen"] {
        utility.subscribe(filter, 1).unwrap();
    }
    heard(&mut utility, &mut topics);
    topics.clear();
    device.reads(&[27, 28, 27, 26]);
    let compared = compared([4, 0, 0, 2]);
    for output in ["alert warm", "command set_fan"] {
        assert_eq!(
            tally(&compared["outputs"][output]),
            [0, 0, 0, 1],
            "{compared}"
        );
    }
    let example = &compared["examples"][0];
    assert_eq!(
        (&example["asset"], &example["running"]),
        (&json!("box-1"), &Value::Null)
    );
    heard(&mut utility, &mut topics);
    let counts: Vec<_> = topics["twin/v1/johannstadt/device/box-1/seen"]
        .iter()
        .collect();
    assert_eq!(
        counts.len(),
        4,
        "one each, of the version that acts: {counts:?}"
    );
    let deciders = &topics["decision/v1/johannstadt/rows"];
    assert!(
        deciders
            .iter()
            .all(|decision| decision["version"] == "1.0.0"),
        "{deciders:?}"
    );
    assert!(
        !topics.keys().any(|topic| topic.starts_with("alert/")),
        "{topics:?}"
    );
    assert_eq!(node.json("/api/v1/alerts")["alerts"], json!([]));

    topics.clear();
    let promoted = api.post(
        &format!("{PLUGIN}/promote"),
        &json!({ "why": "the limit is 25" }),
    );
    assert_eq!(promoted.status, 200, "{}", promoted.text());
    heard(&mut utility, &mut topics);
    let raised = &topics["alert/v1/johannstadt/warm/box-1"];
    assert_eq!(raised.last().unwrap()["limit"], 25.0, "{raised:?}");
    let alerts = node.json("/api/v1/alerts");
    assert_eq!(alerts["alerts"][0]["rule"], "warm", "{alerts}");
    let shown = node.json(PLUGIN);
    let change = &shown["changes"][0];
    assert_eq!(
        (&change["what"], &change["by"]),
        (&json!("promote"), &json!("anonymous"))
    );
    assert_eq!(change["why"], "the limit is 25", "{shown}");
    assert_eq!(shown["versions"].as_array().unwrap().len(), 1, "{shown}");
    // Its state goes on: the alert that it raised in the shadow ends where it would have ended.
    device.reads(&[20, 20]);
    eventually("the alert ends", PATIENCE, || {
        match node.json("/api/v1/alerts")["alerts"] {
            Value::Array(ref alerts) if alerts.is_empty() => Ok(()),
            ref other => Err(other.to_string()),
        }
    });
}
