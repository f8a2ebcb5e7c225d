//! `quartier decision`: why something was decided, and whether it would be decided again.
//!
//! The data folder is only read; the node that works on it is not disturbed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;

use super::node_client::NodeArgs;
use super::progress::Progress;
use super::{Failure, Outcome, print_columns};
use crate::config::Config;
use crate::explain::{Explained, Explanation, explain};
use crate::rerun::{
    Checked, DataFolder, Report, RerunError, Verdict, Which, deployment_of, verify,
};

/// Rows of a table; the rest is counted.
const MOST_ROWS: usize = 40;

/// Decisions of plugins.
#[derive(Debug, Subcommand)]
pub(super) enum DecisionCommand {
    /// Say in plain words what was decided and why.
    Show(ShowArgs),
    /// Run the rules again on what was recorded and compare, bit for bit.
    Verify(VerifyArgs),
}

/// Which decision.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Id of the decision: its position in the journal.
    id: u64,
    /// Data folder to read; without it the node is asked.
    #[arg(long, value_name = "DIR", conflicts_with = "node")]
    data: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Which decisions.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true)))]
pub(super) struct VerifyArgs {
    /// Id of a decision: its position in the journal.
    #[arg(group = "which")]
    id: Option<u64>,
    /// Every decision that the journal can run again.
    #[arg(long, group = "which")]
    all: bool,
    /// So many of them, chosen by lot.
    #[arg(long, value_name = "N", group = "which")]
    sample: Option<usize>,
    /// The same seed chooses the same decisions.
    #[arg(long, default_value_t = 0, requires = "sample")]
    seed: u64,
    /// Data folder of a node, running or not, or a copy.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration that names the data folder.
    #[arg(long, default_value = "quartier.toml", conflicts_with = "data")]
    config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &DecisionCommand) -> Outcome {
    match command {
        DecisionCommand::Show(args) => show(args),
        DecisionCommand::Verify(args) => check(args),
    }
}

/// The data folder that was named, or that of the configuration.
pub(super) fn data_folder(data: Option<&Path>, config: &Path) -> Result<DataFolder, Failure> {
    let path = match data {
        Some(path) => path.to_owned(),
        None => Config::load(config).map_err(Failure::usage)?.node.data,
    };
    DataFolder::open(&path).map_err(rerun_failure)
}

/// What was asked for wrongly is wrong usage; all else failed.
pub(super) fn rerun_failure(error: RerunError) -> Failure {
    match error {
        RerunError::NoData { .. } | RerunError::Asked(_) | RerunError::NoDecision { .. } => {
            Failure::usage(error)
        }
        _ => Failure::fault(error),
    }
}

fn show(args: &ShowArgs) -> Outcome {
    let (explanation, json): (Explanation, _) = match &args.data {
        Some(data) => {
            let data = DataFolder::open(data).map_err(rerun_failure)?;
            let explained = explained(&data, args.id).map_err(rerun_failure)?;
            let json = serde_json::to_value(&explained).map_err(Failure::fault)?;
            (explained.explanation, json)
        }
        None => {
            let id = args.id.to_string();
            let client = args.node.client()?;
            let answer = client.get(&["api", "v1", "decisions", &id], &[])?;
            let explanation = answer["explanation"].clone();
            let explanation = serde_json::from_value(explanation).map_err(|error| {
                let what = format!("the node speaks another version of the API: {error}");
                Failure::fault(anyhow!(what))
            })?;
            (explanation, answer)
        }
    };
    match args.json {
        true => println!("{json}"),
        false => println!("{}", explanation.text()),
    }
    Ok(())
}

fn explained(data: &DataFolder, id: u64) -> Result<Explained, RerunError> {
    let (at, record) = data.decision(id)?;
    let deployed = deployment_of(data, id, &record)?;
    let package = data.artifacts().package_of(record.digest, record.manifest);
    let manifest = package
        .ok()
        .and_then(|package| quartier_plugin_host::Manifest::parse(&package.manifest).ok());
    // Whoever may read the data folder may read everything.
    let hidden = HashSet::new();
    let explanation = explain(
        id,
        Some(at),
        &record,
        manifest.as_ref(),
        deployed.as_slice(),
        &hidden,
    );
    Ok(Explained {
        explanation,
        record,
    })
}

fn check(args: &VerifyArgs) -> Outcome {
    let data = data_folder(args.data.as_deref(), &args.config)?;
    let which = match (args.id, args.sample) {
        (Some(id), _) => Which::One(id),
        (None, Some(count)) => Which::Sample {
            count,
            seed: args.seed,
        },
        (None, None) => Which::All,
    };
    let mut progress = Progress::new();
    let report = verify(&data, which, &mut |what, done, of| {
        progress.show(what, done, of)
    });
    progress.end();
    let report = report.map_err(rerun_failure)?;
    match args.json {
        true => {
            let mut json = json!(report);
            json["ok"] = report.is_good().into();
            println!("{json}");
        }
        false => print(&report),
    }
    if report.is_good() {
        return Ok(());
    }
    let lost: u64 = report
        .lost
        .iter()
        .map(|(first, last)| last - first + 1)
        .sum();
    let what = match (report.counts.differs, lost) {
        (0, lost) => format!("{lost} entries of the journal are damaged"),
        (differs, 0) => format!("{differs} decisions differ from what the rules say"),
        (differs, lost) => {
            format!("{differs} decisions differ, and {lost} entries of the journal are damaged")
        }
    };
    Err(Failure::fault(anyhow!(what)))
}

fn print(report: &Report) {
    let notable = |checked: &&Checked| checked.verdict != Verdict::Verified;
    let few = report.decisions.len() <= MOST_ROWS;
    let rows: Vec<&Checked> = report
        .decisions
        .iter()
        .filter(|c| few || notable(c))
        .collect();
    let table: Vec<Vec<String>> = rows
        .iter()
        .take(MOST_ROWS)
        .map(|checked| row(checked))
        .collect();
    if !table.is_empty() {
        print_columns(
            &[
                "DECISION", "QUARTER", "PLUGIN", "VERSION", "BATCH", "VERDICT",
            ],
            &table,
        );
    }
    if rows.len() > MOST_ROWS {
        println!("and {} more", rows.len() - MOST_ROWS);
    }
    for checked in rows.iter().take(MOST_ROWS) {
        if let Verdict::Differs { differences } = &checked.verdict {
            println!("decision {}:", checked.decision);
            for difference in differences {
                println!("  {}", difference.field);
                println!("    recorded: {}", difference.recorded);
                println!("    rerun:    {}", difference.rerun);
            }
        }
    }
    for (first, last) in &report.lost {
        println!("entries {first} to {last} of the journal are damaged");
    }
    let counts = report.counts;
    println!(
        "{} verified, {} differ, {} not reproducible, {} not covered (entries {} to {} were run)",
        counts.verified,
        counts.differs,
        counts.not_reproducible,
        counts.not_covered,
        report.from + 1,
        report.upto
    );
}

fn row(checked: &Checked) -> Vec<String> {
    let verdict = match &checked.verdict {
        Verdict::Verified => "verified".to_owned(),
        Verdict::Differs { differences } => {
            let fields: Vec<_> = differences.iter().map(|d| d.field.as_str()).collect();
            format!("DIFFERS: {}", fields.join(", "))
        }
        Verdict::NotReproducible { why } => format!("not reproducible: {why}"),
        Verdict::NotCovered { why } => format!("not covered: {why}"),
    };
    vec![
        checked.decision.to_string(),
        checked.quarter.clone(),
        checked.plugin.clone(),
        checked.version.clone(),
        checked.batch.to_string(),
        verdict,
    ]
}
