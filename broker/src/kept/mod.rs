//! What must survive the process: kept sessions with their queues, and retained messages.
//!
//! Whoever changes something that is kept says so under the lock of what it changes, and gets the
//! number of the round that will write it. The keeper's thread gathers changes for a moment,
//! writes them all in one [`Disk::write`] and tells the number of the round. Later changes of a key
//! replace earlier ones, and what came and went within a round is never written.
//!
//! Invariants: changes of one key reach the disk in the order in which they were made. What is
//! acknowledged to a client waits for its round. A round that cannot be written is tried again
//! until it is, and nothing after it is written before.

mod format;
mod load;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use parking_lot::{Condvar, Mutex, RwLock, RwLockReadGuard};
use tokio::sync::watch;

use crate::envelope::Envelope;
use crate::session::{Out, Session};
use crate::stats::Counters;
use crate::{Changes, Disk, Message};

pub(crate) use load::{Loaded, load};

/// How long changes are gathered for one write.
const GATHER: Duration = Duration::from_millis(1);
/// Before the first repetition of a write that failed; doubled up to [`MAX_PAUSE`].
const PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Milliseconds since 1970, at least 1.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(1, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
    })
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// A session, by number.
    Session(u64),
    /// A queued or sent message, by session and sequence.
    Message(u64, u64),
    /// A QoS 2 message that a session's client has begun to send, by packet identifier.
    Received(u64, u16),
    /// A retained message, by topic.
    Retained(Box<str>),
    /// An entry that cannot be read.
    Unreadable(Vec<u8>),
}

/// What is kept, encoded when it is written.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// As it is when it is written.
    Session(Arc<Session>),
    /// To be sent, or sent and not acknowledged.
    Message(Out),
    /// PUBREC came for it.
    Released,
    /// The intake's position that its PUBREC waits for.
    Received(u64),
    /// As published.
    Retained(Envelope),
}

#[derive(Debug)]
struct Change {
    /// `None` removes.
    value: Option<Value>,
    /// The key may be on disk, so that a removal has to be written.
    on_disk: bool,
}

#[derive(Debug)]
struct Dirty {
    /// The round that is gathered.
    round: u64,
    /// Something changed in it, if only to be changed back.
    touched: bool,
    changes: HashMap<Key, Change>,
    /// To end: when nothing is left to write, or at this time.
    stop: Option<Instant>,
}

/// The changes that are to be written.
#[derive(Debug)]
pub(crate) struct Keeper {
    dirty: Mutex<Dirty>,
    /// Told of the first change of a round, and of the end.
    told: Condvar,
    /// Held by those whose changes belong into one round.
    whole: RwLock<()>,
    written: watch::Sender<u64>,
}

impl Keeper {
    /// A keeper without a thread: it gathers only.
    pub(crate) fn new() -> Self {
        Self {
            dirty: Mutex::new(Dirty {
                round: 1,
                touched: false,
                changes: HashMap::new(),
                stop: None,
            }),
            told: Condvar::new(),
            whole: RwLock::new(()),
            written: watch::Sender::new(0),
        }
    }

    /// Starts to write.
    ///
    /// # Errors
    /// No thread could be started.
    pub(crate) fn start(
        self: &Arc<Self>,
        disk: Arc<dyn Disk>,
        counters: Arc<Counters>,
    ) -> std::io::Result<JoinHandle<()>> {
        let keeper = self.clone();
        thread::Builder::new()
            .name("mqtt-keeper".into())
            .spawn(move || keeper.run(&*disk, &counters))
    }

    /// Keeps what was not kept before under this key; the round that writes it.
    pub(crate) fn add(&self, key: Key, value: Value) -> u64 {
        self.change(key, Some(value), false)
    }

    /// Keeps it in place of what was kept under this key, if anything was; the round.
    pub(crate) fn put(&self, key: Key, value: Value) -> u64 {
        self.change(key, Some(value), true)
    }

    /// Keeps nothing under this key any more; the round.
    pub(crate) fn remove(&self, key: Key) -> u64 {
        self.change(key, None, true)
    }

