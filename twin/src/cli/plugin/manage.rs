//! `quartier plugin list`, `show`, `promote`, `rollback`, `remove`: what runs on a node.

use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::node_client::{Content, NodeArgs, NodeClient};
use crate::cli::{Failure, Outcome, print_columns};
use crate::event::Stage;

/// Which plugins.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArgs {
    /// Only of this quarter.
    #[arg(long, value_name = "ID")]
    quarter: Option<String>,
    #[command(flatten)]
    node: NodeArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Which plugin, of which node.
#[derive(Debug, Args)]
pub(in crate::cli) struct TargetArgs {
    /// Id of the plugin.
    plugin: String,
    /// Id of the quarter.
    #[arg(long, value_name = "ID")]
    quarter: String,
    #[command(flatten)]
    node: NodeArgs,
    /// Print JSON.
    #[arg(long)]
    pub(super) json: bool,
}

impl TargetArgs {
    /// The node that was named.
    pub(super) fn client(&self) -> Result<NodeClient, Failure> {
        self.node.client()
    }

    /// Path of the plugin in the API, and `rest` behind it.
    pub(super) fn path<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        let plugin = ["api", "v1", "plugins", &self.quarter, &self.plugin];
        [&plugin, rest].concat()
    }
}

/// A version to take one stage further.
#[derive(Debug, Args)]
pub(in crate::cli) struct PromoteArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Which version; without: the shadow, or the one that runs.
    #[arg(long)]
    version: Option<String>,
    /// The stage that should come next; another one is refused.
    #[arg(long, value_enum)]
    to: Option<Stage>,
    /// At stage labs: these other quarters; without: those of all labs.
    #[arg(long = "into", value_name = "ID", num_args = 1..)]
    quarters: Vec<String>,
    /// Reason, kept in the journal.
    #[arg(long)]
    why: String,
}

/// A plugin to roll back.
#[derive(Debug, Args)]
pub(in crate::cli) struct RollbackArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Reason, kept in the journal.
    #[arg(long)]
    why: String,
}

/// A plugin to end.
#[derive(Debug, Args)]
pub(in crate::cli) struct RemoveArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Only this version.
    #[arg(long)]
    version: Option<String>,
    /// Reason, kept in the journal.
    #[arg(long)]
    why: String,
}

pub(super) fn list(args: &ListArgs) -> Outcome {
    let quarter = args.quarter.as_deref();
    let query: Vec<_> = quarter
        .map(|quarter| ("quarter", quarter))
        .into_iter()
        .collect();
    let answer = args.node.client()?.get(&["api", "v1", "plugins"], &query)?;
    if args.json {
        println!("{answer}");
        return Ok(());
    }
    print_versions(&answer["plugins"]);
    Ok(())
}

fn print_versions(versions: &Value) {
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let keys = [
        "quarter",
        "plugin",
        "version",
        "stage",
        "state",
        "rows",
        "ns_a_row",
        "failures",
        "dropped_rows",
    ];
    let rows: Vec<Vec<String>> = versions
        .as_array()
        .into_iter()
        .flatten()
        .map(|plugin| keys.iter().map(|key| text(&plugin[key])).collect())
        .collect();
    let head = [
        "quarter", "plugin", "version", "stage", "state", "rows", "ns/row", "failures", "dropped",
    ];
    print_columns(&head, &rows);
}

pub(super) fn show(args: &TargetArgs) -> Outcome {
    let answer = args.client()?.get(&args.path(&[]), &[])?;
    if args.json {
        println!("{answer}");
        return Ok(());
    }
    print_versions(&answer["versions"]);
    println!();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows: Vec<Vec<String>> = answer["changes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|change| {
            let keys = ["at", "what", "version", "stage", "by", "why"];
            keys.iter().map(|key| text(&change[key])).collect()
        })
        .collect();
    print_columns(&["when", "what", "version", "stage", "by", "why"], &rows);
    Ok(())
}

pub(super) fn promote(args: &PromoteArgs) -> Outcome {
    let body = json!({
        "version": args.version,
        "to": args.to,
        "quarters": args.quarters,
        "why": args.why,
    });
    let path = args.target.path(&["promote"]);
    let done = args.target.client()?.post(&path, body)?;
    print_done(&done, "promoted", args.target.json);
    Ok(())
}

pub(super) fn rollback(args: &RollbackArgs) -> Outcome {
    let path = args.target.path(&["rollback"]);
    let client = args.target.client()?;
    let done = client.post(&path, json!({ "why": args.why }))?;
    print_done(&done, "rolled back to", args.target.json);
    Ok(())
}

pub(super) fn remove(args: &RemoveArgs) -> Outcome {
    let version = args.version.as_deref().map(|version| ("version", version));
    let query: Vec<_> = version
        .into_iter()
        .chain([("why", args.why.as_str())])
        .collect();
    let client = args.target.client()?;
    let path = args.target.path(&[]);
    let done = client.send(Method::DELETE, &path, &query, Content::Empty)?;
    print_done(&done, "removed", args.target.json);
    Ok(())
}

/// What a node says it has done.
pub(super) fn print_done(done: &Value, what: &str, json: bool) {
    if json {
        println!("{done}");
        return;
    }
    let text = |key: &str| done[key].as_str().unwrap_or_default();
    let quarters: Vec<&str> = done["quarters"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    println!(
        "{what}: {} {} at stage {} in {} (journal position {})",
        text("plugin"),
        text("version"),
        text("stage"),
        quarters.join(", "),
        done["position"]
    );
}
