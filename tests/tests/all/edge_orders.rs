//! What comes down from the city: a plugin, commands, settings; and what the box makes of it.

use std::time::Duration;

use quartier_tests::{
    Client, ConnectOptions, Lab, Line, NodeConfig, Pair, Subscriber, cli, eventually,
    has_mosquitto_clients, mosquitto_pub,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
const BOX: &str = Pair::BOX;
const QUARTER: &str = Pair::QUARTER;

/// Both trust the lab.
fn pair(lab: &Lab) -> Pair {
    let trust = lab.config(&[QUARTER]);
    Pair::start(&trust, &trust)
}

#[test]
fn a_plugin_deployed_at_the_city_decides_on_the_box_and_the_city_sees_it() {
    let lab = Lab::new("tests");
    let Some(package) = lab.package("rows", &[("[reads]", "[reads]\nbatch = 1")]) else {
        return;
    };
    let pair = pair(&lab);
    let number = pair.deploys(&package);
    assert_eq!(pair.outcome(number)["refused"], Value::Null);
    let mut device = Client::connect(pair.edge.mqtt(), &ConnectOptions::new("box-1"))
        .unwrap()
        .0;
    let topic = format!("dt/{QUARTER}/s1/temperature");
    for minute in 0..4 {
        let payload = format!("{{\"value\":34,\"time\":\"2026-01-01T00:0{minute}:00Z\"}}");
        device
            .publish_all(&[(topic.as_str(), payload.as_str())])
            .unwrap();
    }
    eventually("the box's decisions are in the city's audit", SOON, || {
        let list = pair
            .city
            .node
            .json(&format!("/api/v1/decisions?node={BOX}"));
        match list["decisions"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
        {
            true => Ok(()),
            false => Err(list.to_string()),
        }
    });
    eventually("the alert is the city's too", SOON, || {
        let alerts = pair.city.node.json("/api/v1/alerts");
        let mut found = alerts["alerts"].as_array().into_iter().flatten();
        match found.any(|alert| alert["node"] == BOX) {
            true => Ok(()),
            false => Err(alerts.to_string()),
        }
    });
    let list = pair
        .city
        .node
        .json(&format!("/api/v1/decisions?node={BOX}"));
    let id = list["decisions"][0]["id"].as_u64().unwrap();
    let one = pair
        .city
        .node
        .json(&format!("/api/v1/decisions/{BOX}:{id}"));
    assert_eq!(one["record"]["quarter"], QUARTER, "{one}");
    pair.city.is_equal(BOX, 1, SOON);
    // Whoever has the box's folder, or a copy, computes it again.
    let (data, id) = (pair.edge.folder().join("data"), id.to_string());
    let data = data.to_str().unwrap();
    let verified = cli(&["decision", "verify", &id, "--json", "--data", data]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let verified: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(verified["counts"]["verified"], 1, "{verified}");
}

#[test]
fn a_plugin_of_the_citys_configuration_runs_on_the_box_and_goes_when_it_is_named_no_more() {
    let lab = Lab::new("tests");
    let Some(package) = lab.package("rows", &[]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    package.write(folder.path()).unwrap();
    let trust = lab.config(&[QUARTER]);
    let city = NodeConfig {
        plugins: vec![(QUARTER.to_owned(), folder.path().to_owned())],
        more: trust.clone(),
        ..NodeConfig::default()
    };
    let mut pair = Pair::of(city, |identity| {
        let mut config = identity.config();
        config.more.push_str(&trust);
        config
    });
    let runs = |pair: &Pair, wanted: &Value| {
        eventually("the city sees what runs on the box", SOON, || {
            let edge = pair.city.edge(BOX);
            let running = &edge["health"]["plugins"][0]["version"];
            match (running, &edge["orders"]) == (wanted, &json!([])) {
                true => Ok(()),
                false => Err(edge.to_string()),
            }
        });
    };
    runs(&pair, &json!("1.0.0"));
    let taken = pair.city.edge(BOX)["outcomes"].clone();
    // Neither node's restart changes anything.
    pair.edge.terminate();
    pair.edge.restart();
    pair.city.node.terminate();
    pair.city.node.restart();
    runs(&pair, &json!("1.0.0"));
    assert_eq!(pair.city.edge(BOX)["outcomes"], taken);
    pair.city.node.terminate();
    pair.city.node.configure(|config| config.plugins.clear());
    pair.city.node.restart();
    runs(&pair, &Value::Null);
    pair.city.is_equal(BOX, 1, SOON);
}

#[test]
fn what_a_foreign_lab_signed_is_refused_by_the_city_and_by_the_box() {
    let (lab, other) = (Lab::new("tests"), Lab::new("tests"));
    let Some(package) = lab.package("rows", &[]) else {
        return;
    };
    let pair = pair(&lab);
    let foreign = other.package("rows", &[]).unwrap();
    let refused = pair.city.operator().deploy(QUARTER, &foreign, &[]);
    assert_eq!(refused.status, 403, "{}", refused.text());
    drop(pair);
    // A city that was taken over trusts the other lab; the box does not.
    let pair = Pair::start(&other.config(&[QUARTER]), &lab.config(&[QUARTER]));
    let number = pair.deploys(&foreign);
    let refused = pair.outcome(number)["refused"].clone();
    assert!(
        refused
            .as_str()
            .unwrap_or_default()
            .contains("not signed by lab"),
        "{refused}"
    );
    assert_eq!(pair.edge.figure("quartier_plugin_batches_total"), 0.0);
    drop(package);
}

#[test]
fn what_its_lab_has_signed_anew_with_another_key_reaches_a_box_that_has_it_with_the_old_one() {
    let (old, new) = (Lab::new("tests"), Lab::new("tests"));
    let Some(package) = old.package("rows", &[]) else {
        return;
    };
    // The city knows both keys; the box the one that is good at the time.
    let key = |lab: &Lab| lab.config(&[]).split('"').nth(3).unwrap().to_owned();
    let (before, after) = (key(&old), key(&new));
    let trust = old.config(&[QUARTER]);
    let both = trust.replace(&before, &format!("{before}\", \"{after}"));
    let mut pair = Pair::start(&both, &trust);
    let number = pair.deploys(&package);
    assert_eq!(pair.outcome(number)["refused"], Value::Null);
    let change = |config: &mut NodeConfig| config.more = config.more.replace(&before, &after);
    pair.edge.terminate();
    pair.edge.configure(change);
    pair.edge.restart();
    let number = pair.deploys(&new.signed(package));
    assert_eq!(pair.outcome(number)["refused"], Value::Null);
}

#[test]
fn a_command_of_the_city_reaches_the_device_on_the_box_and_its_report_ends_it() {
    if !has_mosquitto_clients() {
        return;
    }
    let pair = pair(&Lab::new("tests"));
    let topic = format!("cmd/v1/{QUARTER}/w1");
    let device = Subscriber::start(pair.edge.mqtt(), "5", &[&topic], &[]);
    let wish = |value: f64, priority: &str| {
        json!({ "quarter": QUARTER, "asset": "w1", "property": "limit_kw", "value": value,
            "priority": priority, "why": "the grid" })
    };
    let asked = pair
        .city
        .operator()
        .post("/api/v1/commands", &wish(4.0, "urgent"));
    assert_eq!(asked.status, 202, "{}", asked.text());
    let is_for = |line: &Line, value: f64| {
        let payload: Value = serde_json::from_str(&line.payload).unwrap_or_default();
        payload["value"].as_f64() == Some(value)
    };
    device.expect("the command", |line| is_for(line, 4.0));
    // Somebody at the box wants something else, of less weight.
    let local = pair.local().post("/api/v1/commands", &wish(9.0, "normal"));
    let local: Value = local.json().unwrap_or_default();
    assert_eq!(local["state"], "superseded", "{local}");
    assert!(
        local["reason"]
            .as_str()
            .unwrap_or_default()
            .contains("by priority"),
        "{local}"
    );
    let done = mosquitto_pub(
        pair.edge.mqtt(),
        &[
            "-q",
            "1",
            "-t",
            &format!("dt/{QUARTER}/w1/limit_kw"),
            "-m",
            "4",
        ],
    );
    assert_eq!(done.code, Some(0), "{done:?}");
    eventually("the city sees that it is done", SOON, || {
        let list = pair.city.node.json("/api/v1/commands");
        let mut all = list["commands"].as_array().into_iter().flatten();
        match all.any(|command| command["state"] == "done" && command["value"] == 4.0) {
            true => Ok(()),
            false => Err(list.to_string()),
        }
    });
}

#[test]
fn a_drained_box_takes_nothing_new_and_a_resumed_one_does() {
    let pair = pair(&Lab::new("tests"));
    let publish = |value: u32| {
        let options = ConnectOptions::new("device");
        let connected = Client::connect(pair.edge.mqtt(), &options);
        let mut client = connected.unwrap().0;
        let payload = value.to_string();
        client.publish_all(&[(&*format!("dt/{QUARTER}/s1/temperature"), &*payload)])
    };
    publish(1).unwrap();
    let judge = |what: &str| {
        let path = format!("/api/v1/edges/{BOX}/{what}");
        let done = pair
            .city
            .operator()
            .post(&path, &json!({ "why": "a test" }));
        assert_eq!(done.status, 200, "{}", done.text());
        eventually("the order is taken", SOON, || {
            let edge = pair.city.edge(BOX);
            match edge["orders"] == json!([]) {
                true => Ok(()),
                false => Err(edge.to_string()),
            }
        });
    };
    judge("drain");
    assert_eq!(pair.city.edge(BOX)["standing"], "draining");
    assert!(publish(2).is_err(), "a drained box refuses");
    judge("resume");
    publish(3).unwrap();
    eventually("the city has the newest", SOON, || {
        match pair.city.node.value("s1", "temperature") {
            Some((3.0, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}
