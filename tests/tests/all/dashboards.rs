//! Every query of every dashboard returns rows on InfluxDB 1.6.7.

use std::time::Duration;

use quartier_tests::{Client, ConnectOptions, Influx1, Node, Packet, workspace};
use serde_json::Value;

/// Readings that the boards show and that no recorded file holds: (asset, metric, value).
const BESIDE: [(&str, &str, f64); 4] = [
    ("feeder-1", "active_power", 312.0),
    ("feeder-1", "load_factor", 61.0),
    ("feeder-1", "voltage", 231.4),
    ("feeder-2", "active_power", 208.5),
];

/// 2017 to 2026, all files.
const ALL_TIME: &str = "time >= 1483228800000ms AND time <= 1798761600000ms";

fn publish_beside(node: &Node) {
    let (mut client, code) = Client::connect(node.mqtt(), &ConnectOptions::new("beside")).unwrap();
    assert_eq!(code, 0);
    let mut id = 0;
    for minute in 0..30 {
        for (asset, metric, value) in BESIDE {
            id += 1;
            let time = format!("2026-06-02T12:{minute:02}:00Z");
            let payload = format!("{{\"value\":{value},\"time\":\"{time}\"}}");
            let topic = format!("dt/johannstadt/{asset}/{metric}");
            client.publish(&topic, payload.as_bytes(), Some(id), false);
        }
    }
    client.flush().unwrap();
    for _ in 0..id {
        let answer = client.receive(Duration::from_secs(20)).unwrap();
        assert!(matches!(answer, Some(Packet::PubAck(_, 0))), "{answer:?}");
    }
}

/// As the README of the dashboards says.
fn without_macros(query: &str) -> String {
    let query = query
        .replace("$timeFilter", ALL_TIME)
        .replace("$__interval", "1d");
    let query = query
        .replace("${area:regex}", ".*")
        .replace("${device:regex}", ".*");
    // What is left of them is the end of a regular expression.
    assert!(
        !query.replace("$/", "").contains('$'),
        "not named in the README: {query}"
    );
    query
}

fn queries(board: &Value) -> Vec<String> {
    let targets = board["panels"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|panel| {
            let inner = panel["panels"].as_array().into_iter().flatten();
            inner
                .chain([panel])
                .flat_map(|p| p["targets"].as_array().into_iter().flatten())
        });
    let variables = board["templating"]["list"].as_array().into_iter().flatten();
    let variables = variables.filter(|variable| variable["type"] == "query");
    targets
        .chain(variables)
        .filter_map(|of| of["query"].as_str())
        .map(without_macros)
        .collect()
}

/// After the replay of everything, with a few readings of what no file holds.
pub(crate) fn assert_every_query_returns_rows(node: &Node, influx: &Influx1) {
    publish_beside(node);
    node.delivered(Duration::from_secs(30));
    let folder = workspace().join("deploy/grafana/dashboards");
    let (mut boards, mut count, mut empty) = (0, 0, Vec::new());
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let board: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        boards += 1;
        for query in queries(&board) {
            count += 1;
            let rows = influx.query(&query)[0]["values"]
                .as_array()
                .map_or(0, Vec::len);
            if rows == 0 {
                empty.push(format!("{}: {query}", path.display()));
            }
        }
    }
    assert!(
        boards == 4 && count > 40,
        "{boards} boards, {count} queries"
    );
    assert!(
        empty.is_empty(),
        "{} of {count} return nothing:\n{}",
        empty.len(),
        empty.join("\n")
    );
    eprintln!("{count} queries of {boards} dashboards return rows");
}
