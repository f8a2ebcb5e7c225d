//! A box: how large its program is and how much memory it takes, and how it catches up after a week
//! without its city at a hundred readings a second, while live readings go on.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use quartier_tests::{
    City, Client, ConnectOptions, EPOCH_MS, Node, NodeConfig, Packet, component, data, eventually,
    free_address, pause, quartier_edge, resident_bytes,
};
use serde_json::Value;

use crate::Extent;
use crate::table::Table;

const BOX: &str = "box-1";
const QUARTER: &str = "dresden-ost";
/// Readings of a publish: a sound meter that sends every ten seconds what each second was.
const PACK: u64 = 10;
/// Between the beginnings of two devices in the recorded levels, seconds.
const APART: u64 = 211;
const IN_FLIGHT: usize = 200;
/// Between two live readings.
const LIVE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(3600);

/// See the module.
pub(crate) fn measure(table: &mut Table, extent: &Extent) -> Result<()> {
    size(table)?;
    memory(table)?;
    catch_up(table, extent.week)
}

fn size(table: &mut Table) -> Result<()> {
    let program = quartier_edge();
    let stripped = tempfile::NamedTempFile::new()?;
    let done = Command::new("strip")
        .arg("-o")
        .arg(stripped.path())
        .arg(&program)
        .status()?;
    if !done.success() {
        bail!("strip {}", program.display());
    }
    let bytes = stripped.as_file().metadata()?.len();
    table.one(
        "edge box: program",
        bytes as f64 / 1e6,
        "MB",
        "<= 25 MB",
        "quartier-edge, stripped",
    );
    Ok(())
}

fn memory(table: &mut Table) -> Result<()> {
    let Some(plugin) = component("science") else {
        bail!("the science plugin was not built: make plugins");
    };
    let mut node = Node::start(NodeConfig {
        plugins: vec![(QUARTER.to_owned(), plugin)],
        ..NodeConfig::of_box(QUARTER)
    });
    pause(Duration::from_secs(5));
    let first = resident_bytes(node.pid());
    node.terminate();
    node.restart();
    pause(Duration::from_secs(5));
    let how = "resident memory of an idle box with the plugin science";
    for (what, bytes, how) in [
        (
            "edge box: memory, plugin compiled",
            first,
            format!("{how}, after it was compiled"),
        ),
        (
            "edge box: memory, plugin cached",
            resident_bytes(node.pid()),
            format!("{how}, after a restart"),
        ),
    ] {
        table.one(what, bytes as f64 / 1e6, "MB", "<= 48 MB", &how);
    }
    Ok(())
}

fn catch_up(table: &mut Table, readings: u64) -> Result<()> {
    eprintln!("{readings} readings on a box without its city ...");
    let mut city = City::start(NodeConfig::of(QUARTER), free_address());
    let edge = Node::start(NodeConfig {
        // A week is to be there in minutes: the box does not spare its card.
        journal: "sync_ms = 2\n".to_owned(),
        ..city.enrol(BOX, QUARTER).config()
    });
    city.node.kill9();
    let (levels, of) = levels()?;
    backlog(edge.mqtt(), readings, &levels)?;
    edge.settle();
    let head = edge.figure("quartier_journal_position") as u64;
    city.node.restart();
    let live = Live::start(edge.mqtt(), city.node.mqtt());
    let mut began = None;
    let mut ended = Instant::now();
    eventually("the city catches up", PATIENCE, || {
        let position = city.edge(BOX)["position"].as_u64().unwrap_or_default();
        ended = Instant::now();
        if position > 1000 && began.is_none() {
            began = Some((position, ended));
        }
        match position >= head {
            true => Ok(()),
            false => Err(format!("{position} of {head}")),
        }
    });
    let late = live.finish()?;
    let (from, began) = began.context("it never began")?;
    let share = (head - from) as f64 / head as f64;
    let rate = readings as f64 * share / ended.duration_since(began).as_secs_f64().max(0.001);
    table.one(
        "edge box: catch-up",
        rate,
        "readings/s",
        ">= 50,000",
        &format!(
            "{readings} readings ({of}) in {head} entries, over TLS, from the first batch to the last"
        ),
    );
    table.one(
        "edge box: live reading meanwhile, p99",
        late.as_secs_f64() * 1e3,
        "ms",
        "<= 1,000 ms",
        "from the publish at the box to the city's twin topic; one that a newer one overtook counts until that came",
    );
    Ok(())
}

