//! Versions take over while readings come as fast as one publisher can send them: every reading is
//! evaluated once, by one version or the next.

mod shadow;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quartier_plugin_host::Package;
use quartier_tests::{
    Api, Client, ConnectOptions, EPOCH_MS, Lab, Node, NodeConfig, Packet, eventually, pause,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(120);
const PLUGIN: &str = "/api/v1/plugins/johannstadt/rows";
/// Readings in a publish.
const PACK: u64 = 500;
/// Publishes that wait for their acknowledgement.
const IN_FLIGHT: usize = 30;
const ASSETS: u64 = 4;

fn rows(lab: &Lab, version: &str, limit: u32) -> Option<Package> {
    let changes = [
        ("version = \"1.0.0\"", format!("version = \"{version}\"")),
        ("limit = 30", format!("limit = {limit}")),
    ];
    let changes = changes.each_ref().map(|(from, to)| (*from, to.as_str()));
    lab.package("rows", &changes)
}

fn node(lab: &Lab) -> Node {
    Node::start(NodeConfig {
        // Some snapshots on the way, so that recovery begins in the middle.
        journal: "snapshot_entries = 150\n".to_owned(),
        more: lab.config(&["johannstadt"]),
        ..NodeConfig::of("johannstadt")
    })
}

fn runs(node: &Node, version: &str) {
    eventually("the version runs", PATIENCE, || {
        let list = node.json("/api/v1/plugins");
        let mut found = list["plugins"].as_array().into_iter().flatten();
        let found = found.any(|p| p["version"] == version && p["state"] == "running");
        if found { Ok(()) } else { Err(list.to_string()) }
    });
}

/// Pack `number`: the next readings of its asset, a second apart, none of them warm.
fn pack(number: u64) -> (String, String) {
    let first = number / ASSETS * PACK;
    let start = EPOCH_MS / 1000 + first;
    let record = |n: u64| {
        let base = if n == 0 {
            format!("\"bt\":{start},\"bu\":\"Cel\",")
        } else {
            String::new()
        };
        let value = 20 + (first + n) % 7;
        format!("{{{base}\"n\":\"temperature\",\"v\":{value},\"t\":{n}}}")
    };
    let records: Vec<String> = (0..PACK).map(record).collect();
    let topic = format!("dt/johannstadt/box-{}", number % ASSETS);
    (topic, format!("[{}]", records.join(",")))
}

/// Publishes packs at QoS 1; after a lost connection sends again what was not acknowledged.
struct Flood {
    acknowledged: Arc<AtomicU64>,
    ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Flood {
    fn start(server: std::net::SocketAddr) -> Self {
        let (acknowledged, ending) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, end) = (Arc::clone(&acknowledged), Arc::clone(&ending));
        let thread = thread::spawn(move || {
            let mut next = 0;
            loop {
                // A lost connection is what this load is about; the node comes back.
                if flood(server, &mut next, &count, &end).is_ok() {
                    return;
                }
                pause(Duration::from_millis(5));
            }
        });
        Self {
            acknowledged,
            ending,
            thread,
        }
    }

    /// Waits until so many packs more are acknowledged.
    fn goes_on(&self, packs: u64) {
        let until = self.acknowledged.load(Ordering::SeqCst) + packs;
        eventually("readings flow", PATIENCE, || {
            let now = self.acknowledged.load(Ordering::SeqCst);
            if now >= until {
                Ok(())
            } else {
                Err(format!("{now} of {until} packs"))
            }
        });
    }

    /// Packs sent and acknowledged, all of them.
    fn finish(self) -> u64 {
        self.ending.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
        self.acknowledged.load(Ordering::SeqCst)
    }
}

/// One connection; acknowledgements of one connection come in the order of its publishes.
fn flood(
    server: std::net::SocketAddr,
    next: &mut u64,
    count: &AtomicU64,
    end: &AtomicBool,
) -> std::io::Result<()> {
    let (mut client, code) = Client::connect(server, &ConnectOptions::new("flood"))?;
    assert_eq!(code, 0);
    let (mut sent, mut waiting) = (count.load(Ordering::SeqCst), 0);
    let id = |number: u64| u16::try_from(number % 60_000).unwrap_or(0) + 1;
    loop {
        let ending = end.load(Ordering::SeqCst);
        // What was sent once must come through, also at the end.
        while waiting < IN_FLIGHT && (sent < *next || !ending) {
            let (topic, payload) = pack(sent);
            client.publish(&topic, payload.as_bytes(), Some(id(sent)), sent < *next);
            sent += 1;
            waiting += 1;
            *next = (*next).max(sent);
        }
        if waiting == 0 {
            return Ok(());
        }
        client.flush()?;
        let mut packet = client.receive(Duration::from_millis(100))?;
        while let Some(Packet::PubAck(acknowledged, reason)) = packet {
            assert!(reason < 0x80, "refused: {reason}");
            assert_eq!(acknowledged, id(count.load(Ordering::SeqCst)), "in order");
            count.fetch_add(1, Ordering::SeqCst);
            waiting -= 1;
            packet = client.next_packet();
        }
    }
}

/// All decisions, oldest first.
fn decisions(node: &Node) -> Vec<Value> {
    let mut all = Vec::new();
    let mut before = String::new();
    loop {
        let page = node.json(&format!("/api/v1/decisions?plugin=rows&limit=1000{before}"));
        all.extend(page["decisions"].as_array().unwrap().iter().cloned());
        match page["next"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    all.reverse();
    all
}

/// In the record of a decision each count is that of its reading: reading 0 of an asset is its
/// first one.
fn counts_are_right(node: &Node, id: u64) {
    let told = node.json(&format!("/api/v1/decisions/{id}"));
    for value in told["record"]["derived"].as_array().unwrap() {
        let number = (value["time"].as_u64().unwrap() - EPOCH_MS) / 1000;
        assert_eq!(
            value["value"].as_f64(),
            Some((number + 1) as f64),
            "{value} of decision {id}"
        );
    }
}

#[test]
fn versions_swap_under_load_and_kill_9_and_every_reading_is_evaluated_once() {
    let lab = Lab::new("tests");
    let Some(first) = rows(&lab, "1.0.0", 30) else {
        return;
    };
    let mut node = node(&lab);
    let api = Api::of(node.http());
    api.deployed("johannstadt", &first, &[]);
    runs(&node, "1.0.0");
    let flood = Flood::start(node.mqtt());
    let started = Instant::now();
    flood.goes_on(40);
    api.deployed("johannstadt", &rows(&lab, "1.1.0", 30).unwrap(), &[]);
    flood.goes_on(40);
    let rate = flood.acknowledged.load(Ordering::SeqCst) * PACK * 1000
        / u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    eprintln!("{rate} readings/s acknowledged while a version took over");
    node.kill9();
    node.restart();
    flood.goes_on(40);
    let why = json!({ "why": "it is slower" });
    let back = api.post(&format!("{PLUGIN}/rollback"), &why);
    assert_eq!(back.status, 200, "{}", back.text());
    flood.goes_on(40);
    api.deployed("johannstadt", &rows(&lab, "1.2.0", 30).unwrap(), &[]);
    // The answer says that the event is on disk; the instance may not even have begun.
    node.kill9();
    node.restart();
    flood.goes_on(40);
    let packs = flood.finish();
    node.settle();

    let mut total = 0;
    for asset in 0..ASSETS {
        let sent = (packs + ASSETS - 1 - asset) / ASSETS * PACK;
        total += sent;
        eventually("every reading is counted once", PATIENCE, || {
            let found = node.value(&format!("box-{asset}"), "seen");
            if found == Some((sent as f64, sent)) {
                return Ok(());
            }
            Err(format!(
                "box-{asset}: sent {sent}, counted and told {found:?}"
            ))
        });
    }
    let all = decisions(&node);
    let values: u64 = all.iter().map(|d| d["values"].as_u64().unwrap()).sum();
    assert_eq!(values, total, "no count was told twice");
    let numbers: Vec<u64> = all.iter().map(|d| d["batch"].as_u64().unwrap()).collect();
    assert_eq!(
        numbers,
        (0..all.len() as u64).collect::<Vec<_>>(),
        "each batch once, in order"
    );
    let id = |decision: &Value| decision["id"].as_u64().unwrap();
    let mut versions = vec![all[0]["version"].clone()];
    for (before, after) in all.iter().zip(&all[1..]) {
        assert_eq!(before["failure"], Value::Null, "{before}");
        if before["version"] != after["version"] {
            versions.push(after["version"].clone());
            counts_are_right(&node, id(before));
            counts_are_right(&node, id(after));
        }
    }
    assert_eq!(versions, ["1.0.0", "1.1.0", "1.0.0", "1.2.0"]);
    all.iter()
        .step_by(10)
        .for_each(|decision| counts_are_right(&node, id(decision)));
    let shown = node.json(PLUGIN);
    assert_eq!(shown["changes"][1]["why"], "it is slower", "{shown}");
    assert_eq!(
        shown["versions"][0]["note"],
        Value::Null,
        "its state was taken over: {shown}"
    );
}
