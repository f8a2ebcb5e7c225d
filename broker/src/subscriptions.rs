//! Who wants which topics.
//!
//! A filter without a wildcard is a topic: one hash look-up finds its subscribers. Filters with
//! wildcards are matched by the router, one feed for each distinct filter; here stands only which
//! first levels they can match, so that nobody bothers the router, or formats a payload, for
//! nobody.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLock;

use crate::codec;
use crate::session::{Session, Terms};

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

/// Filters counted by their first level.
#[derive(Debug, Default)]
struct FirstLevels {
    named: HashMap<Box<str>, usize>,
    /// Those that begin with a wildcard: they match every first level that begins not with `$`.
    any: usize,
}

impl FirstLevels {
    fn add(&mut self, filter: &str) {
        match first_level(filter) {
            "+" | "#" => self.any += 1,
            level => *self.named.entry(level.into()).or_default() += 1,
        }
    }

    fn remove(&mut self, filter: &str) {
        match first_level(filter) {
            "+" | "#" => self.any = self.any.saturating_sub(1),
            level => {
                if let Some(count) = self.named.get_mut(level) {
                    *count -= 1;
                    if *count == 0 {
                        self.named.remove(level);
                    }
                }
            }
        }
    }

    fn may_match(&self, level: &str) -> bool {
        (self.any > 0 && !level.starts_with('$')) || self.named.contains_key(level)
    }
}

/// The part of a topic or filter before its first `/`.
pub(crate) fn first_level(topic: &str) -> &str {
    topic.split('/').next().unwrap_or_default()
}

/// Whether a filter has a wildcard.
pub(crate) fn has_wildcard(filter: &str) -> bool {
    filter.contains(['+', '#'])
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    exact: HashMap<Box<str>, Vec<Subscriber>>,
    exact_levels: FirstLevels,
    wild: HashMap<Box<str>, Arc<Feed>>,
    wild_levels: FirstLevels,
}

/// What a subscription changed.
#[derive(Debug)]
pub(crate) struct Added {
    /// The session had it already; its terms are replaced.
    pub(crate) existed: bool,
    /// Of a wildcard filter.
    pub(crate) feed: Option<Arc<Feed>>,
}

/// What an end of a subscription changed.
#[derive(Debug)]
pub(crate) struct Removed {
    pub(crate) existed: bool,
    /// A feed without subscribers, which the router need not serve any more.
    pub(crate) feed: Option<Arc<Feed>>,
}

impl Subscriptions {
    /// Adds a subscription or replaces its terms.
    pub(crate) fn add(&mut self, filter: &str, new: Subscriber) -> Added {
        if !has_wildcard(filter) {
            let existed = match self.exact.get_mut(filter) {
                Some(list) => put(list, new),
                None => {
                    self.exact.insert(filter.into(), vec![new]);
                    self.exact_levels.add(filter);
                    false
                }
            };
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

    /// Ends a subscription.
    pub(crate) fn remove(&mut self, filter: &str, session: &Session) -> Removed {
        if !has_wildcard(filter) {
            let Some(list) = self.exact.get_mut(filter) else {
                return Removed {
                    existed: false,
                    feed: None,
                };
            };
            let existed = take(list, session);
            if list.is_empty() {
                self.exact.remove(filter);
                self.exact_levels.remove(filter);
            }
            return Removed {
                existed,
                feed: None,
            };
        }
        let Some(feed) = self.wild.get(filter).cloned() else {
            return Removed {
                existed: false,
                feed: None,
            };
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

    /// The subscribers of exactly this topic.
    pub(crate) fn exact(&self, topic: &str) -> &[Subscriber] {
        self.exact.get(topic).map_or(&[], Vec::as_slice)
    }

    /// The subscribers of a topic of the server itself, which the router does not get.
    pub(crate) fn of_server(&self, topic: &str) -> Vec<Subscriber> {
        let mut found = self.exact(topic).to_vec();
        if self.wild_levels.may_match(first_level(topic)) {
            let feeds = self.wild.values();
            for feed in feeds.filter(|feed| codec::matches(&feed.filter, topic)) {
                found.extend_from_slice(&feed.subscribers.read());
            }
        }
        found
    }

    /// Subscriptions, and how many of them are shared ones.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let exact: usize = self.exact.values().map(Vec::len).sum();
        let wild = self.wild.values().map(|feed| feed.subscribers.read().len());
        (exact + wild.sum::<usize>(), 0)
    }

    /// Whether a wildcard filter may match topics with this first level.
    pub(crate) fn wildcard_may_match(&self, first_level: &str) -> bool {
        self.wild_levels.may_match(first_level)
    }

    /// Whether any subscription may match topics with this first level.
    pub(crate) fn may_match(&self, first_level: &str) -> bool {
        self.wild_levels.may_match(first_level) || self.exact_levels.may_match(first_level)
    }
}

/// Puts a subscriber into a list; true when its session was there and got new terms.
fn put(list: &mut Vec<Subscriber>, new: Subscriber) -> bool {
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

fn take(list: &mut Vec<Subscriber>, session: &Session) -> bool {
    let at = list.iter().position(|s| s.session.number == session.number);
    at.map(|at| list.swap_remove(at)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::QoS;

    fn subscriber(number: u64, subscription_id: u32) -> Subscriber {
        Subscriber {
            session: Arc::new(Session::new("a".into(), None, number)),
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
