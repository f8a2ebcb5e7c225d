//! Retained messages that the broker keeps itself: those whose topic no
//! [`crate::RetainedSource`] owns.
//!
//! Ordered by topic, so that a filter with a fixed beginning looks only at the topics that share
//! it.

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::RwLock;

use crate::codec;
use crate::envelope::Envelope;

/// Retained messages by topic; never an empty payload.
#[derive(Debug)]
pub(crate) struct Retained {
    messages: RwLock<BTreeMap<Box<str>, Envelope>>,
    max: usize,
}

impl Retained {
    /// An empty store for at most `max` messages.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            messages: RwLock::default(),
            max,
        }
    }

    /// Keeps the message in place of the one before; an empty payload clears the topic. False
    /// when the store is full and the message is not kept.
    pub(crate) fn keep(&self, message: &Envelope) -> bool {
        let topic = message.topic();
        let mut messages = self.messages.write();
        if message.payload().is_empty() {
            messages.remove(topic);
        } else if let Some(kept) = messages.get_mut(topic) {
            *kept = message.clone();
        } else if messages.len() >= self.max {
            return false;
        } else {
            messages.insert(topic.into(), message.clone());
        }
        true
    }

    /// Messages, expired ones included.
    pub(crate) fn len(&self) -> usize {
        self.messages.read().len()
    }

    /// Calls `emit` for every message that matches `filter` and has not expired.
    pub(crate) fn matching(&self, filter: &str, mut emit: impl FnMut(&Envelope)) {
        let messages = self.messages.read();
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

    /// All messages, in the order of their topics; expired ones are let go.
    pub(crate) fn all(&self) -> Vec<Envelope> {
        let mut messages = self.messages.write();
        messages.retain(|_, message| message.seconds_left() != Some(0));
        messages.values().cloned().collect()
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

    fn topics(store: &Retained, filter: &str) -> Vec<String> {
        let mut found = Vec::new();
        store.matching(filter, |message| found.push(message.topic().to_owned()));
        found
    }

    #[test]
    fn a_filter_finds_what_it_matches_and_nothing_else() {
        let store = Retained::new(10);
        for topic in ["a", "a/b", "a/b/c", "ab/c", "b/b"] {
            assert!(store.keep(&message(topic, "1", None)));
        }
        assert_eq!(topics(&store, "a/#"), ["a", "a/b", "a/b/c"]);
        assert_eq!(topics(&store, "+/b"), ["a/b", "b/b"]);
        assert_eq!(topics(&store, "a/b"), ["a/b"]);
        assert_eq!(topics(&store, "#").len(), 5);
        assert!(topics(&store, "c/#").is_empty());
    }

    #[test]
    fn an_empty_payload_clears_and_a_full_store_keeps_no_new_topic() {
        let store = Retained::new(1);
        assert!(store.keep(&message("a", "1", None)));
        assert!(!store.keep(&message("b", "1", None)));
        assert!(store.keep(&message("a", "2", None)));
        assert!(store.keep(&message("a", "", None)));
        assert!(topics(&store, "#").is_empty());
        assert!(store.keep(&message("b", "1", None)));
    }

    #[test]
    fn an_expired_message_is_not_found() {
        let store = Retained::new(10);
        store.keep(&message("a", "1", Some(0)));
        store.keep(&message("b", "1", Some(100)));
        assert_eq!(topics(&store, "#"), ["b"]);
        assert_eq!(store.all().len(), 1);
    }
}
