//! What the broker remembers of a client: its subscriptions, what waits for it and what is in
//! flight, in memory. (Surviving a restart: everything that would have to be stored is in
//! [`State`].)
//!
//! Invariant: a session belongs to at most one connection, the one that holds its current
//! generation; every other one finds that out at its next access and ends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::codec::QoS;
use crate::envelope::Envelope;
use crate::stats::Counters;
use crate::window::Window;

/// A message for one client, with the subscription's terms applied.
#[derive(Debug, Clone)]
pub(crate) struct Out {
    pub(crate) message: Envelope,
    /// The lower one of publish and subscription.
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    /// 0 for none.
    pub(crate) subscription_id: u32,
}

/// The terms of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// 0 for none.
    pub(crate) subscription_id: u32,
}

impl Terms {
    /// The message as this subscription delivers it to session `number`.
    pub(crate) fn apply(&self, message: &Envelope, number: u64) -> Option<Out> {
        (!self.no_local || message.origin() != number).then(|| Out {
            qos: self.qos.min(message.qos()),
            retain: self.retain_as_published && message.retain(),
            subscription_id: self.subscription_id,
            message: message.clone(),
        })
    }
}

/// How much may wait for one client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimit {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

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

/// The part of a session that changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// Rises with each connection.
    pub(crate) generation: u64,
    /// Wakes the connection that owns the session.
    pub(crate) wake: Arc<Notify>,
    /// Filters, for the end of the session.
    pub(crate) filters: HashSet<Box<str>>,
    /// Retained messages, sent before the live ones. Bounded by what is retained: no further
    /// subscription is taken while more than the length of a queue is left.
    pub(crate) retained: VecDeque<Out>,
    /// Bounded by [`QueueLimit`].
    pub(crate) live: VecDeque<Out>,
    /// Bytes in `live`.
    pub(crate) live_bytes: usize,
    /// On their way to the client.
    pub(crate) window: Window,
    /// Packet identifiers of QoS 2 messages from the client between PUBLISH and PUBREL, each with
    /// the position that must be durable before its PUBREC.
    pub(crate) received: HashMap<u16, u64>,
    /// The client is too slow: a QoS 1 or 2 message found no room, or the router lost some.
    pub(crate) overrun: bool,
}

impl State {
    fn new() -> Self {
        Self {
            phase: Phase::Connected,
            generation: 1,
            wake: Arc::new(Notify::new()),
            filters: HashSet::new(),
            retained: VecDeque::new(),
            live: VecDeque::new(),
            live_bytes: 0,
            window: Window::default(),
            received: HashMap::new(),
            overrun: false,
        }
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

    fn accept(&mut self, out: Out, limit: QueueLimit, counters: &Counters) {
        let full = self.live.len() >= limit.messages
            || self.live_bytes.saturating_add(out.message.size()) > limit.bytes;
        match self.phase {
            Phase::Connected if full && out.qos != QoS::AtMostOnce => {
                self.overrun = true;
                counters.dropped_queue_full.add(1);
            }
            Phase::Connected | Phase::Away(_) if full => counters.dropped_queue_full.add(1),
            Phase::Connected => self.push(out),
            Phase::Away(_) if out.qos != QoS::AtMostOnce => self.push(out),
            Phase::Away(_) | Phase::Ended => {}
        }
    }

    fn push(&mut self, out: Out) {
        self.live_bytes += out.message.size();
        self.live.push_back(out);
    }
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    /// Client identifier.
    pub(crate) id: Arc<str>,
    /// User that it belongs to.
    pub(crate) user: Option<Arc<str>>,
    /// Unique in this process; the origin of its messages.
    pub(crate) number: u64,
    state: Mutex<State>,
}

impl Session {
    /// A session for its first connection, generation 1.
    pub(crate) fn new(id: Arc<str>, user: Option<Arc<str>>, number: u64) -> Self {
        Self {
            id,
            user,
            number,
            state: Mutex::new(State::new()),
        }
    }

    /// The state, for the registry.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The state, for the connection that holds `generation`; `None` when another one took over.
    pub(crate) fn own(&self, generation: u64) -> Option<MutexGuard<'_, State>> {
        let state = self.state.lock();
        (state.generation == generation && state.phase == Phase::Connected).then_some(state)
    }

