//! The whole path under load: CPU a reading, throughput, latency, on both sides.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use quartier_tests::{Node, NodeConfig, cpu_seconds, health_plugin, pause};
use serde_json::json;

use crate::Extent;
use crate::generator::{self, ASSETS, Ledger, PUBLISHERS};
use crate::mosquitto::Mosquitto;
use crate::receiver::Receiver;
use crate::table::Table;

/// Readings a second of the paced load.
const PACED: f64 = 2000.0;
/// Before anything is measured.
const WARM_UP: Duration = Duration::from_secs(1);
/// For what is acknowledged to reach the subscriber.
const ARRIVAL: Duration = Duration::from_secs(60);

/// One side under one load.
#[derive(Debug)]
struct Run {
    /// Of user and system time of the server's process, for each reading.
    cpu_us: f64,
    /// The same of this process: load generator and subscriber.
    load_us: f64,
    /// Acknowledged readings a second.
    rate: f64,
    latencies: Vec<u32>,
}

impl Run {
    fn latency_ms(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let at = (last as f64 * share) as usize;
        self.latencies
            .get(at)
            .map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
    }
}

struct Side {
    server: SocketAddr,
    pid: u32,
    ledger: Arc<Ledger>,
    receiver: Receiver,
}

impl Side {
    fn new(server: SocketAddr, pid: u32, filter: &str, key: &'static str) -> Result<Self> {
        let ledger = Ledger::new();
        let receiver = Receiver::start(server, filter, key, Arc::clone(&ledger))?;
        let side = Self {
            server,
            pid,
            ledger,
            receiver,
        };
        side.run(None, WARM_UP)?;
        Ok(side)
    }

    /// Everything counts that is acknowledged, and the CPU until all of it has reached the
    /// subscriber.
    fn run(&self, rate: Option<f64>, time: Duration) -> Result<Run> {
        let before = (
            self.ledger.acknowledged.load(Relaxed),
            self.ledger.received.load(Relaxed),
        );
        let own = std::process::id();
        let (cpu, load) = (cpu_seconds(self.pid), cpu_seconds(own));
        drop(self.receiver.latencies());
        let took = generator::publish(self.server, &self.ledger, rate, time)?;
        let sent = self.ledger.acknowledged.load(Relaxed) - before.0;
        let deadline = Instant::now() + ARRIVAL;
        while self.ledger.received.load(Relaxed) - before.1 < sent {
            if !self.receiver.lives() || Instant::now() > deadline {
                let received = self.ledger.received.load(Relaxed) - before.1;
                let lives = if self.receiver.lives() {
                    "lives"
                } else {
                    "was ended by the server"
                };
                bail!(
                    "{received} of {sent} acknowledged readings reached the subscriber, which {lives}"
                );
            }
            pause(Duration::from_millis(5));
        }
        let (cpu, load) = (cpu_seconds(self.pid) - cpu, cpu_seconds(own) - load);
        let latencies = self.receiver.latencies();
        Ok(Run {
            cpu_us: cpu * 1e6 / sent as f64,
            load_us: load * 1e6 / sent as f64,
            rate: sent as f64 / took,
            latencies,
        })
    }
}

struct Measured {
    saturated: Run,
    paced: Run,
    half: Run,
}

fn all(side: &Side, time: Duration) -> Result<Measured> {
    let saturated = side.run(None, time)?;
    let paced = side.run(Some(PACED), time)?;
    let half = side.run(Some(saturated.rate / 2.0), time)?;
    Ok(Measured {
        saturated,
        paced,
        half,
    })
}

/// The boxes of the load as the registry knows them: spread over a square of 2 km.
fn assets() -> String {
    let feature = |number: u32| {
        let id = generator::asset(number / ASSETS, number % ASSETS);
        let (row, column) = (f64::from(number / 32), f64::from(number % 32));
        let place = [13.75 + column * 0.0009, 51.04 + row * 0.0006];
        json!({
            "type": "Feature",
            "id": id,
            "geometry": { "type": "Point", "coordinates": place },
            "properties": { "kind": "sensor_box", "name": id },
        })
    };
    let features: Vec<_> = (0..PUBLISHERS * ASSETS).map(feature).collect();
    json!({ "type": "FeatureCollection", "features": features }).to_string()
}

