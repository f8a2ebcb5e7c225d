//! `quartier whatif`: what would have been decided with another version, other settings or other
//! readings. The data folder is only read; the node that works on it is not disturbed.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use quartier_plugin_host::Package;
use serde_json::json;

use super::decision::{data_folder, rerun_failure};
use super::plot::{self, BINS, Plot};
use super::progress::Progress;
use super::{Failure, Outcome, print_columns};
use crate::model::{Millis, is_name};
use crate::rerun::{
    Change, Changed, Comparison, DataFolder, Injected, Output, Tally, WhatIf, tally, what_if,
};

/// Differences that are printed one by one.
const EXAMPLES: usize = 10;
/// Differences in the JSON.
const MOST: usize = 1000;
/// Plots at most.
const PLOTS: usize = 8;

/// What would have been.
#[derive(Debug, Args)]
pub(super) struct WhatIfArgs {
    /// Begin: RFC 3339, or back from the journal's end such as -2h, -30m, -7d.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: String,
    /// End, likewise; without: the end of the journal.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Folder of the package to run instead (`quartier plugin build` makes dist), or the id of a
    /// plugin that runs.
    #[arg(long, value_name = "FOLDER|ID")]
    plugin: Option<String>,
    /// Id of the quarter; needed where the plugin runs in several.
    #[arg(long, value_name = "ID")]
    quarter: Option<String>,
    /// A key of the manifest's [config].
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment, requires = "plugin")]
    set: Vec<(String, String)>,
    /// Messages that come as well: lines {"topic":..,"payload":..,"time":..}.
    #[arg(long, value_name = "FILE.jsonl")]
    inject: Option<PathBuf>,
    /// Data folder of a node, running or not, or a copy.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration that names the data folder.
    #[arg(long, default_value = "quartier.toml", conflicts_with = "data")]
    config: PathBuf,
    /// Write the plots to a file too.
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// `KEY=VALUE`.
pub(super) fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) fn run(args: &WhatIfArgs) -> Outcome {
    let change = change(args)?;
    let data = data_folder(args.data.as_deref(), &args.config)?;
    let wish = WhatIf {
        quarter: args.quarter.clone(),
        from: time("--from", &args.from, &data)?,
        to: match &args.to {
            Some(text) => Some(time("--to", text, &data)?),
            None => None,
        },
        change,
    };
    let mut progress = Progress::new();
    let result = what_if(&data, &wish, &mut |what, done, of| {
        progress.show(what, done, of)
    });
    progress.end();
    let result = result.map_err(rerun_failure)?;
    let changes = result.before.changes(&result.after);
    let tallies = tally(&result.before, &result.after, &changes);
    let span = span(&result);
    let plots = plots(&result, &tallies, span);
    match args.json {
        true => print_json(&result, &changes, &tallies, &plots),
        false => {
            print(&result, &changes, &tallies);
            print!("{}", plot::terminal(&plots, span));
        }
    }
    match &args.svg {
        Some(path) => plot::write_svg(path, &plots, span),
        None => Ok(()),
    }
}

fn change(args: &WhatIfArgs) -> Result<Change, Failure> {
    let mut change = Change {
        set: args.set.clone(),
        ..Change::default()
    };
    if let Some(path) = &args.inject {
        change.inject = Injected::load(path).map_err(Failure::usage)?;
    }
    match &args.plugin {
        Some(named) => match package(Path::new(named))? {
            Some(package) => change.package = Some(package),
            None if is_name(named) => change.plugin = Some(named.clone()),
            None => {
                let wrong = format!("--plugin {named}: there is no manifest.toml in that folder");
                return Err(Failure::usage(anyhow!(wrong)));
            }
        },
        None if change.inject.is_empty() => {
            let wrong = "say what is to be otherwise: --plugin FOLDER, --plugin ID --set KEY=VALUE, \
                         or --inject FILE";
            return Err(Failure::usage(anyhow!(wrong)));
        }
        None => {}
    }
    Ok(change)
}

/// The package in a folder, in its `dist`, or beside a component; `None`: there is none.
pub(super) fn package(path: &Path) -> Result<Option<Package>, Failure> {
    let beside = path.parent().filter(|_| path.is_file());
    let places = [
        Some(path.to_owned()),
        Some(path.join("dist")),
        beside.map(Path::to_owned),
    ];
    let found = places.into_iter().flatten().find(|folder| {
        folder.join("manifest.toml").is_file() && folder.join("component.wasm").is_file()
    });
    let package = found.map(|folder| Package::read(&folder));
    package.transpose().map_err(Failure::usage)
}

/// RFC 3339, or back from the end of the journal.
pub(super) fn time(key: &str, text: &str, data: &DataFolder) -> Result<Millis, Failure> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(Millis(time.as_millisecond()));
    }
    let wrong = || {
        let what = format!("{key} {text}: neither RFC 3339 nor like -2h, -30m, -45s, -7d");
        Failure::usage(anyhow!(what))
    };
    let back = text.strip_prefix('-').ok_or_else(wrong)?;
    let unit = back.chars().next_back().ok_or_else(wrong)?;
    let unit_ms = match unit {
        's' => 1000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => 86_400_000,
        _ => return Err(wrong()),
    };
    let number: i64 = back.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    let end = data.end().map_err(rerun_failure)?.map(|(_, at)| at);
    let end = end.ok_or_else(|| Failure::fault(anyhow!("the journal is empty")))?;
    Ok(end.plus(-number.saturating_mul(unit_ms)))
}

