//! Every packet of a client after CONNECT.

use super::{
    frame::Frame,
    packet::{
        Ack, Disconnect, Filter, Packet, Publish, QoS, RetainHandling, Subscribe, Unsubscribe,
        Version,
    },
    property::{Ids, Properties, Value, id},
    publish_properties::PublishProperties,
    read::Reader,
    reason::{Malformed, ReasonCode},
    topic::{shared, valid_filter, valid_topic},
};

const ACK: Ids = Ids::of(&[id::REASON_STRING, id::USER_PROPERTY]);
const SUBSCRIBE: Ids = Ids::of(&[id::SUBSCRIPTION_ID, id::USER_PROPERTY]);
const UNSUBSCRIBE: Ids = Ids::of(&[id::USER_PROPERTY]);
const DISCONNECT: Ids = Ids::of(&[id::SESSION_EXPIRY, id::REASON_STRING, id::USER_PROPERTY]);
const AUTH: Ids = Ids::of(&[
    id::AUTHENTICATION_METHOD,
    id::AUTHENTICATION_DATA,
    id::REASON_STRING,
    id::USER_PROPERTY,
]);

const BAD_REASON: Malformed = Malformed::protocol("a reason code does not belong into the packet");
const BAD_FILTER: Malformed = Malformed::packet("a topic filter is not valid");

/// A packet after CONNECT.
///
/// # Errors
/// What MQTT forbids in a packet by itself; a second CONNECT and the packets that only a server
/// sends are [`ReasonCode::ProtocolError`].
pub(crate) fn decode<'a>(frame: &Frame<'a>, version: Version) -> Result<Packet<'a>, Malformed> {
    frame.check_length(version)?;
    let mut reader = Reader::new(frame.body);
    let reader = &mut reader;
    match frame.first >> 4 {
        3 => publish(frame.first, reader, version).map(Packet::Publish),
        4 => ack(reader, version, after_publish).map(Packet::PubAck),
        5 => ack(reader, version, after_publish).map(Packet::PubRec),
        6 => ack(reader, version, after_pubrec).map(Packet::PubRel),
        7 => ack(reader, version, after_pubrec).map(Packet::PubComp),
        8 => subscribe(reader, version).map(Packet::Subscribe),
        10 => unsubscribe(reader, version).map(Packet::Unsubscribe),
        12 => reader.finish().map(|()| Packet::PingReq),
        14 => disconnect(reader, version).map(Packet::Disconnect),
        15 => auth(reader, version).map(|()| Packet::Auth),
        1 => Err(Malformed::protocol("a second CONNECT")),
        _ => Err(Malformed::protocol("a packet that only a server sends")),
    }
}

fn publish<'a>(
    first: u8,
    reader: &mut Reader<'a>,
    version: Version,
) -> Result<Publish<'a>, Malformed> {
    let qos = QoS::from_bits((first >> 1) & 3).ok_or(Malformed::packet("QoS 3"))?;
    let topic = std::str::from_utf8(reader.data()?)
        .map_err(|_| Malformed::packet("the topic is not UTF-8"))?;
    let pkid = if qos == QoS::AtMostOnce {
        0
    } else {
        reader.pkid()?
    };
    let properties = match version {
        Version::V3 => PublishProperties::default(),
        Version::V5 => PublishProperties::of_publish(reader)?,
    };
    if topic.is_empty() {
        if properties.topic_alias.is_none() {
            return Err(Malformed::protocol("an empty topic without a topic alias"));
        }
    } else if !valid_topic(topic) {
        return Err(Malformed::packet("the topic has a wildcard or a NUL"));
    }
    Ok(Publish {
        dup: first & 0b1000 != 0,
        qos,
        retain: first & 1 != 0,
        pkid,
        topic,
        payload: reader.rest(),
        properties,
    })
}

fn ack(
    reader: &mut Reader<'_>,
    version: Version,
    allowed: fn(ReasonCode) -> bool,
) -> Result<Ack, Malformed> {
    let pkid = reader.pkid()?;
    let mut reason = ReasonCode::Success;
    if version == Version::V5 && !reader.is_empty() {
        reason = reason_code(reader, allowed)?;
        optional_properties(reader, ACK)?;
    }
    reader.finish()?;
    Ok(Ack { pkid, reason })
}

fn subscribe<'a>(reader: &mut Reader<'a>, version: Version) -> Result<Subscribe<'a>, Malformed> {
    let pkid = reader.pkid()?;
    let subscription_id = match version {
        Version::V3 => None,
        Version::V5 => subscription_id(reader)?,
    };
    let mut filters = Vec::new();
    while !reader.is_empty() {
        filters.push(filter(reader, version)?);
    }
    if filters.is_empty() {
        return Err(Malformed::protocol("a SUBSCRIBE without a filter"));
    }
    Ok(Subscribe {
        pkid,
        subscription_id,
        filters,
    })
}

fn subscription_id(reader: &mut Reader<'_>) -> Result<Option<u32>, Malformed> {
    let mut found = None;
    let mut properties = Properties::take(reader, SUBSCRIBE)?;
    while let Some((_, value)) = properties.next()? {
        match value {
            Value::Var(0) => return Err(Malformed::protocol("subscription identifier 0")),
            Value::Var(number) => found = Some(number),
            _ => {}
        }
    }
    Ok(found)
}

