//! CONNECT (MQTT 3.1.1 and 5, section 3.1).

use super::{
    frame::Frame,
    packet::{Connect, QoS, Version, Will},
    property::{Ids, Properties, Value, id},
    publish_properties::PublishProperties,
    read::Reader,
    reason::{Malformed, ReasonCode},
    topic::valid_topic,
};

const CONNECT: Ids = Ids::of(&[
    id::SESSION_EXPIRY,
    id::RECEIVE_MAXIMUM,
    id::MAXIMUM_PACKET_SIZE,
    id::TOPIC_ALIAS_MAXIMUM,
    id::REQUEST_RESPONSE_INFORMATION,
    id::REQUEST_PROBLEM_INFORMATION,
    id::USER_PROPERTY,
    id::AUTHENTICATION_METHOD,
    id::AUTHENTICATION_DATA,
]);

const UNSUPPORTED: Malformed = Malformed {
    reason: ReasonCode::UnsupportedProtocolVersion,
    what: "the protocol is neither MQTT 3.1.1 nor MQTT 5",
};

/// A CONNECT that cannot be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Refusal {
    /// Protocol of the CONNACK that says so: for [`Version::V3`] it is sent only where
    /// [`ReasonCode::v3_connack`] has a code. `None` where the bytes are no CONNECT at all and the
    /// connection is closed without an answer.
    pub(crate) version: Option<Version>,
    /// What is wrong.
    pub(crate) error: Malformed,
}

/// The first packet of a connection, which must be a CONNECT.
///
/// # Errors
/// [`ReasonCode::UnsupportedProtocolVersion`] for another protocol level or MQTT 3.1,
/// [`ReasonCode::ClientIdentifierNotValid`] for 3.1.1 with neither identifier nor clean session,
/// else what is wrong with the packet.
pub(crate) fn decode_connect<'a>(frame: &Frame<'a>) -> Result<Connect<'a>, Refusal> {
    let refused = |version| move |error| Refusal { version, error };
    if frame.first != 0x10 {
        let error = Malformed::protocol("the first packet is not a CONNECT");
        return Err(Refusal {
            version: None,
            error,
        });
    }
    let mut reader = Reader::new(frame.body);
    let name = reader.data().map_err(refused(None))?;
    let level = reader.u8().map_err(refused(None))?;
    let version = match (name, level) {
        (b"MQTT", 4) => Version::V3,
        (b"MQTT", 5) => Version::V5,
        (b"MQTT", 6..=0x7f) => return Err(refused(Some(Version::V5))(UNSUPPORTED)),
        // Bit 7 marks a bridge of mosquitto, which understands the refusal and tries without.
        (b"MQTT" | b"MQIsdp", _) => return Err(refused(Some(Version::V3))(UNSUPPORTED)),
        _ => return Err(refused(None)(UNSUPPORTED)),
    };
    frame
        .check_length(version)
        .and_then(|()| after_level(&mut reader, version))
        .map_err(refused(Some(version)))
}

/// The flags of a CONNECT, valid together.
#[derive(Debug, Clone, Copy)]
struct Flags {
    user: bool,
    password: bool,
    will: Option<(QoS, bool)>,
    clean_start: bool,
}

impl Flags {
    fn read(bits: u8, version: Version) -> Result<Self, Malformed> {
        if bits & 1 != 0 {
            return Err(Malformed::packet("the reserved flag of a CONNECT"));
        }
        let qos = QoS::from_bits((bits >> 3) & 3).ok_or(Malformed::packet("a will with QoS 3"))?;
        let retain = bits & 0x20 != 0;
        let will = bits & 4 != 0;
        if !will && (qos != QoS::AtMostOnce || retain) {
            return Err(Malformed::packet(
                "QoS or retain of a will that is not there",
            ));
        }
        let (user, password) = (bits & 0x80 != 0, bits & 0x40 != 0);
        if version == Version::V3 && password && !user {
            return Err(Malformed::packet("a password without a user name"));
        }
        let will = will.then_some((qos, retain));
        Ok(Self {
            user,
            password,
            will,
            clean_start: bits & 2 != 0,
        })
    }
}

