//! CONNECT (MQTT 3.1.1 and 5, section 3.1).

use super::{frame::Frame, packet::Connect, reason::Malformed};

/// The first packet of a connection, which must be a CONNECT.
///
/// # Errors
/// [`super::ReasonCode::UnsupportedProtocolVersion`] for another protocol name or level (answer in
/// the form of 3.1.1, [`super::ReasonCode::v3_connack`]),
/// [`super::ReasonCode::ClientIdentifierNotValid`] for 3.1.1 without identifier and clean session,
/// else what is wrong with the packet. [`Refusal::version`] is the form in which to answer.
pub(crate) fn decode_connect<'a>(frame: &Frame<'a>) -> Result<Connect<'a>, Refusal> {
    todo!()
}

/// A CONNECT that cannot be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Refusal {
    /// Protocol of the CONNACK that says so; `None` where the bytes are no CONNECT at all and the
    /// connection is closed without an answer.
    pub(crate) version: Option<super::packet::Version>,
    /// What is wrong.
    pub(crate) error: Malformed,
}
