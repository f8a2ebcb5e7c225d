//! Two decisions for the same batch, field by field. Fuel is left out: it depends on how a plugin's
//! memory lies. The hash of the decision before is the chain's business.

use serde::Serialize;

use crate::event::Decision;

/// A field in which the record and the rerun differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which; of a list, with the index of the first element that differs.
    pub field: String,
    /// In the record, as JSON.
    pub recorded: String,
    /// By the rerun, as JSON.
    pub rerun: String,
}

impl Difference {
    pub(super) fn new(field: &str, recorded: &impl Serialize, rerun: &impl Serialize) -> Self {
        Self {
            field: field.to_owned(),
            recorded: json(recorded),
            rerun: json(rerun),
        }
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}

/// Where they differ; empty: nowhere.
pub(super) fn differences(recorded: &Decision, rerun: &Decision) -> Vec<Difference> {
    let mut found = Found(Vec::new());
    // Every field is named, so that a new one is not forgotten here.
    let Decision {
        quarter,
        plugin,
        version,
        stage,
        digest,
        manifest,
        config,
        run,
        batch,
        from,
        to,
        input_hash,
        output_hash,
        state_before,
        state_after,
        previous: _,
        fuel: _,
        failure,
        wall_clock,
        dropped,
        causes,
        derived,
        alerts,
        commands,
    } = recorded;
    found.one("quarter", quarter, &rerun.quarter);
    found.one("plugin", plugin, &rerun.plugin);
    found.one("version", version, &rerun.version);
    found.one("stage", stage, &rerun.stage);
    found.one("digest", digest, &rerun.digest);
    found.one("manifest", manifest, &rerun.manifest);
    found.one("config", config, &rerun.config);
    found.one("run", run, &rerun.run);
    found.one("batch", batch, &rerun.batch);
    found.one("from", from, &rerun.from);
    found.one("to", to, &rerun.to);
    found.one("input_hash", input_hash, &rerun.input_hash);
    found.one("state_before", state_before, &rerun.state_before);
    found.one("state_after", state_after, &rerun.state_after);
    found.one("output_hash", output_hash, &rerun.output_hash);
    found.one("failure", failure, &rerun.failure);
    found.one("wall_clock", wall_clock, &rerun.wall_clock);
    found.list("dropped", dropped, &rerun.dropped);
    found.list("causes", causes, &rerun.causes);
    found.list("derived", derived, &rerun.derived);
    found.list("alerts", alerts, &rerun.alerts);
    found.list("commands", commands, &rerun.commands);
    found.0
}

struct Found(Vec<Difference>);

impl Found {
    fn one<T: Serialize>(&mut self, field: &str, recorded: &T, rerun: &T) {
        // As bytes: NaN is equal to itself, and -0 is not 0.
        if bytes(recorded) != bytes(rerun) {
            self.0.push(Difference::new(field, recorded, rerun));
        }
    }

    fn list<T: Serialize>(&mut self, field: &str, recorded: &[T], rerun: &[T]) {
        let length = recorded.len().max(rerun.len());
        let differs = |index: &usize| {
            let (recorded, rerun) = (recorded.get(*index), rerun.get(*index));
            bytes(&recorded) != bytes(&rerun)
        };
        if let Some(index) = (0..length).find(differs) {
            let (recorded, rerun) = (recorded.get(index), rerun.get(index));
            let field = format!("{field}[{index}]");
            self.0.push(Difference::new(&field, &recorded, &rerun));
        }
    }
}

fn bytes(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap_or_default()
}
