//! From a plugin's manifest to what the journal and the instance get to know.

use quartier_plugin_host::{Dictionary, Interlock as InterlockRule, Manifest, Plugin};

use crate::event::{CommandGrant, Interlock, Origin, PluginRecord, Stage};
use crate::state::Twin;
use crate::vocabulary::Vocabulary;

/// The record of a plugin in a quarter. `config`: keys set otherwise than in the manifest.
pub fn record_of(
    plugin: &Plugin,
    quarter: &str,
    stage: Stage,
    origin: Origin,
    mut config: Vec<(String, String)>,
) -> PluginRecord {
    let manifest = plugin.manifest();
    config.sort();
    let windows = manifest.reads.windows.iter();
    let commands = manifest.commands.iter().map(|command| CommandGrant {
        name: command.name.clone(),
        kind: command.kind.clone(),
        property: command.property.clone(),
        min: command.min,
        max: command.max,
        rate_per_hour: command.rate_per_hour,
        requires_approval: command.requires_approval,
        interlocks: command
            .interlocks
            .iter()
            .map(|rule| interlock(rule, &command.kind, &command.property))
            .collect(),
    });
    PluginRecord {
        quarter: quarter.to_owned(),
        plugin: manifest.id.clone(),
        version: manifest.version.clone(),
        digest: plugin.digest(),
        manifest: plugin.manifest_digest(),
        config,
        stage,
        origin,
        metrics: manifest.reads.metrics.clone(),
        windows: windows.map(|w| (w.metric.clone(), w.span_s)).collect(),
        derives: manifest.emits.derived.clone(),
        kinds: manifest.reads.kinds.clone(),
        batch: manifest.reads.batch,
        properties: manifest.reads.properties.clone(),
        tick_s: manifest.reads.tick_s,
        commands: commands.collect(),
    }
}

fn interlock(rule: &InterlockRule, kind: &str, property: &str) -> Interlock {
    Interlock {
        kind: kind.to_owned(),
        property: property.to_owned(),
        metric: rule.metric.clone(),
        above: rule.above,
        below: rule.below,
        min: None,
        max: None,
        reason: rule.reason.clone(),
    }
}

/// The numbers of the twin for the names of a manifest. Of a metric that nobody knows and of which
/// nothing was sent yet the unit is 1: what a rule derives is a plain number. A metric that the twin does not have yet
/// gets a number that no metric has, and its unit from the vocabulary: good for a trial.
pub fn dictionary(plugin: &Plugin, twin: &Twin) -> Dictionary {
    let mut unknown = u32::MAX;
    plugin.manifest().dictionary(|name| {
        let index = twin.metric_index(name);
        match index.and_then(|index| Some((index, twin.metrics().get(usize::from(index))?))) {
            Some((index, metric)) => (u32::from(index), unit(&metric.unit)),
            None => {
                unknown -= 1;
                let metric = Vocabulary::builtin().get(name);
                (unknown, unit(metric.map_or("", |metric| &metric.unit)))
            }
        }
    })
}

fn unit(known: &str) -> String {
    if known.is_empty() { "1" } else { known }.to_owned()
}

/// A name in a manifest under which the node knows something else, or nothing that it could ever
/// look at; `None`: all are good.
pub fn misnamed(manifest: &Manifest) -> Option<String> {
    let vocabulary = Vocabulary::builtin();
    for name in manifest.metrics() {
        if vocabulary.get(name).is_none()
            && let Some(meant) = vocabulary.resolve(name)
        {
            return Some(format!(
                "metric {name:?} is another name of {:?}: readings come under that one, so name it",
                meant.metric.name
            ));
        }
    }
    let interlocks = manifest.commands.iter().flat_map(|c| &c.interlocks);
    let mut metrics = interlocks.map(|interlock| &interlock.metric);
    // It would never hold a command back.
    let unknown = metrics.find(|metric| vocabulary.get(metric).is_none())?;
    Some(format!(
        "commands.interlocks.metric: the vocabulary has no {unknown:?}"
    ))
}
