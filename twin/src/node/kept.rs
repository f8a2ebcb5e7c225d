//! The broker's own retained messages on disk: what changed since the last time is written.

use bytes::Bytes;
use hashbrown::HashMap;
use quartier_broker::Message;

use crate::store::{Store, StoreError};

/// What the store has.
pub(super) struct Kept {
    saved: HashMap<String, Bytes>,
}

impl Kept {
    /// Reads the store; the messages are for the broker to start with.
    pub(super) fn load(store: &Store) -> Result<(Self, Vec<Message>), StoreError> {
        let saved: HashMap<String, Bytes> = store
            .load_retained()?
            .into_iter()
            .map(|(topic, payload)| (topic, Bytes::from(payload)))
            .collect();
        let message = |(topic, payload): (&String, &Bytes)| Message {
            topic: topic.clone(),
            payload: payload.clone(),
            retain: true,
        };
        let messages = saved.iter().map(message).collect();
        Ok((Self { saved }, messages))
    }

    /// Brings the store to `now`. After an error the same changes are tried again.
    pub(super) fn save(&mut self, now: Vec<Message>, store: &Store) -> Result<(), StoreError> {
        let now: HashMap<String, Bytes> = now.into_iter().map(|m| (m.topic, m.payload)).collect();
        let gone = self.saved.keys().filter(|topic| !now.contains_key(*topic));
        let gone = gone.map(|topic| (topic.as_str(), &[][..]));
        let changed = now
            .iter()
            .filter(|(topic, payload)| self.saved.get(*topic) != Some(*payload));
        let changed = changed.map(|(topic, payload)| (topic.as_str(), &payload[..]));
        let mut changes = gone.chain(changed).peekable();
        if changes.peek().is_some() {
            store.save_retained(changes)?;
        }
        self.saved = now;
        Ok(())
    }
}
