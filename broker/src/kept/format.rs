//! Keys and values on disk.
//!
//! A key is one byte for its table and the rest, integers big-endian: `s` session number u64; `m`
//! session number u64, sequence u64; `r` session number u64, packet identifier u16; `t` topic.
//! A value begins with [`VERSION`]; integers are big-endian, `text` and `data` are a length u32
//! and bytes. Times are milliseconds since 1970.
//!
//! Reading is total: what is cut, longer than it should be or not valid is `None`.

use bytes::BufMut;

use super::{Key, Value, now_ms};
use crate::codec::{QoS, valid_filter, valid_topic};
use crate::envelope::{Draft, Envelope, HOST, Parts};
use crate::session::{Filter, Ids, Out, Phase, Session, Terms};
use crate::will::Will;

/// Of all values.
const VERSION: u8 = 1;

/// A session as it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: Box<str>,
    pub(super) user: Option<Box<str>>,
    pub(super) expiry: u32,
    /// 0 for connected.
    pub(super) away_since: u64,
    pub(super) filters: Vec<(Box<str>, Filter)>,
    pub(super) will: Option<Will>,
}

/// A message of a session.
#[derive(Debug)]
pub(super) enum Message {
    Queued(Box<Out>),
    Released,
}

pub(super) fn key(key: &Key) -> Vec<u8> {
    let mut out = Vec::with_capacity(17);
    match key {
        Key::Session(number) => {
            out.put_u8(b's');
            out.put_u64(*number);
        }
        Key::Message(number, sequence) => {
            out.put_u8(b'm');
            out.put_u64(*number);
            out.put_u64(*sequence);
        }
        Key::Received(number, pkid) => {
            out.put_u8(b'r');
            out.put_u64(*number);
            out.put_u16(*pkid);
        }
        Key::Retained(topic) => {
            out.put_u8(b't');
            out.put_slice(topic.as_bytes());
        }
        Key::Unreadable(key) => out.put_slice(key),
    }
    out
}

pub(super) fn read_key(bytes: &[u8]) -> Option<Key> {
    let (table, rest) = bytes.split_first()?;
    let mut rest = Reader(rest);
    let key = match table {
        b's' => Key::Session(rest.u64()?),
        b'm' => Key::Message(rest.u64()?, rest.u64()?),
        b'r' => Key::Received(rest.u64()?, rest.u16()?),
        b't' => {
            let topic = std::str::from_utf8(rest.0).ok()?;
            rest = Reader(&[]);
            Key::Retained(topic.into())
        }
        _ => return None,
    };
    rest.0.is_empty().then_some(key)
}

/// `None`: there is nothing to keep any more.
pub(super) fn value(value: &Value) -> Option<Vec<u8>> {
    let mut out = vec![VERSION];
    match value {
        Value::Session(session) => put_session(session, &mut out)?,
        Value::Message(message) => put_message(message, &mut out),
        Value::Released => out.put_u8(1),
        Value::Received(position) => out.put_u64(*position),
        Value::Retained(message) => return Some(retained(message)),
    }
    Some(out)
}

pub(super) fn retained(message: &Envelope) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_envelope(message, &mut out);
    out
}

fn put_session(session: &Session, out: &mut Vec<u8>) -> Option<()> {
    let state = session.lock();
    if state.phase == Phase::Ended {
        return None;
    }
    put_data(session.id.as_bytes(), out);
    out.put_u8(u8::from(session.user.is_some()));
    put_data(session.user.as_deref().unwrap_or_default().as_bytes(), out);
    out.put_u32(state.expiry);
    out.put_u64(state.away_since);
    out.put_u32(u32::try_from(state.filters().len()).unwrap_or(u32::MAX));
    for (filter, Filter { order, terms }) in state.filters() {
        put_data(filter.as_bytes(), out);
        out.put_u64(*order);
        let flags = u8::from(terms.no_local) << 2 | u8::from(terms.retain_as_published) << 3;
        out.put_u8(terms.qos as u8 | flags);
        out.put_u32(terms.subscription_id);
    }
    out.put_u8(u8::from(state.will.is_some()));
    if let Some(will) = &state.will {
        put_data(will.topic.as_bytes(), out);
        put_data(&will.payload, out);
        out.put_u8(will.qos as u8 | u8::from(will.retain) << 2);
        put_data(&will.properties, out);
        out.put_u8(u8::from(will.expiry.is_some()));
        out.put_u32(will.expiry.unwrap_or(0));
        out.put_u32(will.delay);
    }
    Some(())
}

