//! The part of a session that changes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use hashbrown::{HashMap, HashSet};
use tokio::sync::Notify;

use super::{Ids, Out, QueueLimit, Session, Terms};
use crate::WhenFull;
use crate::codec::{self, QoS};
use crate::envelope::Envelope;
use crate::stats::Counters;
use crate::will::Will;
use crate::window::Window;

/// How it stands with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A connection owns it.
    Connected,
    /// It waits for its client until then; `None` for ever.
    Away(Option<Instant>),
    /// It is over and takes nothing more.
    Ended,
}

/// A filter of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Rises with each new filter.
    pub(crate) order: u64,
    pub(crate) terms: Terms,
}

/// A QoS 2 message from the client between PUBLISH and PUBREL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Received {
    /// The intake's position that must be durable before its PUBREC.
    pub(crate) position: u64,
    /// The keeper's round that must be written before its PUBREC.
    pub(crate) round: u64,
    /// Telemetry that the intake lost with the process, while subscribers have it: a repetition
    /// is for the intake alone.
    pub(crate) lost: bool,
}

/// The part of a session that changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// Rises with each connection.
    pub(crate) generation: u64,
    /// Wakes the connection that owns the session.
    pub(crate) wake: Arc<Notify>,
    /// Seconds that the session outlives its connection.
    pub(crate) expiry: u32,
    /// When the client went, in milliseconds since 1970; 0 while it is connected.
    pub(crate) away_since: u64,
    /// QoS 1 and 2 messages that the client takes at a time.
    pub(crate) inflight: usize,
    /// What the client leaves behind when it goes without a DISCONNECT.
    pub(crate) will: Option<Box<Will>>,
    /// When the will of a client that went is published.
    pub(crate) will_due: Option<Instant>,
    /// Subscriptions by filter.
    filters: HashMap<Box<str>, Filter>,
    filters_made: u64,
    /// Two of the filters may match the same topic.
    overlapping: bool,
    /// Retained messages, sent before the live ones. Bounded by what is retained: no further
    /// subscription is taken while more than the length of a queue is left.
    pub(crate) retained: VecDeque<Out>,
    /// Bounded by [`QueueLimit`].
    pub(crate) live: VecDeque<Out>,
    /// Bytes in `live`.
    live_bytes: usize,
    /// Sequence of the last QoS 1 or 2 message that was queued.
    pub(crate) last_sequence: u64,
    /// On their way to the client.
    pub(crate) window: Window,
    /// By packet identifier.
    pub(crate) received: HashMap<u16, Received>,
    /// The client is too slow: a QoS 1 or 2 message found no room, or the router lost some.
    pub(crate) overrun: bool,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Connected,
            generation: 1,
            wake: Arc::new(Notify::new()),
            expiry: 0,
            away_since: 0,
            inflight: usize::from(u16::MAX),
            will: None,
            will_due: None,
            filters: HashMap::new(),
            filters_made: 0,
            overlapping: false,
            retained: VecDeque::new(),
            live: VecDeque::new(),
            live_bytes: 0,
            last_sequence: 0,
            window: Window::default(),
            received: HashMap::new(),
            overrun: false,
        }
    }

    /// Subscriptions by filter.
    pub(crate) fn filters(&self) -> &HashMap<Box<str>, Filter> {
        &self.filters
    }

    /// Adds a subscription or replaces its terms.
    pub(crate) fn subscribe(&mut self, filter: &str, terms: Terms) {
        if let Some(known) = self.filters.get_mut(filter) {
            known.terms = terms;
            return;
        }
        self.filters_made += 1;
        let order = self.filters_made;
        self.restore_filter(filter.into(), Filter { order, terms });
    }

    /// Adds a subscription of an earlier life.
    pub(crate) fn restore_filter(&mut self, filter: Box<str>, known: Filter) {
        let shared = codec::shared(&filter).is_some();
        let mut others = self.filters.keys().filter(|f| codec::shared(f).is_none());
        self.overlapping |= !shared && others.any(|other| codec::overlap(other, &filter));
        self.filters_made = self.filters_made.max(known.order);
        self.filters.insert(filter, known);
    }

    /// Ends a subscription.
    pub(crate) fn unsubscribe(&mut self, filter: &str) {
        self.filters.remove(filter);
        self.overlapping &= self.filters.len() > 1;
    }

    /// Ends all subscriptions and gives their filters.
    pub(crate) fn take_filters(&mut self) -> HashSet<Box<str>> {
        self.overlapping = false;
        std::mem::take(&mut self.filters).into_keys().collect()
    }

    /// The message as the subscription to `filter` delivers it to session `number`. Where several
    /// of the session's filters match, the oldest one delivers for all of them
    /// [MQTT-3.3.4-2..4]: the highest quality, all identifiers. (The oldest, because messages that
    /// were on their way to it when another one was added must not be left out.)
    pub(super) fn apply(
        &self,
        filter: &str,
        terms: &Terms,
        message: &Envelope,
        number: u64,
    ) -> Option<Out> {
        if !self.overlapping {
            return terms.apply(message, number);
        }
        let topic = message.topic();
        let mut all: Vec<(&str, &Filter)> = (self.filters.iter())
            .filter(|(other, _)| codec::shared(other).is_none() && codec::matches(other, topic))
            .map(|(other, known)| (&**other, known))
            .collect();
        all.sort_unstable_by_key(|(_, known)| known.order);
        if all.first().is_some_and(|(oldest, _)| *oldest != filter) {
            return None;
        }
        all.retain(|(_, known)| !known.terms.no_local || message.origin() != number);
        let terms = || all.iter().map(|(_, known)| &known.terms);
        let best = terms().map(|terms| terms.qos).max()?;
        Some(Out::new(
            message.clone(),
            best.min(message.qos()),
            message.retain() && terms().any(|terms| terms.retain_as_published),
            Ids::of(terms().map(|terms| terms.subscription_id)),
        ))
    }

    /// Messages that the client has not acknowledged, sent or not.
    pub(crate) fn waiting(&self) -> usize {
        self.live.len() + self.window.len()
    }

    /// Whether `more` bytes may join the queue.
    pub(crate) fn has_room(&self, more: usize, limit: QueueLimit) -> bool {
        self.live.len() < limit.messages && self.live_bytes.saturating_add(more) <= limit.bytes
    }

    /// Queues a message, or deals with it as the limit says; the round to wait for.
    pub(super) fn accept(
        &mut self,
        session: &Session,
        out: Out,
        limit: QueueLimit,
        counters: &Counters,
    ) -> u64 {
        match self.phase {
            Phase::Ended => return 0,
            Phase::Away(_) if out.qos == QoS::AtMostOnce => return 0,
            Phase::Away(_) | Phase::Connected => {}
        }
        if limit.when_full == WhenFull::DropOldest {
            self.make_room(session, &out, limit, counters);
        }
        if self.has_room(out.message.size(), limit) {
            return self.push(session, out);
        }
        counters.dropped_queue_full.add(1);
        self.overrun |= limit.when_full == WhenFull::Disconnect
            && self.phase == Phase::Connected
            && out.qos != QoS::AtMostOnce;
        0
    }

    /// Drops the oldest messages; not those that the client may have begun to receive.
    fn make_room(&mut self, session: &Session, out: &Out, limit: QueueLimit, counters: &Counters) {
        let size = out.message.size();
        while !self.has_room(size, limit) && size <= limit.bytes {
            let oldest = self.live.iter().position(|out| !out.again);
            let Some(dropped) = oldest.and_then(|at| self.live.remove(at)) else {
                return;
            };
            self.live_bytes = self.live_bytes.saturating_sub(dropped.message.size());
            session.done(dropped.sequence);
            counters.dropped_queue_full.add(1);
        }
    }

    fn push(&mut self, session: &Session, out: Out) -> u64 {
        let out = self.number(session, out);
        let round = out.round;
        self.live_bytes += out.message.size();
        self.live.push_back(out);
        round
    }

    /// Gives a message its sequence, and to the keeper.
    fn number(&mut self, session: &Session, mut out: Out) -> Out {
        if out.qos != QoS::AtMostOnce {
            self.last_sequence += 1;
            out.sequence = self.last_sequence;
            out.round = session.added(&out);
        }
        out
    }

    /// Queues retained messages.
    pub(crate) fn queue_retained(&mut self, session: &Session, found: Vec<Out>) {
        for out in found {
            let out = self.number(session, out);
            self.retained.push_back(out);
        }
    }

    /// Queues a message of an earlier life, in the order of their sequences.
    pub(crate) fn restore(&mut self, out: Out) {
        self.last_sequence = self.last_sequence.max(out.sequence);
        self.live_bytes += out.message.size();
        self.live.push_back(out);
    }

    /// Takes a message from the front of the queues, if `may` agrees to it.
    pub(crate) fn next(&mut self, may: impl FnOnce(&Out, &Window) -> bool) -> Option<Out> {
        if let Some(first) = self.retained.front() {
            return may(first, &self.window)
                .then(|| self.retained.pop_front())
                .flatten();
        }
        if !may(self.live.front()?, &self.window) {
            return None;
        }
        let out = self.live.pop_front()?;
        self.live_bytes = self.live_bytes.saturating_sub(out.message.size());
        if self.live.is_empty() {
            self.live_bytes = 0;
            self.live.shrink_to(32);
        }
        Some(out)
    }

    /// Everything queued, for others, at the end of the session.
    pub(crate) fn take_queued(&mut self) -> impl Iterator<Item = Out> + use<> {
        self.live_bytes = 0;
        let retained = std::mem::take(&mut self.retained);
        retained.into_iter().chain(std::mem::take(&mut self.live))
    }

    /// The client is away: QoS 0 does not wait for it.
    pub(super) fn forget_qos_0(&mut self) {
        self.retained.retain(|out| out.qos != QoS::AtMostOnce);
        let queued = self.live.len();
        self.live.retain(|out| out.qos != QoS::AtMostOnce);
        if self.live.len() != queued {
            self.live_bytes = self.live.iter().map(|out| out.message.size()).sum();
        }
    }
}
