//! What all connections share, and the way of a message through it: retained store, subscribers
//! of exactly its topic, router.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Release};
use std::time;

use parking_lot::RwLock;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use crate::buffers::Buffers;
use crate::codec::{Publish, QoS};
use crate::config::{Config, Hooks};
use crate::envelope::{Draft, Envelope, Parts};
use crate::kept::{Keeper, Key, Loaded};
use crate::levels::first_level;
use crate::retained::Retained;
use crate::router::Router;
use crate::session::{Out, QueueLimit, Session};
use crate::sessions::Sessions;
use crate::stats::{Counters, Stats};
use crate::subscriptions::{Subscriber, Subscriptions};
use crate::sys::Sys;

/// Logins that may be checked at a time: hashing a password is slow on purpose.
const LOGINS: usize = 4;

/// State shared by all connections.
pub(crate) struct Hub {
    pub(crate) config: Config,
    pub(crate) hooks: Hooks,
    pub(crate) sessions: Sessions,
    pub(crate) subscriptions: RwLock<Subscriptions>,
    pub(crate) retained: Retained,
    pub(crate) sys: Sys,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) router: Router,
    pub(crate) counters: Arc<Counters>,
    pub(crate) logins: Semaphore,
    pub(crate) buffers: Buffers,
    /// Rises whenever the rights of clients may have changed.
    pub(crate) rights_changed: AtomicU64,
    /// Until when connections may drain, once the broker shuts down.
    pub(crate) closing: watch::Sender<Option<Instant>>,
    /// Told when a connection is closed.
    pub(crate) gone: Notify,
}

impl Hub {
    /// A hub over a running router.
    pub(crate) fn new(
        config: Config,
        hooks: Hooks,
        router: Router,
        counters: Arc<Counters>,
        keeper: Arc<Keeper>,
    ) -> Self {
        Self {
            sessions: Sessions::new(config.max_sessions, keeper.clone()),
            subscriptions: RwLock::default(),
            retained: Retained::new(config.max_retained, keeper.clone()),
            sys: Sys::default(),
            keeper,
            router,
            counters,
            logins: Semaphore::new(LOGINS),
            buffers: Buffers::default(),
            rights_changed: AtomicU64::new(0),
            closing: watch::Sender::new(None),
            gone: Notify::new(),
            config,
            hooks,
        }
    }

    /// Takes what an earlier life has left.
    pub(crate) fn restore(&self, loaded: &Loaded) {
        self.sessions.restore(&loaded.sessions, loaded.last_number);
        for message in &loaded.retained {
            self.retained.restore(message);
        }
        let mut subscriptions = self.subscriptions.write();
        for session in &loaded.sessions {
            for (filter, known) in session.lock().filters() {
                let terms = known.terms;
                let session = session.clone();
                subscriptions.add(filter, Subscriber { session, terms });
            }
        }
    }

    /// How much may wait for one client.
    pub(crate) fn queue_limit(&self) -> QueueLimit {
        limit_of(&self.config)
    }

    /// Publishes messages in order; the keeper's round to wait for until they are on disk for all
    /// who need that. `draft` makes one of an element; it is not called where nobody wants the
    /// message.
    pub(crate) fn publish<'a, T>(
        &self,
        items: impl Iterator<Item = T>,
        topic_and_retain: impl Fn(&T) -> (&'a str, bool),
        draft: impl Fn(&T) -> Draft,
    ) -> u64 {
        let subscriptions = self.subscriptions.read();
        let (limit, counters) = (self.queue_limit(), &*self.counters);
        let mut router = None;
        let mut round = 0;
        for item in items {
            let (topic, retain) = topic_and_retain(&item);
            let keep = retain && !self.hooks.retained.owns(topic);
            let exact = subscriptions.exact(topic);
            let first = first_level(topic);
            let tree = subscriptions.tree_may_match(first);
            let wild = !topic.starts_with('$') && subscriptions.wildcard_may_match(first);
            if !keep && exact.is_none() && !tree && !wild {
                continue;
            }
            let draft = draft(&item);
            let message = if wild {
                router
                    .get_or_insert_with(|| self.router.publish())
                    .push(draft)
            } else {
                draft.seal(0)
            };
            if keep {
                match self.retained.keep(&message) {
                    Ok(kept) => round = round.max(kept),
                    Err(_) => counters.dropped_retained_full.add(1),
                }
            }
            if let Some(seats) = exact {
                round = round.max(seats.deliver(&message, limit, counters));
            }
            if tree {
                subscriptions.matching(topic, |seats| {
                    round = round.max(seats.deliver(&message, limit, counters));
                });
            }
        }
        round
    }

