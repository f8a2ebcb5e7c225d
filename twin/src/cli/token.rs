//! `quartier token`: bearer tokens, which a client sends as its password.

use std::path::Path;

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use jiff::{Span, Timestamp, Zoned};

use super::edit::{FileArgs, TAKEN, replace, text_of, with_block, without_block};
use super::{Failure, Outcome};
use crate::access::NewToken;
use crate::config::{Config, Token};

/// Bearer tokens, sent as password.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token and print it, once: only its hash is kept.
    Issue(IssueArgs),
    /// Print the tokens, without their secrets.
    List {
        #[command(flatten)]
        file: FileArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a token useless and end the connections that were made with it.
    Revoke {
        /// The part of the token between `qt_` and the next `_`.
        id: String,
        #[command(flatten)]
        file: FileArgs,
    },
}

/// A token to make.
#[derive(Debug, Args)]
pub(super) struct IssueArgs {
    /// Who logs in with it.
    #[arg(long, value_name = "NAME")]
    user: String,
    /// Good for this long, as in `90d` or `2w`; without: until it is revoked.
    #[arg(long, value_name = "TIME")]
    expires: Option<Span>,
    #[command(flatten)]
    file: FileArgs,
}

pub(super) fn run(command: &TokenCommand) -> Outcome {
    match command {
        TokenCommand::Issue(args) => issue(args).map_err(Failure::usage),
        TokenCommand::List { file, json } => list(&file.config, *json),
        TokenCommand::Revoke { id, file } => revoke(&file.config, id).map_err(Failure::usage),
    }
}

fn issue(args: &IssueArgs) -> anyhow::Result<()> {
    let path = &args.file.config;
    let text = text_of(path)?;
    let users = Config::load(path)?.mqtt.users;
    if !users.iter().any(|user| user.name == args.user) {
        bail!(
            "{}: there is no user {:?}; `quartier user add` adds one",
            path.display(),
            args.user
        );
    }
    let expires = args.expires.map(end).transpose()?;
    let token = NewToken::random()?;
    let mut entries = vec![
        ("id", toml::Value::from(token.id.as_str())),
        ("hash", token.hash.as_str().into()),
        ("user", args.user.as_str().into()),
    ];
    entries.extend(expires.map(|end| ("expires", end.to_string().into())));
    replace(path, &with_block(&text, "token", &entries))?;
    println!("{}", token.text);
    let until = expires.map_or_else(|| "it is revoked".to_owned(), |end| end.to_string());
    eprintln!(
        "{}: token {} of {:?}, good until {until}; it is not shown again; {TAKEN}",
        path.display(),
        token.id,
        args.user
    );
    Ok(())
}

/// Whole seconds are enough for an end.
fn end(time: Span) -> anyhow::Result<Timestamp> {
    if !time.is_positive() {
        bail!("--expires needs a time that is still to come, as in 90d");
    }
    let end = Zoned::now().checked_add(time)?.timestamp();
    Ok(Timestamp::from_second(end.as_second())?)
}

fn list(path: &Path, json: bool) -> Outcome {
    let tokens = Config::load(path).map_err(Failure::usage)?.mqtt.tokens;
    let now = Timestamp::now();
    let expired = |token: &Token| token.expires.is_some_and(|end| end <= now);
    let end = |token: &Token| token.expires.map(|end| end.to_string());
    if json {
        let tokens: Vec<_> = tokens
            .iter()
            .map(|token| {
                serde_json::json!({
                    "id": token.id,
                    "user": token.user,
                    "expires": end(token),
                    "expired": expired(token),
                })
            })
            .collect();
        println!("{}", serde_json::Value::from(tokens));
        return Ok(());
    }
    let lines: Vec<_> = tokens
        .iter()
        .map(|token| {
            let state = if expired(token) { "expired" } else { "good" };
            let end = end(token).unwrap_or_else(|| "never".to_owned());
            vec![token.id.clone(), token.user.clone(), end, state.to_owned()]
        })
        .collect();
    super::print_columns(&["id", "user", "expires", "state"], &lines);
    Ok(())
}

fn revoke(path: &Path, id: &str) -> anyhow::Result<()> {
    let text = text_of(path)?;
    Config::load(path)?;
    let rest = without_block(&text, "token", ("id", id))?.ok_or_else(|| {
        anyhow!(
            "{}: there is no token {id:?}; `quartier token list` prints them",
            path.display()
        )
    })?;
    replace(path, &rest)?;
    println!("{}: token {id} revoked; {TAKEN}", path.display());
    Ok(())
}
