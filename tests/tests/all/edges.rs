//! Who is a box: invitations, certificates, and the end of both.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use quartier_tests::{
    City, Finished, Load, LoadOptions, Node, NodeConfig, WallClock, cli, counters, eventually,
    free_address, has_mosquitto_clients, mosquitto_pub, quartier_edge, run, send,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);
const BOX: &str = "box-1";
const QUARTER: &str = "dresden-ost";
const MINUTE: i64 = 60;

fn city() -> City {
    City::start(NodeConfig::of(QUARTER), free_address())
}

/// An invitation for an hour.
fn invite(city: &City, node: &str) -> String {
    let wish = json!({ "node": node, "quarter": QUARTER, "hours": 1, "why": "a test" });
    let answer = city.operator().post("/api/v1/edges", &wish);
    let answer: Value = answer.json().unwrap_or_default();
    answer["token"].as_str().unwrap_or_default().to_owned()
}

fn enroll(city: &City, token: &str) -> Finished {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}/", city.node.http());
    enroll_into(folder.path(), &["enroll", "--token", token, "--city", &url])
}

fn enroll_into(folder: &Path, args: &[&str]) -> Finished {
    let mut command = Command::new(quartier_edge());
    run(command.args(args).arg("--out").arg(folder), SOON)
}

/// Somebody on the way to the city: passes one enrolment on, and the answer for another quarter.
fn in_between(city: &City) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (address, city) = (listener.local_addr().unwrap(), city.node.http());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let head = reader.by_ref().lines().map_while(Result::ok);
        let head = head.take_while(|line| !line.is_empty());
        let length = head.filter_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.last().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let fields = [("Content-Type", "application/json")];
        let answer = send(city, "POST", "/api/v1/edges/enrol", &fields, &body).unwrap();
        let text = answer.text().replace(QUARTER, "elsewhere");
        let length = text.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{text}"
        )
        .unwrap();
    });
    address
}

/// Whether the box says that it is connected, or what is in the way.
fn uplink(node: &Node) -> String {
    let ready = node.json("/readyz");
    let parts = ready["parts"].as_array().cloned().unwrap_or_default();
    let part = parts.iter().find(|part| part["name"] == "uplink");
    part.map_or_else(String::new, |part| {
        part["detail"].as_str().unwrap_or_default().to_owned()
    })
}

fn says(node: &Node, what: &str) {
    eventually(what, SOON, || {
        let said = uplink(node);
        match said.contains(what) {
            true => Ok(()),
            false => Err(said),
        }
    });
}

#[test]
fn an_invitation_is_an_operators_and_good_once_and_for_its_secret_only() {
    let city = city();
    let wish = json!({ "node": BOX, "quarter": QUARTER, "why": "a test" });
    let nobody = quartier_tests::Api::of(city.node.http());
    assert_eq!(nobody.post("/api/v1/edges", &wish).status, 401);
    let elsewhere = json!({ "node": BOX, "quarter": "nowhere", "why": "a test" });
    assert_eq!(
        city.operator().post("/api/v1/edges", &elsewhere).status,
        400
    );
    let token = invite(&city, BOX);
    let (id, secret) = token.rsplit_once('_').unwrap();
    let other: String = secret.chars().rev().collect();
    let wrong = enroll(&city, &format!("{id}_{other}"));
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.stderr.contains("not good"), "{wrong:?}");
    assert_eq!(city.node.json("/api/v1/edges"), json!({ "edges": [] }));
    let right = enroll(&city, &token);
    assert_eq!(right.code, Some(0), "{right:?}");
    let again = enroll(&city, &token);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert_eq!(city.edge(BOX)["quarter"], QUARTER);
}

#[test]
fn a_newer_certificate_of_the_same_name_ends_the_older_one() {
    let city = city();
    let first = Node::start(city.enrol(BOX, QUARTER).config());
    says(&first, "connected to");
    let before = city.edge(BOX)["certificate"].clone();
    // The harness writes the new identity over the old one, which the running box has read.
    let _second = city.enrol(BOX, QUARTER);
    assert_ne!(city.edge(BOX)["certificate"], before);
    says(&first, "refuses this box");
}

