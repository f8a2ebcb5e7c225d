//! What was rejected, kept for people to look at: a ring of the newest letters.
//!
//! Ids count from 1 and have no holes, so that the ring's length is known without reading. Letters
//! wait in memory for the store's thread. A flood of bad input does not become a flood of writes:
//! above a rate letters are counted and not kept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fjall::{Database, Keyspace, PersistMode};
use parking_lot::{Condvar, Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::model::Millis;

/// Dead letters kept.
pub const DEAD_LETTERS: u64 = 10_000;
/// Bytes of a payload kept.
pub const MAX_PAYLOAD: usize = 4 << 10;
/// Bytes of each text of a letter kept.
pub const MAX_TEXT: usize = 1 << 10;
/// Letters kept of a sudden burst; so many may wait in memory too.
pub const PUT_BURST: u32 = 1000;
/// Letters kept in a second, for longer.
pub const PUT_RATE: u32 = 100;

/// Letters wait so long for company before they are written.
const GATHER: Duration = Duration::from_millis(200);

/// Something that was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When.
    pub at: Millis,
    /// Where it came from: an MQTT client and user, or `influx`.
    pub source: String,
    /// MQTT topic, or what stands for it.
    pub topic: String,
    /// Why, one word out of a small set: the label of the counter.
    pub reason: String,
    /// Why, for people.
    pub detail: String,
    /// What was rejected, its first [`MAX_PAYLOAD`] bytes.
    pub payload: Vec<u8>,
}

/// A dead letter as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLetter {
    /// Counts from 1; later letters have greater ids.
    pub id: u64,
    /// Bytes of the whole payload; more than the letter holds where it was cut.
    pub payload_size: u64,
    /// The letter.
    pub letter: DeadLetter,
}

pub(super) struct DeadLetters {
    ring: Arc<Ring>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Ring {
    database: Database,
    keyspace: Keyspace,
    capacity: u64,
    state: Mutex<State>,
    /// The thread waits here.
    wake: Condvar,
    /// One writer at a time, so that letters are stored in order.
    writing: Mutex<()>,
}

struct State {
    waiting: VecDeque<StoredLetter>,
    /// Id of the oldest letter kept; `next` where there is none.
    oldest: u64,
    next: u64,
    budget: Budget,
    skipped: u64,
    closing: bool,
}

/// How many letters may be kept right now.
struct Budget {
    left: u32,
    since: Instant,
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        let earned = now.duration_since(self.since).as_millis() * u128::from(PUT_RATE) / 1000;
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(PUT_BURST);
            self.left = self.left.saturating_add(earned).min(PUT_BURST);
            self.since = now;
        }
        let takes = self.left > 0;
        self.left = self.left.saturating_sub(1);
        takes
    }
}

impl DeadLetters {
    pub(super) fn open(
        database: Database,
        keyspace: Keyspace,
        capacity: u64,
    ) -> Result<Self, StoreError> {
        let first = keyspace.first_key_value().map(key).transpose()?;
        let last = keyspace.last_key_value().map(key).transpose()?;
        let next = last.map_or(1, |last| last + 1);
        let state = State {
            waiting: VecDeque::new(),
            oldest: first.unwrap_or(next),
            next,
            budget: Budget {
                left: PUT_BURST,
                since: Instant::now(),
            },
            skipped: 0,
            closing: false,
        };
        let ring = Arc::new(Ring {
            database,
            keyspace,
            capacity,
            state: Mutex::new(state),
            wake: Condvar::new(),
            writing: Mutex::new(()),
        });
        let worker = ring.clone();
        let writer = thread::Builder::new()
            .name("dead-letters".to_owned())
            .spawn(move || worker.run())
            .map_err(StoreError::on("start its thread"))?;
        Ok(Self {
            ring,
            writer: Mutex::new(Some(writer)),
        })
    }