    /// Queues messages for the client and wakes its connection.
    pub(crate) fn deliver<'a>(
        &self,
        messages: impl Iterator<Item = &'a Envelope>,
        terms: &Terms,
        limit: QueueLimit,
        counters: &Counters,
    ) {
        let mut state = self.state.lock();
        if state.phase == Phase::Ended {
            return;
        }
        for message in messages {
            if let Some(out) = terms.apply(message, self.number) {
                state.accept(out, limit, counters);
            }
        }
        if state.phase == Phase::Connected {
            state.wake.notify_one();
        }
    }

    /// Ends the connection of the client, if there is one, as too slow.
    pub(crate) fn overrun(&self) {
        let mut state = self.state.lock();
        state.overrun = true;
        state.wake.notify_one();
    }

    /// The connection of `generation` is over. The session stays for `expiry` seconds; false when
    /// it is over too and its subscriptions have to go. True as well for one that was taken over.
    pub(crate) fn leave(&self, generation: u64, expiry: u32) -> bool {
        let mut state = self.state.lock();
        if state.generation != generation || state.phase != Phase::Connected {
            return true;
        }
        if expiry == 0 {
            state.phase = Phase::Ended;
            state.live = VecDeque::new();
            state.retained = VecDeque::new();
            return false;
        }
        let until = (expiry != u32::MAX)
            .then(|| Instant::now().checked_add(Duration::from_secs(u64::from(expiry))))
            .flatten();
        state.phase = Phase::Away(until);
        state.overrun = false;
        state.retained = VecDeque::new();
        let kept = state.live.len();
        state.live.retain(|out| out.qos != QoS::AtMostOnce);
        if state.live.len() != kept {
            state.live_bytes = state.live.iter().map(|out| out.message.size()).sum();
        }
        true
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::envelope::{Draft, Parts};

    pub(crate) fn out(qos: QoS) -> Out {
        let parts = Parts {
            topic: "a/b",
            payload: b"x",
            qos,
            retain: false,
            properties: &[],
            expiry: None,
            origin: 9,
        };
        Out {
            message: Draft::new(&parts).seal(0),
            qos,
            retain: false,
            subscription_id: 0,
        }
    }

    const TERMS: Terms = Terms {
        qos: QoS::ExactlyOnce,
        no_local: false,
        retain_as_published: false,
        subscription_id: 0,
    };
    const LIMIT: QueueLimit = QueueLimit {
        messages: 2,
        bytes: 10_000,
    };

    fn deliver(session: &Session, qos: QoS, count: usize, counters: &Counters) {
        let message = out(qos).message;
        session.deliver((0..count).map(|_| &message), &TERMS, LIMIT, counters);
    }

    #[test]
    fn a_full_queue_drops_qos_0_and_ends_the_connection_on_qos_1() {
        let session = Session::new("a".into(), None, 1);
        let counters = Counters::default();
        deliver(&session, QoS::AtMostOnce, 3, &counters);
        assert_eq!(counters.dropped_queue_full.get(), 1);
        assert!(!session.lock().overrun);
        deliver(&session, QoS::AtLeastOnce, 1, &counters);
        assert!(session.lock().overrun);
        assert_eq!(session.lock().live.len(), 2);
    }

    #[test]
    fn a_client_that_is_away_keeps_qos_1_within_its_bound_and_no_qos_0() {
        let session = Session::new("a".into(), None, 1);
        let counters = Counters::default();
        assert!(session.leave(1, 60));
        deliver(&session, QoS::AtMostOnce, 1, &counters);
        assert_eq!(session.lock().live.len(), 0);
        deliver(&session, QoS::AtLeastOnce, 3, &counters);
        assert_eq!(session.lock().live.len(), 2);
        assert_eq!(counters.dropped_queue_full.get(), 1);
    }

    #[test]
    fn own_messages_are_left_out_with_no_local() {
        let terms = Terms {
            no_local: true,
            ..TERMS
        };
        let message = out(QoS::AtMostOnce).message;
        assert!(terms.apply(&message, 9).is_none());
        assert!(terms.apply(&message, 8).is_some());
    }

    #[test]
    fn a_connection_that_was_replaced_owns_nothing() {
        let session = Session::new("a".into(), None, 1);
        session.lock().generation = 2;
        assert!(session.own(1).is_none() && session.own(2).is_some());
        assert!(
            session.leave(1, 0),
            "it does not end the session of its successor"
        );
        assert_eq!(session.lock().phase, Phase::Connected);
    }
}
