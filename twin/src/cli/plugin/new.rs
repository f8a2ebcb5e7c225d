//! `quartier plugin new`: the folder of a new rule.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;

use super::language::Language;
use super::templates;
use crate::cli::{Failure, Outcome, because};

const LONGEST: usize = 63;

/// A rule to begin.
#[derive(Debug, Args)]
pub(in crate::cli) struct NewArgs {
    /// Its name: small letters, digits and dashes. The folder gets this name.
    name: String,
    /// What it is written in.
    #[arg(long, value_enum)]
    lang: Language,
    /// The quarter whose lab it is of.
    #[arg(long, value_name = "ID", default_value = "johannstadt")]
    quarter: String,
}

pub(super) fn run(args: &NewArgs) -> Outcome {
    check(&args.name, &args.quarter).map_err(Failure::usage)?;
    let dir = PathBuf::from(&args.name);
    if dir.exists() {
        let message = format!("{}: is there already; choose another name", dir.display());
        return Err(Failure::usage(anyhow::anyhow!(message)));
    }
    for (path, text) in templates::files(args.lang, &args.name, &args.quarter) {
        write(&dir.join(path), &text).map_err(Failure::fault)?;
    }
    println!("{}: a rule in {}. Next:", dir.display(), args.lang.title());
    println!("  cd {}", dir.display());
    if let Some(prepare) = args.lang.prepare() {
        println!("  {prepare}");
    }
    println!("  {}", args.lang.test());
    println!("  quartier plugin build");
    println!("README.md says how it goes on.");
    Ok(())
}

/// A name goes into topics, file names and the package files of four languages.
fn check(name: &str, quarter: &str) -> anyhow::Result<()> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = name.len() <= LONGEST
        && name.chars().all(inside)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-');
    if !good {
        bail!(
            "{name:?} cannot be the name of a rule: small letters, digits and dashes, a letter first, \
             at most {LONGEST}"
        );
    }
    let bad =
        |c: char| matches!(c, '/' | '+' | '#' | '"' | '\\') || c.is_control() || c.is_whitespace();
    if quarter.is_empty() || quarter.starts_with('$') || quarter.contains(bad) {
        bail!("{quarter:?} cannot be the id of a quarter: it is one level of a topic");
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let cannot = || format!("{}: cannot be written", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(because(cannot()))?;
    }
    fs::write(path, text).map_err(because(cannot()))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_name_fits_topics_files_and_packages() {
        for good in ["dust", "dust-watch-2"] {
            check(good, "johannstadt").unwrap();
        }
        for bad in ["", "Dust", "2dust", "dust-", "dust_watch", "../dust", "a/b"] {
            check(bad, "johannstadt").unwrap_err();
        }
        check("dust", "a/b").unwrap_err();
    }
}
