//! What the host and the twin look up in a manifest.

use std::collections::btree_map::Entry as Slot;

use super::{Limit, Manifest};
use crate::types::{Dictionary, Entry};

impl Manifest {
    /// Every metric that it reads or derives, each once, in the order of the manifest.
    pub fn metrics(&self) -> Vec<&str> {
        let reads = &self.reads;
        let windows = reads.windows.iter().map(|window| &window.metric);
        let mut names: Vec<&str> = Vec::new();
        for name in reads
            .metrics
            .iter()
            .chain(windows)
            .chain(&self.emits.derived)
        {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// The dictionary for a runner: `metric` gives number and unit of a metric. Metrics of
    /// [`metrics`](Self::metrics) keep that number; properties (which get the unit only), topics
    /// and commands are numbered from 0 in the order of the manifest.
    pub fn dictionary(&self, mut metric: impl FnMut(&str) -> (u32, String)) -> Dictionary {
        let number = |names: Vec<&String>| {
            let entry = |(id, urn): (u32, &String)| Entry {
                id,
                urn: urn.clone(),
                unit: String::new(),
            };
            (0..).zip(names).map(entry).collect()
        };
        let mut named = |urn: &str| {
            let (id, unit) = metric(urn);
            Entry {
                id,
                urn: urn.to_owned(),
                unit,
            }
        };
        let metrics = self.metrics().into_iter().map(&mut named).collect();
        let property = |(id, urn): (u32, &String)| Entry { id, ..named(urn) };
        Dictionary {
            metrics,
            props: (0..).zip(&self.reads.properties).map(property).collect(),
            topics: number(self.emits.alerts.iter().map(|alert| &alert.topic).collect()),
            commands: number(self.commands.iter().map(|command| &command.name).collect()),
        }
    }

    /// The limit of a code of a topic.
    pub fn limit(&self, topic: &str, code: u32) -> Option<&Limit> {
        let alert = self
            .emits
            .alerts
            .iter()
            .find(|alert| alert.topic == topic)?;
        alert.codes.iter().find(|limit| limit.code == code)
    }

    /// What `init` gets: limits, and the defaults with `set` over them; sorted by key.
    ///
    /// # Errors
    /// The key of `set` that the manifest does not have.
    pub(crate) fn configuration(
        &self,
        set: Vec<(String, String)>,
    ) -> Result<Vec<(String, String)>, String> {
        let mut config = self.config.clone();
        for (key, value) in set {
            match config.entry(key) {
                Slot::Occupied(mut slot) => slot.insert(value),
                Slot::Vacant(slot) => return Err(slot.into_key()),
            };
        }
        for alert in &self.emits.alerts {
            for limit in &alert.codes {
                config.insert(
                    format!("limit.{}.{}", alert.topic, limit.code),
                    limit.limit.to_string(),
                );
            }
        }
        Ok(config.into_iter().collect())
    }
}