    /// Publishes what a client sent; the round to wait for.
    pub(crate) fn publish_from(&self, origin: u64, publishes: &[Publish<'_>]) -> u64 {
        self.publish(
            publishes.iter(),
            |publish| (publish.topic, publish.retain),
            |publish| {
                Draft::new(&Parts {
                    topic: publish.topic,
                    payload: publish.payload,
                    qos: publish.qos,
                    retain: publish.retain,
                    properties: &publish.properties.forwarded(),
                    expiry: publish.properties.message_expiry,
                    origin,
                })
            },
        )
    }

    /// Delivers what the broker says about itself, which the router does not get.
    pub(crate) fn publish_sys(&self, messages: &[Envelope]) {
        let subscriptions = self.subscriptions.read();
        let (limit, counters) = (self.queue_limit(), &*self.counters);
        // QoS 0: no round to wait for.
        for message in messages {
            if let Some(seats) = subscriptions.exact(message.topic()) {
                seats.deliver(message, limit, counters);
            }
            if subscriptions.tree_may_match(first_level(message.topic())) {
                subscriptions.matching(message.topic(), |seats| {
                    seats.deliver(message, limit, counters);
                });
            }
        }
    }

    /// Has every connection ask for its rights.
    pub(crate) fn ask_for_rights(&self) {
        self.rights_changed.fetch_add(1, Release);
        self.sessions.wake_all();
    }

    /// Does what is left of a session that is over: ends its subscriptions, gives what it did not
    /// deliver of shared ones to other members, publishes its will, forgets it.
    pub(crate) fn bury(&self, session: &Arc<Session>) {
        let _whole = session.kept.as_ref().map(|kept| kept.whole());
        let mut state = session.lock();
        let filters = state.take_filters();
        let will = state.will.take();
        let (mut sequences, mut undelivered) = state.window.take();
        undelivered.retain(|out| out.qos != QoS::ExactlyOnce);
        let queued: Vec<Out> = state.take_queued().collect();
        let received = std::mem::take(&mut state.received);
        drop(state);
        if !filters.is_empty() {
            let mut subscriptions = self.subscriptions.write();
            for filter in &filters {
                if let Some(feed) = subscriptions.remove(filter, session).feed {
                    self.router.detach(feed);
                }
            }
        }
        self.sessions.remove(session);
        sequences.extend(queued.iter().map(|out| out.sequence));
        // A QoS 2 message that was sent, or may have been, goes to nobody else [MQTT-4.8.2-5].
        let unsent = |out: &Out| !out.again || out.qos != QoS::ExactlyOnce;
        undelivered.extend(queued.into_iter().filter(unsent));
        self.hand_on(&undelivered);
        if let Some(will) = will {
            will.publish(self, session.number);
        }
        if let Some(kept) = &session.kept {
            sequences
                .into_iter()
                .for_each(|sequence| session.done(sequence));
            for pkid in received.into_keys() {
                kept.remove(Key::Received(session.number, pkid));
            }
            kept.remove(Key::Session(session.number));
        }
    }

    /// Gives messages of shared subscriptions to members that are left (MQTT 5, 4.8.2).
    fn hand_on(&self, undelivered: &[Out]) {
        let subscriptions = self.subscriptions.read();
        for out in undelivered {
            let share = out.share.as_deref().filter(|_| out.qos != QoS::AtMostOnce);
            if let Some(group) = share.and_then(|share| subscriptions.group(share)) {
                group.deliver(&out.message, self.queue_limit(), &self.counters);
            }
        }
    }

    /// Ends what is over by time: sessions, waits of wills, retained messages.
    pub(crate) fn expire(&self) {
        let now = time::Instant::now();
        for session in self.sessions.expire(now) {
            self.bury(&session);
            self.counters.sessions_expired.add(1);
        }
        for session in self.sessions.with_due_will(now) {
            let _whole = self.keeper.whole();
            let mut state = session.lock();
            let will = state.will_due.take().and_then(|_| state.will.take());
            drop(state);
            if let Some(will) = will {
                session.changed();
                will.publish(self, session.number);
            }
        }
        self.retained.expire();
    }

    /// Counters and gauges.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            sessions: self.sessions.len() as u64,
            ..self.counters.snapshot()
        }
    }
}

/// How much may wait for one client.
pub(crate) fn limit_of(config: &Config) -> QueueLimit {
    QueueLimit {
        messages: config.max_queue_messages,
        bytes: config.max_queue_bytes,
        when_full: config.when_queue_full,
    }
}
