//! A shared subscription: `$share/{group}/{filter}`, one subscriber made of several sessions.
//!
//! Each message goes to one of them: to one that is connected and has room where there is one, and
//! of those to the one with the least to do, in turn where several have as little. So a slow or
//! dead member holds up only what it was given, and that goes to the others when its session ends.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::codec::QoS;
use crate::envelope::Envelope;
use crate::session::{Phase, QueueLimit, Session, Terms};
use crate::stats::Counters;
use crate::subscriptions::{Subscriber, put, take};

/// The members of a shared subscription.
#[derive(Debug)]
pub(crate) struct Group {
    /// Whole, as subscribed to.
    filter: Arc<str>,
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    list: Vec<Subscriber>,
    /// Whose turn it is.
    next: usize,
}

/// How much a member is to be preferred; the least is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// It takes the message at once, as far as one can tell.
    Ready,
    Queue,
    Away,
    Full,
}

impl Group {
    /// A group without members.
    pub(crate) fn new(filter: &str) -> Self {
        Self {
            filter: filter.into(),
            members: Mutex::default(),
        }
    }

    /// Adds a member or replaces its terms; true when it was there.
    pub(crate) fn put(&self, new: Subscriber) -> bool {
        put(&mut self.members.lock().list, new)
    }

    /// Removes a member; whether it was there, and whether nobody is left.
    pub(crate) fn take(&self, session: &Session) -> (bool, bool) {
        let list = &mut self.members.lock().list;
        (take(list, session), list.is_empty())
    }

    /// Queues a message for one member; the round to wait for.
    pub(crate) fn deliver(
        &self,
        message: &Envelope,
        limit: QueueLimit,
        counters: &Counters,
    ) -> u64 {
        let mut members = self.members.lock();
        // A member may end between the choice and the delivery; it is not chosen again.
        while let Some(at) = members.choose(message, limit) {
            members.next = at + 1;
            let Some(Subscriber { session, terms }) = members.list.get(at) else {
                break;
            };
            let Some(mut out) = terms.apply(message, session.number) else {
                break;
            };
            out.share = Some(self.filter.clone());
            if let Some(round) = session.deliver_shared(out, limit, counters) {
                return round;
            }
        }
        0
    }
}

impl Members {
    fn choose(&self, message: &Envelope, limit: QueueLimit) -> Option<usize> {
        let count = self.list.len();
        (0..count)
            .map(|step| (self.next + step) % count)
            .filter_map(|at| {
                let Subscriber { session, terms } = self.list.get(at)?;
                Some((place(session, terms, message, limit)?, at))
            })
            .min_by_key(|(place, _)| *place)
            .map(|(_, at)| at)
    }
}

/// How well a member would take the message, and how much it has to do; `None`: not at all.
fn place(
    session: &Session,
    terms: &Terms,
    message: &Envelope,
    limit: QueueLimit,
) -> Option<(Place, usize)> {
    let state = session.lock();
    let waiting = state.waiting();
    let place = match state.phase {
        Phase::Ended => return None,
        Phase::Away(_) if terms.qos.min(message.qos()) == QoS::AtMostOnce => return None,
        _ if !state.has_room(message.size(), limit) => Place::Full,
        Phase::Away(_) => Place::Away,
        Phase::Connected if waiting < state.inflight => Place::Ready,
        Phase::Connected => Place::Queue,
    };
    Some((place, waiting))
}
