//! Who wants which topics.
//!
//! A filter without a wildcard is a topic: one hash look-up finds its subscribers. Filters with
//! wildcards are matched by the router, one feed for each distinct filter; here stands only which
//! first levels they can match, so that nobody bothers the router, or formats a payload, for
//! nobody.
//!
//! Some wildcards are matched here: those of kept sessions, because a publisher's acknowledgement
//! waits until the message is on disk for all of them, and the router does not say when it has
//! come to them; shared ones, which deliver to one of many; and those that begin with `$`, which
//! the router cannot carry.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLock;

use crate::codec;
use crate::envelope::Envelope;
use crate::group::Group;
use crate::levels::FirstLevels;
use crate::session::{QueueLimit, Session, Terms};
use crate::stats::Counters;
use crate::tree::Tree;

/// A session and the terms under which it wants messages.
#[derive(Debug, Clone)]
pub(crate) struct Subscriber {
    pub(crate) session: Arc<Session>,
    pub(crate) terms: Terms,
}

/// A wildcard filter and its subscribers; the router delivers to it.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) filter: Box<str>,
    pub(crate) subscribers: RwLock<Vec<Subscriber>>,
}

/// Whether a filter has a wildcard.
pub(crate) fn has_wildcard(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

/// The subscribers of a filter that is not left to the router.
#[derive(Debug)]
pub(crate) struct Seats {
    pub(crate) filter: Box<str>,
    subscribers: Vec<Subscriber>,
    groups: Vec<Arc<Group>>,
}

impl Seats {
    /// Seats without anybody.
    pub(crate) fn new(filter: &str) -> Self {
        Self {
            filter: filter.into(),
            subscribers: Vec::new(),
            groups: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.subscribers.is_empty() && self.groups.is_empty()
    }

    /// Queues a message for all; the round to wait for.
    pub(crate) fn deliver(
        &self,
        message: &Envelope,
        limit: QueueLimit,
        counters: &Counters,
    ) -> u64 {
        let mut round = 0;
        for Subscriber { session, terms } in &self.subscribers {
            let one = std::iter::once(message);
            round = round.max(session.deliver(one, &self.filter, terms, limit, counters));
        }
        for group in &self.groups {
            round = round.max(group.deliver(message, limit, counters));
        }
        round
    }
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    exact: HashMap<Box<str>, Seats>,
    exact_levels: FirstLevels,
    /// Wildcards that are matched here.
    tree: Tree,
    tree_levels: FirstLevels,
    wild: HashMap<Box<str>, Arc<Feed>>,
    wild_levels: FirstLevels,
    /// By whole filter.
    groups: HashMap<Box<str>, Arc<Group>>,
}

/// What a subscription changed.
#[derive(Debug, Default)]
pub(crate) struct Added {
    /// The session had it already; its terms are replaced.
    pub(crate) existed: bool,
    /// Of a wildcard filter that is left to the router.
    pub(crate) feed: Option<Arc<Feed>>,
}

/// What an end of a subscription changed.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    pub(crate) existed: bool,
    /// A feed without subscribers, which the router need not serve any more.
    pub(crate) feed: Option<Arc<Feed>>,
}

impl Subscriptions {
    /// Adds a subscription or replaces its terms.
    pub(crate) fn add(&mut self, filter: &str, new: Subscriber) -> Added {
        if let Some((_, inner)) = codec::shared(filter) {
            return self.add_shared(filter, inner, new);
        }
        if !routed(filter, &new.session) {
            let existed =
                (self.seats(filter)).is_some_and(|seats| put(&mut seats.subscribers, new));
            return Added {
                existed,
                feed: None,
            };
        }
        let feed = self.wild.entry(filter.into()).or_insert_with(|| {
            self.wild_levels.add(filter);
            Arc::new(Feed {
                filter: filter.into(),
                subscribers: RwLock::default(),
            })
        });
        let existed = put(&mut feed.subscribers.write(), new);
        Added {
            existed,
            feed: Some(feed.clone()),
        }
    }

    fn add_shared(&mut self, filter: &str, inner: &str, new: Subscriber) -> Added {
        if let Some(group) = self.groups.get(filter) {
            let existed = group.put(new);
            return Added {
                existed,
                feed: None,
            };
        }
        let group = Arc::new(Group::new(filter));
        group.put(new);
        if let Some(seats) = self.seats(inner) {
            seats.groups.push(group.clone());
        }
        self.groups.insert(filter.into(), group);
        Added::default()
    }

    /// Ends a subscription.
    pub(crate) fn remove(&mut self, filter: &str, session: &Session) -> Removed {
        if let Some((_, inner)) = codec::shared(filter) {
            return self.remove_shared(filter, inner, session);
        }
        if !routed(filter, session) {
            let existed = (self.known_seats(filter))
                .is_some_and(|seats| take(&mut seats.subscribers, session));
            self.leave_seats(filter);
            return Removed {
                existed,
                feed: None,
            };
        }
        let Some(feed) = self.wild.get(filter).cloned() else {
            return Removed::default();
        };
        let (existed, empty) = {
            let mut list = feed.subscribers.write();
            (take(&mut list, session), list.is_empty())
        };
        if empty {
            self.wild.remove(filter);
            self.wild_levels.remove(filter);
        }
        Removed {
            existed,
            feed: empty.then_some(feed),
        }
    }

    fn remove_shared(&mut self, filter: &str, inner: &str, session: &Session) -> Removed {
        let Some(group) = self.groups.get(filter).cloned() else {
            return Removed::default();
        };
        let (existed, empty) = group.take(session);
        if empty {
            self.groups.remove(filter);
            if let Some(seats) = self.known_seats(inner) {
                seats.groups.retain(|other| !Arc::ptr_eq(other, &group));
            }
            self.leave_seats(inner);
        }
        Removed {
            existed,
            feed: None,
        }
    }

    /// The seats of a filter, made where there are none.
    fn seats(&mut self, filter: &str) -> Option<&mut Seats> {
        if !has_wildcard(filter) {
            return Some(self.exact.entry(filter.into()).or_insert_with(|| {
                self.exact_levels.add(filter);
                Seats::new(filter)
            }));
        }
        let (seats, new) = self.tree.entry(filter)?;
        if new {
            self.tree_levels.add(filter);
        }
        Some(seats)
    }

    fn known_seats(&mut self, filter: &str) -> Option<&mut Seats> {
        match has_wildcard(filter) {
            true => self.tree.get_mut(filter),
            false => self.exact.get_mut(filter),
        }
    }

    /// Removes the seats of a filter when nobody is left.
    fn leave_seats(&mut self, filter: &str) {
        if self
            .known_seats(filter)
            .is_none_or(|seats| !seats.is_empty())
        {
            return;
        }
        if has_wildcard(filter) {
            self.tree.remove(filter);
            self.tree_levels.remove(filter);
        } else {
            self.exact.remove(filter);
            self.exact_levels.remove(filter);
        }
    }

    /// The subscribers of exactly this topic.
    pub(crate) fn exact(&self, topic: &str) -> Option<&Seats> {
        self.exact.get(topic)
    }

    /// Whether a wildcard that is matched here may match topics with this first level.
    pub(crate) fn tree_may_match(&self, first_level: &str) -> bool {
        self.tree_levels.may_match(first_level)
    }

    /// Calls `each` for every wildcard matched here that matches `topic`.
    pub(crate) fn matching(&self, topic: &str, each: impl FnMut(&Seats)) {
        self.tree.matching(topic, each);
    }

    /// A shared subscription by its whole filter.
    pub(crate) fn group(&self, filter: &str) -> Option<&Arc<Group>> {
        self.groups.get(filter)
    }

    /// Whether a wildcard filter of the router may match topics with this first level.
    pub(crate) fn wildcard_may_match(&self, first_level: &str) -> bool {
        self.wild_levels.may_match(first_level)
    }

    /// Whether any subscription may match topics with this first level.
    pub(crate) fn may_match(&self, first_level: &str) -> bool {
        let Self {
            exact_levels,
            tree_levels,
            wild_levels,
            ..
        } = self;
        [wild_levels, exact_levels, tree_levels]
            .iter()
            .any(|levels| levels.may_match(first_level))
    }
}

/// Whether a session's filter, not a shared one, is left to the router. Never changes for a
/// session.
fn routed(filter: &str, session: &Session) -> bool {
    has_wildcard(filter) && session.kept.is_none() && !filter.starts_with('$')
}

/// Puts a subscriber into a list; true when its session was there and got new terms.
pub(crate) fn put(list: &mut Vec<Subscriber>, new: Subscriber) -> bool {
    match list
        .iter_mut()
        .find(|s| s.session.number == new.session.number)
    {
        Some(old) => {
            old.terms = new.terms;
            true
        }
        None => {
            list.push(new);
            false
        }
    }
}

/// Takes a session out of a list; true when it was there.
pub(crate) fn take(list: &mut Vec<Subscriber>, session: &Session) -> bool {
    let at = list.iter().position(|s| s.session.number == session.number);
    at.map(|at| list.swap_remove(at)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::QoS;

    fn subscriber(number: u64, subscription_id: u32) -> Subscriber {
        Subscriber {
            session: Arc::new(Session::new("a".into(), None, number, None)),
            terms: Terms {
                qos: QoS::AtMostOnce,
                no_local: false,
                retain_as_published: false,
                subscription_id,
            },
        }
    }

    #[test]
    fn a_second_subscribe_replaces_the_terms_and_does_not_deliver_twice() {
        let mut all = Subscriptions::default();
        assert!(!all.add("a/b", subscriber(1, 1)).existed);
        assert!(all.add("a/b", subscriber(1, 2)).existed);
        assert!(!all.add("a/b", subscriber(2, 3)).existed);
        let ids: Vec<u32> = all
            .exact("a/b")
            .unwrap()
            .subscribers
            .iter()
            .map(|s| s.terms.subscription_id)
            .collect();
        assert_eq!(ids, [2, 3]);
    }

    #[test]
    fn first_levels_are_known_for_as_long_as_a_filter_lasts() {
        let mut all = Subscriptions::default();
        let one = subscriber(1, 0);
        all.add("a/b", one.clone());
        all.add("c/#", one.clone());
        assert!(all.may_match("a") && !all.wildcard_may_match("a"));
        assert!(all.may_match("c") && all.wildcard_may_match("c") && !all.may_match("b"));
        all.add("#", one.clone());
        assert!(all.may_match("b") && !all.may_match("$SYS"));
        for filter in ["a/b", "c/#", "#"] {
            assert!(all.remove(filter, &one.session).existed, "{filter}");
            assert!(!all.remove(filter, &one.session).existed, "{filter}");
        }
        assert!(!all.may_match("a") && !all.may_match("c"));
    }

    #[test]
    fn a_feed_ends_with_its_last_subscriber() {
        let mut all = Subscriptions::default();
        let (one, two) = (subscriber(1, 0), subscriber(2, 0));
        let feed = all.add("a/#", one.clone()).feed.unwrap();
        assert!(Arc::ptr_eq(
            &feed,
            &all.add("a/#", two.clone()).feed.unwrap()
        ));
        assert!(all.remove("a/#", &one.session).feed.is_none());
        assert!(all.remove("a/#", &two.session).feed.is_some());
    }
}