/// From the first to the last event time of either run.
fn span(result: &Comparison) -> (Millis, Millis) {
    let spans = [result.before.span(), result.after.span()];
    let spans = || spans.iter().flatten();
    let first = spans().map(|(from, _)| *from).min();
    let last = spans().map(|(_, to)| *to).max();
    (first.unwrap_or(result.from), last.unwrap_or(result.to))
}

/// What changed, with the most changes first.
fn plots(result: &Comparison, tallies: &[Tally], span: (Millis, Millis)) -> Vec<Plot> {
    let changes = |tally: &&Tally| tally.gone + tally.new + tally.changed;
    let mut changed: Vec<&Tally> = tallies.iter().filter(|tally| changes(tally) > 0).collect();
    changed.sort_by_key(|tally| std::cmp::Reverse(changes(tally)));
    let plot = |tally: &&Tally| {
        let name = (tally.kind, tally.plugin.clone(), tally.name.clone());
        Plot {
            before: result.before.series(&name, span, BINS),
            after: Some(result.after.series(&name, span, BINS)),
        }
    };
    changed.iter().take(PLOTS).map(plot).collect()
}

fn print_json(result: &Comparison, changes: &[Changed], tallies: &[Tally], plots: &[Plot]) {
    let series = |plot: &Plot| json!({ "before": plot.before, "after": plot.after });
    let failures = |outputs: &crate::rerun::Outputs| {
        let failures = outputs.failures.iter();
        failures
            .map(|((plugin, why), batches)| json!({ "plugin": plugin, "why": why, "batches": batches }))
            .collect::<Vec<_>>()
    };
    let json = json!({
        "quarter": result.quarter,
        "plugin": result.plugin,
        "version_before": result.version_before,
        "version_after": result.version_after,
        "config": result.config,
        "first": result.first,
        "entries": result.entries,
        "from": result.from.to_string(),
        "to": result.to.to_string(),
        "decisions": { "before": result.before.decisions, "after": result.after.decisions },
        "tallies": tallies,
        "differences": changes.len(),
        "changes": changes.iter().take(MOST).collect::<Vec<_>>(),
        "failures": { "before": failures(&result.before), "after": failures(&result.after) },
        "lost": result.lost,
        "series": plots.iter().map(series).collect::<Vec<_>>(),
    });
    println!("{json}");
}

fn print(result: &Comparison, changes: &[Changed], tallies: &[Tally]) {
    let change = match (
        &result.plugin,
        &result.version_before,
        &result.version_after,
    ) {
        (Some(plugin), Some(before), Some(after)) => {
            format!("{plugin} {after} instead of {before}")
        }
        (Some(plugin), None, Some(after)) => format!("{plugin} {after}, which did not run"),
        _ => "other readings".to_owned(),
    };
    println!(
        "{}: {change}; {} to {}, {} entries run twice",
        result.quarter, result.from, result.to, result.entries
    );
    if !result.config.is_empty() {
        let config = result
            .config
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        println!("settings: {}", config.collect::<Vec<_>>().join(" "));
    }
    let row = |tally: &Tally| {
        let kind = format!("{:?}", tally.kind).to_lowercase();
        let mut row = vec![kind, tally.plugin.clone(), tally.name.clone()];
        let figures = [
            tally.before,
            tally.after,
            tally.gone,
            tally.new,
            tally.changed,
        ];
        row.extend(figures.map(|figure| figure.to_string()));
        row
    };
    let rows: Vec<_> = tallies.iter().map(row).collect();
    print_columns(
        &[
            "KIND",
            "PLUGIN",
            "NAME",
            "BEFORE",
            "CHANGE",
            "GONE",
            "NEW",
            "OTHERWISE",
        ],
        &rows,
    );
    print_changes(changes, ("before", "change"));
    for (name, outputs) in [("before", &result.before), ("change", &result.after)] {
        for ((plugin, why), batches) in &outputs.failures {
            println!("{name}: {batches} batches of {plugin} were set aside: {why}");
        }
        for ((plugin, reason), rows) in &outputs.dropped {
            println!("{name}: {rows} rows of {plugin} were dropped: {reason}");
        }
    }
    for (first, last) in &result.lost {
        println!("entries {first} to {last} of the journal are damaged");
    }
}

/// The first differences, one by one.
pub(super) fn print_changes(changes: &[Changed], (before, after): (&str, &str)) {
    if changes.is_empty() {
        println!("no difference");
        return;
    }
    println!("{} differences, the first of them:", changes.len());
    let line =
        |output: &Option<Output>| output.as_ref().map_or_else(|| "nothing".to_owned(), words);
    for change in changes.iter().take(EXAMPLES) {
        println!("  {before}: {}", line(&change.before));
        println!("  {after}: {}", line(&change.after));
    }
}

/// An output in a line.
pub(super) fn words(output: &Output) -> String {
    let Output {
        time,
        plugin,
        name,
        asset,
        value,
        ..
    } = output;
    match (output.raise, &output.expires) {
        (Some(raise), _) => {
            let raised = if raise { "raised" } else { "cleared" };
            let text = output.text.as_deref().unwrap_or_default();
            format!("{time} {plugin}: alert {name} of {asset} {raised} at {value} {text}")
        }
        (None, Some(expires)) => {
            format!("{time} {plugin}: command {name} to {asset}: {value}, until {expires}")
        }
        (None, None) => format!("{time} {plugin}: {name} of {asset} = {value}"),
    }
}
