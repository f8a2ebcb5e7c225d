//! Anybody can read why the system did what it did, and by which criteria; of households nobody reads.

mod public;

use std::time::Duration;

use quartier_plugin_host::Package;
use quartier_tests::{Api, Client, ConnectOptions, Lab, Node, NodeConfig, eventually};
use quartier_twin::event::Decision;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const QUARTERS: [&str; 2] = ["johannstadt", "friedrichstadt"];
const SINGLE: (&str, &str) = ("[reads]", "[reads]\nbatch = 1");

fn node(lab: &Lab, anonymous: &str) -> Node {
    Node::start(NodeConfig {
        anonymous: anonymous.to_owned(),
        quarters: QUARTERS.map(|id| (id.to_owned(), None)).to_vec(),
        more: lab.config(&QUARTERS),
        mqtt: "[[mqtt.acl]]\nrole = \"dashboard\"\npublish = [\"dt/#\"]\n\
               subscribe = [\"decision/v1/#\"]\n"
            .to_owned(),
        ..NodeConfig::default()
    })
}

fn rows(lab: &Lab, changes: &[(&str, &str)]) -> Option<Package> {
    let changes = [&[SINGLE], changes].concat();
    lab.package("rows", &changes)
}

fn connect(node: &Node) -> Client {
    Client::connect(node.mqtt(), &ConnectOptions::new("device"))
        .unwrap()
        .0
}

/// A reading a minute.
fn publish(client: &mut Client, topic: &str, minutes: std::ops::Range<u32>, value: f64) {
    for minute in minutes {
        let time = format!("2026-01-01T{:02}:{:02}:00Z", minute / 60, minute % 60);
        let payload = format!("{{\"value\":{value},\"time\":\"{time}\"}}");
        client.publish_all(&[(topic, &payload)]).unwrap();
    }
}

fn runs(node: &Node, count: usize) {
    eventually("the plugins run", PATIENCE, || {
        let list = node.json("/api/v1/plugins");
        let states: Vec<_> = list["plugins"].as_array().unwrap().iter().collect();
        let running = states
            .iter()
            .filter(|plugin| plugin["state"] == "running")
            .count();
        if running == count {
            Ok(())
        } else {
            Err(list.to_string())
        }
    });
}

fn lines(node: &Node, query: &str) -> Vec<Value> {
    let page = node.json(&format!("/api/v1/decisions?{query}"));
    page["decisions"].as_array().unwrap().clone()
}

fn ids(decisions: &[Value]) -> Vec<u64> {
    decisions
        .iter()
        .map(|decision| decision["id"].as_u64().unwrap())
        .collect()
}

/// Waits for so many decisions of a query.
fn decided(node: &Node, query: &str, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    eventually(&format!("{count} decisions of {query}"), PATIENCE, || {
        found = lines(node, &format!("limit=1000&{query}"));
        if found.len() == count {
            Ok(())
        } else {
            Err(format!("{}: {found:?}", found.len()))
        }
    });
    found
}

#[test]
fn decisions_are_found_by_what_they_are_about_page_by_page() {
    let lab = Lab::new("tests");
    let Some(first) = rows(&lab, &[]) else { return };
    let node = node(&lab, "operator");
    let api = Api::of(node.http());
    api.deployed("johannstadt", &first, &[]);
    api.deployed("friedrichstadt", &first, &[]);
    let shadow = rows(&lab, &[("version = \"1.0.0\"", "version = \"1.1.0\"")]).unwrap();
    api.deployed("johannstadt", &shadow, &[("stage", "shadow")]);
    let hostile = lab
        .package("hostile", &[crate::contained::BY_ITS_NAME, SINGLE])
        .unwrap();
    api.deployed("friedrichstadt", &hostile, &[("set", "mode=refuse")]);
    runs(&node, 4);
    let mut device = connect(&node);
    publish(&mut device, "dt/johannstadt/box-1/temperature", 0..10, 20.0);
    publish(&mut device, "dt/johannstadt/box-2/temperature", 0..5, 21.0);
    publish(
        &mut device,
        "dt/friedrichstadt/box-3/temperature",
        0..4,
        22.0,
    );
    publish(
        &mut device,
        "dt/friedrichstadt/box-3/active_power",
        0..2,
        -1.0,
    );
    let all = decided(&node, "", 36);
    for (query, count) in [
        ("quarter=johannstadt", 30),
        ("quarter=friedrichstadt", 6),
        ("plugin=rows", 34),
        ("version=1.1.0", 15),
        ("stage=shadow", 15),
        ("asset=box-1", 20),
        ("asset=box-1&stage=quarter", 10),
        ("failed=true", 2),
        ("quarter=atlantis", 0),
    ] {
        let found = lines(&node, &format!("limit=1000&{query}"));
        assert_eq!(found.len(), count, "{query}: {found:?}");
    }
    let mut paged = Vec::new();
    let mut query = "limit=7".to_owned();
    loop {
        let page = node.json(&format!("/api/v1/decisions?{query}"));
        paged.extend(page["decisions"].as_array().unwrap().iter().cloned());
        assert!(page["decisions"].as_array().unwrap().len() <= 7);
        let Some(next) = page["next"].as_u64() else {
            break;
        };
        query = format!("limit=7&before={next}");
    }
    assert_eq!(
        paged, all,
        "pages are the whole, without gap and repetition"
    );
    assert!(
        ids(&all).is_sorted_by(|newer, older| newer > older),
        "newest first"
    );
    for (path, status, says) in [
        ("/api/v1/decisions?quarters=x", 400, "quarters"),
        ("/api/v1/decisions?stage=moon", 400, "moon"),
        ("/api/v1/decisions/first", 400, "a number"),
        ("/api/v1/decisions/1", 404, "/api/v1/decisions"),
    ] {
        let answer = api.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        let detail = answer.json().unwrap()["detail"].to_string();
        assert!(detail.contains(says), "{path}: {detail}");
    }
}

