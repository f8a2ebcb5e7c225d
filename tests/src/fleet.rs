//! A city that boxes enrol at, with an authority of its own and TLS, and the boxes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{get, send};
use crate::lab::Api;
use crate::node::{Node, NodeConfig, quartier, quartier_edge};
use crate::process::{Finished, run};
use crate::wait::eventually;

/// Longest run of a command.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the operator of the city logs in with, and the hash of its secret in the configuration.
const TOKEN: &str = "qt_01_boxes";
const OPERATOR: &str = "[[mqtt.user]]
name = \"operator\"
roles = [\"operator\"]
[[mqtt.token]]
id = \"01\"
user = \"operator\"
hash = \"ff1f51bdc88ddff105542b5e621a9f793c40f314e8b46caa84fcf2c9cd39eb7e\"
";

/// A city.
#[derive(Debug)]
pub struct City {
    /// Its node.
    pub node: Node,
    keys: TempDir,
    mqtts: SocketAddr,
}

impl City {
    /// Starts one as configured, with MQTT over TLS at `mqtts`; port 0 is a free one.
    pub fn start(config: NodeConfig, mqtts: SocketAddr) -> Self {
        let keys = TempDir::new().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        let path = |name: &str| keys.path().join(name);
        let (ca, server) = (path("ca"), path("server"));
        certificate(&["ca"], &[("--out", &ca)]);
        let host = mqtts.ip().to_string();
        certificate(
            &["server", "--host", &host],
            &[("--ca", &ca), ("--out", &server)],
        );
        let text = |path: PathBuf| path.display().to_string();
        let mqtt = format!(
            "tls_listen = \"{mqtts}\"\ncert_file = \"{}\"\nkey_file = \"{}\"\n\
             client_ca_file = \"{}\"\n{}\n{OPERATOR}",
            text(server.join("server.crt")),
            text(server.join("server.key")),
            text(ca.join("ca.crt")),
            config.mqtt,
        );
        let more = format!("\n[edge]\nca_dir = \"{}\"\n{}", text(ca), config.more);
        let node = Node::start(NodeConfig {
            // Who is not logged in may look.
            anonymous: "dashboard".to_owned(),
            mqtt,
            more,
            ..config
        });
        let Some(mqtts) = node.mqtts() else {
            panic!("the city has no MQTT over TLS:\n{}", node.log())
        };
        Self { node, keys, mqtts }
    }

    /// Where boxes connect.
    pub fn mqtts(&self) -> SocketAddr {
        self.mqtts
    }

    /// Enrols a box of `quarter`: `quartier-edge enroll` with an invitation; its identity.
    pub fn enrol(&self, name: &str, quarter: &str) -> Identity {
        let invitation = json!({ "node": name, "quarter": quarter, "why": "a test" });
        let bearer = format!("Bearer {TOKEN}");
        let fields = [
            ("Content-Type", "application/json"),
            ("Authorization", &bearer),
        ];
        let body = invitation.to_string();
        let answer = send(
            self.node.http(),
            "POST",
            "/api/v1/edges",
            &fields,
            body.as_bytes(),
        );
        let answer = answer.unwrap_or_else(|error| panic!("invitation of {name}: {error:#}"));
        let token = answer.json().unwrap_or_default()["token"].clone();
        let Some(token) = token.as_str() else {
            panic!("invitation of {name}: {}", answer.text())
        };
        let folder = self.keys.path().join(name);
        let mut enroll = Command::new(quartier_edge());
        enroll.args(["enroll", "--replace", "--token", token, "--city"]);
        enroll.arg(format!("http://{}/", self.node.http()));
        enroll.arg("--out").arg(&folder);
        let done = run(&mut enroll, PATIENCE);
        assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
        Identity {
            name: name.to_owned(),
            quarter: quarter.to_owned(),
            city: self.mqtts,
            folder,
        }
    }

    /// `quartier ARGS`, as its operator calls it.
    pub fn cli(&self, args: &[&str]) -> Finished {
        let mut command = Command::new(quartier());
        command.args(args).arg("--node");
        command.arg(format!("http://{}", self.node.http()));
        run(command.env("QUARTIER_TOKEN", TOKEN), PATIENCE)
    }

    /// The city's API as its operator calls it.
    pub fn operator(&self) -> Api {
        Api::of(self.node.http()).token(TOKEN)
    }

    /// What the city knows of a box.
    pub fn edge(&self, name: &str) -> Value {
        let answer = get(self.node.http(), &format!("/api/v1/edges/{name}"));
        let json = answer.and_then(|answer| answer.json());
        json.unwrap_or_else(|error| panic!("box {name}: {error:#}"))
    }

    /// Waits until the city has all that the box has, says that both states were equal byte for
    /// byte at a position behind `position`, and never found a difference.
    pub fn is_equal(&self, name: &str, position: u64, within: Duration) {
        eventually("box and replica are equal", within, || {
            let edge = self.edge(name);
            let at = edge["proof"]["position"].as_u64().unwrap_or_default();
            assert_eq!(edge["differences"], 0, "{edge:#}");
            if at >= position && edge["proof"]["equal"] == true {
                Ok(())
            } else {
                Err(format!("wanted from {position} on: {edge:#}"))
            }
        });
    }

    /// Waits until box and city have the same value of the hash chain at the same position.
    pub fn has_same_past(&self, name: &str, node: &Node, within: Duration) {
        eventually("box and city have the same past", within, || {
            let file = node.data().join("uplink/chain");
            let own = std::fs::read_to_string(file).unwrap_or_default();
            let edge = self.edge(name);
            let value = edge["chain"].as_str().unwrap_or_default();
            let city = format!("{} {value}", edge["position"]);
            match own.trim() == city {
                true => Ok(()),
                false => Err(format!("{own}, {city}")),
            }
        });
    }
}

/// Certificate and key of a box.
#[derive(Debug, Clone)]
pub struct Identity {
    name: String,
    quarter: String,
    city: SocketAddr,
    folder: PathBuf,
}

impl Identity {
    /// The same, and the box reaches its city at this address.
    #[must_use]
    pub fn through(self, city: SocketAddr) -> Self {
        Self { city, ..self }
    }

    /// Configuration of the box's node.
    pub fn config(&self) -> NodeConfig {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let (ca, certificate, key) = (file("ca.crt"), file("box.crt"), file("box.key"));
        NodeConfig {
            name: self.name.clone(),
            more: format!(
                "\n[uplink]\ncity = \"mqtts://{}\"\nca_file = \"{ca}\"\n\
                 cert_file = \"{certificate}\"\nkey_file = \"{key}\"\n",
                self.city
            ),
            ..NodeConfig::of_box(&self.quarter)
        }
    }

    /// Folder of `box.crt`, `box.key` and `ca.crt`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn certificate(what: &[&str], folders: &[(&str, &Path)]) {
    let mut command = Command::new(quartier());
    command.arg("cert").args(what);
    for (name, folder) in folders {
        command.arg(name).arg(folder);
    }
    let done = run(&mut command, PATIENCE);
    assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
}
