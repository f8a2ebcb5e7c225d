//! `quartier command`: commands to devices, as a running node has them.

use clap::{Args, Subcommand};
use jiff::{Span, SpanRelativeTo};
use serde_json::{Value, json};

use super::node_client::NodeArgs;
use super::{Failure, Outcome, print_columns};
use crate::event::Priority;

/// Commands to devices.
#[derive(Debug, Subcommand)]
pub(super) enum CommandCommand {
    /// Print commands, the newest first.
    List(ListArgs),
    /// Ask for a command.
    Ask(AskArgs),
    /// Let a command that waits for approval be sent.
    Approve(JudgeArgs),
    /// End a command that waits for approval: it is not sent.
    Reject(JudgeArgs),
    /// End a command that is wanted no more, sent or not.
    Withdraw(JudgeArgs),
}

/// Which commands.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only of this quarter.
    #[arg(long, value_name = "ID")]
    quarter: Option<String>,
    /// Only of this asset.
    #[arg(long, value_name = "ID")]
    asset: Option<String>,
    /// Only in this state: waiting, held, sent, done, expired, rejected, withdrawn, superseded,
    /// refused, or open for the first three.
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

/// What is wanted.
#[derive(Debug, Args)]
pub(super) struct AskArgs {
    /// Id of the quarter.
    quarter: String,
    /// Id of the asset.
    asset: String,
    /// Property to set.
    property: String,
    /// Wanted value, in the property's unit.
    #[arg(allow_negative_numbers = true)]
    value: f64,
    /// Wanted no more after this long, as in `90s`, `15m` or `2h`.
    #[arg(long, value_name = "TIME", default_value = "15m")]
    expires: Span,
    /// Against other people's wishes for the same property.
    #[arg(long, value_enum, default_value_t)]
    priority: Priority,
    /// Reason, for the record.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

/// What is said of which command.
#[derive(Debug, Args)]
pub(super) struct JudgeArgs {
    /// Id of the command.
    id: String,
    /// Reason, for the record.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

pub(super) fn run(command: &CommandCommand) -> Outcome {
    match command {
        CommandCommand::List(args) => list(args),
        CommandCommand::Ask(args) => ask(args),
        CommandCommand::Approve(args) => judge("approve", args),
        CommandCommand::Reject(args) => judge("reject", args),
        CommandCommand::Withdraw(args) => judge("withdraw", args),
    }
}

fn list(args: &ListArgs) -> Outcome {
    let limit = args.limit.to_string();
    let wanted = [
        ("quarter", args.quarter.as_deref()),
        ("asset", args.asset.as_deref()),
        ("state", args.state.as_deref()),
        ("limit", Some(limit.as_str())),
    ];
    let query: Vec<_> = wanted
        .into_iter()
        .filter_map(|(k, v)| Some((k, v?)))
        .collect();
    let answer = args
        .node
        .client()?
        .get(&["api", "v1", "commands"], &query)?;
    let commands = answer["commands"].as_array().cloned().unwrap_or_default();
    show(&commands, args.json.then_some(&answer));
    Ok(())
}

fn ask(args: &AskArgs) -> Outcome {
    let day = SpanRelativeTo::days_are_24_hours();
    let life = args.expires.to_duration(day).map_err(Failure::usage)?;
    let body = json!({
        "quarter": args.quarter,
        "asset": args.asset,
        "property": args.property,
        "value": args.value,
        "expires_s": life.as_secs(),
        "priority": args.priority,
        "why": args.why,
    });
    let command = args.node.client()?.post(&["api", "v1", "commands"], body)?;
    if let (Some(order), false) = (command["order"].as_u64(), args.json) {
        let node = command["node"].as_str().unwrap_or_default();
        println!("order {order} to box {node}; quartier edge show {node} says what became of it");
        return Ok(());
    }
    show(
        std::slice::from_ref(&command),
        args.json.then_some(&command),
    );
    Ok(())
}

fn judge(what: &str, args: &JudgeArgs) -> Outcome {
    let path = ["api", "v1", "commands", args.id.as_str(), what];
    let command = args
        .node
        .client()?
        .post(&path, json!({ "why": args.why }))?;
    show(
        std::slice::from_ref(&command),
        args.json.then_some(&command),
    );
    Ok(())
}

/// `json`: what is printed in place of the table.
fn show(commands: &[Value], json: Option<&Value>) {
    if let Some(json) = json {
        println!("{json}");
        return;
    }
    let head = [
        "id", "state", "quarter", "asset", "property", "value", "expires", "by", "reason",
    ];
    let rows: Vec<Vec<String>> = commands
        .iter()
        .map(|command| head.iter().map(|key| text(&command[*key])).collect())
        .collect();
    print_columns(&head, &rows);
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
