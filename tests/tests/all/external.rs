//! `[mqtt] external`: a node behind Debian's mosquitto.

use std::process::Command;
use std::time::Duration;

use quartier_tests::{
    Line, Load, LoadOptions, Mosquitto, Node, NodeConfig, Random, Subscriber, eventually,
    free_address, has_mosquitto_clients, mosquitto_pub, pause, quartier, run,
};
use serde_json::Value;
use tempfile::TempDir;

const WAIT: Duration = Duration::from_secs(60);

fn behind(broker: &Mosquitto, more: &str) -> NodeConfig {
    NodeConfig {
        mqtt: format!("external = \"mqtt://{}\"\n{more}", broker.address()),
        ..NodeConfig::of("johannstadt")
    }
}

fn connected(node: &Node) {
    eventually("the node is connected", Duration::from_secs(60), || {
        if node.figure("quartier_external_connected") == 1.0 {
            Ok(())
        } else {
            Err(node.json("/readyz").to_string())
        }
    });
}

fn publish(broker: &Mosquitto, topic: &str, payload: &str) {
    let done = mosquitto_pub(broker.address(), &["-V", "5", "-t", topic, "-m", payload]);
    assert_eq!(done.code, Some(0), "{done:?}");
}

fn value_of(line: &Line) -> Option<f64> {
    let json: Value = serde_json::from_str(&line.payload).ok()?;
    json["value"].as_f64()
}

