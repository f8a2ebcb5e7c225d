//! `quartier plugin logs`: what a plugin says, and `compare`: what a shadow would do otherwise.

use clap::Args;
use serde_json::Value;

use super::manage::TargetArgs;
use crate::cli::{Outcome, print_columns};

/// Whose log.
#[derive(Debug, Args)]
pub(in crate::cli) struct LogsArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Lines to begin with.
    #[arg(long, short = 'n', default_value_t = 100)]
    lines: u16,
    /// Go on with the lines to come.
    #[arg(long, short)]
    follow: bool,
}

/// A shadow to compare.
#[derive(Debug, Args)]
pub(in crate::cli) struct CompareArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Version of the shadow; without: the only one.
    #[arg(long)]
    shadow: Option<String>,
}

pub(super) fn logs(args: &LogsArgs) -> Outcome {
    let client = args.target.client()?;
    let path = args.target.path(&["logs"]);
    let lines = args.lines.to_string();
    if args.follow {
        let query = [("lines", lines.as_str()), ("follow", "true")];
        return client.follow(&path, &query, |name, data| match name {
            "line" => print_line(
                &serde_json::from_str(data).unwrap_or_default(),
                args.target.json,
            ),
            _ => eprintln!("quartier: {data}"),
        });
    }
    let answer = client.get(&path, &[("lines", lines.as_str())])?;
    for line in answer["lines"].as_array().into_iter().flatten() {
        print_line(line, args.target.json);
    }
    Ok(())
}

fn print_line(line: &Value, json: bool) {
    if json {
        println!("{line}");
        return;
    }
    let text = |key: &str| line[key].as_str().unwrap_or_default();
    println!(
        "{} {:5} {} batch {}: {}",
        text("time"),
        text("level"),
        text("version"),
        line["batch"],
        text("text")
    );
}

pub(super) fn compare(args: &CompareArgs) -> Outcome {
    let path = args.target.path(&["comparison"]);
    let shadow = args.shadow.as_deref().map(|shadow| ("shadow", shadow));
    let query: Vec<_> = shadow.into_iter().collect();
    let answer = args.target.client()?.get(&path, &query)?;
    if args.target.json {
        println!("{answer}");
        return Ok(());
    }
    println!(
        "{} in {}: {} acts ({} decisions), {} is its shadow ({} decisions)\n",
        answer["plugin"].as_str().unwrap_or_default(),
        answer["quarter"].as_str().unwrap_or_default(),
        answer["running"].as_str().unwrap_or_default(),
        answer["running_decisions"],
        answer["shadow"].as_str().unwrap_or_default(),
        answer["shadow_decisions"]
    );
    print_tallies(&answer);
    print_timeline(&answer["timeline"]);
    print_examples(&answer["examples"]);
    Ok(())
}

fn print_tallies(answer: &Value) {
    let row = |name: &str, tally: &Value| {
        let keys = ["same", "different", "only_running", "only_shadow"];
        let figures = keys.iter().map(|key| tally[key].to_string());
        std::iter::once(name.to_owned()).chain(figures).collect()
    };
    let outputs = answer["outputs"].as_object().into_iter().flatten();
    let mut rows: Vec<Vec<String>> = outputs.map(|(name, tally)| row(name, tally)).collect();
    rows.push(row("all", &answer["total"]));
    print_columns(
        &["output", "same", "different", "only running", "only shadow"],
        &rows,
    );
}

/// A bar a step of event time: how much of what was said differs, in eighths.
fn print_timeline(timeline: &Value) {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let steps = timeline.as_array().map(Vec::as_slice).unwrap_or_default();
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
        println!("\nnothing was said yet");
        return;
    };
    let bar = |step: &Value| {
        let count = |key: &str| step[key].as_u64().unwrap_or(0);
        let (same, differ) = (count("same"), count("differ"));
        let eighths = (differ * 8).div_ceil((same + differ).max(1));
        BARS.get(usize::try_from(eighths).unwrap_or(8))
            .copied()
            .unwrap_or('█')
    };
    let bars: String = steps.iter().map(bar).collect();
    let time = |step: &Value| step["from"].as_str().unwrap_or_default().to_owned();
    println!(
        "\nshare that differs, {} to {}\n|{bars}|",
        time(first),
        time(last)
    );
}

fn print_examples(examples: &Value) {
    let examples = examples.as_array().map(Vec::as_slice).unwrap_or_default();
    if examples.is_empty() {
        return;
    }
    let said = |value: &Value| {
        value
            .as_f64()
            .map_or_else(|| "-".to_owned(), |v| v.to_string())
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |example: &Value| {
        vec![
            text(&example["time"]),
            text(&example["asset"]),
            text(&example["output"]),
            said(&example["running"]),
            said(&example["shadow"]),
        ]
    };
    println!();
    let rows: Vec<Vec<String>> = examples.iter().map(row).collect();
    print_columns(&["time", "asset", "output", "running", "shadow"], &rows);
}