pub(super) fn read_session(value: &[u8]) -> Option<Record> {
    let mut from = Reader::of_value(value)?;
    let id = from.text()?.into();
    let has_user = from.flag()?;
    let user = from.text()?;
    let mut record = Record {
        id,
        user: has_user.then(|| user.into()),
        expiry: from.u32()?,
        away_since: from.u64()?,
        filters: Vec::new(),
        will: None,
    };
    for _ in 0..from.u32()? {
        let filter = from.text().filter(|filter| valid_filter(filter))?;
        let order = from.u64()?;
        let flags = from.u8()?;
        let terms = Terms {
            qos: QoS::from_bits(flags & 3)?,
            no_local: flags & 4 != 0,
            retain_as_published: flags & 8 != 0,
            subscription_id: from.u32()?,
        };
        record
            .filters
            .push((filter.into(), Filter { order, terms }));
    }
    if from.flag()? {
        record.will = Some(read_will(&mut from)?);
    }
    from.0.is_empty().then_some(record)
}

fn read_will(from: &mut Reader<'_>) -> Option<Will> {
    let topic = from.text().filter(|topic| valid_topic(topic))?.to_owned();
    let payload = from.data()?.to_vec();
    let flags = from.u8()?;
    let properties = from.data()?.to_vec();
    let expires = from.flag()?;
    let expiry = from.u32()?;
    Some(Will {
        topic,
        payload,
        qos: QoS::from_bits(flags & 3)?,
        retain: flags & 4 != 0,
        properties,
        expiry: expires.then_some(expiry),
        delay: from.u32()?,
    })
}

fn put_message(message: &Out, out: &mut Vec<u8>) {
    out.put_u8(0);
    out.put_u8(message.qos as u8 | u8::from(message.retain) << 2);
    put_data(message.share.as_deref().unwrap_or_default().as_bytes(), out);
    let ids = message.ids.as_slice();
    out.put_u32(u32::try_from(ids.len()).unwrap_or(u32::MAX));
    ids.iter().for_each(|id| out.put_u32(*id));
    put_envelope(&message.message, out);
}

/// `sequence` is the message's, from its key.
pub(super) fn read_message(value: &[u8], sequence: u64) -> Option<Message> {
    let mut from = Reader::of_value(value)?;
    if from.flag()? {
        return from.0.is_empty().then_some(Message::Released);
    }
    let flags = from.u8()?;
    let share = from.text()?;
    let count = from.u32()?;
    let ids: Option<Vec<u32>> = (0..count).map(|_| from.u32()).collect();
    Some(Message::Queued(Box::new(Out {
        message: from.envelope()?,
        qos: QoS::from_bits(flags & 3)?,
        retain: flags & 4 != 0,
        again: true,
        ids: Ids::of(ids?),
        sequence,
        round: 0,
        share: (!share.is_empty()).then(|| share.into()),
    })))
}

pub(super) fn read_received(value: &[u8]) -> Option<u64> {
    let mut from = Reader::of_value(value)?;
    let position = from.u64()?;
    from.0.is_empty().then_some(position)
}

/// `topic` is the message's, from its key.
pub(super) fn read_retained(value: &[u8], topic: &str) -> Option<Envelope> {
    let message = Reader::of_value(value)?.envelope()?;
    (message.topic() == topic && !message.payload().is_empty()).then_some(message)
}

fn put_envelope(message: &Envelope, out: &mut Vec<u8>) {
    out.put_u8(message.qos() as u8 | u8::from(message.retain()) << 2);
    let left = message.seconds_left().map(u64::from);
    out.put_u64(left.map_or(0, |left| now_ms().saturating_add(left * 1_000)));
    put_data(message.topic().as_bytes(), out);
    put_data(message.properties(), out);
    out.put_slice(message.payload());
}

fn put_data(data: &[u8], out: &mut Vec<u8>) {
    out.put_u32(u32::try_from(data.len()).unwrap_or(u32::MAX));
    out.put_slice(data);
}

/// What is left of a value.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// What follows the version of a value.
    fn of_value(value: &'a [u8]) -> Option<Self> {
        let mut reader = Self(value);
        (reader.u8()? == VERSION).then_some(reader)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn data(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        self.take(usize::try_from(len).ok()?)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.data()?).ok()
    }

    fn envelope(&mut self) -> Option<Envelope> {
        let flags = self.u8()?;
        let expires = self.u64()?;
        let seconds = expires.saturating_sub(now_ms()).div_ceil(1_000);
        let topic = self.text().filter(|topic| valid_topic(topic))?;
        let properties = self.data()?;
        let payload = self.take(self.0.len())?;
        let draft = Draft::new(&Parts {
            topic,
            payload,
            qos: QoS::from_bits(flags & 3)?,
            retain: flags & 4 != 0,
            properties,
            expiry: (expires != 0).then(|| u32::try_from(seconds).unwrap_or(u32::MAX)),
            origin: HOST,
        });
        Some(draft.seal(0))
    }
}
