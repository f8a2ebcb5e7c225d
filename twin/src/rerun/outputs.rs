//! What plugins decided, without the batches it came in: the same however batches are cut.
//!
//! A value is that of an asset, a metric and an event time, and the last one said of it stands. An
//! alert is what stood at an event time. Of commands with the same key the first stands, as in the
//! node.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

use crate::event::{AlertChange, CommandIntent, Decision, Severity};
use crate::model::Millis;

/// What kind of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An alert raised or cleared.
    Alert,
    /// A command asked for.
    Command,
    /// A value derived.
    Derived,
}

/// Which output.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    kind: Kind,
    plugin: Arc<str>,
    /// Rule, command or metric.
    name: Arc<str>,
    asset: Arc<str>,
    /// Event time; 0 of a command.
    time: Millis,
    /// Of a command; 0 of others.
    key: u64,
}

/// What it says.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Value(f64),
    Alert(Box<AlertChange>),
    Command {
        time: Millis,
        value: f64,
        expires: Millis,
    },
}

/// An output for people and for files: a line of JSON each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// What kind of output.
    pub kind: Kind,
    /// Event time, RFC 3339.
    pub time: String,
    /// Id of the plugin.
    pub plugin: String,
    /// Rule, command or metric.
    pub name: String,
    /// Id of the asset.
    pub asset: String,
    /// Derived, commanded, or the one that decided.
    pub value: f64,
    /// Of an alert: raised, or cleared.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub raise: Option<bool>,
    /// Of an alert.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub severity: Option<Severity>,
    /// Of an alert: which limit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<u32>,
    /// Of an alert.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub limit: Option<f64>,
    /// Of an alert, for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub text: Option<String>,
    /// Of a command: the same key, the same intent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<u64>,
    /// Of a command, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires: Option<String>,
}

/// An output that two runs do not have in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changed {
    /// In the first run.
    pub before: Option<Output>,
    /// In the second.
    pub after: Option<Output>,
}

/// All outputs of a run.
#[derive(Debug, Default)]
pub struct Outputs {
    said: BTreeMap<Key, Said>,
    names: HashSet<Arc<str>>,
    /// Decisions they came with.
    pub decisions: u64,
    /// Rows that manifests do not allow, by plugin and reason.
    pub dropped: BTreeMap<(String, String), u64>,
    /// Batches set aside, by plugin and failure.
    pub failures: BTreeMap<(String, String), u64>,
}

impl Outputs {
    /// Takes a decision made at `at`.
    pub(super) fn take(&mut self, at: Millis, decision: &Decision) {
        self.decisions += 1;
        let plugin = &decision.plugin;
        for (reason, rows) in &decision.dropped {
            let entry = self.dropped.entry((plugin.clone(), reason.clone()));
            *entry.or_default() += u64::from(*rows);
        }
        if let Some(failure) = &decision.failure {
            let entry = self.failures.entry((plugin.clone(), failure.clone()));
            *entry.or_default() += 1;
        }
        for derived in &decision.derived {
            let names = (
                plugin.as_str(),
                derived.metric.as_str(),
                derived.asset.as_str(),
            );
            let key = self.key(Kind::Derived, names, derived.time, 0);
            self.said.insert(key, Said::Value(derived.value));
        }
        for alert in &decision.alerts {
            let names = (plugin.as_str(), alert.rule.as_str(), alert.asset.as_str());
            let key = self.key(Kind::Alert, names, alert.time, 0);
            let change = AlertChange {
                cause: None,
                ..alert.clone()
            };
            self.said.insert(key, Said::Alert(Box::new(change)));
        }
        for command in &decision.commands {
            self.command(at, decision, command);
        }
    }

    fn command(&mut self, at: Millis, decision: &Decision, command: &CommandIntent) {
        let names = (
            decision.plugin.as_str(),
            command.command.as_str(),
            command.asset.as_str(),
        );
        let key = self.key(Kind::Command, names, Millis(0), command.key);
        let cause = command
            .cause
            .and_then(|at| decision.causes.get(at as usize));
        self.said.entry(key).or_insert(Said::Command {
            time: cause.map_or(at, |cause| cause.time),
            value: command.value,
            expires: command.expires,
        });
    }

