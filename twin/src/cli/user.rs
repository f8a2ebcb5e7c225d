//! `quartier user`: who may log in. Works on the text of the configuration, so that comments and
//! order stay; the file is replaced in one step.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use argon2::{Argon2, PasswordHasher as _};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use serde::Deserialize;
use toml::Spanned;

use super::{Failure, Outcome};
use crate::config::{Config, ROLES};

const SHORTEST: usize = 8;

/// Who may log in.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add a user; the password is asked for, or read from standard input.
    Add(AddArgs),
    /// Print the users and their roles.
    List {
        #[command(flatten)]
        file: FileArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove a user.
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
    /// User name.
    name: String,
    /// What the user may do.
    #[arg(long, value_name = "ROLE", required = true, num_args = 1..,
        value_parser = PossibleValuesParser::new(ROLES))]
    role: Vec<String>,
    #[command(flatten)]
    file: FileArgs,
}

/// Which configuration.
#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "quartier.toml")]
    config: PathBuf,
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
    if Config::load(path)?
        .mqtt
        .users
        .iter()
        .any(|user| user.name == args.name)
    {
        bail!(
            "{}: there is a user {:?} already; remove it first",
            path.display(),
            args.name
        );
    }
    let hash = hash(&password()?)?;
    replace(path, &with_user(&text, &args.name, &hash, &args.role))?;
    println!(
        "{}: user {:?} added; restart the node to let it in",
        path.display(),
        args.name
    );
    Ok(())
}

fn list(path: &Path, json: bool) -> Outcome {
    let users = Config::load(path).map_err(Failure::usage)?.mqtt.users;
    if json {
        let users: Vec<_> = users
            .iter()
            .map(|user| serde_json::json!({ "name": user.name, "roles": user.roles }))
            .collect();
        println!("{}", serde_json::Value::from(users));
    } else {
        let width = users
            .iter()
            .map(|user| user.name.chars().count())
            .max()
            .unwrap_or(0);
        for user in &users {
            println!("{:width$}  {}", user.name, user.roles.join(", "));
        }
    }
    Ok(())
}

fn remove(path: &Path, name: &str) -> anyhow::Result<()> {
    let text = text_of(path)?;
    Config::load(path)?;
    let rest = without_user(&text, name)?
        .ok_or_else(|| anyhow!("{}: there is no user {name:?}", path.display()))?;
    replace(path, &rest)?;
    println!(
        "{}: user {name:?} removed; restart the node to lock it out",
        path.display()
    );
    Ok(())
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))
}

/// Writes beside the file and renames, with the permissions of the old one: a reader sees the old
/// or the new file.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    toml::from_str::<toml::Table>(text).context("the changed file would not be TOML")?;
    let beside = path.with_extension("toml.new");
    let write = || {
        fs::write(&beside, text)?;
        fs::set_permissions(&beside, fs::metadata(path)?.permissions())?;
        fs::File::open(&beside)?.sync_all()?;
        fs::rename(&beside, path)
    };
    write().with_context(|| format!("{}: cannot be written", path.display()))
}

/// A block behind all others: it is its own section, whatever stands before it.
fn with_user(text: &str, name: &str, hash: &str, roles: &[String]) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let roles: Vec<_> = roles.iter().map(|role| quoted(role)).collect();
    let gap = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!(
        "{text}{gap}\n[[mqtt.user]]\nname = {}\npassword_hash = {}\nroles = [{}]\n",
        quoted(name),
        quoted(hash),
        roles.join(", ")
    )
}

/// The text without the block of a user; `None` where there is no such user.
fn without_user(text: &str, name: &str) -> anyhow::Result<Option<String>> {
    let names: Names = toml::from_str(text)?;
    let Some(at) = names
        .mqtt
        .user
        .iter()
        .find(|user| user.name.get_ref() == name)
    else {
        return Ok(None);
    };
    let inside = at.name.span().start;
    let header = |line: &str| line.trim_start().starts_with('[');
    let mut offset = 0;
    let headers: Vec<_> = text
        .split_inclusive('\n')
        .filter_map(|line| {
            let start = offset;
            offset += line.len();
            header(line).then_some((start, line))
        })
        .collect();
    let block = headers.iter().rev().find(|(start, _)| *start < inside);
    let start = block.filter(|(_, line)| line.replace(' ', "").starts_with("[[mqtt.user]]"));
    let Some((start, _)) = start else {
        bail!("user {name:?} is not written as a [[mqtt.user]] block; remove it by hand");
    };
    let end = headers
        .iter()
        .map(|(at, _)| *at)
        .find(|at| at > start)
        .unwrap_or(text.len());
    let (before, after) = (text.get(..*start), text.get(end..));
    let before = before
        .unwrap_or_default()
        .strip_suffix("\n\n")
        .map(|rest| format!("{rest}\n"));
    let whole = text.get(..*start).unwrap_or_default().to_owned();
    let before = if after.is_some_and(str::is_empty) {
        before.unwrap_or(whole)
    } else {
        whole
    };
    Ok(Some(format!("{before}{}", after.unwrap_or_default())))
}

#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    mqtt: MqttNames,
}

#[derive(Deserialize, Default)]
struct MqttNames {
    #[serde(default)]
    user: Vec<UserName>,
}

#[derive(Deserialize)]
struct UserName {
    name: Spanned<String>,
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

    use super::{hash, with_user, without_user};

    const FILE: &str = "# mine\n[node]\nname = \"n\" # here\n\n[[mqtt.user]]\nname = \"a\"\n\
        password_hash = \"x\"\nroles = []\n\n[http]\nlisten = \"127.0.0.1:1\"\n";

    #[test]
    fn adding_and_removing_leaves_the_rest_of_the_file_as_it_was() {
        let added = with_user(
            FILE,
            "b \"q\"",
            "$h",
            &["device".to_owned(), "lab".to_owned()],
        );
        assert!(added.starts_with(FILE));
        let table: toml::Table = toml::from_str(&added).unwrap();
        let users = table["mqtt"]["user"].as_array().unwrap();
        assert_eq!(users[1]["name"].as_str(), Some("b \"q\""));
        assert_eq!(users[1]["roles"].as_array().unwrap().len(), 2);
        assert_eq!(without_user(&added, "b \"q\"").unwrap().unwrap(), FILE);
        let rest = without_user(FILE, "a").unwrap().unwrap();
        assert_eq!(
            rest,
            "# mine\n[node]\nname = \"n\" # here\n\n[http]\nlisten = \"127.0.0.1:1\"\n"
        );
        assert!(without_user(FILE, "c").unwrap().is_none());
    }

    #[test]
    fn a_user_written_otherwise_is_left_to_its_writer() {
        let inline = "[mqtt]\nuser = [{ name = \"a\", password_hash = \"x\", roles = [] }]\n";
        assert!(
            without_user(inline, "a")
                .unwrap_err()
                .to_string()
                .contains("by hand")
        );
    }

    #[test]
    fn a_hash_is_argon2id_and_opens_with_its_password_only() {
        let phc = hash("correct horse").unwrap();
        assert!(phc.starts_with("$argon2id$"));
        let parsed = PasswordHash::new(&phc).unwrap();
        assert!(
            Argon2::default()
                .verify_password(b"correct horse", &parsed)
                .is_ok()
        );
        assert!(
            Argon2::default()
                .verify_password(b"wrong", &parsed)
                .is_err()
        );
    }
}
