//! One packet from the front of a read buffer.

use super::reason::Malformed;

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

/// The packet at the front of `buf`; `None` when more bytes are needed. `max` is the size in bytes
/// of the largest whole packet.
///
/// # Errors
/// As soon as the bytes show it: a reserved packet type or reserved flags, a remaining length of
/// more than four bytes, a packet above `max` ([`super::ReasonCode::PacketTooLarge`]).
pub(crate) fn frame(buf: &[u8], max: usize) -> Result<Option<Frame<'_>>, Malformed> {
    todo!()
}
