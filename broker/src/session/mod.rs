//! What the broker remembers of a client: its subscriptions, what waits for it and what is in
//! flight.
//!
//! Invariants: a session belongs to at most one connection, the one that holds its current
//! generation; every other one finds that out at its next access and ends. A session that outlives
//! its connection is kept: whatever changes in it is told to the [`Keeper`] under its lock. One
//! that does not costs the disk nothing and ends with its connection.

mod out;
mod state;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::envelope::Envelope;
use crate::kept::{Keeper, Key, Value, now_ms};
use crate::stats::Counters;
use crate::will::Will;

pub(crate) use out::{Ids, Out, QueueLimit, Terms};
pub(crate) use state::{Filter, Phase, Received, State};

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    /// Client identifier.
    pub(crate) id: Arc<str>,
    /// User that it belongs to.
    pub(crate) user: Option<Arc<str>>,
    /// Never given twice while anything of it is on disk; the origin of its messages.
    pub(crate) number: u64,
    /// Where its changes go, for one that outlives its connections.
    pub(crate) kept: Option<Arc<Keeper>>,
    state: Mutex<State>,
}

/// What is left to do when a connection is over.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// The session is over too and has to be buried.
    pub(crate) over: bool,
    /// To publish now.
    pub(crate) will: Option<Box<Will>>,
}

impl Session {
    /// A session for its first connection, generation 1.
    pub(crate) fn new(
        id: Arc<str>,
        user: Option<Arc<str>>,
        number: u64,
        kept: Option<Arc<Keeper>>,
    ) -> Self {
        Self {
            id,
            user,
            number,
            kept,
            state: Mutex::new(State::new()),
        }
    }

    /// The state, for the registry.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The state, for the connection that holds `generation`; `None` when another one took over.
    pub(crate) fn own(&self, generation: u64) -> Option<MutexGuard<'_, State>> {
        let state = self.state.lock();
        (state.generation == generation && state.phase == Phase::Connected).then_some(state)
    }

    /// Tells the keeper that subscriptions, will or whereabouts have changed; the round.
    pub(crate) fn changed(self: &Arc<Self>) -> u64 {
        let record = || Value::Session(self.clone());
        (self.kept.as_ref()).map_or(0, |kept| kept.put(Key::Session(self.number), record()))
    }

    /// Tells the keeper of a message that was queued; the round.
    fn added(&self, out: &Out) -> u64 {
        self.kept.as_ref().map_or(0, |kept| {
            let key = Key::Message(self.number, out.sequence);
            kept.add(key, Value::Message(out.clone()))
        })
    }

    /// Tells the keeper that the client has received a QoS 2 message; the round.
    pub(crate) fn released(&self, sequence: u64) -> u64 {
        let key = Key::Message(self.number, sequence);
        (self.kept.as_ref()).map_or(0, |kept| kept.put(key, Value::Released))
    }

    /// Tells the keeper that a message is dealt with; 0 is one that it never had.
    pub(crate) fn done(&self, sequence: u64) {
        if let Some(kept) = &self.kept
            && sequence > 0
        {
            kept.remove(Key::Message(self.number, sequence));
        }
    }

    /// Queues messages that match the client's subscription to `filter` and wakes its connection;
    /// the round to wait for.
    pub(crate) fn deliver<'a>(
        &self,
        messages: impl Iterator<Item = &'a Envelope>,
        filter: &str,
        terms: &Terms,
        limit: QueueLimit,
        counters: &Counters,
    ) -> u64 {
        let mut state = self.state.lock();
        if state.phase == Phase::Ended {
            return 0;
        }
        let mut round = 0;
        for message in messages {
            if let Some(out) = state.apply(filter, terms, message, self.number) {
                round = round.max(state.accept(self, out, limit, counters));
            }
        }
        if state.phase == Phase::Connected {
            state.wake.notify_one();
        }
        round
    }

    /// Queues a message of a shared subscription; the round to wait for, `None` when the session
    /// is over.
    pub(crate) fn deliver_shared(
        &self,
        out: Out,
        limit: QueueLimit,
        counters: &Counters,
    ) -> Option<u64> {
        let mut state = self.state.lock();
        if state.phase == Phase::Ended {
            return None;
        }
        let round = state.accept(self, out, limit, counters);
        if state.phase == Phase::Connected {
            state.wake.notify_one();
        }
        Some(round)
    }

    /// Ends the connection of the client, if there is one, as too slow.
    pub(crate) fn overrun(&self) {
        let mut state = self.state.lock();
        state.overrun = true;
        state.wake.notify_one();
    }

    /// The connection of `generation` is over. The session stays for `expiry` seconds. Nothing is
    /// left to do for a connection that was taken over.
    pub(crate) fn leave(self: &Arc<Self>, generation: u64, expiry: u32, with_will: bool) -> Left {
        let mut state = self.state.lock();
        if state.generation != generation || state.phase != Phase::Connected {
            return Left::default();
        }
        if !with_will {
            state.will = None;
        }
        if expiry == 0 || self.kept.is_none() {
            state.phase = Phase::Ended;
            return Left {
                over: true,
                will: None,
            };
        }
        state.expiry = expiry;
        state.away_since = now_ms();
        state.overrun = false;
        state.forget_qos_0();
        state.wait_from(Instant::now(), Duration::ZERO);
        let will = state.will.take_if(|will| will.delay == 0);
        if state.will.is_none() {
            state.will_due = None;
        }
        self.changed();
        Left { over: false, will }
    }
}

impl State {
    /// The client is away, at `now` since `gone`: sets the end of the session and the time of its
    /// will, which is published at the end of the session at the latest [MQTT-3.1.3-9].
    pub(crate) fn wait_from(&mut self, now: Instant, gone: Duration) {
        let after = |seconds: u32| {
            now.checked_add(Duration::from_secs(u64::from(seconds)).saturating_sub(gone))
        };
        let until = (self.expiry != u32::MAX).then(|| after(self.expiry));
        self.phase = Phase::Away(until.flatten());
        let delay = self.will.as_ref().map(|will| will.delay.min(self.expiry));
        self.will_due = delay.and_then(after);
    }
}

#[cfg(test)]
pub(crate) mod tests;