    pub(super) fn put(&self, mut letter: DeadLetter) -> Option<u64> {
        let mut state = self.ring.state.lock();
        if state.waiting.len() >= PUT_BURST as usize || !state.budget.take(Instant::now()) {
            state.skipped += 1;
            return None;
        }
        let payload_size = letter.payload.len() as u64;
        letter.payload.truncate(MAX_PAYLOAD);
        let DeadLetter {
            source,
            topic,
            reason,
            detail,
            ..
        } = &mut letter;
        for text in [source, topic, reason, detail] {
            text.truncate(text.floor_char_boundary(MAX_TEXT));
        }
        let id = state.next;
        state.next += 1;
        state.waiting.push_back(StoredLetter {
            id,
            payload_size,
            letter,
        });
        let first = state.waiting.len() == 1;
        drop(state);
        if first {
            self.ring.wake.notify_one();
        }
        Some(id)
    }

    pub(super) fn list(
        &self,
        limit: usize,
        before: Option<u64>,
        reason: Option<&str>,
    ) -> Result<Vec<StoredLetter>, StoreError> {
        self.flush()?;
        let end = before.unwrap_or(u64::MAX).to_be_bytes();
        let letters = self.ring.keyspace.range(..end).rev().map(|guard| {
            let value = guard.value().map_err(StoreError::on("read dead letters"))?;
            postcard::from_bytes(&value).map_err(StoreError::on("understand a dead letter"))
        });
        letters
            .filter(|letter: &Result<StoredLetter, _>| match (letter, reason) {
                (Ok(stored), Some(reason)) => stored.letter.reason == reason,
                _ => true,
            })
            .take(limit)
            .collect()
    }

    pub(super) fn count(&self) -> u64 {
        let state = self.ring.state.lock();
        (state.next - state.oldest).min(self.ring.capacity)
    }

    pub(super) fn skipped(&self) -> u64 {
        self.ring.state.lock().skipped
    }

    /// Id of the newest letter that the thread has written.
    #[cfg(test)]
    pub(super) fn stored(&self) -> Option<u64> {
        key(self.ring.keyspace.last_key_value()?).ok()
    }

    /// Stores what waits.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        self.ring.write()
    }

    /// Stores what waits and ends the thread.
    pub(super) fn close(&self) {
        self.ring.state.lock().closing = true;
        self.ring.wake.notify_one();
        if let Some(writer) = self.writer.lock().take()
            && writer.join().is_err()
        {
            tracing::error!("the dead letters' thread panicked");
        }
    }
}

impl Ring {
    fn run(&self) {
        while self.wait() {
            if let Err(error) = self.write() {
                tracing::error!(%error, "dead letters are lost");
            }
        }
    }

    /// Waits for letters and some company for them; `false` when there is nothing more to do.
    fn wait(&self) -> bool {
        let mut state = self.state.lock();
        while state.waiting.is_empty() && !state.closing {
            self.wake.wait(&mut state);
        }
        let deadline = Instant::now() + GATHER;
        while !state.closing && !self.wake.wait_until(&mut state, deadline).timed_out() {}
        !(state.closing && state.waiting.is_empty())
    }

    fn write(&self) -> Result<(), StoreError> {
        let _in_order = self.writing.lock();
        let mut state = self.state.lock();
        let letters = std::mem::take(&mut state.waiting);
        let oldest = state.next.saturating_sub(self.capacity).max(1);
        let gone = state.oldest..oldest;
        MutexGuard::unlocked(&mut state, || self.store(letters, gone))?;
        state.oldest = state.oldest.max(oldest);
        Ok(())
    }

    fn store(
        &self,
        letters: VecDeque<StoredLetter>,
        gone: std::ops::Range<u64>,
    ) -> Result<(), StoreError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        for letter in letters.iter().filter(|letter| !gone.contains(&letter.id)) {
            let value = postcard::to_stdvec(letter).map_err(StoreError::on("encode a letter"))?;
            batch.insert(&self.keyspace, letter.id.to_be_bytes(), value);
        }
        for id in gone {
            batch.remove(&self.keyspace, id.to_be_bytes());
        }
        batch.commit().map_err(StoreError::on("write dead letters"))
    }
}

fn key(guard: fjall::Guard) -> Result<u64, StoreError> {
    let key = guard.key().map_err(StoreError::on("read dead letters"))?;
    let bytes = key
        .as_ref()
        .try_into()
        .map_err(StoreError::on("understand a dead letter's id"))?;
    Ok(u64::from_be_bytes(bytes))
}
