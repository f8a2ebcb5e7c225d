//! One harness for all tests at the boundary: the real program as a process on ports of its own,
//! clients that know what was acknowledged, and the real servers it writes to.
//!
//! Everything that is started here ends with its owner; nothing waits longer than a deadline.
//! A helper that cannot do its work panics with what it knows: in a test that is the report.

mod broker;
mod card;
mod clients;
mod databases;
mod faketime;
mod fleet;
mod http;
mod lab;
mod load;
mod mosquitto;
mod mqtt;
mod net;
mod node;
mod process;
mod random;
mod told;
mod twin_topics;
mod wait;
mod websocket;

use std::path::{Path, PathBuf};

pub use broker::{Mosquitto, free_address};
pub use card::{Card, CardFigures, Left, free_bytes};
pub use clients::{chromium, node_script, python};
pub use databases::{Influx1, Victoria};
pub use faketime::{WallClock, has_faketime};
pub use fleet::{City, Identity};
pub use http::{Answer, get, get_json, post, send};
pub use lab::{Api, Lab, cli, form, unsigned};
pub use load::{EPOCH_MS, Load, LoadOptions, STEP_MS, Sent};
pub use mosquitto::{Line, Subscriber, has_mosquitto_clients, mosquitto_pub};
pub use mqtt::{Client, ConnectOptions, Packet, Version, connect_packet, publish_packet};
pub use net::{CITY, Conditions, Net, Side, Way};
pub use node::{Node, NodeConfig, quartier, quartier_edge};
pub use process::{Finished, Process, cpu_seconds, resident_bytes, run};
pub use random::Random;
pub use twin_topics::counters;
pub use wait::{eventually, eventually_some, pause};
pub use websocket::WebSocket;

/// Folder of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// A folder of the recorded data beside the workspace; `None`, said on stderr, without it.
pub fn data(folder: &str) -> Option<PathBuf> {
    let path = workspace().join("../shared/data").join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: there is no {}", path.display());
    None
}

/// A plugin as `plugins/build` leaves it; `None`, said on stderr, where it was not built.
pub fn component(name: &str) -> Option<PathBuf> {
    usable(workspace().join("plugins/target/components").join(name))
}

/// The health plugin, or the one in the folder `QUARTIER_PLUGIN_HEALTH`.
pub fn health_plugin() -> Option<PathBuf> {
    named("health", "QUARTIER_PLUGIN_HEALTH")
}

/// The mobility plugin, likewise.
pub fn mobility_plugin() -> Option<PathBuf> {
    component("mobility")
}

/// The science plugin, likewise.
pub fn science_plugin() -> Option<PathBuf> {
    component("science")
}

/// The test guest that derives, alerts and commands by temperature; `None`, said on stderr, where
/// it was not built.
pub fn rows_plugin() -> Option<PathBuf> {
    named("rows", "QUARTIER_PLUGIN_ROWS")
}

/// From the folder that a variable names, else as `plugins/build` leaves it.
fn named(name: &str, variable: &str) -> Option<PathBuf> {
    match std::env::var_os(variable) {
        Some(path) => usable(PathBuf::from(path)),
        None => component(name),
    }
}

fn usable(path: PathBuf) -> Option<PathBuf> {
    if path.join("component.wasm").is_file() {
        return Some(path);
    }
    eprintln!(
        "SKIPPED: there is no component in {}: run plugins/build",
        path.display()
    );
    None
}

/// Whether a program of Debian is there; says on stderr what to install where it is not.
pub fn has_program(program: &str, package: &str) -> bool {
    let found = Path::new(program).is_file();
    if !found {
        eprintln!("SKIPPED: {program} is missing: apt-get install {package}");
    }
    found
}
