//! `/asyncapi.json`: valid by the reference parser, and true of what is on the wire.

use std::fs;
use std::process::Command;
use std::time::Duration;

use quartier_tests::{
    Line, Mosquitto, Node, NodeConfig, Subscriber, get, has_mosquitto_clients, health_plugin,
    mosquitto_pub, node_script, quartier, run,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the parser and the schemas say of the node's document and of `messages`.
fn judged(node: &Node, messages: &[Line]) -> Option<Value> {
    let folder = TempDir::new().unwrap();
    let (document, lines) = (folder.path().join("doc.json"), folder.path().join("lines"));
    let answer = get(node.http(), "/asyncapi.json").unwrap();
    fs::write(&document, &answer.body).unwrap();
    let message = |l: &Line| json!({ "topic": l.topic, "payload": l.payload }).to_string();
    fs::write(
        &lines,
        messages.iter().map(message).collect::<Vec<_>>().join("\n"),
    )
    .unwrap();
    let mut command = node_script("asyncapi.mjs")?;
    let done = run(command.arg(&document).arg(&lines), Duration::from_secs(120));
    assert_eq!(done.code, Some(0), "{done:?}");
    Some(serde_json::from_str(&done.stdout).unwrap())
}

#[test]
fn every_message_on_the_wire_fits_the_document() {
    if !has_mosquitto_clients() {
        return;
    }
    let mut config = NodeConfig::of("friedrichstadt");
    let street = "{\"type\":\"FeatureCollection\",\"features\":[{\"type\":\"Feature\",\"id\":\"street\",\
                  \"geometry\":{\"type\":\"Point\",\"coordinates\":[13.72,51.06]},\
                  \"properties\":{\"kind\":\"air_quality_station\",\"interval_s\":\"3600\"}}]}";
    config.quarters[0].1 = Some(street.to_owned());
    let plugin = health_plugin();
    let decides = plugin.is_some();
    config
        .plugins
        .extend(plugin.map(|path| ("friedrichstadt".to_owned(), path)));
    let node = Node::start(config);
    let all = Subscriber::start(node.mqtt(), "5", &["#"], &[]);
    let publish = |topic: &str, payload: &str| {
        let done = mosquitto_pub(node.mqtt(), &["-t", topic, "-m", payload]);
        assert_eq!(done.code, Some(0), "{done:?}");
    };
    publish("dt/friedrichstadt/street/temperature", "21.5");
    publish(
        "dt/friedrichstadt/street",
        "[{\"n\":\"humidity\",\"u\":\"%RH\",\"v\":50}]",
    );
    publish(
        "dt/friedrichstadt/house",
        "{\"household_power\":0.5,\"lat\":51.06,\"lon\":13.72}",
    );
    publish(
        "dt/friedrichstadt/street/no_such_metric",
        "{\"v\":\"1\",\"u\":\"x\"}",
    );
    // Six hours of poor air: an alert and its decision.
    for hour in 1..=6 {
        let reading = format!("{{\"pm10\":{{\"v\":150,\"t\":\"2026-06-01T{hour:02}:00:00Z\"}}}}");
        publish("dt/friedrichstadt/street", &reading);
    }
    let ask = [
        "command",
        "ask",
        "friedrichstadt",
        "street",
        "fan",
        "1",
        "--why",
        "poor air",
    ];
    let address = format!("http://{}", node.http());
    let mut command = Command::new(quartier());
    let asked = run(
        command.args(ask).args(["--node", &address]),
        Duration::from_secs(30),
    );
    assert_eq!(asked.code, Some(0), "{asked:?}");
    let mut wanted = vec![
        "cmd/v1",
        "dt/",
        "twin/v1",
        "personal/v1",
        "area/v1",
        "cell/v1",
        "node/v1",
    ];
    if decides {
        wanted.extend(["alert/v1", "decision/v1"]);
    }
    for family in wanted {
        all.expect(family, |line| line.topic.starts_with(family));
    }
    let Some(judged) = judged(&node, &all.messages()) else {
        return;
    };
    assert_eq!(judged["errors"], json!([]), "{judged}");
    if decides {
        assert_eq!(
            judged["seen"].as_array().map(Vec::len),
            Some(10),
            "{judged}"
        );
    }
}

#[test]
fn the_document_names_where_clients_of_this_node_connect() {
    let node = Node::start(NodeConfig::of("johannstadt"));
    let servers = &node.json("/asyncapi.json")["servers"];
    assert_eq!(servers["mqtt"]["host"], node.mqtt().to_string());
    assert_eq!(servers["ws"]["host"], node.http().to_string());
    assert_eq!(servers["ws"]["pathname"], "/mqtt");
    let openapi = node.json("/openapi.json");
    assert!(openapi["paths"]["/asyncapi.json"].is_object());
}

#[test]
fn behind_an_external_broker_the_document_names_that_one() {
    let Some(broker) = Mosquitto::start("") else {
        return;
    };
    let node = Node::start(NodeConfig {
        mqtt: format!("external = \"mqtt://{}\"\n", broker.address()),
        ..NodeConfig::of("johannstadt")
    });
    let document = node.json("/asyncapi.json");
    let servers = document["servers"].as_object().unwrap();
    assert_eq!(servers.keys().collect::<Vec<_>>(), ["mqtt"]);
    assert_eq!(servers["mqtt"]["host"], broker.address().to_string());
    if let Some(judged) = judged(&node, &[]) {
        assert_eq!(judged["errors"], json!([]), "{judged}");
    }
}
