//! From the session's queues to the write buffer.

use super::{Connection, End};
use crate::buffers::SIZE;
use crate::codec::{AckKind, Delivery, QoS, ReasonCode, encode_ack};
use crate::session::Out;
use crate::window::Step;

impl Connection {
    /// Sends again what an earlier connection of the session left unfinished [MQTT-4.4.0-1].
    pub(super) fn resume(&mut self) {
        let Some(state) = self.session.own(self.generation) else {
            return;
        };
        let unfinished = state.window.unfinished();
        drop(state);
        for (pkid, step) in unfinished {
            match step {
                Step::Publish(out) if !self.readable(&out) => self.forget_unread(&out, pkid),
                Step::Publish(out) => self.encode(&out, pkid, true),
                Step::Release => {
                    let (version, out) = (self.terms.version, &mut self.write);
                    encode_ack(AckKind::PubRel, pkid, ReasonCode::Success, version, out);
                }
            }
        }
    }

    /// Ends a message in flight as if its client had refused it.
    fn forget_unread(&self, out: &Out, pkid: u16) {
        let Some(mut state) = self.session.own(self.generation) else {
            return;
        };
        match out.qos {
            QoS::ExactlyOnce => drop(state.window.received(pkid, true)),
            _ => drop(state.window.acknowledged(pkid)),
        }
    }

    /// Takes messages from the session until the write buffer is full; true when it is.
    pub(super) fn fill(&mut self) -> Result<bool, End> {
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
        while self.write.len() < SIZE {
            let next =
                state.next(|out, window| out.qos == QoS::AtMostOnce || window.len() < inflight);
            let Some(out) = next else { break };
            if !self.deliverable(&out) {
                continue;
            }
            let pkid = match out.qos {
                QoS::AtMostOnce => 0,
                _ => state.window.push(out.clone()).unwrap_or_default(),
            };
            if self.write.capacity() == 0 {
                self.write = self.hub.buffers.lend();
            }
            self.encode(&out, pkid, false);
        }
        self.granted.suspect &= !(state.retained.is_empty() && state.live.is_empty());
        Ok(self.write.len() >= SIZE)
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
            || delivery(out, 1, false, ids(&out.subscription_id)).size(self.terms.version)
                <= self.terms.max_packet;
        counters.dropped_too_large.add(u64::from(!fits));
        fits
    }

    fn encode(&mut self, out: &Out, pkid: u16, dup: bool) {
        let mut packet = delivery(out, pkid, dup, ids(&out.subscription_id));
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

/// Of an identifier that is 0 for none.
fn ids(id: &u32) -> &[u32] {
    if *id == 0 {
        &[]
    } else {
        std::slice::from_ref(id)
    }
}

fn delivery<'a>(out: &'a Out, pkid: u16, dup: bool, ids: &'a [u32]) -> Delivery<'a> {
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
        subscription_ids: ids,
    }
}
