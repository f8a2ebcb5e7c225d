//! The acknowledgements of both directions, and what must be on disk before each of them.

use super::acks::Due;
use super::{Connection, End, inbound};
use crate::Taken;
use crate::codec::{Ack, AckKind, Publish, QoS, ReasonCode, Version, encode_ack};
use crate::kept::{Key, Value};
use crate::session::{Phase, Received};
use crate::window::Progress;

impl Connection {
    pub(super) fn puback(&mut self, ack: Ack) -> Result<(), End> {
        // One that acknowledges nothing is ignored: after a reconnect it may be late.
        let mut state = self.own()?;
        if let Progress::Done(sequence) = state.window.acknowledged(ack.pkid) {
            self.session.done(sequence);
        }
        Ok(())
    }

    /// PUBREL waits until it is on disk that the client has the message: sent again after that, it
    /// would be a new one to the client.
    pub(super) fn pubrec(&mut self, ack: Ack) -> Result<(), End> {
        let error = ack.reason.is_error();
        let mut state = self.own()?;
        let (reason, round) = match state.window.received(ack.pkid, error) {
            Progress::Release(sequence) => {
                let round = self.session.released(sequence);
                state.window.released_in(ack.pkid, round);
                (ReasonCode::Success, round)
            }
            Progress::Done(sequence) => {
                self.session.done(sequence);
                return Ok(());
            }
            Progress::Unknown if error => return Ok(()),
            Progress::Unknown => (ReasonCode::PacketIdentifierNotFound, 0),
        };
        drop(state);
        self.answer(AckKind::PubRel, ack.pkid, reason, round);
        Ok(())
    }

    /// PUBCOMP waits until it is on disk that the identifier is free: the client may use it again
    /// at once, and its message would be taken for a repetition.
    pub(super) fn pubrel(&mut self, ack: Ack) -> Result<(), End> {
        let mut state = self.own()?;
        let known = state.received.remove(&ack.pkid).is_some();
        let round = self.session.kept.as_ref().map_or(0, |kept| match known {
            true => kept.remove(Key::Received(self.session.number, ack.pkid)),
            // Freed on an earlier connection, perhaps not yet on disk.
            false => kept.latest(),
        });
        drop(state);
        let reason = match known {
            true => ReasonCode::Success,
            false => ReasonCode::PacketIdentifierNotFound,
        };
        self.answer(AckKind::PubComp, ack.pkid, reason, round);
        Ok(())
    }

    /// Answers once the round is written.
    pub(super) fn answer(&mut self, kind: AckKind, pkid: u16, reason: ReasonCode, round: u64) {
        if round == 0 {
            encode_ack(kind, pkid, reason, self.terms.version, &mut self.write);
        } else {
            let due = Due { position: 0, round };
            self.acks.push(kind, pkid, due, 0, reason);
        }
    }

    /// A QoS 2 message that is known already.
    pub(super) fn repeated(&mut self, publish: &Publish<'_>, known: Received) -> Result<(), End> {
        let alone = std::slice::from_ref(publish);
        let mut due = Due {
            position: known.position,
            round: known.round,
        };
        if known.lost {
            due = match self.hand_over(alone) {
                Taken::At(position) => Due {
                    position,
                    round: self.remember(alone, position),
                },
                // It stays lost, and will be taken when the client repeats it once more.
                Taken::Full if self.terms.version == Version::V5 => {
                    self.acknowledge(publish, Due::default(), ReasonCode::QuotaExceeded);
                    return Ok(());
                }
                Taken::Full => {
                    return Err(End::Reason(ReasonCode::QuotaExceeded, inbound::LOG_FULL));
                }
                Taken::Failed => {
                    return Err(End::Reason(
                        ReasonCode::UnspecifiedError,
                        inbound::LOG_FAILED,
                    ));
                }
            };
        }
        self.acknowledge(publish, due, ReasonCode::Success);
        Ok(())
    }

    /// Publishes the run; the round to wait for. That a QoS 2 message was received and that others
    /// have it becomes durable at once, or a crash between the two would lose or double it.
    pub(super) fn spread(&self, publishes: &[Publish<'_>], position: u64) -> u64 {
        let hub = &self.hub;
        let qos2 = publishes.iter().any(|p| p.qos == QoS::ExactlyOnce);
        let kept = self.session.kept.as_ref().filter(|_| qos2);
        let _whole = kept.map(|kept| kept.whole());
        let received = if qos2 {
            self.remember(publishes, position)
        } else {
            0
        };
        received.max(hub.publish_from(self.session.number, publishes))
    }

    /// QoS 2: what must be on disk before PUBREC, should the client ask again; the round.
    fn remember(&self, publishes: &[Publish<'_>], position: u64) -> u64 {
        // The run was taken, so it counts even when another connection has the session by now.
        let mut state = self.session.lock();
        let mut last = 0;
        if state.phase == Phase::Ended {
            return last;
        }
        for publish in publishes.iter().filter(|p| p.qos == QoS::ExactlyOnce) {
            let key = || Key::Received(self.session.number, publish.pkid);
            let kept = self.session.kept.as_ref();
            let round = kept.map_or(0, |kept| kept.put(key(), Value::Received(position)));
            let received = Received {
                position,
                round,
                lost: false,
            };
            state.received.insert(publish.pkid, received);
            last = last.max(round);
        }
        last
    }

    /// QoS 2: not taken, so not to be taken for a repetition later.
    pub(super) fn forget(&self, publishes: &[Publish<'_>]) {
        if let Ok(mut state) = self.own() {
            for publish in publishes.iter().filter(|p| p.qos == QoS::ExactlyOnce) {
                state.received.remove(&publish.pkid);
            }
        }
    }
}
