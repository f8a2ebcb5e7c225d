//! Entries of a box: checked against the chain, folded into the replica, mirrored into the city's
//! twin. A batch counts as a whole or not at all.

use super::{Edge, Lost, Proof, Standing, remember};
use crate::event::{Decision, Digest, Entry, Event, Uplinked};
use crate::model::{Millis, Observed};
use crate::state::{Change, Effects, Settlement, Twin};
use crate::uplink::{Batch, Chain};

impl Twin {
    pub(in crate::state) fn uplinked(&mut self, uplinked: &Uplinked<'_>, effects: &mut Effects) {
        let Some((node, mut edge)) = self.edges.by_node.remove_entry(uplinked.node) else {
            return;
        };
        if edge.standing != Standing::Retired {
            match edge.admit(uplinked.batch) {
                Ok(Some((batch, skip))) => self.follow(&mut edge, &batch, skip, effects),
                Ok(None) => {}
                Err(why) => edge.refuse(why),
            }
            effects.edges.push(node.clone());
        }
        self.edges.by_node.insert(node, edge);
    }

    /// Folds the entries of an admitted batch behind the first `skip`.
    fn follow(&mut self, edge: &mut Edge, batch: &Batch, skip: u64, effects: &mut Effects) {
        let mut inner = Effects::default();
        for (position, bytes) in batch.entries() {
            if position <= skip {
                continue;
            }
            // The box's own engine passes over what it cannot decode, too.
            let Ok(entry) = postcard::from_bytes::<Entry<'_>>(bytes) else {
                continue;
            };
            // A box has no boxes: what says so may nest without end.
            if entry.event.is_of_city() {
                continue;
            }
            edge.replica.fold(position, &entry, &mut inner);
            self.mirror(edge, position, &entry.event, &mut inner, effects);
            inner.clear();
        }
        edge.refusal = None;
        // News counts until the replica is past it.
        if edge.received() >= edge.told {
            edge.ahead.clear();
        }
        if let Some(state) = batch.state {
            edge.compare(state, self.now);
        }
    }

    /// What an entry changed in the replica, in the city's twin.
    fn mirror(
        &mut self,
        edge: &mut Edge,
        position: u64,
        event: &Event<'_>,
        inner: &mut Effects,
        effects: &mut Effects,
    ) {
        let quarter = edge.record.quarter.as_str();
        match event {
            Event::AssetPut(record) if record.quarter == quarter => self.put_asset(record.clone()),
            Event::Observed(observed) | Event::Untimed(observed) if observed.quarter == quarter => {
                self.place(observed);
            }
            Event::OrderTaken(taken) => edge.took(taken, effects),
            _ => {}
        }
        let moved = match event {
            Event::ClockSet(set) => Some(set.offset_ms),
            _ => None,
        };
        for change in inner.changes.drain(..) {
            match moved {
                Some(offset_ms) => self.mirror_move(edge, change, offset_ms, effects),
                None => self.mirror_change(edge, change, effects),
            }
        }
        for (key, alert) in inner.alerts.drain(..) {
            if position > edge.told && key.quarter == edge.record.quarter {
                self.put_alert(&edge.record.node, key, alert, effects);
            }
        }
        let node = &edge.record.node;
        let own = |(_, decision): &(u64, Decision)| decision.quarter == edge.record.quarter;
        for (position, decision) in inner.decisions.drain(..).filter(own) {
            effects
                .edge_decisions
                .push((node.clone(), position, decision));
        }
        let settled = inner.settled.drain(..);
        let own = settled.filter(|settled| settled.loser.quarter == edge.record.quarter);
        effects.settled.extend(own.map(|settled| Settlement {
            position: self.position,
            node: node.clone(),
            ..settled
        }));
    }

    /// Moves an asset to where it said it is.
    fn place(&mut self, observed: &Observed<'_>) {
        if observed.place.is_none() {
            return;
        }
        let asset = self
            .quarter_index(observed.quarter)
            .and_then(|quarter| self.intern_asset(quarter, observed.asset));
        if let Some(asset) = asset {
            self.place_observed(asset, observed);
        }
    }

    fn mirror_change(&mut self, edge: &mut Edge, change: Change, effects: &mut Effects) {
        if let Some(stream) = self.mirrored(edge, change.stream) {
            self.take(stream, change.value, change.time, change.quality, effects);
        }
    }

    /// A time that the box had guessed is corrected. What news told of the stream since is newer
    /// than both times or lies in the future.
    fn mirror_move(
        &mut self,
        edge: &mut Edge,
        change: Change,
        offset_ms: i64,
        effects: &mut Effects,
    ) {
        let Some(stream) = self.mirrored(edge, change.stream) else {
            return;
        };
        let Some(own) = self.streams.get_mut(stream as usize) else {
            return;
        };
        let same = own.time == change.time.plus(-offset_ms);
        if same || own.time < change.time || own.time > self.now {
            own.value = change.value;
            own.quality = change.quality;
            self.move_stream(stream, change.time, offset_ms, effects);
        }
    }

    /// The city's stream of a replica's.
    pub(super) fn mirrored(&mut self, edge: &mut Edge, stream: u32) -> Option<u32> {
        let index = stream as usize;
        if let Some(Some(known)) = edge.mirrored.get(index) {
            return Some(*known);
        }
        let replica = &edge.replica;
        let found = replica.streams().get(index)?;
        let asset = replica.assets().get(found.asset as usize)?;
        let metric = replica.metric_of(found)?;
        if replica.quarter_of(asset)?.record.id != edge.record.quarter {
            return None;
        }
        let quarter = self.quarter_index(&edge.record.quarter)?;
        let unit = (!metric.known).then_some(metric.unit.as_str());
        let own = self
            .intern_asset(quarter, &asset.id)
            .zip(self.intern_metric(&metric.name, unit))
            .and_then(|(asset, metric)| self.intern_stream(asset, metric))?;
        if edge.mirrored.len() <= index {
            edge.mirrored.resize(index + 1, None);
        }
        if let Some(place) = edge.mirrored.get_mut(index) {
            *place = Some(own);
        }
        Some(own)
    }
}

