//! From the read buffer to what its packets ask for.
//!
//! Consecutive publishes are handled as one run, borrowed from the buffer: telemetry is handed to
//! the intake in one call, and a log behind it syncs once for all of them.

use std::sync::Arc;

use bytes::Buf;
use tokio::time::Instant;

use super::acks::Due;
use super::subscribe::Request;
use super::{Connection, End};
use crate::codec::{
    AckKind, Disconnect, Malformed, Packet, Publish, QoS, ReasonCode, Version, decode,
    encode_ping_resp, frame,
};
use crate::session::Received;
use crate::window::Progress;
use crate::{Taken, Telemetry};

/// Publishes in one run at most: between runs the connection sees whether it may go on.
const MAX_RUN: usize = 256;
pub(super) const LOG_FULL: &str = "the log is full";
pub(super) const LOG_FAILED: &str = "the log failed";

/// How far the packets of the read buffer were handled.
pub(super) enum Step {
    /// All that are whole.
    Done,
    /// Too much is pending for more.
    Paused,
    /// Up to this SUBSCRIBE, which has to wait for others.
    Subscribe(Request),
}

/// Consecutive publishes of one kind.
#[derive(Default)]
struct Run<'a> {
    telemetry: bool,
    publishes: Vec<Publish<'a>>,
    bytes: usize,
    /// Of QoS 1.
    qos1: usize,
    /// Packets of any kind before and among them, and how many of these have an answer.
    packets: u64,
    answered: u64,
}

impl From<Malformed> for End {
    fn from(malformed: Malformed) -> Self {
        Self::Reason(malformed.reason, malformed.what)
    }
}

fn has_answer(packet: &Packet<'_>) -> bool {
    match packet {
        Packet::Publish(publish) => publish.qos != QoS::AtMostOnce,
        Packet::PubRec(_) | Packet::PubRel(_) | Packet::PingReq => true,
        Packet::Subscribe(_) | Packet::Unsubscribe(_) => true,
        Packet::PubAck(_) | Packet::PubComp(_) | Packet::Disconnect(_) | Packet::Auth => false,
    }
}

impl Connection {
    /// Handles the packets of the read buffer.
    pub(super) async fn look(&mut self) -> Result<(), End> {
        loop {
            let buffer = std::mem::take(&mut self.read);
            let mut at = 0;
            let step = self.packets(&buffer, &mut at);
            self.read = buffer;
            self.read.advance(at);
            if at > 0 {
                self.last_packet = Instant::now();
            }
            match step? {
                Step::Done => {
                    self.unlooked = false;
                    return Ok(());
                }
                Step::Paused => return Ok(()),
                Step::Subscribe(request) => self.subscribe(request).await?,
            }
        }
    }

    fn packets(&mut self, buffer: &[u8], at: &mut usize) -> Result<Step, End> {
        let mut run = Run::default();
        let step = self.decode(buffer, at, &mut run);
        // What came before a packet that ends the connection counts.
        let counters = &self.hub.counters;
        counters.packets_received.add(run.packets);
        counters.packets_answered.add(run.answered);
        self.finish_run(&mut run)?;
        if let Err(End::Reason(..)) = step {
            self.hub.counters.protocol_errors.add(1);
        }
        step
    }