fn after_level<'a>(reader: &mut Reader<'a>, version: Version) -> Result<Connect<'a>, Malformed> {
    let flags = Flags::read(reader.u8()?, version)?;
    let mut connect = Connect {
        version,
        client_id: "",
        clean_start: flags.clean_start,
        keep_alive: reader.u16()?,
        user: None,
        password: None,
        will: None,
        session_expiry: 0,
        receive_maximum: u16::MAX,
        maximum_packet_size: u32::MAX,
        topic_alias_maximum: 0,
        request_response_information: false,
        request_problem_information: true,
        authentication_method: None,
        authentication_data: None,
    };
    match version {
        Version::V3 if !flags.clean_start => connect.session_expiry = u32::MAX,
        Version::V3 => {}
        Version::V5 => read_properties(reader, &mut connect)?,
    }
    connect.client_id = reader.text()?;
    if version == Version::V3 && connect.client_id.is_empty() && !flags.clean_start {
        return Err(Malformed {
            reason: ReasonCode::ClientIdentifierNotValid,
            what: "an empty client identifier needs a clean session",
        });
    }
    if let Some((qos, retain)) = flags.will {
        connect.will = Some(will(reader, version, qos, retain)?);
    }
    if flags.user {
        connect.user = Some(reader.text()?);
    }
    if flags.password {
        connect.password = Some(reader.data()?);
    }
    reader.finish()?;
    Ok(connect)
}

fn read_properties<'a>(
    reader: &mut Reader<'a>,
    connect: &mut Connect<'a>,
) -> Result<(), Malformed> {
    let mut properties = Properties::take(reader, CONNECT)?;
    while let Some((id, value)) = properties.next()? {
        match (id, value) {
            (id::RECEIVE_MAXIMUM, Value::Two(0)) => {
                return Err(Malformed::protocol("receive maximum 0"));
            }
            (id::MAXIMUM_PACKET_SIZE, Value::Four(0)) => {
                return Err(Malformed::protocol("maximum packet size 0"));
            }
            (id::SESSION_EXPIRY, Value::Four(seconds)) => connect.session_expiry = seconds,
            (id::RECEIVE_MAXIMUM, Value::Two(count)) => connect.receive_maximum = count,
            (id::MAXIMUM_PACKET_SIZE, Value::Four(len)) => connect.maximum_packet_size = len,
            (id::TOPIC_ALIAS_MAXIMUM, Value::Two(max)) => connect.topic_alias_maximum = max,
            (id::REQUEST_RESPONSE_INFORMATION, value) => {
                connect.request_response_information = value.flag()?;
            }
            (id::REQUEST_PROBLEM_INFORMATION, value) => {
                connect.request_problem_information = value.flag()?;
            }
            (_, Value::Text(method)) => connect.authentication_method = Some(method),
            (_, Value::Data(data)) => connect.authentication_data = Some(data),
            _ => {}
        }
    }
    if connect.authentication_data.is_some() && connect.authentication_method.is_none() {
        return Err(Malformed::protocol("authentication data without a method"));
    }
    Ok(())
}

fn will<'a>(
    reader: &mut Reader<'a>,
    version: Version,
    qos: QoS,
    retain: bool,
) -> Result<Will<'a>, Malformed> {
    let (delay, properties) = match version {
        Version::V3 => Default::default(),
        Version::V5 => PublishProperties::of_will(reader)?,
    };
    let topic = reader.text()?;
    if !valid_topic(topic) {
        return Err(Malformed::packet(
            "the topic of the will is empty or has a wildcard",
        ));
    }
    Ok(Will {
        topic,
        payload: reader.data()?,
        qos,
        retain,
        delay,
        properties,
    })
}
