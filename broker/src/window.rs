//! QoS 1 and 2 messages on their way to one client, by packet identifier.
//!
//! An identifier follows from the message's sequence in its session, so that it is the same after
//! a restart without being written. It is used again 65,535 messages later; until the one before is
//! done with it, the queue waits.

use hashbrown::HashMap;

use crate::codec::QoS;
use crate::session::Out;

/// Identifiers are 1 to this.
const IDENTIFIERS: u64 = 65_535;
/// Slots that an empty window keeps room for.
const KEPT: usize = 32;

/// What the client still owes for a message.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// PUBACK or PUBREC: the message itself, to send it again after a reconnect.
    Publish(Out),
    /// PUBCOMP: only the PUBREL is sent again, once this round of the keeper is written.
    Release(u64),
}

#[derive(Debug)]
struct Slot {
    /// Order of sending.
    order: u64,
    sequence: u64,
    step: Step,
}

/// What became of a message by an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is none that it acknowledges.
    Unknown,
    /// The message with this sequence is done with.
    Done(u64),
    /// PUBREL is due for the message with this sequence.
    Release(u64),
}

/// Messages in flight of one session.
#[derive(Debug, Default)]
pub(crate) struct Window {
    slots: HashMap<u16, Slot>,
    next_order: u64,
}

/// The packet identifier of the message with this sequence, which counts from 1.
fn identifier(sequence: u64) -> u16 {
    u16::try_from(sequence.saturating_sub(1) % IDENTIFIERS + 1).unwrap_or(1)
}

impl Window {
    /// Messages in flight.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no other message has the packet identifier of this one.
    pub(crate) fn is_free(&self, sequence: u64) -> bool {
        !self.slots.contains_key(&identifier(sequence))
    }

    /// Puts a message in flight and returns its packet identifier.
    pub(crate) fn push(&mut self, out: Out) -> u16 {
        self.put(out.sequence, Step::Publish(out))
    }

    /// A message that the client has received, or may have: only its PUBREL is due.
    pub(crate) fn push_released(&mut self, sequence: u64) -> u16 {
        self.put(sequence, Step::Release(0))
    }

    fn put(&mut self, sequence: u64, step: Step) -> u16 {
        let order = self.next_order;
        self.next_order += 1;
        let pkid = identifier(sequence);
        self.slots.insert(
            pkid,
            Slot {
                order,
                sequence,
                step,
            },
        );
        pkid
    }

    fn end(&mut self, pkid: u16) -> Progress {
        let ended = self.slots.remove(&pkid);
        if self.slots.is_empty() {
            self.slots.shrink_to(KEPT);
        }
        ended.map_or(Progress::Unknown, |slot| Progress::Done(slot.sequence))
    }

    /// PUBACK.
    pub(crate) fn acknowledged(&mut self, pkid: u16) -> Progress {
        match self.slots.get(&pkid).map(|slot| &slot.step) {
            Some(Step::Publish(out)) if out.qos == QoS::AtLeastOnce => self.end(pkid),
            _ => Progress::Unknown,
        }
    }

    /// PUBREC. An error ends the message. A repeated one is answered again.
    pub(crate) fn received(&mut self, pkid: u16, error: bool) -> Progress {
        match self.slots.get_mut(&pkid) {
            Some(Slot {
                step: Step::Publish(out),
                ..
            }) if out.qos != QoS::ExactlyOnce => Progress::Unknown,
            Some(_) if error => self.end(pkid),
            Some(slot) => {
                if let Step::Publish(_) = slot.step {
                    slot.step = Step::Release(0);
                }
                Progress::Release(slot.sequence)
            }
            None => Progress::Unknown,
        }
    }

    /// The keeper's round that has the release of a message.
    pub(crate) fn released_in(&mut self, pkid: u16, round: u64) {
        if let Some(slot) = self.slots.get_mut(&pkid) {
            slot.step = Step::Release(round);
        }
    }

    /// PUBCOMP.
    pub(crate) fn completed(&mut self, pkid: u16) -> Progress {
        match self.slots.get(&pkid).map(|slot| &slot.step) {
            Some(Step::Release(_)) => self.end(pkid),
            _ => Progress::Unknown,
        }
    }

    /// Everything in flight, in the order of sending, to send it again.
    pub(crate) fn unfinished(&self) -> Vec<(u16, Step)> {
        let mut all: Vec<_> = self.slots.iter().collect();
        all.sort_unstable_by_key(|(_, slot)| slot.order);
        all.into_iter()
            .map(|(pkid, slot)| (*pkid, slot.step.clone()))
            .collect()
    }

    /// Ends all; their sequences, and the messages that the client has not acknowledged, in the
    /// order of sending.
    pub(crate) fn take(&mut self) -> (Vec<u64>, Vec<Out>) {
        let mut slots: Vec<Slot> = self.slots.drain().map(|(_, slot)| slot).collect();
        slots.sort_unstable_by_key(|slot| slot.order);
        let sequences = slots.iter().map(|slot| slot.sequence).collect();
        let message = |slot: Slot| match slot.step {
            Step::Publish(out) => Some(out),
            Step::Release(_) => None,
        };
        (sequences, slots.into_iter().filter_map(message).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::out;

    fn numbered(qos: QoS, sequence: u64) -> Out {
        Out {
            sequence,
            ..out(qos)
        }
    }

    #[test]
    fn an_identifier_follows_from_the_sequence_and_is_never_0() {
        let all: Vec<u16> = [1, 2, 65_535, 65_536].map(identifier).to_vec();
        assert_eq!(all, [1, 2, 65_535, 1]);
    }

    #[test]
    fn identifiers_are_used_again_only_after_their_acknowledgement() {
        let mut window = Window::default();
        assert_eq!(window.push(numbered(QoS::AtLeastOnce, 1)), 1);
        assert_eq!(window.push(numbered(QoS::AtLeastOnce, 2)), 2);
        assert!(!window.is_free(65_536));
        assert_eq!(window.acknowledged(1), Progress::Done(1));
        assert_eq!(window.acknowledged(1), Progress::Unknown);
        assert!(window.is_free(65_536) && !window.is_free(65_537));
        assert_eq!(window.len(), 1);
        assert_eq!(window.acknowledged(0), Progress::Unknown);
    }

    #[test]
    fn a_qos_2_message_ends_with_pubcomp_only() {
        let mut window = Window::default();
        let pkid = window.push(numbered(QoS::ExactlyOnce, 1));
        assert_eq!(window.acknowledged(pkid), Progress::Unknown);
        assert_eq!(window.completed(pkid), Progress::Unknown);
        assert_eq!(window.received(pkid, false), Progress::Release(1));
        assert_eq!(
            window.received(pkid, false),
            Progress::Release(1),
            "a repeated PUBREC is answered again"
        );
        assert!(matches!(window.unfinished()[..], [(1, Step::Release(_))]));
        assert_eq!(window.completed(pkid), Progress::Done(1));
        assert_eq!(window.len(), 0);
    }

    #[test]
    fn what_is_unfinished_comes_in_the_order_of_sending() {
        let mut window = Window::default();
        for sequence in [1, 2, 3] {
            window.push(numbered(QoS::AtLeastOnce, sequence));
        }
        window.acknowledged(1);
        window.push(numbered(QoS::AtLeastOnce, 65_536));
        let order: Vec<u16> = window
            .unfinished()
            .into_iter()
            .map(|(pkid, _)| pkid)
            .collect();
        assert_eq!(order, [2, 3, 1]);
    }
}
