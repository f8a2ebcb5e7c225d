//! The mapping file: which columns of a recorded file are quarter, asset, time, place and metrics.
//!
//! TOML; `deploy/replay/README.md` describes the keys. Unknown keys are errors with their line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::model::is_name;

/// A mapping file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum MappingError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// A line of it is wrong.
    #[error("{}:{line}: {what}", path.display())]
    Line {
        path: PathBuf,
        line: usize,
        what: String,
    },
}

/// The layout of the recorded file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    #[default]
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// A mapping file as written; columns are looked up when the recorded file is open.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mapping {
    #[serde(default)]
    pub(super) format: Format,
    pub(super) delimiter: Option<Spanned<char>>,
    pub(super) quarter: Option<Spanned<String>>,
    pub(super) asset: Spanned<String>,
    pub(super) time: Time,
    pub(super) place: Option<PlaceColumns>,
    pub(super) join: Option<Join>,
    /// Columns with one value for the whole file; `--set` goes before them.
    #[serde(default)]
    pub(super) set: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) skip: Vec<Skip>,
    pub(super) metric: Vec<Metric>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Time {
    pub(super) columns: Vec<Spanned<String>>,
    /// strptime, `iso` or `unix`.
    #[serde(default = "iso")]
    pub(super) format: String,
    /// For times without an offset: an IANA name, or `+01:00`.
    pub(super) timezone: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceColumns {
    pub(super) lat: Spanned<String>,
    pub(super) lon: Spanned<String>,
}

/// A second CSV file, whose columns join those of the first.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Join {
    /// Relative to the folder of the recorded file.
    pub(super) file: Spanned<PathBuf>,
    /// In both files.
    pub(super) column: Spanned<String>,
}

/// Rows that are left out on purpose.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Skip {
    pub(super) column: Spanned<String>,
    pub(super) equals: String,
    pub(super) reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Metric {
    pub(super) column: Spanned<String>,
    pub(super) metric: Spanned<String>,
    pub(super) unit: String,
    /// The published value is that of the file times this.
    #[serde(default = "one")]
    pub(super) scale: f64,
    /// Values that mean "none", beside an empty cell.
    #[serde(default)]
    pub(super) missing: Vec<String>,
}

fn iso() -> String {
    "iso".to_owned()
}

fn one() -> f64 {
    1.0
}

/// A mapping, its file, and its text for line numbers.
#[derive(Debug)]
pub(super) struct MappingFile {
    pub(super) mapping: Mapping,
    path: PathBuf,
    text: String,
}

impl MappingFile {
    pub(super) fn load(path: &Path) -> Result<Self, MappingError> {
        let text = std::fs::read_to_string(path).map_err(|source| MappingError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, text)
    }

    pub(super) fn parse(path: &Path, text: String) -> Result<Self, MappingError> {
        let mapping: Mapping = toml::from_str(&text).map_err(|error| MappingError::Line {
            path: path.to_owned(),
            line: line(&text, error.span().map_or(0, |span| span.start)),
            what: error.message().trim_end().replace('\n', "; "),
        })?;
        let file = Self {
            mapping,
            path: path.to_owned(),
            text,
        };
        for metric in &file.mapping.metric {
            if !is_name(metric.metric.get_ref()) {
                let what = format!(
                    "metric {:?} is not one topic level",
                    metric.metric.get_ref()
                );
                return Err(file.wrong(&metric.metric, what));
            }
            if !metric.scale.is_finite() {
                return Err(file.wrong(&metric.column, "scale must be finite".to_owned()));
            }
        }
        if let Some(delimiter) = &file.mapping.delimiter
            && !delimiter.get_ref().is_ascii()
        {
            let what = format!(
                "delimiter {:?} is not an ASCII character",
                delimiter.get_ref()
            );
            return Err(file.wrong(delimiter, what));
        }
        Ok(file)
    }

    /// An error at the line of a value.
    pub(super) fn wrong<T>(&self, at: &Spanned<T>, what: String) -> MappingError {
        let line = line(&self.text, at.span().start);
        MappingError::Line {
            path: self.path.clone(),
            line,
            what,
        }
    }
}

fn line(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}
