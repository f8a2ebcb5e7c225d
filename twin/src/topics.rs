//! The twin's topics: names, payloads, and retained messages answered from the twin itself.
//!
//! Nothing is stored for a retained twin topic: a new subscriber is answered from the state, so
//! topics and state cannot differ, and a restart has nothing to restore.

mod contract;
mod downlink;
mod json;
mod retained;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;
use h3o::CellIndex;
use quartier_broker::Message;

use crate::event::Decision;
use crate::explain::without_values;
use crate::grid::{Aggregate, area_topic_levels};
use crate::mqtt::Mqtt;
use crate::state::{Alert, AlertKey, Change, Command, CommandState, Effects, Stream, Twin};

pub use contract::{Action, PARAMETERS, Payload, TOPICS, Topic};
pub use json::{
    AlertPayload, CellPayload, CommandPayload, DecisionPayload, ValuePayload, aggregate_json,
    alert_json, command_json, decision_json, stream_json,
};
pub use retained::TwinTopics;

/// Assets that must contribute before a cell's aggregate of a personal metric is shown.
pub const K_ANONYMITY: u32 = 5;

/// First level of the topics of a stream: personal metrics have a prefix of their own.
fn prefix(personal: bool) -> &'static str {
    if personal { "personal" } else { "twin" }
}

/// `twin/v1/{quarter}/{domain}/{asset}/{metric}`, or the same under `personal/`.
pub fn stream_topic(twin: &Twin, stream: &Stream) -> Option<String> {
    let asset = twin.assets().get(stream.asset as usize)?;
    let metric = twin.metric_of(stream)?;
    let quarter = &twin.quarter_of(asset)?.record.id;
    let (first, domain) = (prefix(metric.personal), metric.domain.as_str());
    let (id, name) = (&asset.id, &metric.name);
    let mut topic = String::with_capacity(
        first.len() + quarter.len() + domain.len() + id.len() + name.len() + 7,
    );
    for (index, level) in [first, "v1", quarter, domain, id, name]
        .into_iter()
        .enumerate()
    {
        if index > 0 {
            topic.push('/');
        }
        topic.push_str(level);
    }
    Some(topic)
}

/// `area/v1/{r6}/{d7}/{d8}/{d9}/{d10}/{domain}/{asset}/{metric}`; none for personal metrics and
/// for assets without a position.
pub fn area_topic(twin: &Twin, stream: &Stream) -> Option<String> {
    let metric = twin.metric_of(stream).filter(|m| !m.personal)?;
    let asset = twin.assets().get(stream.asset as usize)?;
    let cell = twin.grid().cell(stream.asset)?;
    let levels = area_topic_levels(cell)?;
    let (r6, [d7, d8, d9, d10]) = (levels.r6, levels.digits);
    let (domain, id, name) = (metric.domain.as_str(), &asset.id, &metric.name);
    Some(format!(
        "area/v1/{r6}/{d7}/{d8}/{d9}/{d10}/{domain}/{id}/{name}"
    ))
}

/// `cell/v1/{resolution}/{cell}/{domain}/{metric}`.
pub fn cell_topic(twin: &Twin, cell: CellIndex, metric: u16) -> Option<String> {
    let metric = twin.metrics().get(usize::from(metric))?;
    let (resolution, domain) = (u8::from(cell.resolution()), metric.domain.as_str());
    Some(format!(
        "cell/v1/{resolution}/{cell}/{domain}/{}",
        metric.name
    ))
}

/// Whether an aggregate may be seen: of a personal metric only with enough assets in it.
pub fn may_show(twin: &Twin, metric: u16, aggregate: &Aggregate) -> bool {
    let personal = twin
        .metrics()
        .get(usize::from(metric))
        .is_none_or(|metric| metric.personal);
    !personal || aggregate.assets >= K_ANONYMITY
}

/// `alert/v1/{quarter}/{rule}/{asset}`.
pub fn alert_topic(key: &AlertKey) -> String {
    format!("alert/v1/{}/{}/{}", key.quarter, key.rule, key.asset)
}

/// `cmd/v1/{quarter}/{asset}`.
pub fn command_topic(command: &Command) -> String {
    format!("cmd/v1/{}/{}", command.quarter, command.asset)
}

/// Whether a broker may keep the message for later subscribers: a command that ended would be
/// told to a device that comes later.
pub fn may_be_kept(topic: &str) -> bool {
    !topic.starts_with("cmd/")
}

