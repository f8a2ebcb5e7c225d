//! What the server sends, appended to a buffer.
//!
//! Sizes are known before the first byte is written, so nothing is patched afterwards.

use bytes::BufMut;

use super::{
    packet::{QoS, Version},
    reason::ReasonCode,
};

/// A topic above 65,535 bytes or a packet above 268,435,460: not expressible in MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message is too large for an MQTT packet")]
pub(crate) struct TooLarge;

/// The answer to CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnAck<'a> {
    /// The server has the session of an earlier connection; only with success.
    pub(crate) session_present: bool,
    /// For 3.1.1 by [`ReasonCode::v3_connack`], and 3 (server unavailable) where that has none.
    pub(crate) reason: ReasonCode,
    /// Not sent to 3.1.1 clients.
    pub(crate) properties: ConnAckProperties<'a>,
}

/// Properties of a CONNACK; `None` leaves the default of the specification. Texts are cut at
/// 65,535 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ConnAckProperties<'a> {
    /// Seconds, where the server changes what the client asked for.
    pub(crate) session_expiry: Option<u32>,
    /// Not 0.
    pub(crate) receive_maximum: Option<u16>,
    /// Default: available.
    pub(crate) retain_available: Option<bool>,
    /// Bytes of a whole packet, not 0.
    pub(crate) maximum_packet_size: Option<u32>,
    /// Identifier given to a client that sent none.
    pub(crate) assigned_client_id: Option<&'a str>,
    /// Highest alias the server takes; default 0.
    pub(crate) topic_alias_maximum: Option<u16>,
    /// For people.
    pub(crate) reason_string: Option<&'a str>,
    /// Default: available.
    pub(crate) wildcard_available: Option<bool>,
    /// Default: available.
    pub(crate) subscription_ids_available: Option<bool>,
    /// Default: available.
    pub(crate) shared_available: Option<bool>,
    /// Seconds the client has to use in place of its own.
    pub(crate) server_keep_alive: Option<u16>,
}

impl ConnAck<'_> {
    /// Appends the packet.
    pub(crate) fn encode(&self, version: Version, out: &mut impl BufMut) {
        todo!()
    }
}

/// A PUBLISH to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Delivery<'a> {
    /// Sent before on this session.
    pub(crate) dup: bool,
    /// Quality of service.
    pub(crate) qos: QoS,
    /// Retain flag.
    pub(crate) retain: bool,
    /// Not 0 with QoS 1 and 2; not sent with QoS 0.
    pub(crate) pkid: u16,
    /// Empty only with a topic alias.
    pub(crate) topic: &'a str,
    /// May be empty.
    pub(crate) payload: &'a [u8],
    /// Properties of the publisher, from [`super::PublishProperties::forwarded`]; like the
    /// following not sent to 3.1.1 clients.
    pub(crate) forward: &'a [u8],
    /// Seconds left.
    pub(crate) message_expiry: Option<u32>,
    /// Not 0, at most the topic alias maximum of the client.
    pub(crate) topic_alias: Option<u16>,
    /// Each 1 to 268,435,455.
    pub(crate) subscription_ids: &'a [u32],
}

impl Delivery<'_> {
    /// Bytes of the whole packet, to compare with the maximum packet size of the client.
    pub(crate) fn size(&self, version: Version) -> usize {
        todo!()
    }

    /// Appends the packet.
    ///
    /// # Errors
    /// Nothing is written when the message does not fit MQTT.
    pub(crate) fn encode(&self, version: Version, out: &mut impl BufMut) -> Result<(), TooLarge> {
        todo!()
    }
}

/// Which acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum AckKind {
    /// QoS 1.
    PubAck = 0x40,
    /// QoS 2, second step.
    PubRec = 0x50,
    /// QoS 2, third step.
    PubRel = 0x62,
    /// QoS 2, last step.
    PubComp = 0x70,
}

/// Appends an acknowledgement, 4 or 5 bytes. The reason is sent only to MQTT 5 clients, and only
/// where it is not success: to a 3.1.1 client every acknowledgement means success.
pub(crate) fn encode_ack(
    kind: AckKind,
    pkid: u16,
    reason: ReasonCode,
    version: Version,
    out: &mut impl BufMut,
) {
    todo!()
}

/// Appends a SUBACK with one code for each filter: granted QoS or an error, which 3.1.1 clients
/// see as 0x80.
pub(crate) fn encode_sub_ack(
    pkid: u16,
    codes: &[ReasonCode],
    version: Version,
    out: &mut impl BufMut,
) {
    todo!()
}

/// Appends an UNSUBACK with one code for each filter; 3.1.1 clients see no codes.
pub(crate) fn encode_unsub_ack(
    pkid: u16,
    codes: &[ReasonCode],
    version: Version,
    out: &mut impl BufMut,
) {
    todo!()
}

/// Appends a PINGRESP.
pub(crate) fn encode_ping_resp(out: &mut impl BufMut) {
    todo!()
}

/// Appends a DISCONNECT, for MQTT 5 clients only: 3.1.1 has none from the server. The text is cut
/// at 65,535 bytes; it is left out where empty.
pub(crate) fn encode_disconnect(reason: ReasonCode, reason_string: &str, out: &mut impl BufMut) {
    todo!()
}