/// Sound levels, dB(A), a second apart, and what they are: recorded ones where there are any.
fn levels() -> Result<(Vec<f64>, &'static str)> {
    let Some(folder) = data("noise") else {
        let made = (0..21_600).map(|n| 40.0 + f64::from(n % 97) / 7.0);
        return Ok((made.collect(), "made sound levels"));
    };
    let mut rows = csv::Reader::from_path(folder.join("laeq_1s_first_6h.csv"))?;
    let mut levels = Vec::new();
    for row in rows.records() {
        levels.push(row?.get(1).context("a row without a level")?.parse()?);
    }
    Ok((levels, "recorded sound levels"))
}

/// A hundred sound meters, QoS 1, each with a reading a second of `levels` over and over.
fn backlog(server: SocketAddr, readings: u64, levels: &[f64]) -> Result<()> {
    let (mut client, _) = Client::connect(server, &ConnectOptions::new("backlog"))?;
    let (mut waiting, mut number) = (0, 0u64);
    while number * PACK < readings || waiting > 0 {
        while waiting < IN_FLIGHT && number * PACK < readings {
            let device = number % 100;
            let second = number / 100 * PACK;
            let values: Vec<String> = (second..second + PACK)
                .map(|second| {
                    let at = (second + device * APART) % levels.len() as u64;
                    let level = levels.get(at as usize).copied().unwrap_or_default();
                    let time = EPOCH_MS / 1000 + second;
                    format!("{{\"n\":\"laeq\",\"v\":{level},\"t\":{time}}}")
                })
                .collect();
            let payload = format!("[{}]", values.join(","));
            let id = u16::try_from(number % 60_000)? + 1;
            client.publish(
                &format!("dt/{QUARTER}/m{device}"),
                payload.as_bytes(),
                Some(id),
                false,
            );
            number += 1;
            waiting += 1;
        }
        client.flush()?;
        match client.receive(Duration::from_secs(60))? {
            Some(Packet::PubAck(..)) => waiting -= 1,
            Some(_) => {}
            None => bail!("no acknowledgement at publish {number}"),
        }
        while let Some(packet) = client.next_packet() {
            if matches!(packet, Packet::PubAck(..)) {
                waiting -= 1;
            }
        }
    }
    Ok(())
}

/// A reading a tenth of a second at the box, and when the city shows it.
struct Live {
    ending: Arc<AtomicBool>,
    thread: thread::JoinHandle<Result<Vec<Duration>>>,
}

impl Live {
    fn start(edge: SocketAddr, city: SocketAddr) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ending);
        let thread = thread::spawn(move || live(edge, city, &end));
        Self { ending, thread }
    }

    /// The 99th percentile.
    fn finish(self) -> Result<Duration> {
        self.ending.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        let Ok(taken) = ended else {
            bail!("the live readings ended in a panic");
        };
        let mut taken = taken?;
        taken.sort_unstable();
        let at = taken.len() * 99 / 100;
        taken.get(at).copied().context("no live reading came")
    }
}

fn live(edge: SocketAddr, city: SocketAddr, end: &AtomicBool) -> Result<Vec<Duration>> {
    let (mut device, _) = Client::connect(edge, &ConnectOptions::new("live"))?;
    let (mut viewer, _) = Client::connect(city, &ConnectOptions::new("viewer"))?;
    viewer.subscribe(&format!("twin/v1/{QUARTER}/+/live/temperature"), 1)?;
    let mut sent: BTreeMap<u64, Instant> = BTreeMap::new();
    let (mut number, mut next, mut taken) = (0u64, Instant::now(), Vec::new());
    let mut first = true;
    while !end.load(Ordering::Relaxed) {
        if Instant::now() >= next {
            let topic = format!("dt/{QUARTER}/live/temperature");
            // The last digits of a plausible temperature count.
            let value = format!("{:.4}", number as f64 / 10_000.0);
            device.publish_all(&[(&*topic, &*value)])?;
            sent.insert(number, Instant::now());
            number += 1;
            next += LIVE;
        }
        if let Some(Packet::Publish { payload, id, .. }) =
            viewer.receive(Duration::from_millis(5))?
        {
            viewer.acknowledge(id);
            viewer.flush()?;
            let json: Value = serde_json::from_slice(&payload).unwrap_or_default();
            let shown = (json["value"].as_f64().unwrap_or(-1.0) * 10_000.0).round();
            if shown < 0.0 {
                continue;
            }
            let later = sent.split_off(&(shown as u64 + 1));
            let seen = std::mem::replace(&mut sent, later);
            // The first to come have waited for the connection.
            if !std::mem::take(&mut first) {
                taken.extend(seen.values().map(Instant::elapsed));
            }
        }
    }
    Ok(taken)
}