#[test]
fn a_retired_box_is_gone_at_once_and_never_comes_back() {
    let city = city();
    let mut node = Node::start(city.enrol(BOX, QUARTER).config());
    says(&node, "connected to");
    let path = format!("/api/v1/edges/{BOX}/retire");
    let why = json!({ "why": "stolen" });
    let nobody = quartier_tests::Api::of(city.node.http());
    assert_eq!(nobody.post(&path, &why).status, 401);
    let done = city.operator().post(&path, &why);
    assert_eq!(done.status, 200, "{}", done.text());
    says(&node, "refuses this box");
    let position = city.edge(BOX)["position"].clone();
    node.terminate();
    node.restart();
    says(&node, "refuses this box");
    let edge = city.edge(BOX);
    assert_eq!(
        (&edge["position"], &edge["standing"]),
        (&position, &json!("retired"))
    );
    assert_eq!(city.operator().post(&path, &why).status, 409);
}

#[test]
fn what_invite_says_to_type_enrols_the_box_and_retires_the_one_that_it_named() {
    let city = city();
    city.enrol(BOX, QUARTER);
    let wish = json!({ "node": BOX, "quarter": QUARTER, "why": "a test" });
    let renewal = city.operator().post("/api/v1/edges", &wish).json().unwrap();
    assert_eq!(renewal["replaces"], Value::Null, "{renewal}");
    let args = ["edge", "invite", "box-2", "--quarter", QUARTER];
    let in_json = city.cli(&[&args[..], &["--json"]].concat());
    let in_json: Value = serde_json::from_str(&in_json.stdout).unwrap();
    assert_eq!(in_json["replaces"], BOX, "{in_json}");
    let said = city.cli(&args);
    assert_eq!(said.code, Some(0), "{said:?}");
    let token = said.stdout.trim_end_matches('\n');
    assert!(token.starts_with("qe_") && !token.contains(char::is_whitespace));
    assert!(said.stderr.contains("is this machine"), "{said:?}");
    assert!(said.stderr.contains("retires box-1"), "{said:?}");
    let mut lines = said.stderr.lines().map(str::trim);
    let line = lines.find_map(|line| line.strip_prefix("quartier-edge "));
    let words: Vec<_> = line.unwrap().split(' ').collect();
    assert!(words.contains(&token), "{words:?}");
    assert_eq!(city.edge(BOX)["standing"], "active");
    let folder = tempfile::tempdir().unwrap();
    let done = enroll_into(folder.path(), &words);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(city.edge(BOX)["standing"], "retired");
    assert_eq!(city.edge("box-2")["standing"], "active");
    let config = folder.path().join("quartier.toml");
    let right = cli(&["config", "check", config.to_str().unwrap()]);
    assert_eq!((right.code, &*right.stderr), (Some(0), ""), "{right:?}");
}

#[test]
fn a_box_without_its_configuration_says_once_why_it_does_not_start() {
    let mut serve = Command::new(quartier_edge());
    let said = run(serve.args(["serve", "--config", "nowhere.toml"]), SOON);
    let why = "nowhere.toml: cannot be read: No such file or directory (os error 2)";
    assert_eq!(
        (said.code, &*said.stderr),
        (Some(2), &*format!("quartier-edge: {why}")),
    );
}

#[test]
fn a_box_whose_identity_is_damaged_serves_its_quarter_and_names_the_file() {
    let city = city();
    let identity = city.enrol(BOX, QUARTER);
    for file in ["box.key", "box.crt", "ca.crt"] {
        let path = identity.folder().join(file);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, "damaged").unwrap();
        let edge = Node::start(identity.config());
        let options = LoadOptions {
            most: 3,
            ..LoadOptions::new(QUARTER, 1)
        };
        Load::start(edge.mqtt(), &options).finish(SOON);
        let found = counters(edge.mqtt(), "uptime", |found| !found.is_empty());
        assert_eq!(found.get("device-0"), Some(&(2.0, 3)));
        let ready = edge.json("/readyz");
        let parts = ready["parts"].as_array().unwrap();
        let uplink = parts.iter().find(|part| part["name"] == "uplink").unwrap();
        let detail = uplink["detail"].to_string();
        let told = detail.contains(file) && detail.contains("then restart");
        assert!(told && uplink["state"] == "degraded", "{uplink}");
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn invite_names_the_quarter_that_loses_its_box_to_another() {
    let quarters = [QUARTER, "johannstadt"].map(|id| (id.to_owned(), None));
    let config = NodeConfig {
        quarters: quarters.into(),
        ..NodeConfig::of(QUARTER)
    };
    let city = City::start(config, free_address());
    city.enrol(BOX, QUARTER);
    let said = city.cli(&["edge", "invite", BOX, "--quarter", "johannstadt"]);
    let named = "box-1 is the box of dresden-ost now";
    assert!(said.stderr.contains(named), "{said:?}");
    let other = city.cli(&["edge", "invite", "box-2", "--quarter", "johannstadt"]);
    assert!(!other.stderr.contains("now"), "{other:?}");
}

#[test]
fn an_invitation_is_refused_once_its_time_is_over() {
    let Some(clock) = WallClock::ahead(0) else {
        return;
    };
    let config = NodeConfig {
        env: clock.env(),
        ..NodeConfig::of(QUARTER)
    };
    let city = City::start(config, free_address());
    let (in_time, late) = (invite(&city, BOX), invite(&city, "box-2"));
    clock.set(59 * MINUTE);
    let done = enroll(&city, &in_time);
    assert_eq!(done.code, Some(0), "{done:?}");
    clock.set(61 * MINUTE);
    let refused = enroll(&city, &late);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("not good"), "{refused:?}");
    assert_eq!(city.edge(BOX)["standing"], "active");
}

