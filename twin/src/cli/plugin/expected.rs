//! Decisions that a rule is expected to make: a line of JSON each.
//!
//! A line names `kind`, `name`, `asset` and, but for commands, `time`; every other field that it
//! has must be as in the decision, and what it leaves out may be anything. Numbers may differ by a
//! billionth, so that an oracle in another language can write the file.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::cli::{Failure, Outcome, because};
use crate::rerun::{Output, Outputs};

/// Numbers are the same within this part of themselves.
const TOLERANCE: f64 = 1e-9;

/// What was expected and did not come, or the other way round.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(super) struct Missed {
    /// The line of the file.
    pub(super) expected: Option<Value>,
    /// The decision.
    pub(super) came: Option<Value>,
}

/// What tells outputs apart.
type Identity = Vec<String>;

fn identity(fields: &Map<String, Value>) -> Identity {
    let text = |field: &&str| fields.get(*field).map(Value::to_string).unwrap_or_default();
    let command = fields.get("kind").is_some_and(|kind| kind == "command");
    let told = if command { "key" } else { "time" };
    ["kind", "name", "asset", told].iter().map(text).collect()
}

/// Writes all outputs, in the order of their times.
pub(super) fn write(path: &Path, outputs: &Outputs) -> Outcome {
    let mut sorted: Vec<Output> = outputs.iter().collect();
    sorted.sort_by(|one, other| one.time.cmp(&other.time));
    let mut text = String::new();
    for output in sorted {
        let line = serde_json::to_string(&output).map_err(Failure::fault)?;
        text.push_str(&line);
        text.push('\n');
    }
    let failed = because(format!("{}: cannot be written", path.display()));
    std::fs::write(path, text).map_err(|error| Failure::fault(failed(error)))
}

/// Holds the outputs against a file.
pub(super) fn compare(path: &Path, outputs: &Outputs) -> Result<Vec<Missed>, Failure> {
    let failed = because(format!("{}: cannot be read", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| Failure::usage(failed(error)))?;
    let mut expected: BTreeMap<Identity, Map<String, Value>> = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let fields = parse(line).map_err(|why| {
            let what = format!("{}:{number}: {why}", path.display());
            Failure::usage(anyhow::anyhow!(what))
        })?;
        expected.insert(identity(&fields), fields);
    }
    let mut missed = Vec::new();
    for output in outputs.iter() {
        let Ok(Value::Object(came)) = serde_json::to_value(&output) else {
            continue;
        };
        let wanted = expected.remove(&identity(&came));
        if !wanted.as_ref().is_some_and(|wanted| fits(wanted, &came)) {
            missed.push(Missed {
                expected: wanted.map(Value::Object),
                came: Some(Value::Object(came)),
            });
        }
    }
    missed.extend(expected.into_values().map(|wanted| Missed {
        expected: Some(Value::Object(wanted)),
        came: None,
    }));
    let time = |missed: &Missed| {
        let fields = missed.came.as_ref().or(missed.expected.as_ref());
        fields.map(|fields| fields["time"].to_string())
    };
    missed.sort_by_key(time);
    Ok(missed)
}

fn parse(line: &str) -> Result<Map<String, Value>, String> {
    let fields: Map<String, Value> =
        serde_json::from_str(line).map_err(|error| error.to_string())?;
    const KNOWN: [&str; 13] = [
        "kind", "time", "plugin", "name", "asset", "value", "raise", "severity", "code", "limit",
        "text", "key", "expires",
    ];
    if let Some(unknown) = fields.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(format!(
            "unknown field {unknown:?}; there are {}",
            KNOWN.join(", ")
        ));
    }
    for needed in ["kind", "name", "asset"] {
        if !fields.contains_key(needed) {
            return Err(format!("{needed:?} is missing"));
        }
    }
    Ok(fields)
}

fn fits(wanted: &Map<String, Value>, came: &Map<String, Value>) -> bool {
    wanted.iter().all(|(field, wanted)| {
        let came = came.get(field).unwrap_or(&Value::Null);
        match (wanted.as_f64(), came.as_f64()) {
            (Some(wanted), Some(came)) => {
                (wanted - came).abs() <= TOLERANCE * wanted.abs().max(came.abs()).max(1.0)
            }
            _ => wanted == came,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_leaves_out_may_be_anything_and_numbers_need_not_be_exact() {
        let came = parse(r#"{"kind":"alert","name":"r","asset":"a","time":"t","value":0.30000000000000004,"raise":true}"#).unwrap();
        let fits = |line: &str| fits(&parse(line).unwrap(), &came);
        assert!(fits(
            r#"{"kind":"alert","name":"r","asset":"a","time":"t","value":0.3}"#
        ));
        assert!(!fits(
            r#"{"kind":"alert","name":"r","asset":"a","time":"t","value":0.31}"#
        ));
        assert!(!fits(
            r#"{"kind":"alert","name":"r","asset":"a","time":"t","raise":false}"#
        ));
        assert!(
            parse(r#"{"kind":"alert","name":"r"}"#)
                .unwrap_err()
                .contains("asset")
        );
        let unknown = parse(r#"{"kind":"alert","nam":"r","asset":"a"}"#).unwrap_err();
        assert!(unknown.contains("\"nam\""), "{unknown}");
    }
}
