//! The folder of a rule: its language, its manifest, its interface.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use quartier_plugin_host::Manifest;
use serde::Deserialize;

use super::language::Language;
use crate::cli::because;

const KEY: &str = "quartier-plugin.toml";

/// What `quartier-plugin.toml` says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    language: Language,
}

/// A rule to build; its manifest is good.
pub(super) struct Project {
    pub(super) dir: PathBuf,
    pub(super) language: Language,
    pub(super) manifest: Manifest,
    pub(super) manifest_text: String,
    /// Text of `vendor/wit/rule.wit`.
    pub(super) wit: String,
}

impl Project {
    /// # Errors
    /// Names the file, and what is wrong with it.
    pub(super) fn open(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join("manifest.toml");
        let manifest_text =
            read(&path).with_context(|| format!("{}: not the folder of a rule", dir.display()))?;
        let manifest = Manifest::parse(&manifest_text).map_err(because(path.display()))?;
        if manifest.component_sha256.is_some() {
            bail!(
                "{}: component_sha256 is what `quartier plugin build` writes into dist/; remove it",
                path.display()
            );
        }
        Ok(Self {
            // Programs are started in it and get paths of it.
            dir: dir.canonicalize().map_err(because(dir.display()))?,
            language: language(dir)?,
            manifest,
            manifest_text,
            wit: read(&dir.join("vendor/wit/rule.wit"))?,
        })
    }

    /// What a component imports is decided by its manifest: a language that takes the whole world is
    /// shown one without what the manifest does not ask for.
    pub(super) fn world(&self) -> String {
        let twin = "import twin;";
        match self.manifest.reads.properties.is_empty() {
            true => self
                .wit
                .lines()
                .filter(|line| line.trim() != twin)
                .fold(String::new(), |wit, line| wit + line + "\n"),
            false => self.wit.clone(),
        }
    }
}

/// By `quartier-plugin.toml`, else by the files.
fn language(dir: &Path) -> anyhow::Result<Language> {
    let path = dir.join(KEY);
    if path.exists() {
        let key: Key = toml::from_str(&read(&path)?).map_err(because(path.display()))?;
        return Ok(key.language);
    }
    let found: Vec<_> = Language::ALL
        .into_iter()
        .filter(|language| dir.join(language.mark()).exists())
        .collect();
    match found[..] {
        [language] => Ok(language),
        [] => {
            let marks = Language::ALL.map(Language::mark).join(", ");
            Err(anyhow!(
                "{}: none of {marks} is there; say `language = \"rust\"` in {KEY}",
                dir.display()
            ))
        }
        _ => {
            let marks: Vec<_> = found.into_iter().map(Language::mark).collect();
            Err(anyhow!(
                "{}: has {}; say which by `language = ..` in {KEY}",
                dir.display(),
                marks.join(" and ")
            ))
        }
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).map_err(because(format!("{}: cannot be read", path.display())))
}
