//! A message on its way through the broker: one buffer, shared by all its receivers.
//!
//! Format, integers little-endian:
//! `sequence u64 | origin u64 | expires u32 | flags u8 | 0 u8 | topic length u16 | properties
//! length u32 | "m/" topic | properties | payload`.
//! The "m/" belongs to the router: it cuts the first byte off a topic, which must therefore be
//! ASCII, and it treats topics that begin with `$` apart.
//! `flags`: bits 0-1 QoS, bit 2 retain. `expires`: seconds since the start of the
//! process, 0 for never. `properties`: MQTT 5 properties that are forwarded as they came.

use std::sync::OnceLock;
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::QoS;

const HEADER: usize = 28;
/// Before every topic and filter inside the router.
pub(crate) const PREFIX: &str = "m/";
const RETAIN: u8 = 0b100;

/// Publisher of messages of the host; sessions count from 1.
pub(crate) const HOST: u64 = 0;

/// Seconds since the first call, plus one.
pub(crate) fn uptime() -> u32 {
    static START: OnceLock<Instant> = OnceLock::new();
    let seconds = START.get_or_init(Instant::now).elapsed().as_secs();
    u32::try_from(seconds).unwrap_or(u32::MAX).saturating_add(1)
}

/// What a message is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    /// Valid topic.
    pub(crate) topic: &'a str,
    /// May be empty.
    pub(crate) payload: &'a [u8],
    /// As published.
    pub(crate) qos: QoS,
    /// As published.
    pub(crate) retain: bool,
    /// MQTT 5 properties to forward.
    pub(crate) properties: &'a [u8],
    /// Seconds the message is worth delivering.
    pub(crate) expiry: Option<u32>,
    /// Number of the publishing session, or [`HOST`].
    pub(crate) origin: u64,
}

/// A message that has no place in the router's sequence yet.
#[derive(Debug)]
pub(crate) struct Draft(BytesMut);

impl Draft {
    /// Copies the parts into one buffer.
    pub(crate) fn new(parts: &Parts<'_>) -> Self {
        let size = HEADER
            + PREFIX.len()
            + parts.topic.len()
            + parts.properties.len()
            + parts.payload.len();
        let mut buf = BytesMut::with_capacity(size);
        let expires = parts
            .expiry
            .map_or(0, |seconds| uptime().saturating_add(seconds));
        let flags = parts.qos as u8 | if parts.retain { RETAIN } else { 0 };
        buf.put_u64_le(0);
        buf.put_u64_le(parts.origin);
        buf.put_u32_le(expires);
        buf.put_u8(flags);
        buf.put_u8(0);
        buf.put_u16_le(u16::try_from(parts.topic.len()).unwrap_or(u16::MAX));
        buf.put_u32_le(u32::try_from(parts.properties.len()).unwrap_or(u32::MAX));
        buf.put_slice(PREFIX.as_bytes());
        buf.put_slice(parts.topic.as_bytes());
        buf.put_slice(parts.properties);
        buf.put_slice(parts.payload);
        Self(buf)
    }

    /// The message with its place in the router's sequence; 0 where it does not go there.
    pub(crate) fn seal(mut self, sequence: u64) -> Envelope {
        if let Some(place) = self.0.get_mut(..8) {
            place.copy_from_slice(&sequence.to_le_bytes());
        }
        Envelope(self.0.freeze())
    }
}

/// A message; a clone shares the buffer.
#[derive(Debug, Clone)]
pub(crate) struct Envelope(Bytes);

impl Envelope {
    /// The message of a buffer that came back from the router.
    pub(crate) fn from_router(buf: Bytes) -> Option<Self> {
        let envelope = Self(buf);
        (envelope.0.len() >= envelope.payload_at()).then_some(envelope)
    }

    fn number<const N: usize>(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        if let (Some(to), Some(from)) = (bytes.get_mut(..N), self.0.get(at..at + N)) {
            to.copy_from_slice(from);
        }
        u64::from_le_bytes(bytes)
    }

    fn topic_len(&self) -> usize {
        self.number::<2>(22) as usize
    }

    fn properties_at(&self) -> usize {
        HEADER + PREFIX.len() + self.topic_len()
    }

    fn payload_at(&self) -> usize {
        self.properties_at() + self.number::<4>(24) as usize
    }

    /// Place in the router's sequence.
    pub(crate) fn sequence(&self) -> u64 {
        self.number::<8>(0)
    }

    /// Number of the publishing session.
    pub(crate) fn origin(&self) -> u64 {
        self.number::<8>(8)
    }

    /// When it is too late, in [`uptime`]; `None` for never.
    pub(crate) fn expires(&self) -> Option<u32> {
        u32::try_from(self.number::<4>(16))
            .ok()
            .filter(|expires| *expires != 0)
    }

    /// Seconds left: `None` for ever, `Some(0)` when it is too late.
    pub(crate) fn seconds_left(&self) -> Option<u32> {
        self.expires()
            .map(|expires| expires.saturating_sub(uptime()))
    }

    /// As published.
    pub(crate) fn qos(&self) -> QoS {
        QoS::from_bits(self.number::<1>(20) as u8 & 0b11).unwrap_or_default()
    }

    /// As published.
    pub(crate) fn retain(&self) -> bool {
        self.number::<1>(20) as u8 & RETAIN != 0
    }

    /// Topic of the message.
    pub(crate) fn topic(&self) -> &str {
        let bytes = self
            .0
            .get(HEADER + PREFIX.len()..self.properties_at())
            .unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Topic inside the router, sharing the buffer.
    pub(crate) fn router_topic(&self) -> Bytes {
        self.0.slice(HEADER..self.properties_at())
    }

    /// The whole buffer, which is the payload inside the router.
    pub(crate) fn router_payload(&self) -> Bytes {
        self.0.clone()
    }

    /// MQTT 5 properties to forward.
    pub(crate) fn properties(&self) -> &[u8] {
        self.0
            .get(self.properties_at()..self.payload_at())
            .unwrap_or_default()
    }

    /// Payload of the message.
    pub(crate) fn payload(&self) -> &[u8] {
        self.0.get(self.payload_at()..).unwrap_or_default()
    }

    /// Bytes in memory.
    pub(crate) fn size(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>(topic: &'a str, payload: &'a [u8]) -> Parts<'a> {
        Parts {
            topic,
            payload,
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: &[1, 0],
            expiry: Some(5),
            origin: 7,
        }
    }

    #[test]
    fn a_message_keeps_all_its_parts_on_the_way_through_the_router() {
        let sealed = Draft::new(&parts("ä/b", b"x")).seal(42);
        let back = Envelope::from_router(sealed.router_payload()).unwrap();
        assert_eq!((back.topic(), back.payload()), ("ä/b", &b"x"[..]));
        assert_eq!((back.sequence(), back.origin()), (42, 7));
        assert_eq!((back.qos(), back.retain()), (QoS::AtLeastOnce, true));
        assert_eq!(back.properties(), &[1, 0]);
        assert!(
            back.seconds_left()
                .is_some_and(|left| (4..=5).contains(&left))
        );
        assert_eq!(&back.router_topic()[..], "m/ä/b".as_bytes());
    }

    #[test]
    fn a_cut_buffer_is_no_message() {
        let whole = Draft::new(&parts("a/b", b"")).seal(1).router_payload();
        for len in 0..whole.len() {
            assert!(
                Envelope::from_router(whole.slice(..len)).is_none(),
                "{len} bytes"
            );
        }
    }
}
