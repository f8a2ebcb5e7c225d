//! A node as a process: `quartier serve`, or of a box `quartier-edge serve`, with a configuration in
//! a folder of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::http::{get, get_json};
use crate::net::{Net, Side};
use crate::process::{Process, run};
use crate::wait::eventually;

/// Longest start of a node, also after a kill under load on a busy machine.
const READY: Duration = Duration::from_secs(60);

/// The program under test: `QUARTIER_BIN`, or `quartier` in the folder of this build.
pub fn quartier() -> PathBuf {
    program("quartier", "QUARTIER_BIN")
}

/// The program of boxes: `QUARTIER_EDGE_BIN`, or `quartier-edge` in the folder of this build.
pub fn quartier_edge() -> PathBuf {
    program("quartier-edge", "QUARTIER_EDGE_BIN")
}

fn program(name: &str, variable: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return PathBuf::from(path);
    }
    let own = std::env::current_exe().unwrap_or_default();
    // target/debug/deps/all-1234 and target/release/bench both stand near target/*/quartier.
    let near = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name));
    let found = near.clone().find(|path| path.is_file());
    found.unwrap_or_else(|| {
        let places: Vec<_> = near.map(|path| path.display().to_string()).collect();
        panic!(
            "no program at {}: cargo build --workspace first",
            places.join(" or ")
        )
    })
}

/// What is configured beside name, data folder and ports.
#[derive(Debug, Clone, Default)]
pub struct NodeConfig {
    /// A box: `quartier-edge`, role `edge`.
    pub edge: bool,
    /// In which namespace it runs; absent: in that of the tests.
    pub inside: Option<(Arc<Net>, Side)>,
    /// Where the data are; absent: in the node's own folder.
    pub data: Option<PathBuf>,
    /// Name of the node; empty: `test-1`.
    pub name: String,
    /// Role of clients without login; empty: `operator`.
    pub anonymous: String,
    /// Lines of `[mqtt]`, and `[[mqtt.user]]` tables behind them.
    pub mqtt: String,
    /// Lines of `[http]`.
    pub http: String,
    /// Lines of `[journal]`.
    pub journal: String,
    /// Lines of `[influx]`; without them the sink is off.
    pub influx: Option<String>,
    /// Ids of the quarters, each with its assets (GeoJSON text), where there are any.
    pub quarters: Vec<(String, Option<String>)>,
    /// Quarter and folder of each plugin.
    pub plugins: Vec<(String, PathBuf)>,
    /// Text at the end of the file.
    pub more: String,
    /// Environment of the program.
    pub env: Vec<(String, String)>,
}

impl NodeConfig {
    /// One quarter without registered assets.
    pub fn of(quarter: &str) -> Self {
        Self {
            quarters: vec![(quarter.to_owned(), None)],
            ..Self::default()
        }
    }

    /// The same on a box.
    pub fn of_box(quarter: &str) -> Self {
        Self {
            edge: true,
            ..Self::of(quarter)
        }
    }

    /// With `[influx]` as given.
    #[must_use]
    pub fn influx(self, section: String) -> Self {
        Self {
            influx: Some(section),
            ..self
        }
    }

    fn text(&self, mqtt: SocketAddr, http: SocketAddr) -> String {
        let anonymous = if self.anonymous.is_empty() {
            "operator"
        } else {
            &self.anonymous
        };
        let name = if self.name.is_empty() {
            "test-1"
        } else {
            &self.name
        };
        let role = if self.edge { "edge" } else { "city" };
        let data = self.data.as_deref().unwrap_or(Path::new("data")).display();
        let mut text = format!(
            "[node]\nname = \"{name}\"\nrole = \"{role}\"\ndata = \"{data}\"\n\n\
             [http]\nlisten = \"{http}\"\n{}\n[journal]\n{}\n",
            self.http, self.journal
        );
        if let Some(influx) = &self.influx {
            text.push_str(&format!("\n[influx]\n{influx}"));
        }
        for (id, assets) in &self.quarters {
            text.push_str(&format!("\n[[quarter]]\nid = \"{id}\"\nname = \"{id}\"\n"));
            if assets.is_some() {
                text.push_str(&format!("assets_file = \"{id}.geojson\"\n"));
            }
        }
        for (quarter, path) in &self.plugins {
            text.push_str(&format!(
                "\n[[plugin]]\nquarter = \"{quarter}\"\npath = \"{}\"\n",
                path.display()
            ));
        }
        text.push_str(&format!(
            "\n[mqtt]\nlisten = \"{mqtt}\"\nanonymous = \"{anonymous}\"\n{}\n{}",
            self.mqtt, self.more
        ));
        text
    }

    /// Writes `quartier.toml` and the files it names into `folder`; the path of the file.
    pub fn write(&self, folder: &Path, mqtt: SocketAddr, http: SocketAddr) -> PathBuf {
        let write = |path: PathBuf, text: &str| {
            let written = std::fs::write(&path, text);
            written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            path
        };
        for (id, assets) in &self.quarters {
            if let Some(assets) = assets {
                write(folder.join(format!("{id}.geojson")), assets);
            }
        }
        write(folder.join("quartier.toml"), &self.text(mqtt, http))
    }
}

/// A running node; killed when dropped, and its log shown where the test fails.
#[derive(Debug)]
pub struct Node {
    config: NodeConfig,
    folder: TempDir,
    process: Process,
    /// Where it listens.
    ports: (SocketAddr, SocketAddr),
    /// Where it is reached.
    mqtt: SocketAddr,
    http: SocketAddr,
}

