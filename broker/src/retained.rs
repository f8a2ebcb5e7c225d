//! Retained messages that the broker keeps itself: those whose topic no
//! [`crate::RetainedSource`] owns.
//!
//! Ordered by topic, so that a filter with a fixed beginning looks only at the topics that share
//! it. They survive the process, those of the server itself (`$..`) aside.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::codec;
use crate::envelope::{Envelope, uptime};
use crate::kept::{Keeper, Key, Value};

/// Retained messages by topic; never an empty payload.
#[derive(Debug)]
pub(crate) struct Retained {
    messages: RwLock<Messages>,
    max: usize,
    keeper: Arc<Keeper>,
}

#[derive(Debug, Default)]
struct Messages {
    by_topic: BTreeMap<Box<str>, Envelope>,
    /// Those that expire, by their time.
    expiring: BTreeSet<(u32, Box<str>)>,
}

impl Messages {
    fn insert(&mut self, topic: &str, message: &Envelope) {
        self.remove(topic);
        if let Some(expires) = message.expires() {
            self.expiring.insert((expires, topic.into()));
        }
        self.by_topic.insert(topic.into(), message.clone());
    }

    fn remove(&mut self, topic: &str) -> bool {
        let removed = self.by_topic.remove(topic);
        if let Some(expires) = removed.as_ref().and_then(Envelope::expires) {
            self.expiring.remove(&(expires, topic.into()));
        }
        removed.is_some()
    }
}

/// The store is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many retained messages")]
pub(crate) struct Full;

impl Retained {
    /// An empty store for at most `max` messages.
    pub(crate) fn new(max: usize, keeper: Arc<Keeper>) -> Self {
        Self {
            messages: RwLock::default(),
            max,
            keeper,
        }
    }

    /// Keeps the message in place of the one before; an empty payload clears the topic. The
    /// keeper's round that has it.
    ///
    /// # Errors
    /// The store is full and the message is not kept.
    pub(crate) fn keep(&self, message: &Envelope) -> Result<u64, Full> {
        let topic = message.topic();
        let mut messages = self.messages.write();
        let known = messages.by_topic.contains_key(topic);
        let on_disk = !topic.starts_with('$');
        let key = || Key::Retained(topic.into());
        if message.payload().is_empty() {
            let gone = messages.remove(topic) && on_disk;
            return Ok(if gone { self.keeper.remove(key()) } else { 0 });
        }
        if !known && messages.by_topic.len() >= self.max {
            return Err(Full);
        }
        messages.insert(topic, message);
        Ok(match on_disk {
            true if known => self.keeper.put(key(), Value::Retained(message.clone())),
            true => self.keeper.add(key(), Value::Retained(message.clone())),
            false => 0,
        })
    }

    /// Takes a message from disk.
    pub(crate) fn restore(&self, message: &Envelope) {
        self.messages.write().insert(message.topic(), message);
    }

    /// Removes what has expired.
    pub(crate) fn expire(&self) {
        let now = uptime();
        let mut messages = self.messages.write();
        while let Some((_, topic)) = messages
            .expiring
            .first()
            .filter(|(at, _)| *at <= now)
            .cloned()
        {
            messages.remove(&topic);
            self.keeper.remove(Key::Retained(topic));
        }
    }

    /// Messages, expired ones included.
    pub(crate) fn len(&self) -> usize {
        self.messages.read().by_topic.len()
    }

    /// Calls `emit` for every message that matches `filter` and has not expired.
    pub(crate) fn matching(&self, filter: &str, mut emit: impl FnMut(&Envelope)) {
        let messages = &self.messages.read().by_topic;
        let alive = |message: &&Envelope| message.seconds_left() != Some(0);
        let Some(wildcard) = filter.find(['+', '#']) else {
            messages
                .get(filter)
                .filter(alive)
                .into_iter()
                .for_each(emit);
            return;
        };
        // "a/#" matches "a" too, which does not begin with "a/".
        let prefix = filter
            .get(..wildcard)
            .unwrap_or_default()
            .trim_end_matches('/');
        messages
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(|(topic, _)| topic.starts_with(prefix))
            .filter(|(topic, _)| codec::matches(filter, topic))
            .map(|(_, message)| message)
            .filter(alive)
            .for_each(&mut emit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::QoS;
    use crate::envelope::{Draft, HOST, Parts};

    fn message(topic: &str, payload: &str, expiry: Option<u32>) -> Envelope {
        let parts = Parts {
            topic,
            payload: payload.as_bytes(),
            qos: QoS::AtMostOnce,
            retain: true,
            properties: &[],
            expiry,
            origin: HOST,
        };
        Draft::new(&parts).seal(0)
    }

    fn store(max: usize) -> Retained {
        Retained::new(max, Arc::new(Keeper::new()))
    }

    fn topics(store: &Retained, filter: &str) -> Vec<String> {
        let mut found = Vec::new();
        store.matching(filter, |message| found.push(message.topic().to_owned()));
        found
    }

    #[test]
    fn a_filter_finds_what_it_matches_and_nothing_else() {
        let store = store(10);
        for topic in ["a", "a/b", "a/b/c", "ab/c", "b/b"] {
            assert!(store.keep(&message(topic, "1", None)).is_ok());
        }
        assert_eq!(topics(&store, "a/#"), ["a", "a/b", "a/b/c"]);
        assert_eq!(topics(&store, "+/b"), ["a/b", "b/b"]);
        assert_eq!(topics(&store, "a/b"), ["a/b"]);
        assert_eq!(topics(&store, "#").len(), 5);
        assert!(topics(&store, "c/#").is_empty());
    }

    #[test]
    fn an_empty_payload_clears_and_a_full_store_keeps_no_new_topic() {
        let store = store(1);
        assert!(store.keep(&message("a", "1", None)).is_ok());
        assert!(store.keep(&message("b", "1", None)).is_err());
        assert!(store.keep(&message("a", "2", None)).is_ok());
        assert!(store.keep(&message("a", "", None)).is_ok());
        assert!(topics(&store, "#").is_empty());
        assert!(store.keep(&message("b", "1", None)).is_ok());
    }

    #[test]
    fn an_expired_message_is_not_found() {
        let store = store(10);
        store.keep(&message("a", "1", Some(0))).unwrap();
        store.keep(&message("b", "1", Some(100))).unwrap();
        assert_eq!(topics(&store, "#"), ["b"]);
        store.expire();
        let messages = store.messages.read();
        assert_eq!((messages.by_topic.len(), messages.expiring.len()), (1, 1));
    }
}
