//! Every packet of a client after CONNECT.

use super::{
    frame::Frame,
    packet::{Packet, Version},
    reason::Malformed,
};

/// A packet after CONNECT.
///
/// # Errors
/// What MQTT forbids in a packet by itself; a second CONNECT and the packets that only a server
/// sends are [`super::ReasonCode::ProtocolError`].
pub(crate) fn decode<'a>(frame: &Frame<'a>, version: Version) -> Result<Packet<'a>, Malformed> {
    todo!()
}