fn status_of(line: &Line) -> String {
    let json: Value = serde_json::from_str(&line.payload).unwrap_or_default();
    json["status"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn telemetry_goes_in_and_twin_topics_come_back_retained() {
    if !has_mosquitto_clients() {
        return;
    }
    let Some(broker) = Mosquitto::start("") else {
        return;
    };
    let node = Node::start(behind(&broker, ""));
    connected(&node);
    let topic = "twin/v1/johannstadt/environment/s1/temperature";
    let live = Subscriber::start(broker.address(), "5", &["twin/v1/#"], &[]);
    publish(&broker, "dt/johannstadt/s1", "{\"temperature\":21.5}");
    live.expect("of the twin", |l| {
        l.topic == topic && value_of(l) == Some(21.5)
    });
    let late = Subscriber::start(
        broker.address(),
        "311",
        &["twin/v1/#", "node/v1/+/status"],
        &[],
    );
    late.expect("retained", |l| {
        l.retain && l.topic == topic && value_of(l) == Some(21.5)
    });
    late.expect("of the node", |l| {
        l.topic == "node/v1/test-1/status" && status_of(l) == "online"
    });
    // What is no telemetry of this node's quarters is left to others.
    publish(&broker, "dt/elsewhere/s1", "{\"temperature\":21.5}");
    publish(&broker, "dt/johannstadt/s1", "no reading");
    eventually("a dead letter", Duration::from_secs(20), || {
        let letters = node.json("/api/v1/dead-letters");
        match letters["count"].as_u64() {
            Some(1) => Ok(()),
            _ => Err(letters.to_string()),
        }
    });
}

#[test]
fn a_node_that_dies_is_said_to_be_offline_and_one_that_ends_says_so_itself() {
    if !has_mosquitto_clients() {
        return;
    }
    let Some(broker) = Mosquitto::start("") else {
        return;
    };
    let mut node = Node::start(behind(&broker, ""));
    connected(&node);
    let watcher = Subscriber::start(broker.address(), "5", &["node/v1/+/status"], &[]);
    watcher.expect("online", |l| status_of(l) == "online");
    node.kill9();
    watcher.expect("of the will", |l| {
        l.payload.contains("the connection was lost")
    });
    node.restart();
    connected(&node);
    let seen = watcher.messages().len();
    let status = node.terminate();
    assert_eq!(status.code(), Some(0), "{}", node.log());
    eventually("offline", Duration::from_secs(20), || {
        let new: Vec<_> = watcher.messages().into_iter().skip(seen).collect();
        match new.iter().find(|l| status_of(l) == "offline") {
            Some(line) if line.payload.contains("lost") => Err(format!("a will: {line:?}")),
            Some(_) => Ok(()),
            None => Err(format!("{new:?}")),
        }
    });
}

/// The twin has what the broker acknowledged, each value once.
fn assert_holds(node: &Node, load: Load) {
    let sent = load.finish(Duration::from_secs(120));
    eventually("all of it is in the twin", Duration::from_secs(120), || {
        for one in &sent {
            let value = node.value(&one.asset, "uptime");
            let expected = (one.acknowledged as f64 - 1.0, one.acknowledged);
            if value != Some(expected) {
                return Err(format!("{one:?}: {value:?}"));
            }
        }
        Ok(())
    });
}

fn goes_on(node: &Node, load: &Load) {
    let (sent, taken) = (
        load.total(),
        node.figure("quartier_external_received_total"),
    );
    eventually("the load goes through", Duration::from_secs(60), || {
        let now = node.figure("quartier_external_received_total");
        if load.total() > sent + 500 && now > taken + 500.0 {
            Ok(())
        } else {
            Err(format!("{} acknowledged, {now} taken", load.total()))
        }
    });
}

#[test]
fn kill_9_of_the_node_under_load_loses_and_doubles_nothing() {
    let Some(broker) = Mosquitto::start("") else {
        return;
    };
    let mut random = Random::new();
    let mut node = Node::start(behind(&broker, ""));
    connected(&node);
    let load = Load::start(broker.address(), &LoadOptions::new("johannstadt", 4));
    for _ in 0..8 {
        pause(Duration::from_millis(random.within(50..800)));
        node.kill9();
        pause(Duration::from_millis(random.within(0..300)));
        node.restart();
    }
    goes_on(&node, &load);
    assert_holds(&node, load);
}

#[test]
fn a_broker_that_restarts_is_found_again_and_told_the_newest_of_each_topic() {
    if !has_mosquitto_clients() {
        return;
    }
    let Some(mut broker) = Mosquitto::start("") else {
        return;
    };
    // mosquitto 2.0.11 forgets shared subscriptions when it restarts, and what devices publish
    // before the node is back goes to nobody.
    let node = Node::start(behind(&broker, "external_group = \"\"\n"));
    connected(&node);
    let load = Load::start(broker.address(), &LoadOptions::new("johannstadt", 2));
    for _ in 0..2 {
        goes_on(&node, &load);
        broker.stop();
        let ready = node.json("/readyz");
        assert_eq!(ready["ready"], true, "the node answers without its broker");
        broker.restart();
    }
    goes_on(&node, &load);
    assert_holds(&node, load);
    let late = Subscriber::start(broker.address(), "5", &["twin/v1/#"], &[]);
    for asset in ["device-0", "device-1"] {
        let newest = node.value(asset, "uptime").map(|(value, _)| value);
        late.expect("newest", |l| {
            l.topic.ends_with(&format!("{asset}/uptime")) && value_of(l) == newest
        });
    }
}

#[test]
fn a_broker_that_has_forgotten_everything_is_told_what_the_twin_has() {
    if !has_mosquitto_clients() {
        return;
    }
    let Some(mut broker) = Mosquitto::start("persistence false") else {
        return;
    };
    let node = Node::start(behind(&broker, ""));
    connected(&node);
    publish(&broker, "dt/johannstadt/s1", "{\"temperature\":21.5}");
    let topic = "twin/v1/johannstadt/environment/s1/temperature";
    let live = Subscriber::start(broker.address(), "5", &["twin/v1/#"], &[]);
    live.expect("of the twin", |l| l.topic == topic);
    broker.stop();
    broker.restart();
    let late = Subscriber::start(broker.address(), "5", &["twin/v1/#"], &[]);
    late.expect("told again", |l| {
        l.topic == topic && value_of(l) == Some(21.5)
    });
}

#[test]
fn tls_with_a_client_certificate_and_not_to_a_broker_of_another_authority() {
    if !has_mosquitto_clients() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let cert = |args: &[&str]| {
        let done = run(Command::new(quartier()).arg("cert").args(args), WAIT);
        assert_eq!(done.code, Some(0), "{done:?}");
    };
    cert(&["ca", "--out", &at("ca")]);
    cert(&["ca", "--out", &at("other")]);
    cert(&[
        "server",
        "--ca",
        &at("ca"),
        "--host",
        "127.0.0.1",
        "--out",
        &at("server"),
    ]);
    cert(&["device", "node-1", "--ca", &at("ca"), "--out", &at("node")]);
    let tls = free_address();
    let listener = format!(
        "listener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true",
        tls.port(),
        at("ca/ca.crt"),
        at("server/server.crt"),
        at("server/server.key")
    );
    let Some(broker) = Mosquitto::start(&listener) else {
        return;
    };
    let trusting = |ca: &str| NodeConfig {
        mqtt: format!(
            "external = \"mqtts://127.0.0.1:{}\"\nexternal_ca_file = \"{}\"\n\
             external_cert_file = \"{}\"\nexternal_key_file = \"{}\"\n",
            tls.port(),
            at(ca),
            at("node/node-1.crt"),
            at("node/node-1.key")
        ),
        ..NodeConfig::of("johannstadt")
    };
    let node = Node::start(trusting("ca/ca.crt"));
    connected(&node);
    publish(&broker, "dt/johannstadt/s1", "{\"temperature\":21.5}");
    eventually("the reading is in the twin", WAIT, || {
        match node.value("s1", "temperature") {
            Some((21.5, 1)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let wary = Node::start(trusting("other/ca.crt"));
    eventually("it says why there is no connection", WAIT, || {
        let ready = wary.json("/readyz").to_string();
        match ready.contains("certificate") && ready.contains("degraded") {
            true => Ok(()),
            false => Err(ready),
        }
    });
    assert_eq!(wary.figure("quartier_external_connects_total"), 0.0);
}

#[test]
fn nodes_of_one_group_share_the_load() {
    let Some(broker) = Mosquitto::start("") else {
        return;
    };
    let nodes = ["one", "two"].map(|name| {
        let mut config = behind(&broker, "external_group = \"together\"\n");
        config.name = name.to_owned();
        Node::start(config)
    });
    nodes.iter().for_each(connected);
    let options = LoadOptions {
        most: 2000,
        ..LoadOptions::new("johannstadt", 2)
    };
    Load::start(broker.address(), &options).finish(Duration::from_secs(120));
    eventually(
        "each reading is with one node",
        Duration::from_secs(60),
        || {
            let taken = nodes
                .each_ref()
                .map(|n| n.figure("quartier_intake_readings_total"));
            let [one, two] = taken;
            if one + two == 4000.0 && one > 500.0 && two > 500.0 {
                Ok(())
            } else {
                Err(format!("{taken:?}"))
            }
        },
    );
}
