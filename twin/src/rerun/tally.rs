//! Two runs in figures.

use serde::Serialize;

use super::outputs::{Changed, Kind, Outputs};

/// How many outputs of a kind and name two runs have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// What kind.
    pub kind: Kind,
    /// Id of the plugin.
    pub plugin: String,
    /// Rule, command or metric.
    pub name: String,
    /// In the first run.
    pub before: u64,
    /// In the second.
    pub after: u64,
    /// In the first only.
    pub gone: u64,
    /// In the second only.
    pub new: u64,
    /// In both, with other values.
    pub changed: u64,
}

/// Every kind and name of the two.
pub fn tally(before: &Outputs, after: &Outputs, changes: &[Changed]) -> Vec<Tally> {
    let mut names = before.names();
    names.extend(after.names());
    names.sort();
    names.dedup();
    let mut tallies: Vec<Tally> = names
        .into_iter()
        .map(|(kind, plugin, name)| Tally {
            kind,
            plugin,
            name,
            before: 0,
            after: 0,
            gone: 0,
            new: 0,
            changed: 0,
        })
        .collect();
    let mut at = |kind: Kind, plugin: &str, name: &str, count: fn(&mut Tally)| {
        let found = tallies.iter_mut().find(|tally| {
            (tally.kind, tally.plugin.as_str(), tally.name.as_str()) == (kind, plugin, name)
        });
        found.into_iter().for_each(count);
    };
    for output in before.iter() {
        at(output.kind, &output.plugin, &output.name, |tally| {
            tally.before += 1
        });
    }
    for output in after.iter() {
        at(output.kind, &output.plugin, &output.name, |tally| {
            tally.after += 1
        });
    }
    for change in changes {
        let count: fn(&mut Tally) = match (&change.before, &change.after) {
            (Some(_), Some(_)) => |tally| tally.changed += 1,
            (Some(_), None) => |tally| tally.gone += 1,
            _ => |tally| tally.new += 1,
        };
        if let Some(output) = change.before.as_ref().or(change.after.as_ref()) {
            at(output.kind, &output.plugin, &output.name, count);
        }
    }
    tallies
}
