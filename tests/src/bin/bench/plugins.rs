//! What the labs' plugins cost: a reading or window, compiling, taking over, memory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use quartier_plugin_host::{Asset, Batch, Dictionary, Host, Manifest, Package, Plugin, Runner};
use quartier_tests::{Api, Lab, Node, NodeConfig, component, resident_bytes};
use quartier_twin::vocabulary::Vocabulary;

use crate::Extent;
use crate::table::Table;

const LABS: [&str; 4] = ["energy", "mobility", "health", "science"];
/// Rows of a batch.
const BATCH: usize = 256;
/// Assets that the rows are of, in turn.
const ASSETS: u32 = 64;
/// Instances of the measurement of memory.
const INSTANCES: u32 = 100;
/// Times that something short is done; the median counts.
const REPEATED: usize = 21;
/// Event time of the first row: 2026-01-01T00:00:00Z.
const START_MS: u64 = 1_767_225_600_000;
const GOAL: &str = "<= 50 ns";

/// Every lab's plugin by itself, and versions of one that take over on a node.
pub(crate) fn measure(table: &mut Table, extent: &Extent) -> Result<()> {
    for name in LABS {
        let Some(folder) = component(name) else {
            continue;
        };
        let package = Package::read(&folder)?;
        eprintln!("plugin {name} ...");
        let (host, plugin) = compile(table, name, &package)?;
        rows(table, extent, name, &host, &plugin)?;
        take_over(table, name, &host, &plugin)?;
        memory(table, name, &host, &plugin)?;
    }
    match component("health") {
        Some(folder) => on_a_node(table, &Package::read(&folder)?),
        None => Ok(()),
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    milliseconds(times.get(times.len() / 2).copied().unwrap_or_default())
}

/// Without a cache, and from one.
fn compile(table: &mut Table, name: &str, package: &Package) -> Result<(Host, Plugin)> {
    let timed = |host: &Host| {
        let started = Instant::now();
        let plugin = host.compile(package)?;
        Ok::<_, anyhow::Error>((plugin, milliseconds(started.elapsed())))
    };
    let folder = tempfile::tempdir()?;
    let cached = || Host::with_cache(folder.path().to_owned());
    let kilobytes = package.component.len() / 1024;
    let (_, fresh) = timed(&cached()?)?;
    let what = format!("plugin {name}: compile");
    let how = format!("Host::compile of the component of {kilobytes} KiB, nothing cached");
    table.one(&what, fresh, "ms", "", &how);
    let (_, again) = timed(&cached()?)?;
    let what = format!("plugin {name}: compile, cached");
    table.one(
        &what,
        again,
        "ms",
        "",
        "the same in a new host whose cache has it",
    );
    let host = Host::new()?;
    let plugin = host.compile(package)?;
    Ok((host, plugin))
}

/// Numbers for the manifest's names, units from the vocabulary.
fn dictionary(manifest: &Manifest) -> Dictionary {
    let mut id = 99;
    manifest.dictionary(|name| {
        id += 1;
        let metric = Vocabulary::builtin().get(name);
        (
            id,
            metric.map_or_else(String::new, |metric| metric.unit.clone()),
        )
    })
}

fn start(host: &Host, plugin: &Plugin) -> Result<Runner> {
    let names = dictionary(plugin.manifest());
    Ok(Runner::new(host, plugin, names, Vec::new())?)
}

/// Makes batches of what a manifest asks for: each asset in turn with each metric or window.
struct Input {
    /// Number, smallest and largest usual value, length of the window or 0.
    columns: Vec<(u32, f64, f64, u32)>,
    properties: usize,
    kinds: Vec<String>,
    next: u64,
}

impl Input {
    fn new(manifest: &Manifest, windows: bool) -> Self {
        let names = dictionary(manifest);
        let reads = &manifest.reads;
        let wanted: Vec<(&String, u32)> = match windows {
            true => reads
                .windows
                .iter()
                .map(|window| (&window.metric, window.span_s))
                .collect(),
            false => reads.metrics.iter().map(|metric| (metric, 0)).collect(),
        };
        let column = |(name, span): (&String, u32)| {
            let id = names.metrics.iter().find(|entry| entry.urn == *name)?.id;
            let range = Vocabulary::builtin().get(name).map(|metric| metric.range);
            let (low, high) = range.unwrap_or((0.0, 100.0));
            let low = low.max(high.min(0.0));
            Some((id, low, low + (high - low) / 20.0, span))
        };
        let mut kinds = reads.kinds.clone();
        if kinds.is_empty() {
            kinds.push("sensor_box".to_owned());
        }
        Self {
            columns: wanted.into_iter().filter_map(column).collect(),
            properties: reads.properties.len(),
            kinds,
            next: 0,
        }
    }

    fn assets(&self) -> Vec<Asset> {
        let kinds = self.kinds.iter().cycle();
        let asset = |(id, kind): (u32, &String)| Asset {
            id,
            urn: format!("asset-{id}"),
            kind: kind.clone(),
            ..Asset::default()
        };
        (0..ASSETS).zip(kinds).map(asset).collect()
    }

    fn batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        if self.next == 0 {
            batch.changed = self.assets();
        }
        for _ in 0..BATCH {
            self.row(&mut batch);
        }
        batch.props = vec![f64::NAN; BATCH * self.properties];
        batch
    }

    fn row(&mut self, batch: &mut Batch) {
        let (number, assets) = (self.next, u64::from(ASSETS));
        self.next += 1;
        let asset = u32::try_from(number % assets).unwrap_or(0);
        let (turn, columns) = (number / assets, self.columns.len() as u64);
        let at = usize::try_from(turn % columns.max(1)).unwrap_or(0);
        let Some(&(metric, low, high, span)) = self.columns.get(at) else {
            return;
        };
        let value = low + (high - low) * ((number * 7919) % 1000) as f64 / 1000.0;
        let round = turn / columns.max(1) + 1;
        let time = START_MS + round * 1000 * u64::from(span.max(60));
        batch.now_ms = time;
        if span == 0 {
            batch.asset.push(asset);
            batch.metric.push(metric);
            batch.value.push(value);
            batch.ts_ms.push(time);
            batch.quality.push(0);
            return;
        }
        let w = &mut batch.windows;
        w.asset.push(asset);
        w.metric.push(metric);
        w.span_s.push(span);
        w.end_ms.push(time);
        for column in [&mut w.mean, &mut w.minimum, &mut w.maximum, &mut w.last] {
            column.push(value);
        }
        w.coverage.push(1.0);
    }
}

