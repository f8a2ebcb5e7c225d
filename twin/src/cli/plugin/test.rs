//! `quartier plugin test`: a rule on recorded readings, under the limits it will have in the node.
//!
//! The rule is run four times: as its manifest cuts batches, with a restart half-way, and with
//! batches of one and of seven rows. What it decides must be the same.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{ArgGroup, Args};
use quartier_plugin_host::{Host, Manifest, Plugin};
use serde_json::json;

use super::expected::{self, Missed};
use crate::cli::decision::rerun_failure;
use crate::cli::plot::{self, BINS, Plot};
use crate::cli::progress::Progress;
use crate::cli::replay::recorded_messages;
use crate::cli::whatif::{assignment, package, print_changes, time, words};
use crate::cli::{Failure, Outcome};
use crate::model::{AssetRecord, QuarterRecord};
use crate::plugins::Artifacts;
use crate::registry::load_assets;
use crate::rerun::{DataFolder, Injected, Script, Trial, trial, twin_at};
use crate::state::Twin;

/// Decisions that are printed one by one.
const SHOWN: usize = 20;
/// Plots at most.
const PLOTS: usize = 12;

/// Run a rule on recorded readings.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("readings").required(true)))]
pub(in crate::cli) struct TestArgs {
    /// Folder of the package: dist/ of `quartier plugin build`, or the folder above.
    dist: PathBuf,
    /// Recorded file, CSV or JSON lines; needs --mapping.
    #[arg(long, value_name = "FILE", group = "readings", requires = "mapping")]
    file: Option<PathBuf>,
    /// Which columns of the file are what; see deploy/replay.
    #[arg(long, value_name = "MAP.toml", requires = "file")]
    mapping: Option<PathBuf>,
    /// Recorded messages: lines {"topic":..,"payload":..,"time":..}.
    #[arg(long, value_name = "FILE.jsonl", group = "readings")]
    jsonl: Option<PathBuf>,
    /// Data folder of a node, running or not, or a copy; needs --quarter and --from.
    #[arg(long, value_name = "DIR", group = "readings", requires_all = ["quarter", "from"])]
    data: Option<PathBuf>,
    /// Id of the quarter; without: that of the first message.
    #[arg(long, value_name = "ID")]
    quarter: Option<String>,
    /// Begin, with --data: RFC 3339, or back from the journal's end such as -2h.
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        requires = "data"
    )]
    from: Option<String>,
    /// End, likewise.
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        requires = "data"
    )]
    to: Option<String>,
    /// Assets of the quarter, GeoJSON or TOML.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    assets: Option<PathBuf>,
    /// A key of the manifest's [config]; a key that it does not have is a column of --file with one
    /// value.
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
    /// Decisions that must come, as --write-expected writes them.
    #[arg(long, value_name = "FILE.jsonl")]
    expect: Option<PathBuf>,
    /// Write the decisions that came.
    #[arg(long, value_name = "FILE.jsonl")]
    write_expected: Option<PathBuf>,
    /// Write the plots to a file too.
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a trial needs.
struct Stage {
    artifacts: Artifacts,
    plugin: Plugin,
    quarter: String,
    begin: Twin,
    script: Script,
    config: Vec<(String, String)>,
}

pub(super) fn run(args: &TestArgs) -> Outcome {
    let mut progress = Progress::new();
    let stage = Stage::set(args, &mut progress)?;
    let record = Trial::record(&stage.plugin, &stage.quarter, stage.config.clone());
    let tried = trial(
        &stage.artifacts,
        &stage.begin,
        &record,
        &stage.script,
        &mut |w, d, of| {
            progress.show(w, d, of);
        },
    );
    progress.end();
    let tried = tried.map_err(Failure::fault)?;
    let missed = match &args.expect {
        Some(path) => Some(expected::compare(path, &tried.outputs)?),
        None => None,
    };
    if let Some(path) = &args.write_expected {
        expected::write(path, &tried.outputs)?;
    }
    let span = tried.outputs.span().unwrap_or_default();
    let plots: Vec<Plot> = tried
        .outputs
        .names()
        .iter()
        .take(PLOTS)
        .map(|name| Plot {
            before: tried.outputs.series(name, span, BINS),
            after: None,
        })
        .collect();
    match args.json {
        true => print_json(&stage, &tried, missed.as_deref(), &plots),
        false => {
            print(&stage, &tried, missed.as_deref());
            print!("{}", plot::terminal(&plots, span));
        }
    }
    if let Some(path) = &args.svg {
        plot::write_svg(path, &plots, span)?;
    }
    verdict(&tried, missed.as_deref())
}

