//! What the city tells boxes: how far it has come, and what they are to do. Answered from the state,
//! so that a box that was away hears on subscribing all that it missed, once.

use bytes::Bytes;
use quartier_broker::{Message, topic_matches};
use serde::Serialize;

use super::retained;
use crate::edges::packages::Packages;
use crate::event::EdgeOrdered;
use crate::state::{Edge, EdgeStanding, Effects, Twin};
use crate::uplink::DOWNLINK;

fn cursor_topic(edge: &Edge) -> String {
    format!("{DOWNLINK}{}/cursor", edge.record.node)
}

fn order_topic(node: &str, number: u64) -> String {
    format!("{DOWNLINK}{node}/order/{number}")
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// The cursors and orders that changed; each once.
pub(super) fn changed(twin: &Twin, effects: &Effects, batch: &mut Vec<Message>) {
    let mut nodes: Vec<&str> = effects.edges.iter().map(String::as_str).collect();
    nodes.sort_unstable();
    nodes.dedup();
    for edge in nodes.iter().filter_map(|node| twin.edges().get(node)) {
        batch.push(retained(cursor_topic(edge), json(&edge.cursor())));
    }
    for (node, number) in &effects.orders {
        let order = twin
            .edges()
            .get(node)
            .and_then(|edge| edge.orders().get(number));
        let payload = order.map_or_else(Bytes::new, |order: &EdgeOrdered| json(order));
        batch.push(retained(order_topic(node, *number), payload));
    }
}

/// The chunk that a box asks for by subscribing to its topic, and only that: no wildcards. Empty: the
/// city has it not; a box that heard nothing would wait, and with it all its later orders.
pub(super) fn chunk(packages: &Packages, filter: &str) -> Option<Bytes> {
    let mut levels = filter.strip_prefix(DOWNLINK)?.split('/');
    let (_node, kind) = (levels.next()?, levels.next()?);
    let (name, number) = (levels.next()?, levels.next()?);
    let number = number.parse().ok()?;
    let is_one = kind == "package" && levels.next().is_none() && !filter.contains('+');
    is_one.then(|| packages.chunk(name, number).unwrap_or_default())
}

/// What a subscriber of `filter` is told at once.
pub(super) fn matching(twin: &Twin, filter: &str, emit: &mut dyn FnMut(String, Bytes)) {
    let standing = |edge: &&Edge| edge.standing != EdgeStanding::Retired;
    for edge in twin.edges().iter().filter(standing) {
        let topic = cursor_topic(edge);
        if topic_matches(filter, &topic) {
            emit(topic, json(&edge.cursor()));
        }
        for (number, order) in edge.orders() {
            let topic = order_topic(&edge.record.node, *number);
            if topic_matches(filter, &topic) {
                emit(topic, json(order));
            }
        }
    }
}
