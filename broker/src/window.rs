//! QoS 1 and 2 messages on their way to one client, by packet identifier.
//!
//! Identifiers are 1..=limit; a free one is taken from the front of a queue and given back at its
//! end, so that an identifier rests as long as possible before it is used again.

use std::collections::VecDeque;

use crate::codec::QoS;
use crate::session::Out;

/// What the client still owes for a message.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// PUBACK or PUBREC: the message itself, to send it again after a reconnect.
    Publish(Out),
    /// PUBCOMP: only the PUBREL is sent again.
    Release,
}

#[derive(Debug)]
struct Slot {
    /// Order of sending.
    order: u64,
    step: Step,
}

/// Messages in flight of one session.
#[derive(Debug, Default)]
pub(crate) struct Window {
    slots: Vec<Option<Slot>>,
    free: VecDeque<u16>,
    used: usize,
    next_order: u64,
}

impl Window {
    /// Messages in flight.
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    /// Puts a message in flight and returns its packet identifier. The caller keeps `len` below
    /// its limit, which is at most 65,535.
    pub(crate) fn push(&mut self, out: Out) -> Option<u16> {
        let pkid = match self.free.pop_front() {
            Some(pkid) => pkid,
            None => {
                let pkid = u16::try_from(self.slots.len() + 1).ok()?;
                self.slots.push(None);
                pkid
            }
        };
        let order = self.next_order;
        self.next_order += 1;
        self.used += 1;
        *self.slot(pkid)? = Some(Slot {
            order,
            step: Step::Publish(out),
        });
        Some(pkid)
    }

    fn slot(&mut self, pkid: u16) -> Option<&mut Option<Slot>> {
        self.slots.get_mut(usize::from(pkid).checked_sub(1)?)
    }

    fn release(&mut self, pkid: u16) {
        if let Some(slot) = self.slot(pkid)
            && slot.take().is_some()
        {
            self.used -= 1;
            self.free.push_back(pkid);
        }
        if self.used == 0 {
            *self = Self {
                next_order: self.next_order,
                ..Self::default()
            };
        }
    }

    /// PUBACK: the QoS 1 message that it ends, `None` when there is none.
    pub(crate) fn acknowledged(&mut self, pkid: u16) -> Option<Out> {
        match self.slot(pkid)? {
            Some(Slot {
                step: Step::Publish(out),
                ..
            }) if out.qos == QoS::AtLeastOnce => {
                let out = out.clone();
                self.release(pkid);
                Some(out)
            }
            _ => None,
        }
    }

    /// PUBREC: whether a PUBREL is due. An error ends the message. A repeated PUBREC is answered
    /// again.
    pub(crate) fn received(&mut self, pkid: u16, error: bool) -> bool {
        match self.slot(pkid) {
            Some(Some(slot)) => {
                match &slot.step {
                    Step::Publish(out) if out.qos != QoS::ExactlyOnce => return false,
                    _ => {}
                }
                if error {
                    self.release(pkid);
                } else {
                    slot.step = Step::Release;
                }
                !error
            }
            _ => false,
        }
    }

    /// PUBCOMP: whether it ends a message.
    pub(crate) fn completed(&mut self, pkid: u16) -> bool {
        match self.slot(pkid) {
            Some(Some(Slot {
                step: Step::Release,
                ..
            })) => {
                self.release(pkid);
                true
            }
            _ => false,
        }
    }

    /// Everything in flight, in the order of sending, to send it again.
    pub(crate) fn unfinished(&self) -> Vec<(u16, Step)> {
        let mut all: Vec<_> = (1u16..)
            .zip(&self.slots)
            .filter_map(|(pkid, slot)| slot.as_ref().map(|s| (s.order, pkid, s.step.clone())))
            .collect();
        all.sort_unstable_by_key(|(order, ..)| *order);
        all.into_iter()
            .map(|(_, pkid, step)| (pkid, step))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::out;

    #[test]
    fn identifiers_are_used_again_only_after_their_acknowledgement() {
        let mut window = Window::default();
        assert_eq!(window.push(out(QoS::AtLeastOnce)), Some(1));
        assert_eq!(window.push(out(QoS::AtLeastOnce)), Some(2));
        assert!(window.acknowledged(1).is_some());
        assert!(window.acknowledged(1).is_none());
        assert_eq!(window.push(out(QoS::AtLeastOnce)), Some(1));
        assert_eq!(window.len(), 2);
        assert!(window.acknowledged(0).is_none() && window.acknowledged(9).is_none());
    }

    #[test]
    fn a_qos_2_message_ends_with_pubcomp_only() {
        let mut window = Window::default();
        let pkid = window.push(out(QoS::ExactlyOnce)).unwrap();
        assert!(window.acknowledged(pkid).is_none());
        assert!(!window.completed(pkid));
        assert!(window.received(pkid, false));
        assert!(
            window.received(pkid, false),
            "a repeated PUBREC is answered again"
        );
        assert!(matches!(window.unfinished()[..], [(1, Step::Release)]));
        assert!(window.completed(pkid));
        assert_eq!(window.len(), 0);
    }

    #[test]
    fn what_is_unfinished_comes_in_the_order_of_sending() {
        let mut window = Window::default();
        for _ in 0..3 {
            window.push(out(QoS::AtLeastOnce));
        }
        window.acknowledged(1);
        window.push(out(QoS::AtLeastOnce));
        let order: Vec<u16> = window
            .unfinished()
            .into_iter()
            .map(|(pkid, _)| pkid)
            .collect();
        assert_eq!(order, [2, 3, 1]);
    }
}