/// Both sides in turn under the same loads.
pub(crate) fn measure(table: &mut Table, extent: &Extent) -> Result<()> {
    eprintln!("mosquitto ...");
    let mosquitto = Mosquitto::start()?;
    let side = Side::new(mosquitto.address, mosquitto.pid(), "dt/#", "\"pm10\":")?;
    let theirs = all(&side, extent.time)?;
    side.receiver.finish()?;
    drop(mosquitto);

    eprintln!("Quartier ...");
    let Some(plugin) = health_plugin() else {
        bail!("run plugins/build first")
    };
    let node = Node::start(NodeConfig {
        quarters: vec![("johannstadt".to_owned(), Some(assets()))],
        plugins: vec![("johannstadt".to_owned(), plugin)],
        ..NodeConfig::default()
    });
    let side = Side::new(
        node.mqtt(),
        node.pid(),
        "twin/v1/+/environment/#",
        "\"value\":",
    )?;
    let ours = all(&side, extent.time)?;
    side.receiver.finish()?;
    report(table, &ours, &theirs);
    plugin_cost(table, &node);
    Ok(())
}

fn report(table: &mut Table, ours: &Measured, theirs: &Measured) {
    let load = format!(
        "{PUBLISHERS} publishers for {} assets, 150-byte flat JSON, QoS 1, one subscriber of all at QoS 1",
        PUBLISHERS * ASSETS
    );
    let cpu = |run: &Run, other: &Run| (run.cpu_us, other.cpu_us);
    table.both(
        "CPU per reading, saturated",
        cpu(&ours.saturated, &theirs.saturated),
        "us",
        "<= 0.5, then 0.25",
        &format!("user+sys of the server's process until all is delivered / readings; {load}, 20 in flight each, at most 5,000 between publishers and subscriber"),
    );
    table.both(
        "throughput, saturated",
        (ours.saturated.rate, theirs.saturated.rate),
        "/s",
        "",
        "acknowledged readings / time, load generator on the same cores",
    );
    table.both(
        "CPU per reading, 2,000/s",
        cpu(&ours.paced, &theirs.paced),
        "us",
        "",
        &format!("the same, evenly paced; {load}"),
    );
    let how = format!(
        "from before the publish's write to after the subscriber's read, at half of the saturated \
         throughput of each side ({:.0}/s, {:.0}/s)",
        ours.half.rate, theirs.half.rate
    );
    let cores = |run: &Run| (run.cpu_us + run.load_us) * run.rate / 1e6;
    table.both(
        "CPU per reading, half load",
        cpu(&ours.half, &theirs.half),
        "us",
        "",
        &format!(
            "the same at half of the saturated throughput of each side, evenly paced; with load \
             generator and subscriber {:.2} and {:.2} cores are busy then",
            cores(&ours.half),
            cores(&theirs.half)
        ),
    );
    for (name, share, goal) in [
        ("p50", 0.5, ""),
        ("p99", 0.99, "<= 10 ms"),
        ("p99.9", 0.999, ""),
    ] {
        let pair = (ours.half.latency_ms(share), theirs.half.latency_ms(share));
        table.both(
            &format!("latency at half load, {name}"),
            pair,
            "ms",
            goal,
            &how,
        );
    }
    let pair = (ours.paced.latency_ms(0.99), theirs.paced.latency_ms(0.99));
    table.both(
        "latency at 2,000/s, p99",
        pair,
        "ms",
        "",
        "the same at the paced load",
    );
}

fn plugin_cost(table: &mut Table, node: &Node) {
    let rows = node.figure("quartier_plugin_rows_total");
    let busy = node.figure("quartier_plugin_busy_nanoseconds_total");
    let readings = node.figure("quartier_intake_readings_total");
    table.one(
        "plugin health, per row",
        busy / rows,
        "ns",
        "",
        &format!(
            "busy time of its worker / rows it got, from /metrics: {rows:.0} closed hourly windows \
             of {readings:.0} readings"
        ),
    );
    table.one(
        "plugin health, per reading",
        busy / readings,
        "ns",
        "<= 50 ns",
        "the same busy time / readings taken: it subscribes to hourly windows, not to readings",
    );
}
