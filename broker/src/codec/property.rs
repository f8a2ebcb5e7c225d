//! Properties of MQTT 5 on the wire (section 2.2.2): a variable byte integer with the length in
//! bytes of all, then for each one byte of identifier and a value of the type that belongs to it.

use bytes::BufMut;

use super::{
    read::{Reader, VARINT_MAX},
    reason::Malformed,
};

/// Identifiers, by their names in the specification.
pub(super) mod id {
    pub(in super::super) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(in super::super) const MESSAGE_EXPIRY: u8 = 0x02;
    pub(in super::super) const CONTENT_TYPE: u8 = 0x03;
    pub(in super::super) const RESPONSE_TOPIC: u8 = 0x08;
    pub(in super::super) const CORRELATION_DATA: u8 = 0x09;
    pub(in super::super) const SUBSCRIPTION_ID: u8 = 0x0b;
    pub(in super::super) const SESSION_EXPIRY: u8 = 0x11;
    pub(in super::super) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(in super::super) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(in super::super) const AUTHENTICATION_METHOD: u8 = 0x15;
    pub(in super::super) const AUTHENTICATION_DATA: u8 = 0x16;
    pub(in super::super) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub(in super::super) const WILL_DELAY: u8 = 0x18;
    pub(in super::super) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub(in super::super) const REASON_STRING: u8 = 0x1f;
    pub(in super::super) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(in super::super) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub(in super::super) const TOPIC_ALIAS: u8 = 0x23;
    pub(in super::super) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(in super::super) const USER_PROPERTY: u8 = 0x26;
    pub(in super::super) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub(in super::super) const WILDCARD_AVAILABLE: u8 = 0x28;
    pub(in super::super) const SUBSCRIPTION_IDS_AVAILABLE: u8 = 0x29;
    pub(in super::super) const SHARED_AVAILABLE: u8 = 0x2a;
}

/// A set of identifiers; all are below 64.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids(u64);

impl Ids {
    pub(super) const fn of(ids: &[u8]) -> Self {
        let mut bits = 0;
        let mut rest = ids;
        while let [first, others @ ..] = rest {
            bits |= 1 << *first;
            rest = others;
        }
        Self(bits)
    }

    fn has(self, id: u8) -> bool {
        id < 64 && self.0 & (1 << id) != 0
    }
}

/// A value of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// One byte.
    Byte(u8),
    /// Two byte integer.
    Two(u16),
    /// Four byte integer.
    Four(u32),
    /// Variable byte integer.
    Var(u32),
    /// UTF-8 string.
    Text(&'a str),
    /// Binary data.
    Data(&'a [u8]),
    /// String pair; who needs it reads the bytes.
    Pair,
}

impl<'a> Value<'a> {
    /// The value of a property that a client may send.
    fn read(id: u8, reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(match id {
            id::PAYLOAD_FORMAT
            | id::REQUEST_PROBLEM_INFORMATION
            | id::REQUEST_RESPONSE_INFORMATION => Self::Byte(reader.u8()?),
            id::RECEIVE_MAXIMUM | id::TOPIC_ALIAS_MAXIMUM | id::TOPIC_ALIAS => {
                Self::Two(reader.u16()?)
            }
            id::MESSAGE_EXPIRY | id::SESSION_EXPIRY | id::WILL_DELAY | id::MAXIMUM_PACKET_SIZE => {
                Self::Four(reader.u32()?)
            }
            id::SUBSCRIPTION_ID => Self::Var(reader.varint()?),
            id::CONTENT_TYPE
            | id::RESPONSE_TOPIC
            | id::AUTHENTICATION_METHOD
            | id::REASON_STRING => Self::Text(reader.text()?),
            id::CORRELATION_DATA | id::AUTHENTICATION_DATA => Self::Data(reader.data()?),
            id::USER_PROPERTY => {
                reader.text()?;
                reader.text()?;
                Self::Pair
            }
            _ => return Err(Malformed::packet("a property that no client may send")),
        })
    }

    /// 0 or 1.
    pub(super) fn flag(self) -> Result<bool, Malformed> {
        match self {
            Self::Byte(0) => Ok(false),
            Self::Byte(1) => Ok(true),
            _ => Err(Malformed::protocol("a property is neither 0 nor 1")),
        }
    }

    /// Bytes on the wire, without the identifier.
    fn len(self) -> usize {
        match self {
            Self::Byte(_) => 1,
            Self::Two(_) => 2,
            Self::Four(_) => 4,
            Self::Var(value) => varint_len(value as usize),
            Self::Text(text) => 2 + text.len().min(usize::from(u16::MAX)),
            Self::Data(data) => 2 + data.len().min(usize::from(u16::MAX)),
            Self::Pair => 0,
        }
    }

    fn write(self, out: &mut impl BufMut) {
        match self {
            Self::Byte(value) => out.put_u8(value),
            Self::Two(value) => out.put_u16(value),
            Self::Four(value) => out.put_u32(value),
            Self::Var(value) => put_varint(value as usize, out),
            Self::Text(text) => put_data(text.as_bytes(), out),
            Self::Data(data) => put_data(data, out),
            Self::Pair => {}
        }
    }
}

/// The properties of one packet, read one at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Properties<'a> {
    reader: Reader<'a>,
    allowed: Ids,
    seen: Ids,
}

