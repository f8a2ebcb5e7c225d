//! Commands to devices, from who asks to the device and back: a real node, `mosquitto_sub` as the
//! device, the command line as the person, and a plugin that commands.

use std::fs;
use std::process::Command;
use std::time::Duration;

use quartier_tests::{
    Finished, Line, Node, NodeConfig, Subscriber, eventually, get, has_mosquitto_clients,
    mosquitto_pub, quartier, rows_plugin, run,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(30);

/// A quarter with two wallboxes and two boxes with a fan.
fn config() -> NodeConfig {
    let feature = |id: &str, kind: &str| {
        json!({
            "type": "Feature", "id": id,
            "geometry": { "type": "Point", "coordinates": [13.76, 51.05] },
            "properties": { "kind": kind },
        })
    };
    let features = json!([
        feature("w1", "wallbox"),
        feature("w2", "wallbox"),
        feature("s1", "sensor_box"),
        feature("s2", "sensor_box"),
    ]);
    let assets = json!({ "type": "FeatureCollection", "features": features }).to_string();
    NodeConfig {
        quarters: vec![("johannstadt".to_owned(), Some(assets))],
        ..NodeConfig::default()
    }
}

/// A node with the guest that commands `fan` = 1 at the second warm reading, its manifest changed
/// by `change`.
fn with_plugin(change: impl Fn(String) -> String) -> Option<(Node, TempDir)> {
    let built = rows_plugin()?;
    let folder = TempDir::new().unwrap();
    let copy = |file: &str| fs::copy(built.join(file), folder.path().join(file)).unwrap();
    copy("component.wasm");
    let manifest = fs::read_to_string(built.join("manifest.toml")).unwrap();
    fs::write(folder.path().join("manifest.toml"), change(manifest)).unwrap();
    let mut node = Node::start(config());
    // What it derives is not in the vocabulary, so the unit is the one that comes first.
    let units = "{\"seen\":{\"v\":0,\"u\":\"1\"},\"excess\":{\"v\":0,\"u\":\"1\"}}";
    publish(&node, "dt/johannstadt/s1", units);
    node.settle();
    let path = folder.path().to_owned();
    node.configure(|config| config.plugins.push(("johannstadt".to_owned(), path)));
    node.restart();
    Some((node, folder))
}

fn publish(node: &Node, topic: &str, payload: &str) {
    let done = mosquitto_pub(node.mqtt(), &["-t", topic, "-m", payload]);
    assert_eq!(done.code, Some(0), "{done:?}");
}

/// `quartier command ARGS`.
fn command(node: &Node, args: &[&str]) -> Finished {
    let address = format!("http://{}", node.http());
    let mut command = Command::new(quartier());
    command
        .arg("command")
        .args(args)
        .args(["--node", &address])
        .env_remove("QUARTIER_TOKEN");
    run(&mut command, SOON)
}

/// The same with `--json`; it must succeed.
fn json_of(node: &Node, args: &[&str]) -> Value {
    let done = command(node, &[args, &["--json"]].concat());
    assert_eq!(done.code, Some(0), "{args:?}: {done:?}");
    serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"))
}

fn ask(node: &Node, asset: &str, value: &str, expires: &str) -> String {
    let args = [
        "ask",
        "johannstadt",
        asset,
        "limit_kw",
        value,
        "--expires",
        expires,
        "--why",
        "test",
    ];
    json_of(node, &args)["id"].as_str().unwrap().to_owned()
}

fn commands(node: &Node) -> Vec<Value> {
    let answer = node.json("/api/v1/commands?limit=1000");
    answer["commands"].as_array().unwrap().clone()
}

/// Waits for the command of an asset that is in `state`; its JSON.
fn reaches(node: &Node, asset: &str, state: &str) -> Value {
    let mut found = Value::Null;
    eventually(&format!("{asset}: {state}"), SOON, || {
        let all = commands(node);
        let wanted = all
            .iter()
            .find(|c| c["asset"] == asset && c["state"] == state);
        found = wanted.cloned().ok_or_else(|| format!("{all:#?}"))?;
        Ok(())
    });
    found
}

fn device(node: &Node, asset: &str) -> Subscriber {
    Subscriber::start(
        node.mqtt(),
        "5",
        &[&format!("cmd/v1/johannstadt/{asset}")],
        &[],
    )
}

fn is(id: &str) -> impl Fn(&Line) -> bool {
    move |line| line.payload.contains(&format!("\"id\":\"{id}\""))
}

#[test]
fn a_persons_command_reaches_the_device_and_is_done_when_the_device_reports() {
    if !has_mosquitto_clients() {
        return;
    }
    let node = Node::start(config());
    let wallbox = device(&node, "w1");
    let id = ask(&node, "w1", "4.2", "10m");
    let told = wallbox.expect("a command", is(&id));
    assert_eq!(
        (told.topic.as_str(), told.retain),
        ("cmd/v1/johannstadt/w1", false)
    );
    let payload: Value = serde_json::from_str(&told.payload).unwrap();
    let keys: Vec<_> = payload
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(keys, ["expires", "id", "property", "value"]);
    assert_eq!(
        (&payload["property"], &payload["value"]),
        (&json!("limit_kw"), &json!(4.2))
    );

    let late = device(&node, "w1");
    let open = late.expect("what is open", is(&id));
    assert!(open.retain, "{open:?}");
    let asset = node.json("/api/v1/assets/w1");
    let desired = &asset["desired"]["limit_kw"];
    assert_eq!(
        (&desired["value"], &desired["state"]),
        (&json!(4.2), &json!("sent"))
    );
    assert_eq!(asset["metrics"]["limit_kw"], Value::Null);

    publish(&node, "dt/johannstadt/w1/limit_kw", "4.2");
    let done = reaches(&node, "w1", "done");
    assert_eq!(
        (&done["id"], &done["by"], &done["why"]),
        (&json!(id), &json!("anonymous"), &json!("test"))
    );
    let asset = node.json("/api/v1/assets/w1");
    assert_eq!(asset["desired"]["limit_kw"]["state"], "done");
    assert_eq!(asset["metrics"]["limit_kw"]["value"], 4.2);
    let table = command(&node, &["list", "--state", "done"]);
    assert!(
        table.stdout.contains(&id) && table.stdout.starts_with("id "),
        "{table:?}"
    );
    eventually("counted", SOON, || {
        let figure = node.figure("quartier_commands_total{state=\"done\"}");
        (figure == 1.0)
            .then_some(())
            .ok_or_else(|| figure.to_string())
    });
    let audit = fs::read_to_string(node.folder().join("data/audit.log")).unwrap();
    assert!(
        audit.contains("\"what\":\"command\"") && audit.contains(": test"),
        "{audit}"
    );
}

/// Two warm readings of a sensor box, some minutes ahead: the plugin's command lives for a minute
/// from then on.
fn warm(node: &Node, asset: &str) {
    let ahead = jiff::Timestamp::now() + Duration::from_secs(300);
    for second in 0..2 {
        let time = ahead + Duration::from_secs(second);
        let reading = format!("{{\"temperature\":{{\"v\":35,\"t\":\"{time}\"}}}}");
        publish(node, &format!("dt/johannstadt/{asset}"), &reading);
    }
}

#[test]
fn kill_9_between_sending_and_report_tells_the_same_command_again_and_never_a_second() {
    if !has_mosquitto_clients() {
        return;
    }
    let Some((mut node, _folder)) = with_plugin(|manifest| manifest) else {
        return;
    };
    let fan = device(&node, "s1");
    warm(&node, "s1");
    let id = reaches(&node, "s1", "sent")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    fan.expect("the command", is(&id));
    for life in 1..=3 {
        node.kill9();
        node.restart();
        let fan = device(&node, "s1");
        fan.expect("the command again", is(&id));
        node.settle();
        let strangers: Vec<_> = fan.messages().into_iter().filter(|m| !is(&id)(m)).collect();
        assert_eq!(strangers, [], "life {life}");
        assert_eq!(commands(&node).len(), 1, "life {life}");
    }
    publish(&node, "dt/johannstadt/s1/fan", "1");
    reaches(&node, "s1", "done");
    node.kill9();
    node.restart();
    let all = commands(&node);
    assert_eq!(all.len(), 1, "{all:#?}");
    let done = (&json!(id), &json!("done"), &json!("rows 1.0.0"));
    assert_eq!((&all[0]["id"], &all[0]["state"], &all[0]["by"]), done);
    let fan = device(&node, "s1");
    let args = ["ask", "johannstadt", "s1", "fan", "0", "--why", "marker"];
    let marker = json_of(&node, &args)["id"].as_str().unwrap().to_owned();
    fan.expect("the marker", is(&marker));
    assert!(!fan.messages().iter().any(is(&id)), "it was done");
}

#[test]
fn a_command_that_needs_approval_waits_for_a_person() {
    if !has_mosquitto_clients() {
        return;
    }
    let careful = |manifest: String| {
        manifest.replace("requires_approval = false", "requires_approval = true")
    };
    let Some((node, _folder)) = with_plugin(careful) else {
        return;
    };
    let fans = Subscriber::start(node.mqtt(), "5", &["cmd/v1/johannstadt/+"], &[]);
    for asset in ["s1", "s2"] {
        warm(&node, asset);
    }
    let id = |asset: &str| {
        reaches(&node, asset, "waiting")["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (first, second) = (id("s1"), id("s2"));
    assert_eq!(node.json("/api/v1/assets/s1")["desired"], json!({}));
    let unsaid = command(&node, &["approve", &first]);
    assert_eq!(unsaid.code, Some(2), "without a reason: {unsaid:?}");
    let rejected = json_of(&node, &["reject", &second, "--why", "no"]);
    assert_eq!(rejected["state"], "rejected");
    let approved = json_of(&node, &["approve", &first, "--why", "agreed by telephone"]);
    let expected = (&json!("sent"), &json!("agreed by telephone"));
    assert_eq!((&approved["state"], &approved["judged"]["why"]), expected);
    fans.expect("the approved one", is(&first));
    let again = command(&node, &["approve", &second, "--why", "after all"]);
    assert_eq!(again.code, Some(1));
    assert!(
        again
            .stderr
            .contains(&format!("command {second} is rejected")),
        "{again:?}"
    );
    assert!(!fans.messages().iter().any(is(&second)));
    let withdrawn = json_of(&node, &["withdraw", &first, "--why", "changed"]);
    assert_eq!(withdrawn["state"], "withdrawn");
}

#[test]
fn an_interlock_holds_a_command_and_lets_it_go_and_limits_are_for_all() {
    if !has_mosquitto_clients() {
        return;
    }
    let mut config = config();
    config.more.push_str(
        "\n[[interlock]]\nkind = \"wallbox\"\nmetric = \"temperature\"\nabove = 60\nreason = \"hot\"\n\
         \n[[interlock]]\nproperty = \"limit_kw\"\nmax = 11\nreason = \"cable\"\n",
    );
    let node = Node::start(config);
    let wallbox = device(&node, "w1");
    publish(&node, "dt/johannstadt/w1/temperature", "71");
    node.settle();
    let id = ask(&node, "w1", "4.2", "10m");
    let held = reaches(&node, "w1", "held");
    assert_eq!(held["reason"], "temperature is above 60: hot");
    publish(&node, "dt/johannstadt/w1/temperature", "55");
    wallbox.expect("what was held", is(&id));
    assert_eq!(wallbox.messages().len(), 1, "nothing before");
    let beyond = command(
        &node,
        &[
            "ask",
            "johannstadt",
            "w1",
            "limit_kw",
            "11.5",
            "--why",
            "more",
        ],
    );
    assert_eq!(beyond.code, Some(1));
    assert!(
        beyond
            .stderr
            .contains("11.5 is not within any and 11 of the operator: cable"),
        "{beyond:?}"
    );
    assert_eq!(
        reaches(&node, "w1", "sent")["id"],
        json!(id),
        "what is refused replaces nothing"
    );
}

#[test]
fn a_command_that_no_device_answers_expires() {
    if !has_mosquitto_clients() {
        return;
    }
    let node = Node::start(config());
    let wallbox = device(&node, "w1");
    let id = ask(&node, "w1", "4.2", "8s");
    let expired = reaches(&node, "w1", "expired");
    assert_eq!(expired["id"], json!(id));
    assert_eq!(
        expired["attempts"], 2,
        "again after five seconds: {expired}"
    );
    assert!(
        expired["reason"]
            .as_str()
            .unwrap()
            .contains("did not report"),
        "{expired}"
    );
    eventually("both came", SOON, || {
        let came = wallbox.messages();
        (came.len() == 2 && came.iter().all(is(&id)))
            .then_some(())
            .ok_or(format!("{came:?}"))
    });
}

#[test]
fn without_the_right_nobody_commands_or_learns_who_did() {
    if !has_mosquitto_clients() {
        return;
    }
    let mut node = Node::start(config());
    ask(&node, "w1", "4.2", "10m");
    node.configure(|config| config.anonymous = "dashboard".to_owned());
    node.restart();
    let args = [
        "ask",
        "johannstadt",
        "w1",
        "limit_kw",
        "11",
        "--why",
        "mine",
    ];
    let refused = command(&node, &args);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("401") && refused.stderr.contains("utility or operator"),
        "{refused:?}"
    );
    let all = commands(&node);
    assert_eq!(all.len(), 1);
    let hidden = (&Value::Null, &Value::Null, &json!(4.2));
    assert_eq!((&all[0]["by"], &all[0]["why"], &all[0]["value"]), hidden);
    let path = format!(
        "/api/v1/commands/{}/withdraw",
        all[0]["id"].as_str().unwrap()
    );
    assert_eq!(get(node.http(), &path).unwrap().status, 405);
    let withdrawn = command(
        &node,
        &["withdraw", all[0]["id"].as_str().unwrap(), "--why", "x"],
    );
    assert_eq!(withdrawn.code, Some(1), "{withdrawn:?}");
    let bad = command(&node, &["list", "--token", "qt_nobody_x"]);
    assert!(bad.stderr.contains("bearer token is not good"), "{bad:?}");
}

#[test]
fn a_wrong_wish_is_answered_with_what_to_do() {
    let node = Node::start(config());
    let ask = |args: &[&str]| command(&node, &[&["ask"], args, &["--why", "test"]].concat());
    for (args, says) in [
        (
            ["johannstadt", "w9", "limit_kw", "1", "--expires", "1m"],
            "there is no asset \"w9\"",
        ),
        (
            ["nowhere", "w1", "limit_kw", "1", "--expires", "1m"],
            "there is no asset \"w1\"",
        ),
        (
            ["johannstadt", "w1", "a/b", "1", "--expires", "1m"],
            "property must be one topic level",
        ),
        (
            ["johannstadt", "w1", "limit_kw", "1", "--expires", "0s"],
            "expires_s must be within",
        ),
        (
            ["johannstadt", "w1", "limit_kw", "1", "--expires", "8d"],
            "expires_s must be within",
        ),
    ] {
        let done = ask(&args);
        assert_eq!(done.code, Some(1), "{args:?}");
        assert!(done.stderr.contains(says), "{args:?}: {done:?}");
    }
    let nowhere = run(
        Command::new(quartier()).args(["command", "list", "--node", "http://127.0.0.1:9"]),
        SOON,
    );
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.stderr.contains("127.0.0.1:9"), "{nowhere:?}");
    let list = command(&node, &["list", "--state", "lost"]);
    assert!(
        list.stderr.contains("state is one of waiting, held"),
        "{list:?}"
    );
}