#[test]
fn a_stolen_certificate_writes_to_its_own_uplink_only_and_once_retired_to_nothing() {
    if !has_mosquitto_clients() {
        return;
    }
    let mut config = NodeConfig::of(QUARTER);
    config.quarters.push(("johannstadt".to_owned(), None));
    let city = City::start(config, free_address());
    let stolen = city.enrol(BOX, QUARTER);
    city.enrol("box-2", "johannstadt");
    let file = |name: &str| stolen.folder().join(name).display().to_string();
    let (ca, certificate, key) = (file("ca.crt"), file("box.crt"), file("box.key"));
    let publish = |topic: &str| {
        let tls = ["--cafile", &ca, "--cert", &certificate, "--key", &key];
        let message = ["-V", "5", "-t", topic, "-m", "21.5"];
        mosquitto_pub(city.mqtts(), &[&tls[..], &message].concat())
    };
    let refused = |node: &str| city.edge(node)["refused"].clone();
    let own = format!("uplink/v1/{BOX}");
    let taken = publish(&own);
    assert_eq!((taken.code, &*taken.stderr), (Some(0), ""), "{taken:?}");
    city.node.settle();
    assert_eq!(refused(BOX), 1, "it came, and is no batch");
    for topic in [
        "dt/dresden-ost/s1/temperature",
        "twin/v1/dresden-ost/environment/s1/temperature",
        "uplink/v1/box-2",
        "uplink/v1/box-2/news",
        "downlink/v1/box-1/cursor",
        "cmd/v1/dresden-ost/s1",
    ] {
        let denied = publish(topic);
        assert!(
            denied.stderr.contains("Not authorized"),
            "{topic} {denied:?}"
        );
    }
    city.node.settle();
    assert_eq!(city.node.value("s1", "temperature"), None);
    assert_eq!((refused(BOX), refused("box-2")), (json!(1), json!(0)));
    let why = json!({ "why": "stolen" });
    let done = city
        .operator()
        .post(&format!("/api/v1/edges/{BOX}/retire"), &why);
    assert_eq!(done.status, 200, "{}", done.text());
    let gone = publish(&own);
    assert_ne!(gone.code, Some(0), "{gone:?}");
    assert!(gone.stderr.contains("Not authorized"), "{gone:?}");
    city.node.settle();
    assert_eq!(refused(BOX), 1);
}

#[test]
fn a_city_that_could_not_let_a_box_in_warns_at_its_start_and_when_it_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca").display().to_string();
    assert_eq!(cli(&["cert", "ca", "--out", &ca]).code, Some(0));
    let node = Node::start(NodeConfig {
        more: format!("[edge]\nca_dir = \"{ca}\"\n"),
        ..NodeConfig::of(QUARTER)
    });
    let config = node.folder().join("quartier.toml");
    let checked = cli(&["config", "check", config.to_str().unwrap()]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    for said in [node.log(), checked.stderr] {
        for key in ["mqtt.tls_listen: ", "mqtt.client_ca_file: "] {
            assert!(said.contains(key), "{said}");
        }
    }
    let good = city();
    assert!(
        !good.node.log().contains("edge.ca_dir"),
        "{}",
        good.node.log()
    );
}

#[test]
fn an_answer_of_the_city_that_was_changed_on_its_way_gives_no_identity() {
    let city = city();
    let token = invite(&city, BOX);
    let url = format!("http://{}/", in_between(&city));
    let folder = tempfile::tempdir().unwrap();
    let done = enroll_into(
        folder.path(),
        &["enroll", "--token", &token, "--city", &url],
    );
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr.contains("does not come from the city"),
        "{done:?}"
    );
    for file in ["box.crt", "box.key", "ca.crt", "quartier.toml"] {
        assert!(!folder.path().join(file).exists(), "{file}");
    }
}