impl<'a> Properties<'a> {
    /// Takes the properties from `reader`; `allowed` are those of the packet.
    pub(super) fn take(reader: &mut Reader<'a>, allowed: Ids) -> Result<Self, Malformed> {
        let len = reader.varint()?;
        Ok(Self::new(reader.take(len as usize)?, allowed))
    }

    /// Properties without their length.
    pub(super) fn new(raw: &'a [u8], allowed: Ids) -> Self {
        Self {
            reader: Reader::new(raw),
            allowed,
            seen: Ids(0),
        }
    }

    /// Bytes of the properties not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }

    /// The next property.
    pub(super) fn next(&mut self) -> Result<Option<(u8, Value<'a>)>, Malformed> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let id = self.reader.u8()?;
        if !self.allowed.has(id) {
            return Err(Malformed::packet(
                "a property does not belong into the packet",
            ));
        }
        if id != id::USER_PROPERTY && self.seen.has(id) {
            return Err(Malformed::protocol("a property is there twice"));
        }
        self.seen.0 |= 1 << id;
        Ok(Some((id, Value::read(id, &mut self.reader)?)))
    }

    /// Reads all of them for their validity only.
    pub(super) fn skip(mut self) -> Result<(), Malformed> {
        while self.next()?.is_some() {}
        Ok(())
    }
}

/// Bytes of a section with these properties, without its own length.
pub(super) fn section_len(properties: &[(u8, Option<Value<'_>>)]) -> usize {
    properties
        .iter()
        .filter_map(|(_, value)| *value)
        .map(|value| 1 + value.len())
        .sum()
}

/// Appends the properties that have a value, without the length of the section.
pub(super) fn write_section(properties: &[(u8, Option<Value<'_>>)], out: &mut impl BufMut) {
    for (id, value) in properties {
        if let Some(value) = value {
            out.put_u8(*id);
            value.write(out);
        }
    }
}

/// Bytes of a variable byte integer.
pub(super) fn varint_len(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// Appends a variable byte integer; what is above its maximum becomes the maximum.
pub(super) fn put_varint(value: usize, out: &mut impl BufMut) {
    let mut rest = value.min(VARINT_MAX as usize);
    while rest > 127 {
        out.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

/// Appends the length in two bytes and the data, cut at 65,535 bytes.
pub(super) fn put_data(data: &[u8], out: &mut impl BufMut) {
    let len = u16::try_from(data.len()).unwrap_or(u16::MAX);
    out.put_u16(len);
    out.put_slice(data.get(..usize::from(len)).unwrap_or(data));
}