    fn change(&self, key: Key, value: Option<Value>, on_disk: bool) -> u64 {
        let mut dirty = self.dirty.lock();
        match dirty.changes.entry(key) {
            Entry::Occupied(entry) if value.is_none() && !entry.get().on_disk => {
                entry.remove();
            }
            Entry::Occupied(mut entry) => entry.get_mut().value = value,
            Entry::Vacant(entry) => {
                entry.insert(Change { value, on_disk });
            }
        }
        if !dirty.touched {
            dirty.touched = true;
            self.told.notify_one();
        }
        dirty.round
    }

    /// The changes made while it is held are written in one round. Take it before any lock of a
    /// session or of subscriptions, and only once.
    pub(crate) fn whole(&self) -> RwLockReadGuard<'_, ()> {
        self.whole.read()
    }

    /// The round after which everything that was changed until now is on disk.
    pub(crate) fn latest(&self) -> u64 {
        let dirty = self.dirty.lock();
        dirty.round - u64::from(!dirty.touched)
    }

    /// The last round that is on disk.
    pub(crate) fn written(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// Ends the thread once everything is written, at `deadline` at the latest.
    pub(crate) fn stop(&self, deadline: Instant) {
        self.dirty.lock().stop = Some(deadline);
        self.told.notify_one();
    }

    fn run(&self, disk: &dyn Disk, counters: &Counters) {
        while let Some((round, changes)) = self.gather() {
            if !self.write(&changes, disk, counters) {
                return;
            }
            self.written.send_replace(round);
        }
    }

    /// Waits for a change and for those that follow it closely; `None` at the end.
    fn gather(&self) -> Option<(u64, HashMap<Key, Change>)> {
        let mut dirty = self.dirty.lock();
        while !dirty.touched {
            if dirty.stop.is_some() {
                return None;
            }
            self.told.wait(&mut dirty);
        }
        let until = Instant::now() + GATHER;
        while dirty.stop.is_none() && !self.told.wait_until(&mut dirty, until).timed_out() {}
        drop(dirty);
        let _whole = self.whole.write();
        let mut dirty = self.dirty.lock();
        let round = dirty.round;
        dirty.round += 1;
        dirty.touched = false;
        Some((round, std::mem::take(&mut dirty.changes)))
    }

    /// Writes until it succeeds; false when the end came first.
    fn write(&self, changes: &HashMap<Key, Change>, disk: &dyn Disk, counters: &Counters) -> bool {
        let mut pause = PAUSE;
        loop {
            if changes.is_empty() || disk.write(encoded(changes)).is_ok() {
                if pause > PAUSE {
                    tracing::warn!("the broker's state is written again");
                }
                return true;
            }
            counters.disk_failures.add(1);
            if pause == PAUSE {
                tracing::error!("the broker's state is not written; acknowledgements wait for it");
            }
            let until = Instant::now() + pause;
            pause = (pause * 2).min(MAX_PAUSE);
            let mut dirty = self.dirty.lock();
            loop {
                let until = dirty.stop.map_or(until, |stop| stop.min(until));
                if self.told.wait_until(&mut dirty, until).timed_out() {
                    break;
                }
            }
            if dirty.stop.is_some_and(|stop| stop <= Instant::now()) {
                return false;
            }
        }
    }
}

/// Key and value under which the broker finds a retained message on its [`Disk`], for a host that
/// has kept some before.
pub fn retained_entry(message: &Message) -> (Vec<u8>, Vec<u8>) {
    let envelope = crate::publisher::draft(message).seal(0);
    let key = format::key(&Key::Retained(message.topic.as_str().into()));
    (key, format::retained(&envelope))
}

fn encoded(changes: &HashMap<Key, Change>) -> Changes {
    let encode = |(key, change): (&Key, &Change)| {
        let value = change.value.as_ref().and_then(format::value);
        (format::key(key), value)
    };
    changes.iter().map(encode).collect()
}