/// Publishes what the fold changed, as far as somebody may listen.
pub fn publish(twin: &Twin, effects: &Effects, mqtt: &Mqtt) {
    let mut batch = Vec::new();
    let [on_twin, on_personal, on_area] = ["twin", "personal", "area"].map(|l| mqtt.anyone_for(l));
    if on_twin || on_personal || on_area {
        for change in &effects.changes {
            changed(twin, change, (on_twin, on_personal, on_area), &mut batch);
        }
    }
    if !effects.cells.is_empty() && mqtt.anyone_for("cell") {
        for (cell, metric, aggregate) in &effects.cells {
            // Of a cell with too few households nothing is said, not even that it has any.
            let hidden = match aggregate {
                Some(aggregate) => !may_show(twin, *metric, aggregate),
                None => twin
                    .metrics()
                    .get(usize::from(*metric))
                    .is_none_or(|m| m.personal),
            };
            if let Some(topic) = cell_topic(twin, *cell, *metric).filter(|_| !hidden) {
                let payload = aggregate.as_ref().map_or_else(Bytes::new, aggregate_json);
                batch.push(retained(topic, payload));
            }
        }
    }
    if !effects.alerts.is_empty() && mqtt.anyone_for("alert") {
        for (key, alert) in &effects.alerts {
            let payload = alert
                .as_ref()
                .map_or_else(Bytes::new, |a: &Alert| alert_json(a));
            batch.push(retained(alert_topic(key), payload));
        }
    }
    let decided = !effects.decisions.is_empty() || !effects.edge_decisions.is_empty();
    if decided && mqtt.anyone_for("decision") {
        decisions(twin, effects, &mut batch);
    }
    if !effects.commands.is_empty() && mqtt.anyone_for("cmd") {
        commands(twin, effects, &mut batch);
    }
    if !effects.edges.is_empty() || !effects.orders.is_empty() {
        downlink::changed(twin, effects, &mut batch);
    }
    if !batch.is_empty() {
        mqtt.publish(batch);
    }
}

/// Of this node and of boxes, but not of shadows.
fn decisions(twin: &Twin, effects: &Effects, batch: &mut Vec<Message>) {
    let own = effects
        .decisions
        .iter()
        .map(|(at, decision)| (None, *at, decision));
    let of_boxes = effects.edge_decisions.iter();
    let of_boxes = of_boxes.map(|(node, at, decision)| (Some(node.as_str()), *at, decision));
    let acts = |(_, _, decision): &(Option<&str>, u64, &Decision)| decision.stage.acts();
    for (node, position, decision) in own.chain(of_boxes).filter(acts) {
        batch.push(Message {
            topic: format!("decision/v1/{}/{}", decision.quarter, decision.plugin),
            payload: decision_json(node, position, &public(twin, decision)),
            retain: false,
        });
    }
}

/// The decision without values that speak of a household: those are under `personal/` only.
fn public<'a>(twin: &Twin, decision: &'a Decision) -> Cow<'a, Decision> {
    let derived = decision.derived.iter().map(|derived| &derived.metric);
    let causes = decision.causes.iter().map(|cause| &cause.metric);
    let is_personal = |name: &&String| {
        let metric = twin.metric_index(name);
        let metric = metric.and_then(|index| twin.metrics().get(usize::from(index)));
        metric.is_some_and(|metric| metric.personal)
    };
    let hidden: HashSet<String> = derived.chain(causes).filter(is_personal).cloned().collect();
    if hidden.is_empty() {
        return Cow::Borrowed(decision);
    }
    let mut shown = decision.clone();
    without_values(&mut shown, &hidden);
    Cow::Owned(shown)
}

/// Each once, and only what is still to be done: what is told may follow from many entries.
fn commands(twin: &Twin, effects: &Effects, batch: &mut Vec<Message>) {
    let mut told = effects.commands.clone();
    told.sort_unstable();
    told.dedup();
    let found = told.into_iter().filter_map(|id| twin.commands().get(id));
    for command in found.filter(|command| command.state == CommandState::Sent) {
        batch.push(Message {
            topic: command_topic(command),
            payload: command_json(command),
            retain: false,
        });
    }
}

fn changed(
    twin: &Twin,
    change: &Change,
    (on_twin, on_personal, on_area): (bool, bool, bool),
    batch: &mut Vec<Message>,
) {
    let Some(stream) = twin.streams().get(change.stream as usize) else {
        return;
    };
    let Some(metric) = twin.metric_of(stream) else {
        return;
    };
    let payload = stream_json(change, &metric.unit);
    let wanted = if metric.personal {
        on_personal
    } else {
        on_twin
    };
    if wanted && let Some(topic) = stream_topic(twin, stream) {
        batch.push(retained(topic, payload.clone()));
    }
    if on_area && let Some(topic) = area_topic(twin, stream) {
        batch.push(Message {
            topic,
            payload,
            retain: false,
        });
    }
}

fn retained(topic: String, payload: Bytes) -> Message {
    Message {
        topic,
        payload,
        retain: true,
    }
}
