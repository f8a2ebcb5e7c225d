//! Plugins come, go further and go by the word of their lab; whatever is refused changes nothing.

mod commands;
mod refused;
mod rights;

use std::time::Duration;

use quartier_plugin_host::Package;
use quartier_tests::{Answer, Api, Lab, Node, NodeConfig, cli, eventually};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const PLUGIN: &str = "/api/v1/plugins/johannstadt/rows";

/// A node with a lab of two quarters, and a third quarter.
fn node(lab: &Lab, anonymous: &str) -> Node {
    let quarters = ["johannstadt", "friedrichstadt", "dresden-ost"];
    Node::start(NodeConfig {
        anonymous: anonymous.to_owned(),
        quarters: quarters.map(|id| (id.to_owned(), None)).to_vec(),
        more: lab.config(&["johannstadt", "friedrichstadt"]),
        ..NodeConfig::default()
    })
}

fn rows(lab: &Lab, version: &str) -> Option<Package> {
    let version = format!("version = \"{version}\"");
    lab.package("rows", &[("version = \"1.0.0\"", &version)])
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What runs, and the packages that are kept.
fn standing(node: &Node) -> (Value, Vec<String>) {
    let plugins = node.json("/api/v1/plugins");
    let kept = std::fs::read_dir(node.folder().join("data/plugins"));
    let names = kept
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name());
    let mut names: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    (plugins, names)
}

fn runs(node: &Node, quarter: &str, version: &str) {
    eventually("the version runs", PATIENCE, || {
        let list = node.json(&format!("/api/v1/plugins?quarter={quarter}"));
        let found = list["plugins"].as_array().into_iter().flatten();
        let mut found = found.filter(|p| p["version"] == version && p["state"] == "running");
        found.next().map(|_| ()).ok_or_else(|| list.to_string())
    });
}

/// The problem has this status and says each of these, in the form of RFC 9457.
fn is_refused(what: &str, answer: &Answer, status: u16, says: &[&str]) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    let problem = answer.json().unwrap();
    assert_eq!(problem["status"], status, "{what}: {problem}");
    for part in says {
        assert!(
            text(&problem["detail"]).contains(part),
            "{what}: {part:?} in {problem}"
        );
    }
    let headers = answer.headers.to_ascii_lowercase();
    assert!(
        headers.contains("application/problem+json"),
        "{what}: {headers}"
    );
}

/// A user's token, as soon as the node knows it; without a quarter: for every one.
fn token(node: &Node, user: &str, role: &str, quarter: &str) -> String {
    let file = node.folder().join("quartier.toml");
    let at = ["--config", file.to_str().unwrap()];
    let add = ["user", "add", user, "--role", role, "--no-password"];
    let only: &[&str] = if quarter.is_empty() {
        &[]
    } else {
        &["--quarter", quarter]
    };
    let issue = ["token", "issue", "--user", user, "--expires", "2d"];
    let added = cli(&[&add[..], only, &at].concat());
    assert_eq!(added.code, Some(0), "{added:?}");
    let issued = cli(&[&issue[..], &at].concat());
    let token = issued.stdout.trim().to_owned();
    eventually("the node knows the token", PATIENCE, || {
        let answer = Api::of(node.http())
            .token(&token)
            .get(&format!("{PLUGIN}/logs"));
        if answer.status == 401 {
            Err(answer.text())
        } else {
            Ok(())
        }
    });
    token
}