fn filter<'a>(reader: &mut Reader<'a>, version: Version) -> Result<Filter<'a>, Malformed> {
    let filter = valid(reader.text()?)?;
    let options = reader.u8()?;
    let reserved = if version == Version::V3 { 0xfc } else { 0xc0 };
    if options & reserved != 0 {
        return Err(Malformed::packet(
            "reserved bits of the subscription options",
        ));
    }
    let qos =
        QoS::from_bits(options & 3).ok_or(Malformed::protocol("a subscription with QoS 3"))?;
    let no_local = options & 0b100 != 0;
    if no_local && shared(filter).is_some() {
        return Err(Malformed::protocol("no-local on a shared subscription"));
    }
    let retain_handling = match options >> 4 {
        0 => RetainHandling::Send,
        1 => RetainHandling::SendIfNew,
        2 => RetainHandling::DoNotSend,
        _ => return Err(Malformed::protocol("retain handling 3")),
    };
    let retain_as_published = options & 0b1000 != 0;
    Ok(Filter {
        filter,
        qos,
        no_local,
        retain_as_published,
        retain_handling,
    })
}

fn unsubscribe<'a>(
    reader: &mut Reader<'a>,
    version: Version,
) -> Result<Unsubscribe<'a>, Malformed> {
    let pkid = reader.pkid()?;
    if version == Version::V5 {
        Properties::take(reader, UNSUBSCRIBE)?.skip()?;
    }
    let mut filters = Vec::new();
    while !reader.is_empty() {
        filters.push(valid(reader.text()?)?);
    }
    if filters.is_empty() {
        return Err(Malformed::protocol("an UNSUBSCRIBE without a filter"));
    }
    Ok(Unsubscribe { pkid, filters })
}

fn disconnect(reader: &mut Reader<'_>, version: Version) -> Result<Disconnect, Malformed> {
    let mut packet = Disconnect {
        reason: ReasonCode::Success,
        session_expiry: None,
    };
    if version == Version::V5 && !reader.is_empty() {
        packet.reason = reason_code(reader, leaving)?;
        if !reader.is_empty() {
            let mut properties = Properties::take(reader, DISCONNECT)?;
            while let Some((_, value)) = properties.next()? {
                if let Value::Four(seconds) = value {
                    packet.session_expiry = Some(seconds);
                }
            }
        }
    }
    reader.finish()?;
    Ok(packet)
}

fn auth(reader: &mut Reader<'_>, version: Version) -> Result<(), Malformed> {
    if version == Version::V3 {
        return Err(Malformed::packet("3.1.1 has no AUTH"));
    }
    reason_code(reader, authenticating)?;
    optional_properties(reader, AUTH)?;
    reader.finish()
}

/// Properties that may be left out together with their length at the end of a packet.
fn optional_properties(reader: &mut Reader<'_>, allowed: Ids) -> Result<(), Malformed> {
    if reader.is_empty() {
        Ok(())
    } else {
        Properties::take(reader, allowed)?.skip()
    }
}

fn reason_code(
    reader: &mut Reader<'_>,
    allowed: fn(ReasonCode) -> bool,
) -> Result<ReasonCode, Malformed> {
    ReasonCode::from_u8(reader.u8()?)
        .filter(|code| allowed(*code))
        .ok_or(BAD_REASON)
}

fn valid(filter: &str) -> Result<&str, Malformed> {
    if valid_filter(filter) {
        Ok(filter)
    } else {
        Err(BAD_FILTER)
    }
}

/// PUBACK and PUBREC (3.4.2.1, 3.5.2.1).
fn after_publish(code: ReasonCode) -> bool {
    use ReasonCode as R;
    matches!(
        code,
        R::Success
            | R::NoMatchingSubscribers
            | R::UnspecifiedError
            | R::ImplementationSpecificError
            | R::NotAuthorized
            | R::TopicNameInvalid
            | R::PacketIdentifierInUse
            | R::QuotaExceeded
            | R::PayloadFormatInvalid
    )
}

/// PUBREL and PUBCOMP (3.6.2.1, 3.7.2.1).
fn after_pubrec(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::Success | ReasonCode::PacketIdentifierNotFound
    )
}

/// DISCONNECT of a client (3.14.2.1).
fn leaving(code: ReasonCode) -> bool {
    use ReasonCode as R;
    matches!(
        code,
        R::Success
            | R::DisconnectWithWill
            | R::UnspecifiedError
            | R::MalformedPacket
            | R::ProtocolError
            | R::ImplementationSpecificError
            | R::TopicNameInvalid
            | R::ReceiveMaximumExceeded
            | R::TopicAliasInvalid
            | R::PacketTooLarge
            | R::MessageRateTooHigh
            | R::QuotaExceeded
            | R::AdministrativeAction
            | R::PayloadFormatInvalid
    )
}

/// AUTH of a client (3.15.2.1).
fn authenticating(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::ContinueAuthentication | ReasonCode::ReAuthenticate
    )
}