impl Edge {
    /// Whether a batch continues what there is; with it the position up to which its entries are
    /// known. `None`: all of it is known. The chain moves here, so what is admitted must be folded.
    fn admit(&mut self, payload: &[u8]) -> Result<Option<(Batch, u64)>, String> {
        let batch = Batch::decode(payload).map_err(|error| format!("a batch {error}"))?;
        let known = self.chain.unwrap_or_else(|| Chain::start(batch.journal));
        if self.journal.is_some_and(|journal| journal != batch.journal) {
            return Err(format!(
                "the box has another journal ({}) than before; retire it and enrol it anew",
                batch.journal
            ));
        }
        if batch.last() <= known.position {
            self.duplicates += u64::from(batch.count);
            return Ok(None);
        }
        let before = batch.first - 1 - batch.lost;
        if before > known.position {
            return Err(format!(
                "a batch begins behind {before}, and the city has entries up to {}",
                known.position
            ));
        }
        let mut chain = known;
        let gap = batch.first > known.position + 1;
        if gap {
            chain = chain.lost(batch.first - 1);
        }
        for (position, entry) in batch.entries() {
            match position <= known.position {
                true => self.duplicates += 1,
                false => chain = chain.entry(entry),
            }
        }
        if chain.value != batch.after {
            return Err(format!(
                "the entries up to {} do not continue what the city has up to {}: \
                 the box's data were changed or copied back",
                chain.position, known.position
            ));
        }
        if gap {
            let (first, last) = (known.position + 1, batch.first - 1);
            remember(&mut self.lost, Lost { first, last });
            self.unsure = true;
        }
        self.journal = Some(batch.journal);
        self.chain = Some(chain);
        self.head = self.head.max(chain.position);
        Ok(Some((batch, known.position)))
    }

    /// Holds the replica against what the box says of its own state at the same position.
    fn compare(&mut self, state: Digest, now: Millis) {
        let own = self.replica.to_bytes().map(|bytes| Digest::of(&bytes));
        let equal = own.is_ok_and(|own| own == state);
        self.differences += u64::from(!equal && !self.unsure);
        self.unsure &= !equal;
        self.proof = Some(Proof {
            position: self.received(),
            state,
            equal,
            at: now,
        });
    }
}
