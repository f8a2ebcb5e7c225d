//! What waits to be sent to the external broker.
//!
//! Invariants: [`Outbox::publish`] never waits. Of a topic that carries a state (all but
//! `decision/` and `cmd/`) only the newest message waits, so that there are never more of them than
//! the twin has topics, however long the broker is away. Decisions and commands are events: each
//! waits for itself, the newest [`EVENTS`] of them, and they go first.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use metrics::{Counter, counter};
use parking_lot::Mutex;
use quartier_broker::Message;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::topics::may_be_kept;

/// Decisions and commands that may wait; beyond, the oldest is dropped and counted.
const EVENTS: usize = 10_000;

/// A queue in which a newer state takes the place of an older one.
pub struct Outbox {
    waiting: Mutex<Waiting>,
    more: Notify,
    less: Notify,
    replaced: Counter,
    dropped: Counter,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Message>,
    /// Topics of `states`, each once.
    order: VecDeque<Arc<str>>,
    states: HashMap<Arc<str>, Message>,
    /// Popped and not yet dealt with.
    under_way: usize,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            more: Notify::new(),
            less: Notify::new(),
            replaced: counter!("quartier_external_replaced_total"),
            dropped: counter!("quartier_external_dropped_total", "reason" => "full"),
        }
    }
}

impl Outbox {
    /// Queues messages behind what waits.
    pub fn publish(&self, batch: impl IntoIterator<Item = Message>) {
        let mut waiting = self.waiting.lock();
        for message in batch {
            if is_event(&message) {
                waiting.events.push_back(message);
            } else if let Some(older) = waiting.states.get_mut(message.topic.as_str()) {
                *older = message;
                self.replaced.increment(1);
            } else {
                waiting.add_state(message, VecDeque::push_back);
            }
        }
        self.bound(&mut waiting);
        drop(waiting);
        self.more.notify_one();
    }

    /// Queues a state, unless a newer one waits.
    pub fn offer(&self, message: Message) {
        let mut waiting = self.waiting.lock();
        if !waiting.states.contains_key(message.topic.as_str()) {
            waiting.add_state(message, VecDeque::push_back);
            drop(waiting);
            self.more.notify_one();
        }
    }

    /// Puts back what was sent and not acknowledged, in its first order, before what waits.
    pub(super) fn put_back(&self, unacknowledged: Vec<Message>) {
        let mut waiting = self.waiting.lock();
        waiting.under_way = 0;
        for message in unacknowledged.into_iter().rev() {
            if is_event(&message) {
                waiting.events.push_front(message);
            } else if waiting.states.contains_key(message.topic.as_str()) {
                self.replaced.increment(1);
            } else {
                waiting.add_state(message, VecDeque::push_front);
            }
        }
        self.bound(&mut waiting);
    }

    /// The next to be sent; say when it is [`Outbox::done`] with.
    pub(super) fn pop(&self) -> Option<Message> {
        let mut waiting = self.waiting.lock();
        let next = match waiting.events.pop_front() {
            Some(event) => event,
            None => {
                let topic = waiting.order.pop_front()?;
                waiting.states.remove(&topic)?
            }
        };
        waiting.under_way += 1;
        Some(next)
    }

    /// A message was acknowledged or given up.
    pub(super) fn done(&self) {
        let mut waiting = self.waiting.lock();
        waiting.under_way = waiting.under_way.saturating_sub(1);
        drop(waiting);
        self.less.notify_waiters();
    }

    /// Returns when nothing waits and nothing is under way.
    pub async fn settled(&self) {
        loop {
            let less = self.less.notified();
            {
                let waiting = self.waiting.lock();
                if waiting.under_way + waiting.events.len() + waiting.order.len() == 0 {
                    return;
                }
            }
            less.await;
        }
    }

    /// Ready when something was queued since the last time.
    pub(super) fn more(&self) -> Notified<'_> {
        self.more.notified()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        let waiting = self.waiting.lock();
        waiting.events.len() + waiting.order.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn bound(&self, waiting: &mut Waiting) {
        let over = waiting.events.len().saturating_sub(EVENTS);
        waiting.events.drain(..over);
        self.dropped.increment(over as u64);
    }
}

impl Waiting {
    fn add_state(&mut self, message: Message, at: fn(&mut VecDeque<Arc<str>>, Arc<str>)) {
        let topic: Arc<str> = Arc::from(message.topic.as_str());
        at(&mut self.order, Arc::clone(&topic));
        self.states.insert(topic, message);
    }
}

fn is_event(message: &Message) -> bool {
    message.topic.starts_with("decision/") || !may_be_kept(&message.topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, payload: &str) -> Message {
        Message {
            topic: topic.to_owned(),
            payload: payload.to_owned().into(),
            retain: true,
        }
    }

    fn all(outbox: &Outbox) -> Vec<(String, String)> {
        let text = |m: Message| (m.topic, String::from_utf8(m.payload.to_vec()).unwrap());
        std::iter::from_fn(|| outbox.pop()).map(text).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected
            .iter()
            .map(|(t, p)| ((*t).to_owned(), (*p).to_owned()))
            .collect()
    }

    #[test]
    fn of_a_state_the_newest_waits_and_of_decisions_and_commands_all() {
        let outbox = Outbox::default();
        outbox.publish([
            message("twin/v1/a", "1"),
            message("decision/v1/q/p", "1"),
            message("twin/v1/b", "1"),
            message("twin/v1/a", "2"),
            message("decision/v1/q/p", "2"),
            message("cmd/v1/q/a", "1"),
            message("cmd/v1/q/a", "2"),
        ]);
        let expected = [
            ("decision/v1/q/p", "1"),
            ("decision/v1/q/p", "2"),
            ("cmd/v1/q/a", "1"),
            ("cmd/v1/q/a", "2"),
            ("twin/v1/a", "2"),
            ("twin/v1/b", "1"),
        ];
        assert_eq!(all(&outbox), pairs(&expected));
    }

    #[test]
    fn what_comes_back_unacknowledged_goes_first_but_never_over_a_newer_state() {
        let outbox = Outbox::default();
        outbox.publish([message("twin/v1/a", "2"), message("decision/v1/q/p", "3")]);
        outbox.put_back(vec![
            message("decision/v1/q/p", "1"),
            message("twin/v1/a", "1"),
            message("twin/v1/b", "1"),
            message("decision/v1/q/p", "2"),
        ]);
        outbox.offer(message("twin/v1/a", "1"));
        let expected = [
            ("decision/v1/q/p", "1"),
            ("decision/v1/q/p", "2"),
            ("decision/v1/q/p", "3"),
            ("twin/v1/b", "1"),
            ("twin/v1/a", "2"),
        ];
        assert_eq!(all(&outbox), pairs(&expected));
    }

    #[test]
    fn a_broker_that_is_away_for_long_costs_no_more_than_the_bounds() {
        let outbox = Outbox::default();
        for round in 0..3 * EVENTS {
            let payload = round.to_string();
            outbox.publish([
                message("twin/v1/a", &payload),
                message("decision/v1/q/p", &payload),
            ]);
        }
        assert_eq!(outbox.len(), EVENTS + 1);
        let left = all(&outbox);
        assert_eq!(left[0].1, (2 * EVENTS).to_string(), "the oldest went");
        let newest = (3 * EVENTS - 1).to_string();
        assert_eq!(left[EVENTS], ("twin/v1/a".to_owned(), newest));
    }
}
