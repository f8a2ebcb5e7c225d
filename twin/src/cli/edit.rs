//! Changes the text of a configuration, so that comments and order stay; the file is replaced in
//! one step, and only by one that loads.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use toml::de::{DeTable, DeValue};

use super::because;
use crate::config::Config;

/// Which configuration.
#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "quartier.toml")]
    pub(super) config: PathBuf,
}

/// What is said after a change: a node looks at its configuration every two seconds.
pub(super) const TAKEN: &str = "a running node takes it within seconds";

pub(super) fn text_of(path: &Path) -> anyhow::Result<String> {
    let cannot = format!("{}: cannot be read", path.display());
    fs::read_to_string(path).map_err(because(cannot))
}

/// Writes beside the file, tries it and renames, with owner and permissions of the old one: a
/// reader sees the old or the new file.
pub(super) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let beside = path.with_extension("toml.new");
    let write = || {
        let old = fs::metadata(path)?;
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(text.as_bytes())?;
        let new = file.metadata()?;
        if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
            chown(&beside, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(old.permissions())?;
        file.sync_all()
    };
    let written = write().map_err(because(format!("{}: cannot be written", beside.display())));
    let tried = written.and_then(|()| Config::load(&beside).map_err(anyhow::Error::from));
    if let Err(error) = tried {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    let cannot = format!("{}: cannot be replaced", path.display());
    fs::rename(&beside, path).map_err(because(cannot))
}

/// A block behind all others: it is its own section, whatever stands before it.
pub(super) fn with_block(text: &str, section: &str, entries: &[(&str, toml::Value)]) -> String {
    let gap = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let lines: String = entries
        .iter()
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect();
    format!("{text}{gap}\n[[mqtt.{section}]]\n{lines}")
}

/// The text without the first block of `[[mqtt.{section}]]` in which `key` is `value`; `None` where
/// there is none.
///
/// # Errors
/// What was meant is not written as such a block.
pub(super) fn without_block(
    text: &str,
    section: &str,
    (key, value): (&str, &str),
) -> anyhow::Result<Option<String>> {
    let root = DeValue::Table(DeTable::parse(text)?.into_inner());
    let found = root
        .get("mqtt")
        .and_then(|mqtt| mqtt.get_ref().get(section)?.get_ref().as_array())
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.get_ref().get(key))
        .find(|found| found.get_ref().as_str() == Some(value));
    let Some(inside) = found.map(|value| value.span().start) else {
        return Ok(None);
    };
    let mut offset = 0;
    let headers: Vec<_> = text
        .split_inclusive('\n')
        .filter_map(|line| {
            let start = offset;
            offset += line.len();
            line.trim_start().starts_with('[').then_some((start, line))
        })
        .collect();
    let name = format!("[[mqtt.{section}]]");
    let block = headers.iter().rev().find(|(start, _)| *start < inside);
    let block = block.filter(|(_, line)| line.replace(' ', "").starts_with(&name));
    let Some((start, _)) = block else {
        bail!("{key} = {value:?} is not written as a {name} block; remove it by hand");
    };
    let end = headers.iter().map(|(at, _)| *at).find(|at| at > start);
    let before = text.get(..*start).unwrap_or_default();
    Ok(Some(match end {
        Some(end) => format!("{before}{}", text.get(end..).unwrap_or_default()),
        // The last block takes the empty line before it along.
        None => match before.strip_suffix("\n\n") {
            Some(rest) => format!("{rest}\n"),
            None => before.to_owned(),
        },
    }))
}

/// The text without all such blocks, and how many there were.
///
/// # Errors
/// See [`without_block`].
pub(super) fn without_blocks(
    text: &str,
    section: &str,
    entry: (&str, &str),
) -> anyhow::Result<(String, usize)> {
    let (mut text, mut count) = (text.to_owned(), 0);
    while let Some(rest) = without_block(&text, section, entry)? {
        (text, count) = (rest, count + 1);
    }
    Ok((text, count))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const FILE: &str = "# mine\n[node]\nname = \"n\" # here\n\n[[mqtt.user]]\nname = \"a\"\n\
        roles = []\n\n[http]\nlisten = \"127.0.0.1:1\"\n";

    #[test]
    fn adding_and_removing_leaves_the_rest_of_the_file_as_it_was() {
        let name = toml::Value::from("b \"q\"");
        let added = with_block(
            FILE,
            "user",
            &[("name", name), ("roles", vec!["lab"].into())],
        );
        assert!(added.starts_with(FILE));
        let table: toml::Table = toml::from_str(&added).unwrap();
        let users = table["mqtt"]["user"].as_array().unwrap();
        assert_eq!(users[1]["name"].as_str(), Some("b \"q\""));
        let rest = without_block(&added, "user", ("name", "b \"q\"")).unwrap();
        assert_eq!(rest.unwrap(), FILE);
        let rest = without_block(FILE, "user", ("name", "a")).unwrap();
        let expected = "# mine\n[node]\nname = \"n\" # here\n\n[http]\nlisten = \"127.0.0.1:1\"\n";
        assert_eq!(rest.unwrap(), expected);
        assert!(
            without_block(FILE, "user", ("name", "c"))
                .unwrap()
                .is_none()
        );
        assert!(without_block(FILE, "token", ("id", "a")).unwrap().is_none());
    }

    #[test]
    fn all_blocks_of_a_user_go_at_once() {
        let block = |text: &str, user: &str| with_block(text, "token", &[("user", user.into())]);
        let text = block(&block(&block(FILE, "a"), "b"), "a");
        let (rest, count) = without_blocks(&text, "token", ("user", "a")).unwrap();
        assert_eq!((rest, count), (block(FILE, "b"), 2));
    }

    #[test]
    fn a_user_written_otherwise_is_left_to_its_writer() {
        let inline = "[mqtt]\nuser = [{ name = \"a\", roles = [] }]\n";
        let error = without_block(inline, "user", ("name", "a")).unwrap_err();
        assert!(error.to_string().contains("by hand"));
    }

    #[test]
    fn a_file_is_replaced_only_by_one_that_loads_and_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("quartier.toml");
        let good = "[node]\nname = \"n\"\nrole = \"city\"\ndata = \"d\"\n";
        fs::write(&path, good).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(replace(&path, "[node]\nname = 5\n").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), good);
        let better = format!("{good}# more\n");
        replace(&path, &better).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), better);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
