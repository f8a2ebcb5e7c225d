//! Sessions by client identifier: opening, take-over, expiry, wills that are due.

use std::sync::Arc;
use std::time::Instant;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::codec;
use crate::kept::Keeper;
use crate::session::{Phase, Session};
use crate::will::Will;

/// All sessions of the broker.
#[derive(Debug)]
pub(crate) struct Sessions {
    by_id: Mutex<ById>,
    max: usize,
    keeper: Arc<Keeper>,
}

#[derive(Debug, Default)]
struct ById {
    sessions: HashMap<Arc<str>, Arc<Session>>,
    numbers: u64,
}

/// What a CONNECT asks for.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) id: Arc<str>,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) clean: bool,
    /// Seconds that the session is to outlive the connection.
    pub(crate) expiry: u32,
    /// QoS 1 and 2 messages that the client takes at a time.
    pub(crate) inflight: usize,
    pub(crate) will: Option<Will>,
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
    /// The session that this one replaces, to be buried.
    pub(crate) replaced: Option<Arc<Session>>,
    /// Of the connection that was taken over, to be published now.
    pub(crate) will: Option<Box<Will>>,
}

/// What all sessions hold.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    /// Messages that wait or are in flight.
    pub(crate) messages: usize,
    /// Subscriptions.
    pub(crate) filters: usize,
    /// Of them shared ones.
    pub(crate) shared: usize,
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
    pub(crate) fn new(max: usize, keeper: Arc<Keeper>) -> Self {
        Self {
            by_id: Mutex::default(),
            max,
            keeper,
        }
    }

    /// Takes sessions of an earlier life. `last_number` is the highest that one has had.
    pub(crate) fn restore(&self, sessions: &[Arc<Session>], last_number: u64) {
        let mut by_id = self.by_id.lock();
        by_id.numbers = by_id.numbers.max(last_number);
        let entries = sessions.iter().map(|one| (one.id.clone(), one.clone()));
        by_id.sessions.extend(entries);
    }

    /// Sessions, connected or not.
    pub(crate) fn len(&self) -> usize {
        self.by_id.lock().sessions.len()
    }

    /// The session of a client: the one it had, unless it expired, the client wants a clean start,
    /// or it was to end with its connection. A connection that has it loses it. A session belongs
    /// to its user: no other one takes it, or ends it, by its identifier.
    pub(crate) fn open(&self, opening: Opening) -> Result<Opened, NotOpened> {
        let mut by_id = self.by_id.lock();
        match by_id.sessions.get(&opening.id).cloned() {
            Some(session) => match resume(&session, opening)? {
                Resumed::Yes(opened) => Ok(*opened),
                Resumed::No(opening, taken_over) => {
                    Ok(self.create(&mut by_id, *opening, Some(session), taken_over))
                }
            },
            None if by_id.sessions.len() >= self.max => Err(NotOpened::Full),
            None => Ok(self.create(&mut by_id, opening, None, false)),
        }
    }

    fn create(
        &self,
        by_id: &mut ById,
        opening: Opening,
        replaced: Option<Arc<Session>>,
        taken_over: bool,
    ) -> Opened {
        by_id.numbers += 1;
        let kept = (opening.expiry > 0).then(|| self.keeper.clone());
        let session = Session::new(opening.id.clone(), opening.user, by_id.numbers, kept);
        let session = Arc::new(session);
        by_id.sessions.insert(opening.id, session.clone());
        let mut state = session.lock();
        state.expiry = opening.expiry;
        state.inflight = opening.inflight;
        state.will = opening.will.map(Box::new);
        session.changed();
        let wake = state.wake.clone();
        drop(state);
        Opened {
            session,
            generation: 1,
            wake,
            present: false,
            taken_over,
            replaced,
            will: None,
        }
    }

    /// What all sessions hold.
    pub(crate) fn held(&self) -> Held {
        let mut held = Held::default();
        for session in self.by_id.lock().sessions.values() {
            let state = session.lock();
            held.messages += state.waiting() + state.window.len();
            held.filters += state.filters().len();
            let shared = state
                .filters()
                .keys()
                .filter(|f| codec::shared(f).is_some());
            held.shared += shared.count();
        }
        held
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

    /// Ends the sessions whose client stayed away too long and returns them, to be buried.
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

    /// Sessions whose will is due.
    pub(crate) fn with_due_will(&self, now: Instant) -> Vec<Arc<Session>> {
        let by_id = self.by_id.lock();
        let due = |session: &&Arc<Session>| session.lock().will_due.is_some_and(|due| due <= now);
        by_id.sessions.values().filter(due).cloned().collect()
    }
}

