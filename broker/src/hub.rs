//! What all connections share, and the way of a message through it: retained store, subscribers
//! of exactly its topic, router.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Release};

use parking_lot::RwLock;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use crate::buffers::Buffers;
use crate::codec::Publish;
use crate::config::{Config, Hooks};
use crate::envelope::{Draft, Envelope, Parts};
use crate::retained::Retained;
use crate::router::Router;
use crate::session::{QueueLimit, Session};
use crate::sessions::Sessions;
use crate::stats::{Counters, Stats};
use crate::subscriptions::{Subscriptions, first_level};
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
    ) -> Self {
        Self {
            sessions: Sessions::new(config.max_sessions),
            subscriptions: RwLock::default(),
            retained: Retained::new(config.max_retained),
            sys: Sys::default(),
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

    /// How much may wait for one client.
    pub(crate) fn queue_limit(&self) -> QueueLimit {
        limit_of(&self.config)
    }

    /// Publishes messages in order. `parts` makes one of an element; it is not called where
    /// nobody wants the message.
    pub(crate) fn publish<'a, T>(
        &self,
        items: impl Iterator<Item = T>,
        topic_and_retain: impl Fn(&T) -> (&'a str, bool),
        draft: impl Fn(&T) -> Draft,
    ) {
        let subscriptions = self.subscriptions.read();
        let mut router = None;
        for item in items {
            let (topic, retain) = topic_and_retain(&item);
            let keep = retain && !self.hooks.retained.owns(topic);
            let exact = subscriptions.exact(topic);
            let wild =
                !topic.starts_with('$') && subscriptions.wildcard_may_match(first_level(topic));
            if !keep && exact.is_empty() && !wild {
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
            if keep && !self.retained.keep(&message) {
                self.counters.dropped_retained_full.add(1);
            }
            for subscriber in exact {
                subscriber.session.deliver(
                    std::iter::once(&message),
                    &subscriber.terms,
                    self.queue_limit(),
                    &self.counters,
                );
            }
        }
    }

    /// Publishes what a client sent.
    pub(crate) fn publish_from(&self, origin: u64, publishes: &[Publish<'_>]) {
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
        );
    }

    /// Delivers what the broker says about itself.
    pub(crate) fn publish_sys(&self, messages: &[Envelope]) {
        let subscriptions = self.subscriptions.read();
        for message in messages {
            for subscriber in subscriptions.of_server(message.topic()) {
                subscriber.session.deliver(
                    std::iter::once(message),
                    &subscriber.terms,
                    self.queue_limit(),
                    &self.counters,
                );
            }
        }
    }

    /// Has every connection ask for its rights.
    pub(crate) fn ask_for_rights(&self) {
        self.rights_changed.fetch_add(1, Release);
        self.sessions.wake_all();
    }

    /// Ends all subscriptions of a session that is over and forgets it.
    pub(crate) fn bury(&self, session: &Arc<Session>) {
        let filters = std::mem::take(&mut session.lock().filters);
        if !filters.is_empty() {
            let mut subscriptions = self.subscriptions.write();
            for filter in &filters {
                if let Some(feed) = subscriptions.remove(filter, session).feed {
                    self.router.detach(feed);
                }
            }
        }
        self.sessions.remove(session);
    }

    /// Counters and gauges.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            sessions: self.sessions.len() as u64,
            ..self.counters.snapshot()
        }
    }

    /// All retained messages that the broker keeps itself.
    pub(crate) fn retained_kept(&self) -> Vec<Envelope> {
        self.retained.all()
    }
}

/// How much may wait for one client.
pub(crate) fn limit_of(config: &Config) -> QueueLimit {
    QueueLimit {
        messages: config.max_queue_messages,
        bytes: config.max_queue_bytes,
    }
}
