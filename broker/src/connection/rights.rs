//! What the client may do, from its login on and whenever the gate has changed its mind.
//!
//! Invariant: every subscription of a connected session is covered by the client's rights, as a
//! whole. So a message that comes by one may be delivered unseen; only what was queued under
//! earlier rights is looked at one by one, until the queue was empty once.

use std::sync::atomic::Ordering::Acquire;

use super::{Connection, End};
use crate::Rights;
use crate::codec::ReasonCode;
use crate::session::Out;

/// The rights of a connection.
pub(super) struct Granted {
    pub(super) rights: Rights,
    /// The state of [`crate::hub::Hub::rights_changed`] before they were asked for.
    pub(super) asked: u64,
    /// Messages of earlier rights may be queued.
    pub(super) suspect: bool,
}

/// Levels of a topic or filter.
pub(super) fn levels(topic: &str) -> usize {
    1 + topic.bytes().filter(|byte| *byte == b'/').count()
}

impl Connection {
    /// Asks for the rights again where they may have changed.
    ///
    /// # Errors
    /// The client is to be sent away, and its session with it.
    pub(super) fn recheck(&mut self) -> Result<(), End> {
        let changed = self.hub.rights_changed.load(Acquire);
        if changed == self.granted.asked {
            return Ok(());
        }
        self.granted.asked = changed;
        let Some(rights) = self.hub.hooks.gate.rights(&self.client) else {
            self.terms.expiry = 0;
            return Err(End::Reason(ReasonCode::AdministrativeAction, ""));
        };
        if rights != self.granted.rights {
            self.granted.rights = rights;
            self.restrict()?;
        }
        Ok(())
    }

    /// Ends the subscriptions that the rights do not cover. First them, then what they queued:
    /// nothing comes after it.
    pub(super) fn restrict(&mut self) -> Result<(), End> {
        self.granted.suspect = true;
        let lost: Vec<Box<str>> = {
            let state = self.own()?;
            let covered = |filter: &str| self.granted.rights.may_subscribe(filter);
            let lost = state.filters().keys().filter(|filter| !covered(filter));
            lost.cloned().collect()
        };
        for filter in lost {
            self.remove(&filter)?;
        }
        Ok(())
    }

    /// Whether a message may be delivered; counted where it may not.
    pub(super) fn readable(&self, out: &Out) -> bool {
        let readable =
            !self.granted.suspect || self.granted.rights.may_subscribe(out.message.topic());
        let dropped = &self.hub.counters.dropped_rights_lost;
        dropped.add(u64::from(!readable));
        readable
    }

    /// Why a message may not be published to `topic`, counted; `None` where it may.
    pub(super) fn refusal(&self, topic: &str) -> Option<ReasonCode> {
        let counters = &self.hub.counters;
        let closed = topic.starts_with('$') || self.hub.config.is_closed(topic);
        if closed || !self.granted.rights.may_publish(topic) {
            counters.dropped_not_authorized.add(1);
            Some(ReasonCode::NotAuthorized)
        } else if levels(topic) > self.hub.config.max_topic_levels {
            counters.dropped_topic_levels.add(1);
            Some(ReasonCode::TopicNameInvalid)
        } else {
            None
        }
    }

    /// Why `filter` may not be subscribed to; `None` where it may.
    pub(super) fn filter_refusal(&self, filter: &str) -> Option<ReasonCode> {
        if !self.granted.rights.may_subscribe(filter) {
            self.hub.counters.subscriptions_refused.add(1);
            Some(ReasonCode::NotAuthorized)
        } else if self.hub.config.is_closed(filter) {
            // Rights are not the reason.
            self.hub.counters.subscriptions_refused.add(1);
            Some(ReasonCode::UnspecifiedError)
        } else if levels(filter) > self.hub.config.max_topic_levels {
            Some(ReasonCode::TopicFilterInvalid)
        } else {
            None
        }
    }

    /// Whether the will, if there is one, may be published now.
    pub(super) fn may_leave_will(&self) -> bool {
        let topic = match self.own() {
            Ok(state) => state.will.as_ref().map(|will| will.topic.clone()),
            Err(_) => None,
        };
        let Some(topic) = topic else { return true };
        let rights = self.hub.hooks.gate.rights(&self.client);
        let may = rights.is_some_and(|rights| rights.may_publish(&topic));
        let refused = &self.hub.counters.dropped_not_authorized;
        refused.add(u64::from(!may));
        may
    }
}