    fn key(&mut self, kind: Kind, names: (&str, &str, &str), time: Millis, key: u64) -> Key {
        let known = &mut self.names;
        let mut name =
            |name: &str| Arc::clone(known.get_or_insert_with(name, |name: &str| Arc::from(name)));
        Key {
            kind,
            plugin: name(names.0),
            name: name(names.1),
            asset: name(names.2),
            time,
            key,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.said.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.said.is_empty()
    }

    /// All of them, by kind, plugin, name, asset and time. A clearing behind a clearing says
    /// nothing and is left out.
    pub fn iter(&self) -> impl Iterator<Item = Output> {
        self.told().map(|(key, said)| output(key, said))
    }

    fn told(&self) -> impl Iterator<Item = (&Key, &Said)> {
        let mut before: Option<(&Key, bool)> = None;
        self.said.iter().filter(move |(key, said)| {
            let Said::Alert(alert) = said else {
                return true;
            };
            let same = |other: &Key| {
                (&other.plugin, &other.name, &other.asset) == (&key.plugin, &key.name, &key.asset)
            };
            let cleared = before.is_some_and(|(other, raise)| !raise && same(other));
            before = Some((key, alert.raise));
            alert.raise || !cleared
        })
    }

    /// What the two have not in common, in the same order.
    pub fn changes(&self, after: &Self) -> Vec<Changed> {
        let mut both: BTreeMap<&Key, (Option<&Said>, Option<&Said>)> = BTreeMap::new();
        for (key, said) in self.told() {
            both.entry(key).or_default().0 = Some(said);
        }
        for (key, said) in after.told() {
            both.entry(key).or_default().1 = Some(said);
        }
        let differ = both.into_iter().filter(|(_, (before, after))| {
            let bits = |said: &Option<&Said>| said.map(postcard_of);
            bits(before) != bits(after)
        });
        differ
            .map(|(key, (before, after))| Changed {
                before: before.map(|said| output(key, said)),
                after: after.map(|said| output(key, said)),
            })
            .collect()
    }
}

/// As bytes: NaN is equal to itself.
fn postcard_of(said: &Said) -> Vec<u8> {
    let encoded = match said {
        Said::Value(value) => postcard::to_allocvec(value),
        Said::Alert(alert) => postcard::to_allocvec(alert),
        Said::Command {
            time,
            value,
            expires,
        } => postcard::to_allocvec(&(time, value, expires)),
    };
    encoded.unwrap_or_default()
}

fn output(key: &Key, said: &Said) -> Output {
    let mut output = Output {
        kind: key.kind,
        time: key.time.to_string(),
        plugin: key.plugin.to_string(),
        name: key.name.to_string(),
        asset: key.asset.to_string(),
        value: 0.0,
        raise: None,
        severity: None,
        code: None,
        limit: None,
        text: None,
        key: None,
        expires: None,
    };
    match said {
        Said::Value(value) => output.value = *value,
        Said::Alert(alert) => {
            output.value = alert.value;
            output.raise = Some(alert.raise);
            output.severity = Some(alert.severity);
            output.code = Some(alert.code);
            output.limit = alert.limit;
            output.text = Some(alert.text.clone());
        }
        Said::Command {
            time,
            value,
            expires,
        } => {
            output.time = time.to_string();
            output.value = *value;
            output.key = Some(key.key);
            output.expires = Some(expires.to_string());
        }
    }
    output
}

/// Outputs of one kind and name over time, in bins of equal length.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// What kind.
    pub kind: Kind,
    /// Id of the plugin.
    pub plugin: String,
    /// Rule, command or metric.
    pub name: String,
    /// For each bin: the mean of what was derived, else how many were raised or asked for; `None`:
    /// nothing was derived.
    pub bins: Vec<Option<f64>>,
}

impl Outputs {
    /// What there is to plot: kind, plugin and name of every output, each once.
    pub fn names(&self) -> Vec<(Kind, String, String)> {
        let mut names: Vec<(Kind, String, String)> = Vec::new();
        for key in self.said.keys() {
            let name = (key.kind, key.plugin.to_string(), key.name.to_string());
            if names.last() != Some(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Event times of the first and the last output.
    pub fn span(&self) -> Option<(Millis, Millis)> {
        let times = || self.told().map(|(key, said)| time_of(key, said));
        times().min().zip(times().max())
    }

    /// The outputs of one name from `from` to `to` in `bins` bins.
    pub fn series(
        &self,
        (kind, plugin, name): &(Kind, String, String),
        (from, to): (Millis, Millis),
        bins: usize,
    ) -> Series {
        let mut sums = vec![(0.0, 0u32); bins];
        let length = (to.since(from) + 1).max(1);
        let wanted = self.told().filter(|(key, _)| {
            (key.kind, &*key.plugin, &*key.name) == (*kind, plugin.as_str(), name.as_str())
        });
        for (key, said) in wanted {
            let after = time_of(key, said).since(from);
            let bin = i128::from(after) * bins as i128 / i128::from(length);
            let bin = usize::try_from(bin).ok().and_then(|bin| sums.get_mut(bin));
            let Some((sum, count)) = bin else { continue };
            match said {
                Said::Value(value) => *sum += value,
                Said::Alert(alert) if !alert.raise => continue,
                Said::Alert(_) | Said::Command { .. } => {}
            }
            *count += 1;
        }
        let bin = |(sum, count): (f64, u32)| match kind {
            Kind::Derived => (count > 0).then(|| sum / f64::from(count)),
            Kind::Alert | Kind::Command => Some(f64::from(count)),
        };
        Series {
            kind: *kind,
            plugin: plugin.clone(),
            name: name.clone(),
            bins: sums.into_iter().map(bin).collect(),
        }
    }
}

fn time_of(key: &Key, said: &Said) -> Millis {
    match said {
        Said::Command { time, .. } => *time,
        Said::Value(_) | Said::Alert(_) => key.time,
    }
}