#[test]
fn a_decision_names_readings_threshold_source_version_and_who_brought_it() {
    let lab = Lab::new("tests");
    let source =
        "\n[[sources]]\ntitle = \"A norm\"\nurl = \"https://norm.example/warm\"\n\n[config]";
    let Some(first) = rows(&lab, &[("\n[config]", source)]) else {
        return;
    };
    let node = node(&lab, "operator");
    let why = [("why", "warm rooms were found late")];
    Api::of(node.http()).deployed("johannstadt", &first, &why);
    runs(&node, 1);
    let mut device = connect(&node);
    publish(&mut device, "dt/johannstadt/box-1/temperature", 0..2, 33.5);
    let id = decided(&node, "", 2)[0]["id"].clone();
    let told = node.json(&format!("/api/v1/decisions/{id}"));
    let words = told["explanation"].to_string();
    for part in [
        "plugin rows 1.0.0 of lab tests in quarter johannstadt",
        "deployed by anonymous on ",
        "warm rooms were found late",
        "Alert warm on box-1 was raised (Major): 33.5 Cel.",
        "Cause: temperature of box-1 was 33.5 Cel at 2026-01-01T00:01:00Z.",
        "Limit 30 Cel (test).",
        "Command set_fan: fan of box-1 is to be 1 until 2026-01-01T00:02:00Z.",
        "seen of box-1 at 2026-01-01T00:01:00Z is 2.",
        "https://norm.example/warm",
        &format!("quartier decision verify {id}"),
    ] {
        assert!(words.contains(part), "{part:?} in {words}");
    }
    let record = &told["record"];
    let package_digests = (first.component_digest(), first.manifest_digest());
    let named = (record["digest"].as_str(), record["manifest"].as_str());
    let (component, manifest) = (package_digests.0.to_string(), package_digests.1.to_string());
    assert_eq!(named, (Some(&*component), Some(&*manifest)), "{record}");
    let alerts = node.json("/api/v1/alerts");
    assert_eq!(
        alerts["alerts"][0]["decision"], id,
        "an alert leads to its decision: {alerts}"
    );
}

#[test]
fn each_decision_names_the_hash_of_the_one_before_it_also_over_restarts() {
    let lab = Lab::new("tests");
    let Some(first) = rows(&lab, &[]) else { return };
    let mut node = node(&lab, "operator");
    Api::of(node.http()).deployed("johannstadt", &first, &[]);
    runs(&node, 1);
    for (life, end) in ["kill -9", "SIGTERM", "none"].into_iter().enumerate() {
        let from = u32::try_from(life).unwrap() * 5;
        publish(
            &mut connect(&node),
            "dt/johannstadt/box-1/temperature",
            from..from + 5,
            20.0,
        );
        decided(&node, "", usize::try_from(from).unwrap() + 5);
        match end {
            "kill -9" => node.kill9(),
            "SIGTERM" => assert!(node.terminate().success()),
            _ => continue,
        }
        node.restart();
    }
    let mut before = None;
    for id in ids(&decided(&node, "", 15)).into_iter().rev() {
        let told = node.json(&format!("/api/v1/decisions/{id}"));
        let decision: Decision = serde_json::from_value(told["record"].clone()).unwrap();
        let Decision {
            previous,
            state_before,
            ..
        } = decision;
        let (link, state) = before.unwrap_or_default();
        assert_eq!(previous, link, "decision {id}");
        if before.is_some() {
            assert_eq!(
                state_before, state,
                "decision {id} begins in the state of the one before"
            );
        }
        before = Some((decision.hash(), decision.state_after));
    }
}
