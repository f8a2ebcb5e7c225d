//! A box's whole state instead of entries that are lost: the box has folded them, and the replica
//! never will. It counts only at the position that the replica is at, with the digest that it says.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Edge, Proof, Standing};
use crate::event::{Digest, EdgeState};
use crate::model::{AssetRecord, Millis};
use crate::state::{Alert, AlertKey, Asset, Effects, Twin};
use crate::uplink::{StatePart, whole};

/// Parts that have come of a state.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Arriving {
    position: u64,
    state: Digest,
    all: u64,
    packed: Vec<u8>,
}

impl Arriving {
    fn is_of(&self, part: &StatePart<'_>) -> bool {
        (self.position, self.state, self.all) == (part.position, part.state, part.all)
            && self.packed.len() as u64 == part.before
    }
}

impl Twin {
    /// City: a part of a box's state came.
    pub(in crate::state) fn edge_state(&mut self, said: &EdgeState<'_>, effects: &mut Effects) {
        let Some((node, mut edge)) = self.edges.by_node.remove_entry(said.node) else {
            return;
        };
        if edge.standing != Standing::Retired {
            match edge.arrives(said.part, self.now) {
                Ok(Some(replica)) => self.adopt(&mut edge, replica, effects),
                Ok(None) => {}
                Err(why) => edge.refuse(why),
            }
            effects.edges.push(node.clone());
        }
        self.edges.by_node.insert(node, edge);
    }

    /// The replica is what the box says; what is newer in it than here is taken over.
    fn adopt(&mut self, edge: &mut Edge, replica: Self, effects: &mut Effects) {
        for asset in &replica.assets {
            let quarter = replica.quarter_of(asset);
            if quarter.is_some_and(|quarter| quarter.record.id == edge.record.quarter) {
                self.adopt_asset(&edge.record.quarter, asset);
            }
        }
        let alerts = replica.alerts.clone();
        let streams = replica.streams.clone();
        edge.replica = replica;
        edge.mirrored.clear();
        for (index, found) in (0u32..).zip(streams) {
            let Some(own) = self.mirrored(edge, index) else {
                continue;
            };
            let known = self.streams.get(own as usize);
            if known.is_none_or(|known| known.rev == 0 || known.time < found.time) {
                self.take(own, found.value, found.time, found.quality, effects);
            }
        }
        if edge.received() >= edge.told {
            self.adopt_alerts(edge, alerts, effects);
        }
    }

    fn adopt_alerts(
        &mut self,
        edge: &Edge,
        alerts: impl IntoIterator<Item = (AlertKey, Alert)>,
        effects: &mut Effects,
    ) {
        let node = &edge.record.node;
        let active = alerts.into_iter();
        let active = active.filter(|(key, _)| key.quarter == edge.record.quarter);
        let active: BTreeMap<_, _> = active.collect();
        self.end_alerts(node, |key| active.contains_key(key), effects);
        for (key, alert) in active {
            self.put_alert(node, key, Some(alert), effects);
        }
    }

    fn adopt_asset(&mut self, quarter: &str, asset: &Asset) {
        if let Some(detail) = asset.detail.as_deref() {
            self.put_asset(AssetRecord {
                quarter: quarter.to_owned(),
                id: asset.id.to_string(),
                kind: detail.kind.clone(),
                name: detail.name.clone(),
                place: detail.registered,
                attributes: detail.attributes.clone(),
                relations: detail.relations.clone(),
                automatic: asset.automatic,
            });
        }
        let own = self
            .quarter_index(quarter)
            .and_then(|quarter| self.intern_asset(quarter, &asset.id));
        if let Some(own) = own.filter(|_| asset.place.is_some()) {
            self.move_asset(own, asset.place);
        }
    }
}

impl Edge {
    /// Whether the city needs the box's state: entries are lost, and behind them the replica was
    /// found to be another one.
    pub(super) fn wants_state(&self) -> bool {
        self.unsure && self.proof.is_some_and(|proof| !proof.equal)
    }

    /// Takes a part; with the last one the new replica.
    fn arrives(&mut self, payload: &[u8], at: Millis) -> Result<Option<Twin>, String> {
        let part = StatePart::decode(payload).map_err(|error| format!("a state {error}"))?;
        let expected = self.unsure && self.journal == Some(part.journal);
        // One that was broken off, or that the city has come past, is of no use.
        if !expected || part.position != self.received() {
            self.arriving = None;
            return Ok(None);
        }
        let begun = self.arriving.take().filter(|begun| begun.is_of(&part));
        let mut arriving = match begun {
            Some(begun) => begun,
            None if part.before == 0 => Arriving {
                position: part.position,
                state: part.state,
                all: part.all,
                packed: Vec::new(),
            },
            None => return Ok(None),
        };
        arriving.packed.extend_from_slice(part.bytes);
        if (arriving.packed.len() as u64) < arriving.all {
            self.arriving = Some(arriving);
            return Ok(None);
        }
        // Whatever becomes of it: it is not asked for again, and a difference counts.
        self.unsure = false;
        let bytes = whole(&arriving.packed).map_err(|error| format!("a state {error}"))?;
        if Digest::of(&bytes) != arriving.state {
            return Err("a state is another one than its digest says".to_owned());
        }
        let replica = Twin::from_bytes(&bytes).map_err(|error| format!("a state: {error}"))?;
        if replica.position() != arriving.position || !replica.edges.by_node.is_empty() {
            return Err("a state is none of a box at the position that it says".to_owned());
        }
        self.proof = Some(Proof {
            position: arriving.position,
            state: arriving.state,
            equal: true,
            at,
        });
        self.repaired += 1;
        Ok(Some(replica))
    }
}

/// A replica has no boxes of its own: what says so may nest without end.
pub(super) fn replica<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Twin, D::Error> {
    thread_local! {
        static INSIDE: Cell<bool> = const { Cell::new(false) };
    }
    if INSIDE.replace(true) {
        return Err(D::Error::custom("a replica in a replica"));
    }
    let twin = Twin::deserialize(deserializer);
    INSIDE.set(false);
    twin
}
