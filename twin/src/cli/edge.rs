//! `quartier edge`: the boxes of a city: invite, look at, drain, retire.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::net::IpAddr;

use clap::{Args, Subcommand};
use jiff::{SpanRound, Timestamp, Unit};
use reqwest::Url;
use serde_json::{Value, json};

use super::node_client::NodeArgs;
use super::{Failure, Outcome, print_columns};

const PATH: [&str; 3] = ["api", "v1", "edges"];

/// The boxes of a city.
#[derive(Debug, Subcommand)]
pub(super) enum EdgeCommand {
    /// Invite a box: prints a token that gives it its identity, once, and on stderr what to type
    /// there.
    #[command(visible_alias = "enroll")]
    Invite(InviteArgs),
    /// Print the boxes: how far the city has what they wrote, and how they are.
    List(ListArgs),
    /// Print all that is known of a box.
    Show(OneArgs),
    /// Let a box send all it has and take nothing new.
    Drain(JudgeArgs),
    /// Let a drained box take readings again.
    Resume(JudgeArgs),
    /// Send a box away and refuse it for ever: stolen, broken, replaced.
    Retire(RetireArgs),
}

/// Who is invited.
#[derive(Debug, Args)]
pub(super) struct InviteArgs {
    /// Name of the box's node.
    name: String,
    /// Id of the quarter whose home it is.
    #[arg(long, value_name = "ID")]
    quarter: String,
    /// Hours that the invitation is good, 336 at most.
    #[arg(long, default_value_t = 24)]
    hours: u32,
    /// Reason, kept in the journal.
    #[arg(long, default_value = "")]
    why: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

/// All of them.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

/// One of them.
#[derive(Debug, Args)]
pub(super) struct OneArgs {
    /// Name of the box's node.
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

/// One of them, and why.
#[derive(Debug, Args)]
pub(super) struct JudgeArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Reason, kept in the journal.
    #[arg(long)]
    why: String,
}

/// One of them, for ever.
#[derive(Debug, Args)]
pub(super) struct RetireArgs {
    #[command(flatten)]
    judge: JudgeArgs,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(command: &EdgeCommand) -> Outcome {
    match command {
        EdgeCommand::Invite(args) => invite(args),
        EdgeCommand::List(args) => list(args),
        EdgeCommand::Show(args) => {
            let path = [&PATH[..], &[&args.name]].concat();
            show(&args.node.client()?.get(&path, &[])?, args.json)
        }
        EdgeCommand::Drain(args) => judge(args, "drain"),
        EdgeCommand::Resume(args) => judge(args, "resume"),
        EdgeCommand::Retire(args) => {
            if !args.yes {
                confirm(&args.judge.one.name)?;
            }
            judge(&args.judge, "retire")
        }
    }
}

fn invite(args: &InviteArgs) -> Outcome {
    let wanted = json!({
        "node": args.name, "quarter": args.quarter, "hours": args.hours, "why": args.why,
    });
    let answer = args.node.client()?.post(&PATH, wanted)?;
    if args.json {
        println!("{answer}");
        return Ok(());
    }
    let token = text(&answer["token"]);
    println!("{token}");
    let (city, expires) = (args.node.url(), text(&answer["expires"]));
    eprintln!("good once, until {expires}; on the box:");
    eprintln!("  quartier-edge enroll --city {city} --token {token}");
    if is_loopback(city) {
        eprintln!("but {city} is this machine: elsewhere --city is the city as the box reaches it");
    }
    if let Some(other) = answer["replaces"].as_str() {
        eprintln!(
            "this retires {other}, the box of {} now, for ever; what it has not sent by then never \
             comes: first `quartier edge drain {other} --why \"is replaced\"`",
            args.quarter
        );
    }
    if let Some(other) = answer["leaves"].as_str() {
        eprintln!(
            "{} is the box of {other} now: it is refused once this one has enrolled, what it has \
             not sent by then never comes, and {other} is without a box; if that is not meant, \
             choose another name",
            args.name
        );
    }
    Ok(())
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

fn judge(args: &JudgeArgs, what: &str) -> Outcome {
    let path = [&PATH[..], &[&args.one.name, what]].concat();
    let client = args.one.node.client()?;
    let answer = client.post(&path, json!({ "why": args.why }))?;
    match args.one.json {
        true => println!("{answer}"),
        false => println!("{} is {}", args.one.name, text(&answer["standing"])),
    }
    Ok(())
}

fn confirm(name: &str) -> Outcome {
    let refused = |why: &str| Failure::usage(anyhow::anyhow!("{why}"));
    if !io::stdin().is_terminal() {
        return Err(refused("retire is for ever: add --yes"));
    }
    print!("{name} is sent away now and never let in again. Type its name to go on: ");
    io::stdout().flush().map_err(Failure::fault)?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    read.map_err(Failure::fault)?;
    match line.trim() == name {
        true => Ok(()),
        false => Err(refused("nothing was done")),
    }
}

fn list(args: &ListArgs) -> Outcome {
    let answer = args.node.client()?.get(&PATH, &[])?;
    if args.json {
        println!("{answer}");
        return Ok(());
    }
    let none = Vec::new();
    let edges = answer["edges"].as_array().unwrap_or(&none);
    let head = [
        "node",
        "quarter",
        "standing",
        "version",
        "heard",
        "complete through",
        "behind",
        "lost",
        "journal",
        "disk free",
        "°C",
        "plugins",
    ];
    let rows: Vec<_> = edges.iter().map(row).collect();
    print_columns(&head, &rows);
    Ok(())
}

fn row(edge: &Value) -> Vec<String> {
    let health = &edge["health"];
    vec![
        text(&edge["node"]),
        text(&edge["quarter"]),
        text(&edge["standing"]),
        text(&health["version"]),
        ago(&edge["heard"]),
        text(&edge["complete_through"]),
        text(&edge["behind"]),
        lost(edge).to_string(),
        share(&health["journal_bytes"], &health["journal_quota_bytes"]),
        share(&health["disk_free_bytes"], &health["disk_bytes"]),
        text(&health["temperature_c"]),
        plugins(health),
    ]
}

fn show(edge: &Value, json: bool) -> Outcome {
    if json {
        println!("{edge}");
        return Ok(());
    }
    let health = &edge["health"];
    let (complete, position) = (text(&edge["complete_through"]), text(&edge["position"]));
    let lines = [
        ("node", text(&edge["node"])),
        ("quarter", text(&edge["quarter"])),
        ("standing", text(&edge["standing"])),
        ("heard", ago(&edge["heard"])),
        (
            "complete",
            format!(
                "through {complete}, position {position} of {}",
                text(&edge["head"])
            ),
        ),
        ("chain", text(&edge["chain"])),
        ("lost for good", format!("{} entries", lost(edge))),
        ("state", proof(edge)),
        ("repaired", format!("{} times", text(&edge["repaired"]))),
        (
            "again, refused",
            format!("{}, {}", text(&edge["duplicates"]), text(&edge["refused"])),
        ),
        ("refusal", text(&edge["refusal"])),
        ("version", text(&health["version"])),
        (
            "journal",
            share(&health["journal_bytes"], &health["journal_quota_bytes"]),
        ),
        (
            "disk free",
            share(&health["disk_free_bytes"], &health["disk_bytes"]),
        ),
        ("temperature", text(&health["temperature_c"])),
        ("time known", text(&health["time_known"])),
        ("plugins", plugins(health)),
        (
            "orders waiting",
            edge["orders"].as_array().map_or(0, Vec::len).to_string(),
        ),
    ];
    for (name, value) in lines {
        println!("{name:15} {value}");
    }
    for warning in health["warnings"].as_array().into_iter().flatten() {
        println!("{:15} {}", "warning", text(warning));
    }
    for outcome in edge["outcomes"].as_array().into_iter().flatten() {
        let said = match &outcome["refused"] {
            Value::Null => "done".to_owned(),
            why => text(why),
        };
        let order = format!("order {}", text(&outcome["number"]));
        println!("{order:15} {said}");
    }
    Ok(())
}

fn proof(edge: &Value) -> String {
    let proof = &edge["proof"];
    let position = text(&proof["position"]);
    match proof["equal"].as_bool() {
        None => "not compared yet".to_owned(),
        Some(true) => format!(
            "equal byte for byte at position {position}, {}",
            ago(&proof["time"])
        ),
        Some(false) => format!("DIFFERS from the box at position {position}"),
    }
}

fn lost(edge: &Value) -> u64 {
    let ranges = edge["lost"].as_array().into_iter().flatten();
    let count = |range: &Value| {
        let (first, last) = (range["first"].as_u64(), range["last"].as_u64());
        first
            .zip(last)
            .map_or(0, |(first, last)| last.saturating_sub(first) + 1)
    };
    ranges.map(count).sum()
}

fn plugins(health: &Value) -> String {
    let plugins = health["plugins"].as_array().into_iter().flatten();
    let names: Vec<_> = plugins
        .map(|plugin| format!("{} {}", text(&plugin["plugin"]), text(&plugin["version"])))
        .collect();
    match names.is_empty() {
        true => "-".to_owned(),
        false => names.join(", "),
    }
}

fn share(part: &Value, whole: &Value) -> String {
    let megabytes = |value: &Value| value.as_u64().map(|bytes| bytes / 1_000_000);
    match megabytes(part).zip(megabytes(whole)) {
        Some((part, whole)) => format!("{part} of {whole} MB"),
        None => "-".to_owned(),
    }
}

fn ago(time: &Value) -> String {
    let time = time
        .as_str()
        .and_then(|text| text.parse::<Timestamp>().ok());
    let Some(time) = time else {
        return "never".to_owned();
    };
    let since = (Timestamp::now() - time)
        .round(SpanRound::new().smallest(Unit::Second).largest(Unit::Hour));
    since.map_or_else(|_| time.to_string(), |since| format!("{since:#} ago"))
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        // What a box says of itself goes to a terminal.
        Value::String(text) => text.replace(char::is_control, " "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn an_address_of_this_machine_is_none_for_a_box() {
        for (url, here) in [
            ("http://127.0.0.1:8080/", true),
            ("http://127.1.2.3/", true),
            ("http://[::1]:8080/", true),
            ("http://LOCALHOST/", true),
            ("https://city.example:8443/", false),
            ("http://192.168.0.7:8080/", false),
            ("http://[2001:db8::1]/", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), here, "{url}");
        }
    }
}
