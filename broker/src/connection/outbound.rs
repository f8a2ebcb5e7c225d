//! From the session's queues to the write buffer.

use super::{Connection, End};
use crate::buffers::SIZE;
use crate::codec::{AckKind, Delivery, QoS, ReasonCode};
use crate::session::{Out, State};
use crate::window::{Progress, Step};

impl Connection {
    /// Sends again what an earlier connection of the session left unfinished [MQTT-4.4.0-1].
    pub(super) fn resume(&mut self) {
        let Some(state) = self.session.own(self.generation) else {
            return;
        };
        let unfinished = state.window.unfinished();
        drop(state);
        let written = *self.written.borrow();
        for (pkid, step) in unfinished {
            match step {
                Step::Publish(out) if !self.readable(&out) => self.forget_unread(&out, pkid),
                Step::Publish(out) => self.encode(&out, pkid, true),
                Step::Release(round) => {
                    let round = if round <= written { 0 } else { round };
                    self.answer(AckKind::PubRel, pkid, ReasonCode::Success, round);
                }
            }
        }
    }

    /// Ends a message in flight that the client may not read any more. A QoS 2 message may have
    /// reached it, and then it holds the identifier until a PUBREL.
    fn forget_unread(&mut self, out: &Out, pkid: u16) {
        let Some(mut state) = self.session.own(self.generation) else {
            return;
        };
        if out.qos == QoS::ExactlyOnce {
            if let Progress::Release(sequence) = state.window.received(pkid, false) {
                let round = self.session.released(sequence);
                state.window.released_in(pkid, round);
                drop(state);
                self.answer(AckKind::PubRel, pkid, ReasonCode::Success, round);
            }
        } else if let Progress::Done(sequence) = state.window.acknowledged(pkid) {
            self.session.done(sequence);
        }
    }

    /// Takes messages from the session until the write buffer is full; true when it is. A QoS 2
    /// message for a session that is kept waits until `written` is the keeper's round that has it:
    /// sent before, a crash would have it sent once more under another identifier.
    pub(super) fn fill(&mut self, written: u64) -> Result<bool, End> {
        let session = self.session.clone();
        let Some(mut state) = session.own(self.generation) else {
            return Err(End::Reason(ReasonCode::SessionTakenOver, ""));
        };
        if state.overrun {
            self.hub.counters.slow_clients.add(1);
            return Err(End::Reason(
                ReasonCode::QuotaExceeded,
                "messages come faster than taken",
            ));
        }
        let inflight = self.terms.inflight;
        let mut held_back = false;
        while self.write.len() < SIZE {
            let next = state.next(|out, window| {
                held_back = out.qos == QoS::ExactlyOnce && out.round > written;
                let room = window.len() < inflight && window.is_free(out.sequence);
                out.qos == QoS::AtMostOnce || (room && !held_back)
            });
            let Some(out) = next else { break };
            if !self.deliverable(&out) {
                self.drop_undeliverable(&out, &mut state);
                continue;
            }
            let pkid = match out.qos {
                QoS::AtMostOnce => 0,
                _ => state.window.push(out.clone()),
            };
            if self.write.capacity() == 0 {
                self.write = self.hub.buffers.lend();
            }
            self.encode(&out, pkid, out.again);
        }
        self.held_back = held_back;
        self.granted.suspect &= !(state.retained.is_empty() && state.live.is_empty());
        Ok(self.write.len() >= SIZE)
    }

    /// A QoS 2 message of an earlier life may have reached the client, which then holds its
    /// identifier until a PUBREL.
    fn drop_undeliverable(&mut self, out: &Out, state: &mut State) {
        if out.again && out.qos == QoS::ExactlyOnce {
            let pkid = state.window.push_released(out.sequence);
            let round = self.session.released(out.sequence);
            state.window.released_in(pkid, round);
            self.answer(AckKind::PubRel, pkid, ReasonCode::Success, round);
        } else {
            self.session.done(out.sequence);
        }
    }

    fn deliverable(&self, out: &Out) -> bool {
        let counters = &self.hub.counters;
        if !self.readable(out) {
            return false;
        }
        if out.message.seconds_left() == Some(0) {
            counters.dropped_expired.add(1);
            return false;
        }
        let fits = self.terms.max_packet == u32::MAX as usize
            || delivery(out, 1, false).size(self.terms.version) <= self.terms.max_packet;
        counters.dropped_too_large.add(u64::from(!fits));
        fits
    }

    fn encode(&mut self, out: &Out, pkid: u16, dup: bool) {
        let mut packet = delivery(out, pkid, dup);
        let topic = packet.topic;
        let mut new_alias = self.told.shorten(&mut packet);
        if new_alias && packet.size(self.terms.version) > self.terms.max_packet {
            packet.topic_alias = None;
            new_alias = false;
        }
        match packet.encode(self.terms.version, &mut self.write) {
            Ok(()) => {
                self.hub.counters.sent.add(1);
                if new_alias {
                    self.told.told(topic);
                }
            }
            Err(_) => self.hub.counters.dropped_too_large.add(1),
        }
    }
}

fn delivery(out: &Out, pkid: u16, dup: bool) -> Delivery<'_> {
    Delivery {
        dup,
        qos: out.qos,
        retain: out.retain,
        pkid,
        topic: out.message.topic(),
        payload: out.message.payload(),
        forward: out.message.properties(),
        message_expiry: out.message.seconds_left(),
        topic_alias: None,
        subscription_ids: out.ids.as_slice(),
    }
}
