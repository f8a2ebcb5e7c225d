//! The files of a new rule, as they stand in `plugins/templates`, `plugins/sdk` and `plugins/wit`.
//!
//! Where a template says `{{key}}` the project's value is put; a key that is not known is a defect
//! that a test finds.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::language::Language;
use super::sample;

static COMMON: Dir = include_dir!("$CARGO_MANIFEST_DIR/../plugins/templates/common");
static RUST: Dir = include_dir!("$CARGO_MANIFEST_DIR/../plugins/templates/rust");
static C: Dir = include_dir!("$CARGO_MANIFEST_DIR/../plugins/templates/c");
static TYPESCRIPT: Dir = include_dir!("$CARGO_MANIFEST_DIR/../plugins/templates/typescript");
static PYTHON: Dir = include_dir!("$CARGO_MANIFEST_DIR/../plugins/templates/python");
static SDK: Dir = include_dir!("$CARGO_MANIFEST_DIR/../plugins/sdk/src");
const SDK_MANIFEST: &str = include_str!("../../../../plugins/sdk/Cargo.toml");
const WIT: &str = include_str!("../../../../plugins/wit/rule.wit");

/// A file of a project: where, and what is in it.
pub(super) type File = (PathBuf, String);

/// Every file of a new project.
pub(super) fn files(language: Language, name: &str, quarter: &str) -> Vec<File> {
    let own = match language {
        Language::Rust => &RUST,
        Language::C => &C,
        Language::Ts => &TYPESCRIPT,
        Language::Python => &PYTHON,
    };
    let mut files: Vec<_> = texts(&COMMON).chain(texts(own)).collect();
    for (path, text) in &mut files {
        *text = filled(text, language, name, quarter);
        // A file of this name in the templates would hide files of the repository itself.
        if path == Path::new("gitignore") {
            *path = ".gitignore".into();
        }
    }
    let key = format!(
        "# What the rule is written in: rust, c, ts or python.\nlanguage = {:?}\n",
        language.key()
    );
    files.push(("quartier-plugin.toml".into(), key));
    files.push(("sample.jsonl".into(), sample::lines(quarter)));
    files.push(("vendor/wit/rule.wit".into(), WIT.to_owned()));
    if language == Language::Rust {
        files.push(("vendor/sdk/Cargo.toml".into(), SDK_MANIFEST.to_owned()));
        files
            .extend(texts(&SDK).map(|(path, text)| (Path::new("vendor/sdk/src").join(path), text)));
    }
    files
}

fn texts(dir: &'static Dir<'static>) -> impl Iterator<Item = File> {
    let mut found = Vec::new();
    let mut open = vec![dir];
    while let Some(dir) = open.pop() {
        open.extend(dir.dirs());
        found.extend(dir.files());
    }
    found.into_iter().map(|file| {
        let text = String::from_utf8_lossy(file.contents()).into_owned();
        (file.path().to_owned(), text)
    })
}

fn filled(text: &str, language: Language, name: &str, quarter: &str) -> String {
    let quotas = language.quotas();
    let prepare = language
        .prepare()
        .map_or_else(String::new, |command| format!("{command}\n"));
    [
        ("{{name}}", name),
        ("{{quarter}}", quarter),
        ("{{language}}", language.title()),
        ("{{files}}", language.files()),
        ("{{prepare}}\n", prepare.as_str()),
        ("{{test}}", language.test()),
        ("{{fuel_per_batch}}", quotas.fuel_per_batch),
        ("{{fuel_per_reading}}", quotas.fuel_per_reading),
        ("{{deadline_ms}}", quotas.deadline_ms),
        ("{{memory_bytes}}", quotas.memory_bytes),
    ]
    .iter()
    .fold(text.to_owned(), |text, (key, value)| {
        text.replace(key, value)
    })
}

#[cfg(test)]
mod tests {
    use quartier_plugin_host::Manifest;

    use super::*;

    #[test]
    fn a_new_project_is_whole_and_nothing_that_was_built_is_in_it() {
        for language in Language::ALL {
            let files = files(language, "my-rule", "my-quarter");
            let has = |path: &str| files.iter().any(|(file, _)| file == Path::new(path));
            for path in [
                "manifest.toml",
                "README.md",
                ".gitignore",
                "sample.jsonl",
                language.mark(),
            ] {
                assert!(has(path), "{language:?}: {path}");
            }
            let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
            assert!(
                files.len() < 40 && bytes < 300_000,
                "{language:?}: {} files, {bytes} bytes",
                files.len()
            );
            for (path, text) in &files {
                let generated = path.ends_with("lab_rule.c") || path.starts_with("vendor");
                assert!(
                    generated || !text.contains("{{"),
                    "{language:?}: {}",
                    path.display()
                );
            }
        }
    }

    #[test]
    fn the_manifest_of_every_language_is_good() {
        for language in Language::ALL {
            let files = files(language, "my-rule", "my-quarter");
            let manifest = files
                .iter()
                .find(|(path, _)| path == Path::new("manifest.toml"));
            let manifest = Manifest::parse(&manifest.unwrap().1).unwrap();
            assert_eq!(
                (manifest.id.as_str(), manifest.lab.as_str()),
                ("my-rule", "my-quarter")
            );
        }
    }
}
