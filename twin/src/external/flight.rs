//! Publishes on one connection to the external broker that have no PUBACK yet.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;
use quartier_broker::Message;

/// Messages by the order in which they were handed to the client, until they are acknowledged.
#[derive(Default)]
pub(super) struct Flight {
    messages: BTreeMap<u64, Message>,
    /// Handed to the client, without a packet identifier yet.
    queued: VecDeque<u64>,
    /// On the wire, by packet identifier.
    sent: HashMap<u16, u64>,
    next: u64,
}

impl Flight {
    /// A message goes to the client.
    pub(super) fn queue(&mut self, message: Message) {
        self.messages.insert(self.next, message);
        self.queued.push_back(self.next);
        self.next += 1;
    }

    /// The client put the next one on the wire.
    pub(super) fn sent(&mut self, identifier: u16) {
        if let Some(number) = self.queued.pop_front() {
            self.sent.insert(identifier, number);
        }
    }

    /// The broker answered.
    pub(super) fn acknowledged(&mut self, identifier: u16) -> Option<Message> {
        let number = self.sent.remove(&identifier)?;
        self.messages.remove(&number)
    }

    /// What was not acknowledged, in the order in which it was handed over.
    pub(super) fn into_unacknowledged(self) -> Vec<Message> {
        self.messages.into_values().collect()
    }
}