/// Cost of a reading and of a window through the runner: checks, hashes and checkpoints included.
fn rows(
    table: &mut Table,
    extent: &Extent,
    name: &str,
    host: &Host,
    plugin: &Plugin,
) -> Result<()> {
    let batches = extent.folds / 5 / BATCH as u64;
    for (windows, kind) in [(false, "reading"), (true, "window")] {
        let mut input = Input::new(plugin.manifest(), windows);
        if input.columns.is_empty() {
            continue;
        }
        let mut runner = start(host, plugin)?;
        let (mut spent, mut said) = (Duration::ZERO, 0);
        for _ in 0..batches {
            let batch = input.batch();
            let started = Instant::now();
            let answer = runner.run(&batch);
            spent += started.elapsed();
            said += answer.output.rows();
            if let Some(failure) = answer.failure {
                bail!("plugin {name}: {failure}");
            }
        }
        let all = batches * BATCH as u64;
        let cost = spent.as_nanos() as f64 / all as f64;
        let (metrics, outputs) = (input.columns.len(), said as f64 * 1000.0 / all as f64);
        let what = format!("plugin {name}: a {kind}");
        let how = format!(
            "Runner::run on {batches} batches of {BATCH} {kind}s, {ASSETS} assets and {metrics} \
             columns in turn; {outputs:.0} outputs in 1000 rows"
        );
        table.one(&what, cost, "ns", GOAL, &how);
    }
    Ok(())
}

/// An instance that has seen some batches.
fn at_work(host: &Host, plugin: &Plugin) -> Result<Runner> {
    let manifest = plugin.manifest();
    let mut input = Input::new(manifest, manifest.reads.metrics.is_empty());
    let mut runner = start(host, plugin)?;
    for _ in 0..10 {
        let answer = runner.run(&input.batch());
        if let Some(failure) = answer.failure {
            bail!("{failure}");
        }
    }
    Ok(runner)
}

fn take_over(table: &mut Table, name: &str, host: &Host, plugin: &Plugin) -> Result<()> {
    let mut old = at_work(host, plugin)?;
    let mut times = Vec::new();
    for _ in 0..REPEATED {
        let names = dictionary(plugin.manifest());
        let started = Instant::now();
        let (next, _) = Runner::succeed(&mut old, host, plugin, names, Vec::new())?;
        times.push(started.elapsed());
        old = next;
    }
    let what = format!("plugin {name}: another version takes over");
    let how = format!(
        "Runner::succeed with the state of {} rows of {ASSETS} assets, median of {REPEATED}",
        10 * BATCH
    );
    table.one(&what, median(times), "ms", "", &how);
    Ok(())
}

fn memory(table: &mut Table, name: &str, host: &Host, plugin: &Plugin) -> Result<()> {
    let _first = at_work(host, plugin)?;
    let before = resident_bytes(std::process::id());
    let runners: Result<Vec<Runner>> = (0..INSTANCES).map(|_| at_work(host, plugin)).collect();
    let runners = runners?;
    let grown = resident_bytes(std::process::id()).saturating_sub(before);
    let each = grown as f64 / 1024.0 / runners.len() as f64;
    let what = format!("plugin {name}: memory of an instance");
    let how = format!(
        "growth of the resident memory by {INSTANCES} instances of {ASSETS} assets and {} rows, each",
        10 * BATCH
    );
    table.one(&what, each, "KiB", "", &how);
    Ok(())
}

/// Versions of a plugin in turn, over HTTP: from the request to the answer that the next one runs.
fn on_a_node(table: &mut Table, package: &Package) -> Result<()> {
    eprintln!("plugins on a node ...");
    let manifest = Manifest::parse(&package.manifest)?;
    let lab = Lab::new(&manifest.lab);
    let node = Node::start(NodeConfig {
        more: lab.config(&["johannstadt"]),
        ..NodeConfig::of("johannstadt")
    });
    let api = Api::of(node.http());
    let line = format!("version = \"{}\"", manifest.version);
    let mut times = Vec::new();
    for number in 0..=REPEATED {
        let next = format!("version = \"9.0.{number}\"");
        let (before, after) = package.manifest.split_once(&line).context("no version")?;
        let next = lab.signed(Package {
            manifest: format!("{before}{next}{after}"),
            ..package.clone()
        });
        let started = Instant::now();
        let answer = api.deploy("johannstadt", &next, &[]);
        if answer.status != 201 {
            bail!("not deployed: {}", answer.text());
        }
        times.push(started.elapsed());
    }
    let first = times.remove(0);
    let how = "POST of the health plugin to a node without load: signature, compiling, a trial, \
               the package and the event on disk, folded";
    table.one(
        "a plugin's first deployment, HTTP",
        milliseconds(first),
        "ms",
        "",
        how,
    );
    let how = format!("the same of versions with the same component, median of {REPEATED}");
    table.one(
        "a plugin's next version, HTTP",
        median(times),
        "ms",
        "",
        &how,
    );
    Ok(())
}
