//! The real databases, from Debian, each on ports and in folders of its own.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::has_program;
use crate::http::{get, post};
use crate::process::Process;
use crate::wait::eventually;

const INFLUXD: &str = "/usr/bin/influxd";
const VICTORIA: &str = "/usr/bin/victoria-metrics";
const UP: Duration = Duration::from_secs(60);

/// An address on loopback that nobody listened at a moment ago.
pub(crate) fn free_address() -> SocketAddr {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.unwrap_or_else(|error| panic!("no free port: {error}"))
}

fn folder() -> TempDir {
    TempDir::new().unwrap_or_else(|error| panic!("no temporary folder: {error}"))
}

/// InfluxDB 1.6.7 with a database `city`.
#[derive(Debug)]
pub struct Influx1 {
    address: SocketAddr,
    rpc: SocketAddr,
    folder: TempDir,
    process: Option<Process>,
}

impl Influx1 {
    /// Ports and folders chosen, not started; `None`, said on stderr, where it is not installed.
    pub fn prepare() -> Option<Self> {
        has_program(INFLUXD, "influxdb").then(|| Self {
            address: free_address(),
            rpc: free_address(),
            folder: folder(),
            process: None,
        })
    }

    /// Started; `None`, said on stderr, where it is not installed.
    pub fn start() -> Option<Self> {
        let mut server = Self::prepare()?;
        server.up();
        Some(server)
    }

    /// Starts it, with the data it has, and waits until it answers.
    pub fn up(&mut self) {
        let (folder, http, rpc) = (self.folder.path(), self.address, self.rpc);
        let dir = folder.display();
        let file = folder.join("influxdb.conf");
        let text = format!(
            "reporting-disabled = true\nbind-address = \"{rpc}\"\n[meta]\ndir = \"{dir}/meta\"\n\
             [data]\ndir = \"{dir}/data\"\nwal-dir = \"{dir}/wal\"\n[monitor]\nstore-enabled = false\n\
             [http]\nbind-address = \"{http}\"\nlog-enabled = false\n"
        );
        std::fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.process = Some(Process::start(
            Command::new(INFLUXD).arg("-config").arg(file),
        ));
        eventually("InfluxDB answers", UP, || {
            let answer = get(http, "/ping").map_err(|error| error.to_string())?;
            if answer.status == 204 {
                Ok(())
            } else {
                Err(answer.text())
            }
        });
        self.query("CREATE DATABASE city");
    }

    /// Kills it; the data stay.
    pub fn down(&mut self) {
        self.process = None;
    }

    /// The `[influx]` section for it.
    pub fn config(&self) -> String {
        format!(
            "url = \"http://{}\"\napi = \"v1\"\ndatabase = \"city\"\n",
            self.address
        )
    }

    /// Runs InfluxQL: the series of the first statement, `Null` where there are none.
    pub fn query(&self, query: &str) -> Value {
        let body = format!("db=city&epoch=ms&q={}", encoded(query));
        let answer = post(self.address, "/query", body.as_bytes());
        let answer = answer.unwrap_or_else(|error| panic!("{query}: {error:#}"));
        let json = answer
            .json()
            .unwrap_or_else(|error| panic!("{query}: {error:#}"));
        assert!(
            answer.status == 200 && json["results"][0]["error"].is_null(),
            "{query}: {json}"
        );
        json["results"][0]["series"].clone()
    }

    /// Writes line protocol, past the product.
    pub fn write(&self, lines: &str) {
        let answer = post(
            self.address,
            "/write?db=city&precision=ms",
            lines.as_bytes(),
        );
        let status = answer.map_or(0, |answer| answer.status);
        assert_eq!(status, 204, "{lines}");
    }

    /// `(tag device, count, sum)` of a field, sorted by device.
    pub fn counts(&self, measurement: &str, field: &str) -> Vec<(String, u64, f64)> {
        let query = format!(
            "SELECT count(\"{field}\"), sum(\"{field}\") FROM \"{measurement}\" GROUP BY \"device\""
        );
        let series = self.query(&query);
        let mut counts: Vec<_> = series
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| {
                let device = one["tags"]["device"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                let row = &one["values"][0];
                (
                    device,
                    row[1].as_u64().unwrap_or(0),
                    row[2].as_f64().unwrap_or(f64::NAN),
                )
            })
            .collect();
        counts.sort_by(|a, b| a.0.cmp(&b.0));
        counts
    }
}

/// VictoriaMetrics.
#[derive(Debug)]
pub struct Victoria {
    address: SocketAddr,
    _folder: TempDir,
    _process: Process,
}

impl Victoria {
    /// Started; `None`, said on stderr, where it is not installed.
    pub fn start() -> Option<Self> {
        if !has_program(VICTORIA, "victoria-metrics") {
            return None;
        }
        let (address, folder) = (free_address(), folder());
        let process = Process::start(Command::new(VICTORIA).args([
            format!("-httpListenAddr={address}"),
            format!("-storageDataPath={}/vm", folder.path().display()),
            "-retentionPeriod=100y".to_owned(),
            "-memory.allowedBytes=128MB".to_owned(),
        ]));
        eventually("VictoriaMetrics answers", UP, || {
            let answer = get(address, "/health").map_err(|error| error.to_string())?;
            if answer.status == 200 {
                Ok(())
            } else {
                Err(answer.text())
            }
        });
        Some(Self {
            address,
            _folder: folder,
            _process: process,
        })
    }

    /// The `[influx]` section for it.
    pub fn config(&self) -> String {
        format!(
            "url = \"http://{}\"\napi = \"v2\"\norg = \"city\"\nbucket = \"city\"\n",
            self.address
        )
    }

    /// `(tag device, samples)` of `{measurement}_{field}`, sorted by device; every stored sample
    /// counts, so that one stored twice counts twice.
    pub fn counts(&self, measurement: &str, field: &str) -> Vec<(String, u64)> {
        let _ = get(self.address, "/internal/force_flush");
        let selector = encoded(&format!("{measurement}_{field}"));
        let answer = get(
            self.address,
            &format!("/api/v1/export?start=0&match[]={selector}"),
        );
        let answer = answer.unwrap_or_else(|error| panic!("export: {error:#}"));
        let mut counts = std::collections::BTreeMap::<String, u64>::new();
        for line in answer.text().lines() {
            let series: Value = serde_json::from_str(line).unwrap_or_default();
            let device = series["metric"]["device"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let samples = series["values"].as_array().map_or(0, Vec::len) as u64;
            *counts.entry(device).or_default() += samples;
        }
        counts.into_iter().collect()
    }
}

/// Percent-encoded, as a form wants it.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