impl Node {
    /// Starts a node on free ports and waits until it is ready.
    pub fn start(config: NodeConfig) -> Self {
        let folder = TempDir::new().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let file = config.write(folder.path(), any, any);
        let (process, mqtt, http) = serve(&config, &file);
        // From here on the ports stay: a client finds the node again after a restart.
        config.write(folder.path(), mqtt, http);
        let reached = |address| match &config.inside {
            Some((net, side)) => net.open(*side, address),
            None => address,
        };
        Self {
            ports: (mqtt, http),
            mqtt: reached(mqtt),
            http: reached(http),
            config,
            folder,
            process,
        }
    }

    /// Address of MQTT.
    pub fn mqtt(&self) -> SocketAddr {
        self.mqtt
    }

    /// Address of HTTP.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Address of MQTT over TLS, where it is configured.
    pub fn mqtts(&self) -> Option<SocketAddr> {
        self.ready("mqtts=")
    }

    /// Address of HTTP over TLS, where it is configured.
    pub fn https(&self) -> Option<SocketAddr> {
        self.ready("https=")
    }

    fn ready(&self, key: &str) -> Option<SocketAddr> {
        let log = self.process.stderr();
        let line = log.iter().find(|line| line.contains("ready"))?;
        address(line, key)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its folder: `quartier.toml`, and `data` where it is not configured otherwise.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        let data = self.config.data.clone();
        data.unwrap_or_else(|| self.folder.path().join("data"))
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.stderr().join("\n")
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.process.terminate();
        self.process.wait(Duration::from_secs(30))
    }

    /// Starts it again on the same data and ports, after [`Node::kill9`] or [`Node::terminate`].
    pub fn restart(&mut self) {
        self.kill9();
        let (mqtt, http) = self.ports;
        let file = self.config.write(self.folder.path(), mqtt, http);
        (self.process, _, _) = serve(&self.config, &file);
    }

    /// Starts it again where it is to refuse that, with exit code 2; what it says.
    pub fn refuses(&mut self) -> String {
        self.kill9();
        let (mqtt, http) = self.ports;
        let file = self.config.write(self.folder.path(), mqtt, http);
        let said = run(&mut serve_command(&self.config, &file), READY);
        assert_eq!(said.code, Some(2), "{said:?}");
        said.stderr
    }

    /// Changes the configuration; it counts from the next [`Node::restart`] on.
    pub fn configure(&mut self, change: impl FnOnce(&mut NodeConfig)) {
        change(&mut self.config);
    }

    /// GET of JSON; panics with the log where there is none.
    pub fn json(&self, path: &str) -> Value {
        get_json(self.http, path)
    }

    /// A value of `/metrics`: the first line that starts with `name`, labels included; 0 without.
    pub fn figure(&self, name: &str) -> f64 {
        figure(&self.figures(), name)
    }

    /// The text of `/metrics`.
    pub fn figures(&self) -> String {
        get(self.http, "/metrics")
            .map(|answer| answer.text())
            .unwrap_or_default()
    }

    /// Newest value of a metric of an asset: value and rev.
    pub fn value(&self, asset: &str, metric: &str) -> Option<(f64, u64)> {
        let answer = get(self.http, &format!("/api/v1/assets/{asset}")).ok()?;
        let json = answer.json().ok()?;
        let found = &json["metrics"][metric];
        Some((found["value"].as_f64()?, found["rev"].as_u64()?))
    }

    /// Waits until the twin has folded everything that is in the journal.
    pub fn settle(&self) {
        self.part_settles("twin", Duration::from_secs(60));
    }

    /// Waits until the sink has delivered everything that is in the journal.
    pub fn delivered(&self, within: Duration) {
        self.settle();
        self.part_settles("influx", within);
    }

    fn part_settles(&self, name: &str, within: Duration) {
        eventually(&format!("{name} has caught up"), within, || {
            let ready = get(self.http, "/readyz")
                .and_then(|a| a.json())
                .map_err(|e| e.to_string())?;
            let part = ready["parts"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|p| p["name"] == name);
            let detail = part
                .map(|part| part["detail"].to_string())
                .unwrap_or_default();
            if detail.contains(" 0 entries behind") {
                Ok(())
            } else {
                Err(ready.to_string())
            }
        });
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- log of the node ----\n{}\n----", self.log());
        }
    }
}

/// A value of Prometheus' text format: the first line that starts with `name`; 0 without one.
pub(crate) fn figure(text: &str, name: &str) -> f64 {
    let mut lines = text.lines().filter(|line| line.starts_with(name));
    lines
        .next()
        .and_then(|line| line.rsplit_once(' ')?.1.parse().ok())
        .unwrap_or(0.0)
}

fn serve_command(config: &NodeConfig, file: &Path) -> Command {
    let program = if config.edge {
        quartier_edge()
    } else {
        quartier()
    };
    let mut command = match &config.inside {
        Some((net, side)) => net.command(*side, &program),
        None => Command::new(program),
    };
    command
        .args(["serve", "--config"])
        .arg(file)
        .envs(config.env.iter().map(|(name, value)| (name, value)))
        .env("NO_COLOR", "1")
        .env_remove("RUST_LOG");
    command
}

fn serve(config: &NodeConfig, file: &Path) -> (Process, SocketAddr, SocketAddr) {
    let process = Process::start(&mut serve_command(config, file));
    let ready = process.stderr_has(READY, |lines| {
        let line = lines
            .iter()
            .find(|line| line.contains("mqtt=") && line.contains("ready"))?;
        Some((address(line, "mqtt=")?, address(line, "http=")?))
    });
    let Some((mqtt, http)) = ready else {
        panic!(
            "the node did not become ready:\n{}",
            process.stderr().join("\n")
        );
    };
    (process, mqtt, http)
}

fn address(line: &str, key: &str) -> Option<SocketAddr> {
    line.split(key)
        .nth(1)?
        .split_ascii_whitespace()
        .next()?
        .parse()
        .ok()
}
