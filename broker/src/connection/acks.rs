//! Acknowledgements that wait until what they acknowledge is on disk.
//!
//! Invariant: they are sent in the order in which the publishes came [MQTT-4.6.0-2], so one whose
//! publish is durable waits for those before it.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::codec::{AckKind, ReasonCode, Version, encode_ack};

/// One acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pending {
    /// To be durable first; 0 for what need not be.
    position: u64,
    /// Of the payload.
    bytes: u32,
    pkid: u16,
    kind: AckKind,
    reason: ReasonCode,
}

/// The acknowledgements that a connection owes.
#[derive(Debug, Default)]
pub(super) struct Acks {
    queue: VecDeque<Pending>,
    bytes: usize,
    /// PUBACKs in the queue.
    qos1: usize,
}

impl Acks {
    /// Owes one more.
    pub(super) fn push(
        &mut self,
        kind: AckKind,
        pkid: u16,
        position: u64,
        bytes: usize,
        reason: ReasonCode,
    ) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes += bytes as usize;
        self.qos1 += usize::from(kind == AckKind::PubAck);
        self.queue.push_back(Pending {
            position,
            bytes,
            pkid,
            kind,
            reason,
        });
    }

    /// Whether nothing is owed.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Acknowledgements that are owed.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// PUBACKs that are owed.
    pub(super) fn qos1(&self) -> usize {
        self.qos1
    }

    /// Payload bytes that are not acknowledged.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes those that are due at the durable position.
    pub(super) fn write(&mut self, durable: u64, version: Version, out: &mut BytesMut) {
        while let Some(first) = self.queue.front()
            && first.position <= durable
        {
            encode_ack(first.kind, first.pkid, first.reason, version, out);
            self.bytes = self.bytes.saturating_sub(first.bytes as usize);
            self.qos1 -= usize::from(first.kind == AckKind::PubAck);
            self.queue.pop_front();
        }
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_waits_for_its_position_and_for_those_before_it() {
        let mut acks = Acks::default();
        let mut out = BytesMut::new();
        acks.push(AckKind::PubAck, 1, 5, 10, ReasonCode::Success);
        acks.push(AckKind::PubRec, 2, 0, 10, ReasonCode::Success);
        acks.push(AckKind::PubAck, 3, 9, 10, ReasonCode::Success);
        acks.write(4, Version::V3, &mut out);
        assert!(out.is_empty());
        assert_eq!((acks.len(), acks.qos1(), acks.bytes()), (3, 2, 30));
        acks.write(8, Version::V3, &mut out);
        assert_eq!(&out[..], [0x40, 2, 0, 1, 0x50, 2, 0, 2]);
        acks.write(9, Version::V3, &mut out);
        assert!(acks.is_empty() && acks.bytes() == 0 && acks.qos1() == 0);
    }
}
