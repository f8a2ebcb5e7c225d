//! One packet from the front of a read buffer.

use super::{
    packet::Version,
    reason::{Malformed, ReasonCode},
};

const TOO_LARGE: Malformed = Malformed {
    reason: ReasonCode::PacketTooLarge,
    what: "the packet is above the maximum packet size",
};

/// One complete packet, not yet decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// Packet type and flags, valid together.
    pub(super) first: u8,
    /// Everything after the remaining length.
    pub(super) body: &'a [u8],
    /// The remaining length took more bytes than it needs: 3.1.1 is silent about it, 5 forbids it.
    pub(super) padded: bool,
    /// Bytes of the whole packet, to take from the front of the buffer.
    pub(crate) len: usize,
}

impl Frame<'_> {
    /// # Errors
    /// A remaining length that MQTT 5 does not allow.
    pub(super) fn check_length(&self, version: Version) -> Result<(), Malformed> {
        if self.padded && version == Version::V5 {
            return Err(Malformed::packet(
                "the remaining length is longer than it needs",
            ));
        }
        Ok(())
    }
}

/// The packet at the front of `buf`; `None` when more bytes are needed. `max` is the size in bytes
/// of the largest whole packet.
///
/// # Errors
/// As soon as the bytes show it: a reserved packet type or reserved flags, a remaining length of
/// more than four bytes, a packet above `max` ([`super::ReasonCode::PacketTooLarge`]).
pub(crate) fn frame(buf: &[u8], max: usize) -> Result<Option<Frame<'_>>, Malformed> {
    let Some(&first) = buf.first() else {
        return Ok(None);
    };
    check_first(first)?;
    let mut remaining = 0;
    for (index, shift) in [0, 7, 14, 21].into_iter().enumerate() {
        let Some(&byte) = buf.get(1 + index) else {
            return Ok(None);
        };
        remaining |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let header = 2 + index;
            let len = header + remaining;
            if len > max {
                return Err(TOO_LARGE);
            }
            let padded = byte == 0 && index > 0;
            let body = buf.get(header..len);
            return Ok(body.map(|body| Frame {
                first,
                body,
                padded,
                len,
            }));
        }
    }
    Err(Malformed::packet(
        "the remaining length is above four bytes",
    ))
}

/// Packet type and its flags (2.1.2, 2.1.3).
fn check_first(first: u8) -> Result<(), Malformed> {
    let flags = first & 0x0f;
    match first >> 4 {
        0 => Err(Malformed::packet("packet type 0")),
        3 if flags & 0b0110 == 0b0110 => Err(Malformed::packet("QoS 3")),
        3 if flags & 0b1110 == 0b1000 => Err(Malformed::packet("a duplicate of QoS 0")),
        3 => Ok(()),
        6 | 8 | 10 if flags == 0b0010 => Ok(()),
        1 | 2 | 4 | 5 | 7 | 9 | 11..=15 if flags == 0 => Ok(()),
        _ => Err(Malformed::packet("reserved flags of the fixed header")),
    }
}
