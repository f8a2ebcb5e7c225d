//! Who is a box: invitations, certificates, and the end of both.

use std::process::Command;
use std::time::Duration;

use quartier_tests::{
    City, Finished, Node, NodeConfig, eventually, free_address, quartier_edge, run,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);
const BOX: &str = "box-1";
const QUARTER: &str = "dresden-ost";

fn city() -> City {
    City::start(NodeConfig::of(QUARTER), free_address())
}

fn invite(city: &City, node: &str) -> String {
    let wish = json!({ "node": node, "quarter": QUARTER, "why": "a test" });
    let answer = city.operator().post("/api/v1/edges", &wish);
    let answer: Value = answer.json().unwrap_or_default();
    answer["token"].as_str().unwrap_or_default().to_owned()
}

fn enroll(city: &City, token: &str) -> Finished {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(quartier_edge());
    command.args(["enroll", "--token", token, "--city"]);
    command.arg(format!("http://{}/", city.node.http()));
    command.arg("--out").arg(folder.path());
    run(&mut command, SOON)
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