impl Stage {
    fn set(args: &TestArgs, progress: &mut Progress) -> Result<Self, Failure> {
        let path = &args.dist;
        let package = package(path)?.ok_or_else(|| {
            let what = format!(
                "{}: there is no manifest.toml with a component.wasm; run quartier plugin build",
                path.display()
            );
            Failure::usage(anyhow!(what))
        })?;
        if let Some(data) = &args.data {
            return Self::of_journal(args, &package, data, progress);
        }
        let artifacts = Artifacts::new(Host::without_deadlines().map_err(Failure::fault)?, path);
        let plugin = artifacts.check(&package).map_err(Failure::usage)?;
        let (config, columns) = split(&args.set, plugin.manifest());
        let messages = match (&args.file, &args.mapping, &args.jsonl) {
            (Some(file), Some(mapping), _) => {
                recorded_messages(file, mapping, &columns, args.quarter.as_deref())
                    .map_err(Failure::usage)?
            }
            (_, _, Some(file)) => Injected::load(file).map_err(Failure::usage)?,
            _ => Vec::new(),
        };
        let first = messages.first().map(Injected::quarter);
        let quarter = args
            .quarter
            .as_deref()
            .or(first)
            .unwrap_or_default()
            .to_owned();
        let assets: Vec<AssetRecord> = match &args.assets {
            Some(path) => load_assets(path, &quarter).map_err(Failure::usage)?,
            None => Vec::new(),
        };
        let known = QuarterRecord {
            id: quarter.clone(),
            name: quarter.clone(),
            cells: Vec::new(),
            timezone: "Europe/Berlin".to_owned(),
        };
        let tick_s = plugin.manifest().reads.tick_s;
        let script = Script::of(known, assets, messages, tick_s).map_err(Failure::usage)?;
        Ok(Self {
            artifacts,
            plugin,
            quarter,
            begin: Twin::new(),
            script,
            config,
        })
    }

    fn of_journal(
        args: &TestArgs,
        package: &quartier_plugin_host::Package,
        path: &std::path::Path,
        progress: &mut Progress,
    ) -> Result<Self, Failure> {
        let data = DataFolder::open(path).map_err(rerun_failure)?;
        let plugin = data.artifacts().check(package).map_err(Failure::usage)?;
        let at = |key: &str, text: &Option<String>| match text {
            Some(text) => time(key, text, &data).map(Some),
            None => Ok(None),
        };
        let position = |time| data.position_at(time).map_err(rerun_failure);
        let first = at("--from", &args.from)?.map_or(Ok(1), position)?.max(1);
        let upto = at("--to", &args.to)?.map_or(Ok(u64::MAX), position)?;
        let quarter = args.quarter.clone().unwrap_or_default();
        let mut watch = |what, done, of| progress.show(what, done, of);
        let begin = twin_at(&data, first - 1, &mut watch).map_err(rerun_failure)?;
        let of = (quarter.as_str(), plugin.manifest().id.as_str());
        let script = Script::recorded(&data, of, (first, upto), &mut watch);
        let script = script.map_err(rerun_failure)?;
        if script.readings == 0 {
            let what = format!("the journal has no readings of {quarter} in that time");
            return Err(Failure::usage(anyhow!(what)));
        }
        Ok(Self {
            artifacts: data.into_artifacts(),
            plugin,
            quarter,
            begin,
            script,
            config: args.set.clone(),
        })
    }
}

/// Settings of the manifest, and columns for the mapping.
type Sets = Vec<(String, String)>;

fn split(set: &[(String, String)], manifest: &Manifest) -> (Sets, Sets) {
    let set = set.iter().cloned();
    set.partition(|(key, _)| manifest.config.contains_key(key))
}