/// What became of a session that a CONNECT found.
enum Resumed {
    Yes(Box<Opened>),
    /// It is over, and another one has to be made; whether a connection had it.
    No(Box<Opening>, bool),
}

fn resume(session: &Arc<Session>, opening: Opening) -> Result<Resumed, NotOpened> {
    let mut state = session.lock();
    let taken_over = state.phase == Phase::Connected;
    let expired = matches!(state.phase, Phase::Away(Some(t)) if t <= Instant::now());
    if session.user != opening.user && !expired && state.phase != Phase::Ended {
        return Err(NotOpened::Foreign);
    }
    let old = std::mem::replace(&mut state.wake, Arc::new(Notify::new()));
    old.notify_one();
    if opening.clean || expired || state.phase == Phase::Ended || session.kept.is_none() {
        state.phase = Phase::Ended;
        return Ok(Resumed::No(Box::new(opening), taken_over));
    }
    state.generation += 1;
    state.phase = Phase::Connected;
    state.overrun = false;
    state.expiry = opening.expiry;
    state.away_since = 0;
    state.inflight = opening.inflight;
    // One that waits is not published when its client is back [MQTT-3.1.3-9]; that of a connection
    // that is taken over is, unless it was to wait.
    let next = opening.will.map(Box::new);
    let will =
        std::mem::replace(&mut state.will, next).filter(|will| taken_over && will.delay == 0);
    state.will_due = None;
    session.changed();
    let (generation, wake) = (state.generation, state.wake.clone());
    drop(state);
    Ok(Resumed::Yes(Box::new(Opened {
        session: session.clone(),
        generation,
        wake,
        present: true,
        taken_over,
        replaced: None,
        will,
    })))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sessions(max: usize) -> Sessions {
        Sessions::new(max, Arc::new(Keeper::new()))
    }

    fn opening(id: &str, clean: bool, expiry: u32) -> Opening {
        Opening {
            id: id.into(),
            user: None,
            clean,
            expiry,
            inflight: 1,
            will: None,
        }
    }

    #[test]
    fn a_second_connection_takes_the_session_and_a_clean_one_replaces_it() {
        let sessions = sessions(10);
        let open = |clean| sessions.open(opening("a", clean, 60)).unwrap();
        let first = open(false);
        assert!(!first.present && !first.taken_over);
        let second = open(false);
        assert!(second.present && second.taken_over);
        assert!(first.session.own(first.generation).is_none());
        let third = open(true);
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
    fn a_session_that_ends_with_its_connection_is_not_resumed_by_the_next() {
        let sessions = sessions(10);
        let first = sessions.open(opening("a", false, 0)).unwrap();
        let second = sessions.open(opening("a", false, 60)).unwrap();
        assert!(!second.present && second.taken_over);
        assert!(Arc::ptr_eq(&second.replaced.unwrap(), &first.session));
    }

    #[test]
    fn a_session_expires_and_is_not_found_again() {
        let sessions = sessions(1);
        let first = sessions.open(opening("a", false, 5)).unwrap();
        assert!(
            sessions.open(opening("b", true, 0)).is_err(),
            "there is room for one"
        );
        first.session.leave(first.generation, 5, false);
        assert!(sessions.expire(Instant::now()).is_empty());
        assert_eq!(
            sessions
                .expire(Instant::now() + Duration::from_secs(6))
                .len(),
            1
        );
        assert!(!sessions.open(opening("a", false, 5)).unwrap().present);
    }
}
