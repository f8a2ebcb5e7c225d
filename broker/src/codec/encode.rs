//! What the server sends, appended to a buffer.
//!
//! Sizes are known before the first byte is written, so nothing is patched afterwards.

use bytes::BufMut;

use super::{
    packet::{QoS, Version},
    property::{Value, id, put_data, put_varint, section_len, varint_len, write_section},
    read::VARINT_MAX,
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

impl<'a> ConnAckProperties<'a> {
    fn section(&self) -> [(u8, Option<Value<'a>>); 11] {
        let flag = |value: Option<bool>| value.map(|value| Value::Byte(u8::from(value)));
        [
            (id::SESSION_EXPIRY, self.session_expiry.map(Value::Four)),
            (id::RECEIVE_MAXIMUM, self.receive_maximum.map(Value::Two)),
            (id::RETAIN_AVAILABLE, flag(self.retain_available)),
            (
                id::MAXIMUM_PACKET_SIZE,
                self.maximum_packet_size.map(Value::Four),
            ),
            (
                id::ASSIGNED_CLIENT_ID,
                self.assigned_client_id.map(Value::Text),
            ),
            (
                id::TOPIC_ALIAS_MAXIMUM,
                self.topic_alias_maximum.map(Value::Two),
            ),
            (id::REASON_STRING, self.reason_string.map(Value::Text)),
            (id::WILDCARD_AVAILABLE, flag(self.wildcard_available)),
            (
                id::SUBSCRIPTION_IDS_AVAILABLE,
                flag(self.subscription_ids_available),
            ),
            (id::SHARED_AVAILABLE, flag(self.shared_available)),
            (
                id::SERVER_KEEP_ALIVE,
                self.server_keep_alive.map(Value::Two),
            ),
        ]
    }
}

impl ConnAck<'_> {
    /// Appends the packet.
    pub(crate) fn encode(&self, version: Version, out: &mut impl BufMut) {
        let present = u8::from(self.session_present && self.reason == ReasonCode::Success);
        match version {
            Version::V3 => {
                let code = self.reason.v3_connack().unwrap_or(3);
                out.put_slice(&[0x20, 2, present, code]);
            }
            Version::V5 => {
                let section = self.properties.section();
                let len = section_len(&section);
                put_header(0x20, 2 + varint_len(len) + len, out);
                out.put_slice(&[present, self.reason as u8]);
                put_varint(len, out);
                write_section(&section, out);
            }
        }
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
    /// Properties of the publisher, from `PublishProperties::forwarded`; like the following not
    /// sent to 3.1.1 clients.
    pub(crate) forward: &'a [u8],
    /// Seconds left.
    pub(crate) message_expiry: Option<u32>,
    /// Not 0, at most the topic alias maximum of the client.
    pub(crate) topic_alias: Option<u16>,
    /// Each 1 to 268,435,455.
    pub(crate) subscription_ids: &'a [u32],
}

impl Delivery<'_> {
    fn remaining(&self, version: Version) -> usize {
        let pkid = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let properties = match version {
            Version::V3 => 0,
            Version::V5 => {
                let len = self.properties_len();
                varint_len(len) + len
            }
        };
        2 + self.topic.len() + pkid + properties + self.payload.len()
    }

    fn properties_len(&self) -> usize {
        let ids = self
            .subscription_ids
            .iter()
            .map(|number| 1 + varint_len(*number as usize));
        section_len(&self.own_section()) + ids.sum::<usize>() + self.forward.len()
    }

    fn own_section(&self) -> [(u8, Option<Value<'static>>); 2] {
        [
            (id::MESSAGE_EXPIRY, self.message_expiry.map(Value::Four)),
            (id::TOPIC_ALIAS, self.topic_alias.map(Value::Two)),
        ]
    }

    /// Bytes of the whole packet, to compare with the maximum packet size of the client.
    pub(crate) fn size(&self, version: Version) -> usize {
        let remaining = self.remaining(version);
        1 + varint_len(remaining) + remaining
    }

    /// Appends the packet.
    ///
    /// # Errors
    /// Nothing is written when the message does not fit MQTT.
    pub(crate) fn encode(&self, version: Version, out: &mut impl BufMut) -> Result<(), TooLarge> {
        let remaining = self.remaining(version);
        if self.topic.len() > usize::from(u16::MAX) || remaining > VARINT_MAX as usize {
            return Err(TooLarge);
        }
        let flags = u8::from(self.dup) << 3 | (self.qos as u8) << 1 | u8::from(self.retain);
        put_header(0x30 | flags, remaining, out);
        put_data(self.topic.as_bytes(), out);
        if self.qos != QoS::AtMostOnce {
            out.put_u16(self.pkid);
        }
        if version == Version::V5 {
            put_varint(self.properties_len(), out);
            write_section(&self.own_section(), out);
            out.put_slice(self.forward);
            // Last, because rumqttc 0.25 as a client loses what follows a subscription identifier.
            for number in self.subscription_ids {
                write_section(&[(id::SUBSCRIPTION_ID, Some(Value::Var(*number)))], out);
            }
        }
        out.put_slice(self.payload);
        Ok(())
    }
}

/// Which acknowledgement.
#[expect(clippy::enum_variant_names, reason = "names of the specification")]
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
    let [high, low] = pkid.to_be_bytes();
    if version == Version::V5 && reason != ReasonCode::Success {
        out.put_slice(&[kind as u8, 3, high, low, reason as u8]);
    } else {
        out.put_slice(&[kind as u8, 2, high, low]);
    }
}

/// Appends a SUBACK with one code for each filter: granted QoS or an error, which 3.1.1 clients
/// see as 0x80.
pub(crate) fn encode_sub_ack(
    pkid: u16,
    codes: &[ReasonCode],
    version: Version,
    out: &mut impl BufMut,
) {
    put_header(
        0x90,
        2 + usize::from(version == Version::V5) + codes.len(),
        out,
    );
    out.put_u16(pkid);
    if version == Version::V5 {
        out.put_u8(0);
    }
    for code in codes {
        let v3_error = version == Version::V3 && code.is_error();
        out.put_u8(if v3_error { 0x80 } else { *code as u8 });
    }
}

/// Appends an UNSUBACK with one code for each filter; 3.1.1 clients see no codes.
pub(crate) fn encode_unsub_ack(
    pkid: u16,
    codes: &[ReasonCode],
    version: Version,
    out: &mut impl BufMut,
) {
    if version == Version::V3 {
        put_header(0xb0, 2, out);
        out.put_u16(pkid);
        return;
    }
    put_header(0xb0, 3 + codes.len(), out);
    out.put_u16(pkid);
    out.put_u8(0);
    for code in codes {
        out.put_u8(*code as u8);
    }
}

/// Appends a PINGRESP.
pub(crate) fn encode_ping_resp(out: &mut impl BufMut) {
    out.put_slice(&[0xd0, 0]);
}

/// Appends a DISCONNECT, for MQTT 5 clients only: 3.1.1 has none from the server. The text is cut
/// at 65,535 bytes; it is left out where empty, or where the packet would be above `max_packet`
/// bytes with it [MQTT-3.14.2-3].
pub(crate) fn encode_disconnect(
    reason: ReasonCode,
    reason_string: &str,
    max_packet: usize,
    out: &mut impl BufMut,
) {
    let text = (!reason_string.is_empty()).then_some(Value::Text(reason_string));
    let mut section = [(id::REASON_STRING, text)];
    let mut len = section_len(&section);
    // Packet type and reason beside the two lengths.
    if 2 + 2 * varint_len(1 + varint_len(len) + len) + len > max_packet {
        section = [(id::REASON_STRING, None)];
        len = 0;
    }
    put_header(0xe0, 1 + varint_len(len) + len, out);
    out.put_u8(reason as u8);
    put_varint(len, out);
    write_section(&section, out);
}

fn put_header(first: u8, remaining: usize, out: &mut impl BufMut) {
    out.put_u8(first);
    put_varint(remaining, out);
}
