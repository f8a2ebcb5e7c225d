//! Acknowledgements that wait until what they acknowledge is on disk.
//!
//! Invariant: they are sent in the order in which the publishes came [MQTT-4.6.0-2], so one whose
//! publish is durable waits for those before it.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::codec::{AckKind, ReasonCode, Version, encode_ack};

/// What must be on disk before something is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Due {
    /// The intake's position; 0 for what is no telemetry.
    pub(super) position: u64,
    /// The keeper's round; 0 for what nobody keeps.
    pub(super) round: u64,
}

impl Due {
    fn is_met(self, disk: Self) -> bool {
        self.position <= disk.position && self.round <= disk.round
    }
}

/// One acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pending {
    due: Due,
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
    /// Those that wait for a round of the keeper, or did when they joined.
    rounds: usize,
}

impl Acks {
    /// Owes one more.
    pub(super) fn push(
        &mut self,
        kind: AckKind,
        pkid: u16,
        due: Due,
        bytes: usize,
        reason: ReasonCode,
    ) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.bytes += bytes as usize;
        self.qos1 += usize::from(kind == AckKind::PubAck);
        self.rounds += usize::from(due.round > 0);
        self.queue.push_back(Pending {
            due,
            bytes,
            pkid,
            kind,
            reason,
        });
    }

    /// Whether the keeper's progress matters.
    pub(super) fn wait_for_keeper(&self) -> bool {
        self.rounds > 0
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

    /// Writes those that are due with this much on disk.
    pub(super) fn write(&mut self, disk: Due, version: Version, out: &mut BytesMut) {
        while let Some(first) = self.queue.front()
            && first.due.is_met(disk)
        {
            encode_ack(first.kind, first.pkid, first.reason, version, out);
            self.bytes = self.bytes.saturating_sub(first.bytes as usize);
            self.qos1 -= usize::from(first.kind == AckKind::PubAck);
            self.rounds -= usize::from(first.due.round > 0);
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

    fn due(position: u64, round: u64) -> Due {
        Due { position, round }
    }

    #[test]
    fn an_acknowledgement_waits_for_its_position_and_for_those_before_it() {
        let mut acks = Acks::default();
        let mut out = BytesMut::new();
        acks.push(AckKind::PubAck, 1, due(5, 0), 10, ReasonCode::Success);
        acks.push(AckKind::PubRec, 2, due(0, 0), 10, ReasonCode::Success);
        acks.push(AckKind::PubAck, 3, due(9, 0), 10, ReasonCode::Success);
        acks.write(due(4, 0), Version::V3, &mut out);
        assert!(out.is_empty());
        assert_eq!((acks.len(), acks.qos1(), acks.bytes()), (3, 2, 30));
        acks.write(due(8, 0), Version::V3, &mut out);
        assert_eq!(&out[..], [0x40, 2, 0, 1, 0x50, 2, 0, 2]);
        acks.write(due(9, 0), Version::V3, &mut out);
        assert!(acks.is_empty() && acks.bytes() == 0 && acks.qos1() == 0);
    }

    #[test]
    fn an_acknowledgement_waits_for_both_disks() {
        let mut acks = Acks::default();
        let mut out = BytesMut::new();
        acks.push(AckKind::PubAck, 1, due(5, 2), 0, ReasonCode::Success);
        for disk in [due(5, 1), due(4, 2)] {
            acks.write(disk, Version::V3, &mut out);
            assert!(out.is_empty() && acks.wait_for_keeper());
        }
        acks.write(due(5, 2), Version::V3, &mut out);
        assert!(acks.is_empty() && !acks.wait_for_keeper());
    }
}
