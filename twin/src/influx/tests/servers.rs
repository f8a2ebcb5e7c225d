//! The real servers, from Debian, each on ports and in folders of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

use super::rig::PATIENCE;

/// A running server; it is killed when dropped.
pub(super) struct Server {
    kind: Kind,
    address: SocketAddr,
    other: SocketAddr,
    folder: TempDir,
    child: Option<Child>,
    client: reqwest::Client,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Influx1,
    VictoriaMetrics,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Influx1 => "/usr/bin/influxd",
            Self::VictoriaMetrics => "/usr/bin/victoria-metrics",
        }
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

impl Server {
    /// Chosen ports and folders, not started yet. `None`, said on stderr, where the server is not
    /// installed.
    pub(super) fn prepare(kind: Kind) -> Option<Self> {
        if !Path::new(kind.program()).exists() {
            eprintln!(
                "skipped: {} is not installed (apt-get install it)",
                kind.program()
            );
            return None;
        }
        let folder = TempDir::new().unwrap();
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        let (address, other) = (free_address(), free_address());
        Some(Self {
            kind,
            address,
            other,
            folder,
            child: None,
            client,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Starts it and waits until it answers.
    pub(super) async fn start(&mut self) {
        let folder = self.folder.path().display().to_string();
        let mut command = Command::new(self.kind.program());
        match self.kind {
            Kind::Influx1 => {
                let file = self.folder.path().join("influxdb.conf");
                std::fs::write(&file, influx_config(&folder, self.address, self.other)).unwrap();
                command.arg("-config").arg(file);
            }
            Kind::VictoriaMetrics => {
                command.arg(format!("-httpListenAddr={}", self.address));
                command.arg(format!("-storageDataPath={folder}/vm"));
                command.args(["-retentionPeriod=100y", "-memory.allowedBytes=64MB"]);
            }
        }
        let quiet = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(quiet.spawn().unwrap());
        let ping = match self.kind {
            Kind::Influx1 => "ping",
            Kind::VictoriaMetrics => "health",
        };
        let url = format!("{}/{ping}", self.url());
        let up = async {
            while !self
                .client
                .get(&url)
                .send()
                .await
                .is_ok_and(|a| a.status().is_success())
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, up)
            .await
            .expect("the server does not come up");
    }

    /// Kills it; the data stay.
    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Runs InfluxQL.
    pub(super) async fn query(&self, query: &str) -> Value {
        let url = format!("{}/query", self.url());
        let parameters = [("db", "city"), ("q", query), ("epoch", "ms")];
        let answer = self
            .client
            .post(url)
            .query(&parameters)
            .send()
            .await
            .unwrap();
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert!(answer["results"][0]["error"].is_null(), "{query}: {answer}");
        answer["results"][0]["series"].clone()
    }

    /// Writes line protocol as it is.
    pub(super) async fn write(&self, lines: &'static str) {
        let url = format!("{}/write?db=city&precision=ms", self.url());
        let answer = self.client.post(url).body(lines).send().await.unwrap();
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.unwrap()
        );
    }

    /// All samples of VictoriaMetrics: labels, values, times.
    pub(super) async fn export(&self) -> Vec<Value> {
        let flush = format!("{}/internal/force_flush", self.url());
        self.client.get(flush).send().await.unwrap();
        let url = format!("{}/api/v1/export", self.url());
        let all = [("match[]", "{__name__!=\"\"}"), ("start", "0")];
        let answer = self
            .client
            .get(url)
            .query(&all)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        answer
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn influx_config(folder: &str, http: SocketAddr, rpc: SocketAddr) -> String {
    format!(
        "reporting-disabled = true\nbind-address = \"{rpc}\"\n\
         [meta]\ndir = \"{folder}/meta\"\n\
         [data]\ndir = \"{folder}/data\"\nwal-dir = \"{folder}/wal\"\n\
         [monitor]\nstore-enabled = false\n\
         [http]\nbind-address = \"{http}\"\nlog-enabled = false\n"
    )
}
