//! `quartier user`: who may log in.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use argon2::{Argon2, PasswordHasher as _};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};

use super::edit::{FileArgs, TAKEN, replace, text_of, with_block, without_block, without_blocks};
use super::{Failure, Outcome};
use crate::access::PREFIX;
use crate::config::{Config, ROLES, User};

const SHORTEST: usize = 8;

/// Who may log in.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add a user; the password is asked for, or read from standard input.
    Add(AddArgs),
    /// Print the users, their roles, quarters and assets.
    List {
        #[command(flatten)]
        file: FileArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a user with its tokens and rules.
    Remove {
        /// User name.
        name: String,
        #[command(flatten)]
        file: FileArgs,
    },
}

/// A user to add.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// User name; of a client certificate, its common name.
    name: String,
    /// What the user may do; `quartier config check --rules` says what that is.
    #[arg(long, value_name = "ROLE", required = true, num_args = 1..,
        value_parser = PossibleValuesParser::new(ROLES))]
    role: Vec<String>,
    /// Only in these quarters; without: in every one.
    #[arg(long, value_name = "ID", num_args = 1..)]
    quarter: Vec<String>,
    /// For these assets; without: for the one with the user's name.
    #[arg(long, value_name = "ID", num_args = 1..)]
    asset: Vec<String>,
    /// Only a client certificate or a token lets the user in.
    #[arg(long)]
    no_password: bool,
    #[command(flatten)]
    file: FileArgs,
}

pub(super) fn run(command: &UserCommand) -> Outcome {
    match command {
        UserCommand::Add(args) => add(args).map_err(Failure::usage),
        UserCommand::List { file, json } => list(&file.config, *json),
        UserCommand::Remove { name, file } => remove(&file.config, name).map_err(Failure::usage),
    }
}

fn add(args: &AddArgs) -> anyhow::Result<()> {
    let path = &args.file.config;
    let text = text_of(path)?;
    if args.name.is_empty() || args.name.chars().any(char::is_control) {
        bail!("{:?} cannot be a user name", args.name);
    }
    let users = Config::load(path)?.mqtt.users;
    if users.iter().any(|user| user.name == args.name) {
        bail!(
            "{}: there is a user {:?} already; remove it first",
            path.display(),
            args.name
        );
    }
    let mut entries = vec![("name", toml::Value::from(args.name.as_str()))];
    if !args.no_password {
        entries.push(("password_hash", hash(&password()?)?.into()));
    }
    entries.push(("roles", args.role.clone().into()));
    for (key, values) in [("quarters", &args.quarter), ("assets", &args.asset)] {
        if !values.is_empty() {
            entries.push((key, values.clone().into()));
        }
    }
    replace(path, &with_block(&text, "user", &entries))?;
    println!("{}: user {:?} added; {TAKEN}", path.display(), args.name);
    Ok(())
}

fn list(path: &Path, json: bool) -> Outcome {
    let users = Config::load(path).map_err(Failure::usage)?.mqtt.users;
    if json {
        let users: Vec<_> = users.iter().map(as_json).collect();
        println!("{}", serde_json::Value::from(users));
        return Ok(());
    }
    let lines: Vec<_> = users.iter().map(as_columns).collect();
    super::print_columns(&["user", "roles", "quarters", "assets", "password"], &lines);
    Ok(())
}

fn as_json(user: &User) -> serde_json::Value {
    serde_json::json!({
        "name": user.name,
        "roles": user.roles,
        "quarters": user.quarters,
        "assets": user.assets,
        "password": user.password_hash.is_some(),
    })
}

fn as_columns(user: &User) -> Vec<String> {
    let list = |values: &Option<Vec<String>>, without: &str| {
        let values = values.as_ref().map(|values| values.join(", "));
        values.unwrap_or_else(|| without.to_owned())
    };
    let password = user.password_hash.as_ref().map_or("no", |_| "yes");
    vec![
        user.name.clone(),
        user.roles.join(", "),
        list(&user.quarters, "every one"),
        list(&user.assets, &user.name),
        password.to_owned(),
    ]
}

fn remove(path: &Path, name: &str) -> anyhow::Result<()> {
    let text = text_of(path)?;
    Config::load(path)?;
    let rest = without_block(&text, "user", ("name", name))?
        .ok_or_else(|| anyhow!("{}: there is no user {name:?}", path.display()))?;
    let (rest, tokens) = without_blocks(&rest, "token", ("user", name))?;
    let (rest, rules) = without_blocks(&rest, "acl", ("user", name))?;
    replace(path, &rest)?;
    let with = match (tokens, rules) {
        (0, 0) => String::new(),
        _ => format!(" with {tokens} tokens and {rules} blocks of rules"),
    };
    println!("{}: user {name:?} removed{with}; {TAKEN}", path.display());
    Ok(())
}

fn hash(password: &str) -> anyhow::Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    Ok(hash
        .map_err(|error| anyhow!("the password cannot be hashed: {error}"))?
        .to_string())
}

fn password() -> anyhow::Result<String> {
    let password = if std::io::stdin().is_terminal() {
        let first = hidden("Password: ")?;
        if hidden("Again: ")? != first {
            bail!("the passwords differ");
        }
        first
    } else {
        let mut line = String::new();
        std::io::stdin()
            .read_line(&mut line)
            .context("no password on standard input")?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    if password.chars().count() < SHORTEST {
        bail!("a password needs at least {SHORTEST} characters");
    }
    if password.starts_with(PREFIX) {
        bail!("a password cannot begin with {PREFIX}: that is how tokens begin");
    }
    Ok(password)
}

/// Gives the terminal back as it was, also when reading fails.
struct Raw;

impl Raw {
    fn new() -> anyhow::Result<Self> {
        enable_raw_mode().context("the terminal cannot hide the password")?;
        Ok(Self)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = disable_raw_mode();
        eprintln!();
    }
}

fn hidden(prompt: &str) -> anyhow::Result<String> {
    eprint!("{prompt}");
    std::io::stderr().flush()?;
    let raw = Raw::new()?;
    let mut typed = String::new();
    loop {
        let Event::Key(key) = read()? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Enter => break,
            KeyCode::Char('c' | 'd') if control => {
                drop(raw);
                bail!("no password was given");
            }
            KeyCode::Backspace => {
                typed.pop();
            }
            KeyCode::Char(character) if !control => typed.push(character),
            _ => {}
        }
    }
    Ok(typed)
}

#[cfg(test)]
mod tests {
    use argon2::{Argon2, PasswordHash, PasswordVerifier as _};

    use super::hash;

    #[test]
    fn a_hash_is_argon2id_and_opens_with_its_password_only() {
        let phc = hash("correct horse").unwrap();
        assert!(phc.starts_with("$argon2id$"));
        let parsed = PasswordHash::new(&phc).unwrap();
        let opens = |password: &[u8]| Argon2::default().verify_password(password, &parsed).is_ok();
        assert!(opens(b"correct horse") && !opens(b"wrong"));
    }
}
