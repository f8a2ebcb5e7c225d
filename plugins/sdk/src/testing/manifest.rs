//! What the test bench needs of a manifest. The host checks the rest.

use std::collections::BTreeMap;
use std::path::Path;

use toml::{Table, Value};

use crate::setup::{Dictionary, Entry};

/// A command of the manifest.
#[derive(Debug, Clone)]
pub(super) struct CommandRule {
    pub(super) name: String,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// The manifest of the plugin under test.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    pub(super) metrics: Vec<String>,
    pub(super) windows: Vec<(String, u32)>,
    pub(super) kinds: Vec<String>,
    pub(super) properties: Vec<String>,
    pub(super) ticks: bool,
    pub(super) derived: Vec<String>,
    /// Topic, and its codes with their limits.
    pub(super) topics: Vec<(String, BTreeMap<u32, f64>)>,
    pub(super) commands: Vec<CommandRule>,
    pub(super) config: BTreeMap<String, String>,
}

impl Manifest {
    /// # Panics
    /// Names what is wrong: a test has no use for such a manifest.
    pub(super) fn parse(text: &str) -> Self {
        let table: Table = text
            .parse()
            .unwrap_or_else(|error| panic!("manifest.toml: {error}"));
        let reads = sub(&table, "reads");
        let emits = sub(&table, "emits");
        let window = |t: &Table| (string(t, "metric"), integer(t, "span_s"));
        let topic = |t: &Table| {
            let code = |t: &Table| (integer(t, "code"), number(t, "limit"));
            let codes = tables(t, "codes").iter().map(code).collect();
            (string(t, "topic"), codes)
        };
        let command = |t: &Table| CommandRule {
            name: string(t, "name"),
            min: number(t, "min"),
            max: number(t, "max"),
        };
        let config = sub(&table, "config");
        Self {
            metrics: strings(&reads, "metrics"),
            windows: tables(&reads, "windows").iter().map(window).collect(),
            kinds: strings(&reads, "kinds"),
            properties: strings(&reads, "properties"),
            ticks: reads.contains_key("tick_s"),
            derived: strings(&emits, "derived"),
            topics: tables(&emits, "alerts").iter().map(topic).collect(),
            commands: tables(&table, "commands").iter().map(command).collect(),
            config: config
                .keys()
                .map(|key| (key.clone(), string(&config, key)))
                .collect(),
        }
    }

    /// What the rule is configured with: as the host does, limits beside `[config]`.
    pub(super) fn configuration(&self) -> Vec<(String, String)> {
        let limits = self.topics.iter().flat_map(|(topic, codes)| {
            let key = move |code: &u32| format!("limit.{topic}.{code}");
            codes
                .iter()
                .map(move |(c, limit)| (key(c), limit.to_string()))
        });
        self.config.clone().into_iter().chain(limits).collect()
    }

    /// Every kind of name is numbered by itself, from another start, so that a mix-up shows.
    pub(super) fn dictionary(&self, units: &BTreeMap<String, String>) -> Dictionary {
        let windows = self.windows.iter().map(|(metric, _)| metric);
        let mut metrics: Vec<&String> = Vec::new();
        for name in self.metrics.iter().chain(windows).chain(&self.derived) {
            if !metrics.contains(&name) {
                metrics.push(name);
            }
        }
        let unit = |name: &String| {
            units.get(name).cloned().unwrap_or_else(|| {
                panic!("the unit of {name} is not known here: say lab.unit({name:?}, \"..\")")
            })
        };
        let numbered = |from: u32, names: Vec<&String>| -> Vec<Entry> {
            let entry = |(id, urn): (u32, &String)| Entry {
                id,
                urn: urn.clone(),
                unit: String::new(),
            };
            (from..).zip(names).map(entry).collect()
        };
        let mut metrics = numbered(100, metrics);
        for entry in &mut metrics {
            entry.unit = unit(&entry.urn);
        }
        Dictionary {
            metrics,
            props: numbered(200, self.properties.iter().collect()),
            topics: numbered(300, self.topics.iter().map(|(topic, _)| topic).collect()),
            commands: numbered(400, self.commands.iter().map(|c| &c.name).collect()),
        }
    }
}

/// Units of the platform's vocabulary, where the plugin lies in its repository.
pub(super) fn vocabulary() -> BTreeMap<String, String> {
    let Some(folder) = std::env::var_os("CARGO_MANIFEST_DIR") else {
        return BTreeMap::new();
    };
    let files = Path::new(&folder)
        .ancestors()
        .map(|f| f.join("twin/metrics.toml"));
    let Some(text) = files
        .into_iter()
        .find_map(|f| std::fs::read_to_string(f).ok())
    else {
        return BTreeMap::new();
    };
    let table: Table = text
        .parse()
        .unwrap_or_else(|error| panic!("metrics.toml: {error}"));
    let metrics = tables(&table, "metric");
    let unit = |metric: &Table| (string(metric, "name"), string(metric, "unit"));
    metrics.iter().map(unit).collect()
}

fn sub(table: &Table, key: &str) -> Table {
    let found = table.get(key).map(|value| match value {
        Value::Table(table) => table.clone(),
        _ => panic!("{key}: not a table"),
    });
    found.unwrap_or_default()
}

fn list<'a>(table: &'a Table, key: &str) -> &'a [Value] {
    match table.get(key) {
        Some(Value::Array(list)) => list,
        Some(_) => panic!("{key}: not a list"),
        None => &[],
    }
}

fn tables(table: &Table, key: &str) -> Vec<Table> {
    let row = |value: &Value| match value {
        Value::Table(row) => row.clone(),
        _ => panic!("{key}: not a list of tables"),
    };
    list(table, key).iter().map(row).collect()
}

fn strings(table: &Table, key: &str) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        _ => panic!("{key}: not a list of strings"),
    };
    list(table, key).iter().map(text).collect()
}

fn string(table: &Table, key: &str) -> String {
    match table.get(key) {
        Some(Value::String(text)) => text.clone(),
        _ => panic!("{key}: missing, or not a string"),
    }
}

fn number(table: &Table, key: &str) -> f64 {
    match table.get(key) {
        Some(Value::Float(number)) => *number,
        Some(Value::Integer(number)) => *number as f64,
        _ => panic!("{key}: missing, or not a number"),
    }
}

fn integer(table: &Table, key: &str) -> u32 {
    let number = table.get(key).and_then(Value::as_integer);
    let number = number.and_then(|number| u32::try_from(number).ok());
    number.unwrap_or_else(|| panic!("{key}: missing, or not a whole number"))
}