fn verdict(tried: &Trial, missed: Option<&[Missed]>) -> Outcome {
    let mut wrong = Vec::new();
    for (cut, changes) in tried.cuts.iter().filter(|(_, changes)| !changes.is_empty()) {
        wrong.push(format!(
            "what it decides depends on how batches are cut: {} outputs differ with {cut} rows a batch",
            changes.len()
        ));
    }
    if let Some(decisions) = tried.restart {
        wrong.push(format!(
            "{decisions} decisions differ after a restart: does snapshot keep the whole state?"
        ));
    }
    if let Some(missed) = missed.filter(|missed| !missed.is_empty()) {
        wrong.push(format!("{} decisions are not as expected", missed.len()));
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Failure::fault(anyhow!(wrong.join("; ")))),
    }
}

fn print_json(stage: &Stage, tried: &Trial, missed: Option<&[Missed]>, plots: &[Plot]) {
    let manifest = stage.plugin.manifest();
    let cut = |(rows, changes): &(u32, Vec<crate::rerun::Changed>)| json!({ "rows": rows, "differences": changes.len(), "examples": changes.iter().take(SHOWN).collect::<Vec<_>>() });
    let counted = |what: &std::collections::BTreeMap<(String, String), u64>| {
        let each = what.iter();
        each.map(|((_, why), count)| json!({ "why": why, "count": count }))
            .collect::<Vec<_>>()
    };
    let json = json!({
        "plugin": manifest.id,
        "version": manifest.version,
        "quarter": stage.quarter,
        "ok": tried.is_good() && missed.is_none_or(<[Missed]>::is_empty),
        "readings": stage.script.readings,
        "rejected": stage.script.rejected,
        "reasons": stage.script.reasons,
        "batches": tried.work.batches,
        "rows": tried.work.rows,
        "decisions": tried.outputs.decisions,
        "outputs": tried.outputs.iter().collect::<Vec<_>>(),
        "dropped": counted(&tried.outputs.dropped),
        "failures": counted(&tried.outputs.failures),
        "cuts": tried.cuts.iter().map(cut).collect::<Vec<_>>(),
        "restart_differences": tried.restart.unwrap_or(0),
        "missed": missed,
        "series": plots.iter().map(|plot| &plot.before).collect::<Vec<_>>(),
    });
    println!("{json}");
}

fn print(stage: &Stage, tried: &Trial, missed: Option<&[Missed]>) {
    let manifest = stage.plugin.manifest();
    println!(
        "{} {} in {}: {} readings, {} batches, {} decisions, {} outputs",
        manifest.id,
        manifest.version,
        stage.quarter,
        stage.script.readings,
        tried.work.batches,
        tried.outputs.decisions,
        tried.outputs.len()
    );
    if stage.script.rejected > 0 {
        println!(
            "{} messages or values cannot be used:",
            stage.script.rejected
        );
        stage
            .script
            .reasons
            .iter()
            .for_each(|why| println!("  {why}"));
    }
    for ((_, why), batches) in &tried.outputs.failures {
        println!("{batches} batches were set aside: {why}");
    }
    for ((_, why), rows) in &tried.outputs.dropped {
        println!("{rows} rows were dropped, the manifest does not allow them: {why}");
    }
    let mut outputs: Vec<_> = tried.outputs.iter().collect();
    outputs.sort_by(|one, other| one.time.cmp(&other.time));
    outputs
        .iter()
        .take(SHOWN)
        .for_each(|output| println!("  {}", words(output)));
    if outputs.len() > SHOWN {
        println!("  and {} more", outputs.len() - SHOWN);
    }
    for (cut, changes) in tried.cuts.iter().filter(|(_, changes)| !changes.is_empty()) {
        println!(
            "with {cut} rows a batch instead of {}:",
            manifest.reads.batch
        );
        print_changes(changes, ("manifest", "otherwise"));
    }
    let Some(missed) = missed else { return };
    if missed.is_empty() {
        println!("all decisions are as expected");
    }
    for missed in missed.iter().take(SHOWN) {
        let text = |value: &Option<serde_json::Value>| {
            value
                .as_ref()
                .map_or_else(|| "nothing".to_owned(), ToString::to_string)
        };
        println!("  expected: {}", text(&missed.expected));
        println!("  came:     {}", text(&missed.came));
    }
}