    fn decode<'a>(
        &mut self,
        buffer: &'a [u8],
        at: &mut usize,
        run: &mut Run<'a>,
    ) -> Result<Step, End> {
        loop {
            if run.publishes.len() >= MAX_RUN {
                self.finish_run(run)?;
            }
            if !self.may_add(run) {
                return Ok(Step::Paused);
            }
            let rest = buffer.get(*at..).unwrap_or_default();
            let Some(frame) = frame(rest, self.hub.config.max_packet)? else {
                return Ok(Step::Done);
            };
            let packet = decode(&frame, self.terms.version)?;
            *at += frame.len;
            run.packets += 1;
            run.answered += u64::from(has_answer(&packet));
            if let Packet::Publish(publish) = packet {
                self.pace.spend();
                self.publish(publish, run)?;
                continue;
            }
            self.finish_run(run)?;
            if let Some(request) = self.other(packet)? {
                return Ok(Step::Subscribe(request));
            }
        }
    }

    /// Whether one more publish may join the run.
    fn may_add(&self, run: &Run<'_>) -> bool {
        let config = &self.hub.config;
        let pending = self.acks.len() + run.publishes.len();
        (pending < usize::from(config.max_pending)
            && self.acks.bytes() + run.bytes < config.max_pending_bytes
            || pending == 0)
            && (!run.publishes.is_empty() || self.may_read())
            && self.pace.wait().is_none()
    }

    /// Everything but PUBLISH; a SUBSCRIBE is given back.
    fn other(&mut self, packet: Packet<'_>) -> Result<Option<Request>, End> {
        match packet {
            Packet::Publish(_) => {}
            Packet::PubAck(ack) => self.puback(ack)?,
            Packet::PubRec(ack) => self.pubrec(ack)?,
            Packet::PubRel(ack) => self.pubrel(ack)?,
            Packet::PubComp(ack) => {
                let mut state = self.own()?;
                if let Progress::Done(sequence) = state.window.completed(ack.pkid) {
                    self.session.done(sequence);
                }
            }
            Packet::Subscribe(subscribe) => return Ok(Some(Request::new(&subscribe))),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(&unsubscribe)?,
            Packet::PingReq => encode_ping_resp(&mut self.write),
            Packet::Disconnect(disconnect) => return Err(self.disconnect(disconnect)),
            Packet::Auth => {
                return Err(End::Reason(
                    ReasonCode::ProtocolError,
                    "AUTH was not agreed on",
                ));
            }
        }
        Ok(None)
    }

    pub(super) fn own(&self) -> Result<parking_lot::MutexGuard<'_, crate::session::State>, End> {
        self.session
            .own(self.generation)
            .ok_or(End::Reason(ReasonCode::SessionTakenOver, ""))
    }

    fn disconnect(&mut self, disconnect: Disconnect) -> End {
        if let Some(expiry) = disconnect.session_expiry {
            if expiry > 0 && !self.terms.may_extend {
                return End::Reason(ReasonCode::ProtocolError, "session expiry was 0");
            }
            self.terms.expiry = expiry.min(self.hub.config.session_expiry_max);
        }
        match disconnect.reason {
            ReasonCode::Success => End::Left,
            _ => End::Lost,
        }
    }

    fn publish<'a>(&mut self, publish: Publish<'a>, run: &mut Run<'a>) -> Result<(), End> {
        let Some(alias) = publish.properties.topic_alias else {
            return self.resolved(publish, run);
        };
        if alias > self.hub.config.max_topic_alias {
            return Err(End::Reason(
                ReasonCode::TopicAliasInvalid,
                "topic alias above maximum",
            ));
        }
        if !publish.topic.is_empty() {
            self.aliases.insert(alias, publish.topic.into());
            return self.resolved(publish, run);
        }
        let Some(topic) = self.aliases.get(&alias).map(Arc::clone) else {
            return Err(End::Reason(
                ReasonCode::ProtocolError,
                "topic alias was never set",
            ));
        };
        // The topic does not live as long as the buffer: a run of its own.
        self.finish_run(run)?;
        let mut alone = Run::default();
        self.resolved(
            Publish {
                topic: &topic,
                ..publish
            },
            &mut alone,
        )?;
        self.finish_run(&mut alone)
    }

    /// Adds a publish with its topic to the run.
    fn resolved<'a>(&mut self, publish: Publish<'a>, run: &mut Run<'a>) -> Result<(), End> {
        self.within_receive_maximum(&publish, run)?;
        // What was taken already is a repetition whose PUBREC is missing, whatever has changed.
        let taken = |this: &Self| -> Result<bool, End> {
            Ok(publish.qos == QoS::ExactlyOnce && this.own()?.received.contains_key(&publish.pkid))
        };
        if let Some(reason) = self.refusal(publish.topic)
            && !taken(self)?
        {
            self.finish_run(run)?;
            // A 3.1.1 client cannot be told: to it every acknowledgement is a good one
            // [MQTT-3.3.5-2].
            self.acknowledge(&publish, Due::default(), reason);
            return Ok(());
        }
        if publish.qos == QoS::ExactlyOnce {
            let known = match self.own()?.received.entry(publish.pkid) {
                hashbrown::hash_map::Entry::Occupied(entry) => Some(*entry.get()),
                hashbrown::hash_map::Entry::Vacant(entry) => {
                    entry.insert(Received::default());
                    None
                }
            };
            if let Some(known) = known {
                self.finish_run(run)?;
                return self.repeated(&publish, known);
            }
        }
        let telemetry = self.hub.hooks.intake.wants(publish.topic);
        if telemetry != run.telemetry {
            self.finish_run(run)?;
            run.telemetry = telemetry;
        }
        run.bytes += publish.payload.len();
        run.qos1 += usize::from(publish.qos == QoS::AtLeastOnce);
        run.publishes.push(publish);
        Ok(())
    }

    fn within_receive_maximum(&self, publish: &Publish<'_>, run: &Run<'_>) -> Result<(), End> {
        if self.terms.version == Version::V3 || publish.qos == QoS::AtMostOnce {
            return Ok(());
        }
        let state = self.own()?;
        let known = state.received.contains_key(&publish.pkid);
        let outstanding = self.acks.qos1() + run.qos1 + state.received.len();
        if !known && outstanding >= usize::from(self.hub.config.max_pending.max(1)) {
            return Err(End::Reason(ReasonCode::ReceiveMaximumExceeded, ""));
        }
        Ok(())
    }

    pub(super) fn acknowledge(&mut self, publish: &Publish<'_>, due: Due, reason: ReasonCode) {
        let kind = match publish.qos {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => AckKind::PubAck,
            QoS::ExactlyOnce => AckKind::PubRec,
        };
        self.acks
            .push(kind, publish.pkid, due, publish.payload.len(), reason);
    }

    /// Hands the run over and owes its acknowledgements.
    fn finish_run(&mut self, run: &mut Run<'_>) -> Result<(), End> {
        if run.publishes.is_empty() {
            return Ok(());
        }
        let publishes = std::mem::take(&mut run.publishes);
        (run.bytes, run.qos1) = (0, 0);
        let hub = self.hub.clone();
        hub.counters.received.add(publishes.len() as u64);
        let mut position = 0;
        if run.telemetry {
            position = match self.hand_over(&publishes) {
                Taken::At(position) => position,
                Taken::Full => return self.no_room(&publishes),
                Taken::Failed => {
                    self.forget(&publishes);
                    return Err(End::Reason(ReasonCode::UnspecifiedError, LOG_FAILED));
                }
            };
        }
        let round = self.spread(&publishes, position);
        let due = Due { position, round };
        for publish in &publishes {
            self.acknowledge(publish, due, ReasonCode::Success);
        }
        Ok(())
    }

    pub(super) fn hand_over(&self, publishes: &[Publish<'_>]) -> Taken {
        let run: Vec<Telemetry<'_>> = publishes
            .iter()
            .map(|publish| Telemetry {
                topic: publish.topic,
                payload: publish.payload,
            })
            .collect();
        self.hub.counters.telemetry.add(run.len() as u64);
        self.hub.hooks.intake.take(&self.client, &run)
    }

    /// Nothing of the run was taken. MQTT 5 clients are told; a 3.1.1 client sends again what is
    /// not acknowledged when it reconnects.
    fn no_room(&mut self, publishes: &[Publish<'_>]) -> Result<(), End> {
        self.forget(publishes);
        for publish in publishes {
            match (publish.qos, self.terms.version) {
                (QoS::AtMostOnce, _) => self.hub.counters.dropped_intake_full.add(1),
                (_, Version::V3) => {
                    return Err(End::Reason(ReasonCode::QuotaExceeded, LOG_FULL));
                }
                (_, Version::V5) => {
                    self.acknowledge(publish, Due::default(), ReasonCode::QuotaExceeded)
                }
            }
        }
        Ok(())
    }
}
