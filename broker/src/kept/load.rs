//! From the disk to what the broker starts with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::{HashMap, HashSet};

use super::format::{
    Message, Record, read_key, read_message, read_received, read_retained, read_session,
};
use super::{Keeper, Key, now_ms};
use crate::envelope::Envelope;
use crate::session::{Received, Session, State};
use crate::stats::Counters;
use crate::{Disk, DiskFailed};

/// What the broker starts with.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// All away, those that are over too: they end like any other.
    pub(crate) sessions: Vec<Arc<Session>>,
    pub(crate) retained: Vec<Envelope>,
    /// The highest number that a session has had.
    pub(crate) last_number: u64,
}

/// What is on disk of one session.
#[derive(Default)]
struct Parts {
    record: Option<Record>,
    /// By sequence, which is the order of their keys.
    messages: Vec<(u64, Message)>,
    received: HashMap<u16, u64>,
}

/// Reads everything. What cannot be read or belongs to no session is removed; that and what is
/// expired is counted. `durable` is the position up to which the intake has everything.
pub(crate) fn load(
    disk: &dyn Disk,
    keeper: &Arc<Keeper>,
    durable: u64,
    counters: &Counters,
) -> Result<Loaded, DiskFailed> {
    let mut loaded = Loaded::default();
    let mut parts: BTreeMap<u64, Parts> = BTreeMap::new();
    disk.read(&mut |key, value| {
        let understood = sort(key, value, &mut parts, &mut loaded.retained);
        if understood.is_none() {
            let table = key.first().map(|table| char::from(*table));
            tracing::warn!(
                ?table,
                key_bytes = key.len(),
                "an entry of the broker's state cannot be read and is removed"
            );
            counters.disk_unreadable.add(1);
            keeper.remove(Key::Unreadable(key.to_vec()));
        }
    })?;
    loaded.last_number = parts.keys().next_back().copied().unwrap_or(0);
    // A client identifier may be there twice after a crash; its highest number is the last.
    let mut seen: HashSet<Box<str>> = HashSet::new();
    for (number, parts) in parts.into_iter().rev() {
        match parts.record {
            Some(record) if seen.insert(record.id.clone()) => {
                let session = restore(number, record, keeper);
                fill(&session, parts.messages, parts.received, durable);
                loaded.sessions.push(session);
            }
            _ => remove(number, &parts, keeper),
        }
    }
    Ok(loaded)
}

/// Puts an entry where it belongs; `None` when it cannot be read.
fn sort(
    key: &[u8],
    value: &[u8],
    parts: &mut BTreeMap<u64, Parts>,
    retained: &mut Vec<Envelope>,
) -> Option<()> {
    match read_key(key)? {
        Key::Session(number) => {
            let record = read_session(value)?;
            parts.entry(number).or_default().record = Some(record);
        }
        Key::Message(number, sequence) => {
            let message = read_message(value, sequence)?;
            let messages = &mut parts.entry(number).or_default().messages;
            messages.push((sequence, message));
        }
        Key::Received(number, pkid) => {
            let position = read_received(value)?;
            let received = &mut parts.entry(number).or_default().received;
            received.insert(pkid, position);
        }
        Key::Retained(topic) => retained.push(read_retained(value, &topic)?),
        Key::Unreadable(_) => return None,
    }
    Some(())
}

fn restore(number: u64, record: Record, keeper: &Arc<Keeper>) -> Arc<Session> {
    let (id, user) = (record.id.into(), record.user.map(Into::into));
    let session = Arc::new(Session::new(id, user, number, Some(keeper.clone())));
    let mut state = session.lock();
    for (filter, known) in record.filters {
        state.restore_filter(filter, known);
    }
    state.expiry = record.expiry;
    state.will = record.will.map(Box::new);
    let now = now_ms();
    // One that was connected is away since now.
    let was_connected = record.away_since == 0;
    state.away_since = if was_connected {
        now
    } else {
        record.away_since
    };
    let gone = Duration::from_millis(now.saturating_sub(state.away_since));
    state.wait_from(Instant::now(), gone);
    drop(state);
    if was_connected {
        session.changed();
    }
    session
}

fn fill(
    session: &Session,
    messages: Vec<(u64, Message)>,
    received: HashMap<u16, u64>,
    durable: u64,
) {
    let state: &mut State = &mut session.lock();
    for (sequence, message) in messages {
        match message {
            Message::Queued(out) => state.restore(*out),
            Message::Released => {
                state.last_sequence = state.last_sequence.max(sequence);
                state.window.push_released(sequence);
            }
        }
    }
    let received = received.into_iter().map(|(pkid, position)| {
        let lost = position > durable;
        let received = Received {
            position,
            round: 0,
            lost,
        };
        (pkid, received)
    });
    state.received.extend(received);
}

/// Of a session that is not there.
fn remove(number: u64, parts: &Parts, keeper: &Keeper) {
    keeper.remove(Key::Session(number));
    for (sequence, _) in &parts.messages {
        keeper.remove(Key::Message(number, *sequence));
    }
    for pkid in parts.received.keys() {
        keeper.remove(Key::Received(number, *pkid));
    }
}
