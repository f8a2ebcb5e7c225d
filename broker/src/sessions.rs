//! Sessions by client identifier: opening, take-over, expiry.

use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::session::{Phase, Session};

/// All sessions of the broker.
#[derive(Debug)]
pub(crate) struct Sessions {
    by_id: Mutex<ById>,
    max: usize,
}

#[derive(Debug, Default)]
struct ById {
    sessions: HashMap<Arc<str>, Arc<Session>>,
    numbers: u64,
}

/// A session as a CONNECT finds it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) session: Arc<Session>,
    /// With which the connection owns the session.
    pub(crate) generation: u64,
    /// Wakes the connection.
    pub(crate) wake: Arc<Notify>,
    /// It is the session of an earlier connection.
    pub(crate) present: bool,
    /// Another connection had the session or its identifier until now.
    pub(crate) taken_over: bool,
    /// The session that this one replaces; its subscriptions have to go.
    pub(crate) replaced: Option<Arc<Session>>,
}

/// The client gets no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotOpened {
    /// There is no room for another one.
    #[error("too many sessions")]
    Full,
    /// Its identifier has a session that belongs to another user.
    #[error("the session belongs to another user")]
    Foreign,
}

impl Sessions {
    /// No sessions, at most `max`.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            by_id: Mutex::default(),
            max,
        }
    }

    /// Sessions, connected or not.
    pub(crate) fn len(&self) -> usize {
        self.by_id.lock().sessions.len()
    }

    /// The session of a client: the one it had, unless it expired or the client wants a clean
    /// start. A connection that has it loses it. A session belongs to its user: no other one takes
    /// it, or ends it, by its identifier.
    pub(crate) fn open(
        &self,
        id: &Arc<str>,
        user: Option<&Arc<str>>,
        clean: bool,
    ) -> Result<Opened, NotOpened> {
        let mut by_id = self.by_id.lock();
        let mut replaced = None;
        let mut taken_over = false;
        if let Some(session) = by_id.sessions.get(id) {
            let mut state = session.lock();
            taken_over = state.phase == Phase::Connected;
            let expired = matches!(state.phase, Phase::Away(Some(t)) if t <= Instant::now());
            if session.user.as_ref() != user && !expired && state.phase != Phase::Ended {
                return Err(NotOpened::Foreign);
            }
            let old = std::mem::replace(&mut state.wake, Arc::new(Notify::new()));
            old.notify_one();
            if !clean && !expired && state.phase != Phase::Ended {
                state.generation += 1;
                state.phase = Phase::Connected;
                state.overrun = false;
                let (generation, wake) = (state.generation, state.wake.clone());
                drop(state);
                return Ok(Opened {
                    session: session.clone(),
                    generation,
                    wake,
                    present: true,
                    taken_over,
                    replaced: None,
                });
            }
            state.phase = Phase::Ended;
            drop(state);
            replaced = Some(session.clone());
        } else if by_id.sessions.len() >= self.max {
            return Err(NotOpened::Full);
        }
        by_id.numbers += 1;
        let session = Arc::new(Session::new(id.clone(), user.cloned(), by_id.numbers));
        by_id.sessions.insert(id.clone(), session.clone());
        let wake = session.lock().wake.clone();
        Ok(Opened {
            session,
            generation: 1,
            wake,
            present: false,
            taken_over,
            replaced,
        })
    }

    /// Messages that wait or are in flight, of all sessions.
    pub(crate) fn waiting(&self) -> usize {
        let waiting = |session: &Arc<Session>| {
            let state = session.lock();
            state.retained.len() + state.live.len() + state.window.len()
        };
        self.by_id.lock().sessions.values().map(waiting).sum()
    }

    /// Wakes all connections.
    pub(crate) fn wake_all(&self) {
        for session in self.by_id.lock().sessions.values() {
            session.lock().wake.notify_one();
        }
    }

    /// Forgets a session that has ended, unless its identifier has a new one.
    pub(crate) fn remove(&self, session: &Arc<Session>) {
        let mut by_id = self.by_id.lock();
        if by_id
            .sessions
            .get(&session.id)
            .is_some_and(|kept| Arc::ptr_eq(kept, session))
        {
            by_id.sessions.remove(&session.id);
        }
    }

    /// Ends the sessions whose client stayed away too long and returns them; their subscriptions
    /// have to go.
    pub(crate) fn expire(&self, now: Instant) -> Vec<Arc<Session>> {
        let mut expired = Vec::new();
        self.by_id.lock().sessions.retain(|_, session| {
            let mut state = session.lock();
            let over = matches!(state.phase, Phase::Away(Some(until)) if until <= now);
            if over {
                state.phase = Phase::Ended;
                expired.push(session.clone());
            }
            !over
        });
        expired
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_second_connection_takes_the_session_and_a_clean_one_replaces_it() {
        let sessions = Sessions::new(10);
        let id: Arc<str> = "a".into();
        let first = sessions.open(&id, None, false).unwrap();
        assert!(!first.present && !first.taken_over);
        let second = sessions.open(&id, None, false).unwrap();
        assert!(second.present && second.taken_over);
        assert!(first.session.own(first.generation).is_none());
        let third = sessions.open(&id, None, true).unwrap();
        assert!(!third.present && third.taken_over && third.replaced.is_some());
        assert!(second.session.own(second.generation).is_none());
        sessions.remove(&second.session);
        assert_eq!(
            sessions.len(),
            1,
            "the old one does not take the new one away"
        );
    }

    #[test]
    fn a_session_expires_and_is_not_found_again() {
        let sessions = Sessions::new(1);
        let id: Arc<str> = "a".into();
        let first = sessions.open(&id, None, false).unwrap();
        assert!(
            sessions.open(&"b".into(), None, true).is_err(),
            "there is room for one"
        );
        first.session.leave(first.generation, 5);
        assert!(sessions.expire(Instant::now()).is_empty());
        assert_eq!(
            sessions
                .expire(Instant::now() + Duration::from_secs(6))
                .len(),
            1
        );
        assert!(!sessions.open(&id, None, false).unwrap().present);
    }
}
