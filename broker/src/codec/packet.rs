//! What a client sends, borrowed from the read buffer.
//!
//! Values are as MQTT means them: a default of the specification is filled in where it has one,
//! and `Option` says only what can really be absent.

use super::{publish_properties::PublishProperties, reason::ReasonCode};

/// Protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V3,
    /// MQTT 5, protocol level 5.
    V5,
}

/// Quality of service.
#[expect(clippy::enum_variant_names, reason = "names of the specification")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub(crate) enum QoS {
    /// 0
    #[default]
    AtMostOnce = 0,
    /// 1
    AtLeastOnce = 1,
    /// 2
    ExactlyOnce = 2,
}

impl QoS {
    /// The quality of its two bits, `None` for 3.
    pub(crate) fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// The first packet of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connect<'a> {
    /// Protocol of the connection from here on.
    pub(crate) version: Version,
    /// May be empty: the server assigns one. With 3.1.1 only together with `clean_start`.
    pub(crate) client_id: &'a str,
    /// Clean start (5), clean session (3.1.1).
    pub(crate) clean_start: bool,
    /// Seconds; 0 turns keep-alive off.
    pub(crate) keep_alive: u16,
    /// User name.
    pub(crate) user: Option<&'a str>,
    /// Password; 3.1.1 allows none without a user name.
    pub(crate) password: Option<&'a [u8]>,
    /// Message to publish when the connection ends without a DISCONNECT.
    pub(crate) will: Option<Will<'a>>,
    /// Seconds that the session outlives the connection, `u32::MAX` for ever. For 3.1.1: 0 with a
    /// clean session, else `u32::MAX`.
    pub(crate) session_expiry: u32,
    /// QoS 1 and 2 publishes that the client takes unacknowledged; 65,535 where it says nothing.
    pub(crate) receive_maximum: u16,
    /// Bytes of the largest whole packet the client takes; `u32::MAX` where it says nothing.
    pub(crate) maximum_packet_size: u32,
    /// Highest topic alias the client takes; 0 is none.
    pub(crate) topic_alias_maximum: u16,
    /// Whether CONNACK may carry response information.
    pub(crate) request_response_information: bool,
    /// Whether packets other than PUBLISH, CONNACK and DISCONNECT may carry a reason string.
    pub(crate) request_problem_information: bool,
    /// Enhanced authentication asked for.
    pub(crate) authentication_method: Option<&'a str>,
    /// First data of the authentication method.
    pub(crate) authentication_data: Option<&'a [u8]>,
}

/// The will of a CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Will<'a> {
    /// Validated as the topic of a PUBLISH.
    pub(crate) topic: &'a str,
    /// May be empty.
    pub(crate) payload: &'a [u8],
    /// To publish with.
    pub(crate) qos: QoS,
    /// To publish with.
    pub(crate) retain: bool,
    /// Seconds to wait after the end of the connection.
    pub(crate) delay: u32,
    /// To publish with; never has a topic alias.
    pub(crate) properties: PublishProperties<'a>,
}

/// A packet after CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// A message.
    Publish(Publish<'a>),
    /// QoS 1: taken.
    PubAck(Ack),
    /// QoS 2, second step.
    PubRec(Ack),
    /// QoS 2, third step.
    PubRel(Ack),
    /// QoS 2, last step.
    PubComp(Ack),
    /// At least one filter.
    Subscribe(Subscribe<'a>),
    /// At least one filter.
    Unsubscribe(Unsubscribe<'a>),
    /// Answered by PINGRESP.
    PingReq,
    /// The client leaves.
    Disconnect(Disconnect),
    /// Well-formed AUTH. No authentication method is offered here, so it is a protocol error.
    Auth,
}

/// A message from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Publish<'a> {
    /// May have been sent before.
    pub(crate) dup: bool,
    /// Quality of service.
    pub(crate) qos: QoS,
    /// Keep for later subscribers.
    pub(crate) retain: bool,
    /// Not 0 with QoS 1 and 2, 0 with QoS 0.
    pub(crate) pkid: u16,
    /// No wildcard, no NUL; empty only where the properties have a topic alias.
    pub(crate) topic: &'a str,
    /// May be empty.
    pub(crate) payload: &'a [u8],
    /// Empty for 3.1.1.
    pub(crate) properties: PublishProperties<'a>,
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    /// Not 0.
    pub(crate) pkid: u16,
    /// Always success with 3.1.1.
    pub(crate) reason: ReasonCode,
}

/// SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscribe<'a> {
    /// Not 0.
    pub(crate) pkid: u16,
    /// 1 to 268,435,455.
    pub(crate) subscription_id: Option<u32>,
    /// At least one.
    pub(crate) filters: Vec<Filter<'a>>,
}

/// One filter of a SUBSCRIBE. For 3.1.1 the options are those that make MQTT 5 behave like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Filter<'a> {
    /// Valid by [`super::topic::valid_filter`]; a `$share` filter has group and filter.
    pub(crate) filter: &'a str,
    /// Highest quality of service to deliver with.
    pub(crate) qos: QoS,
    /// Own messages are not wanted; never with `$share`.
    pub(crate) no_local: bool,
    /// Keep the retain flag of a forwarded message.
    pub(crate) retain_as_published: bool,
    /// Retained messages at subscription.
    pub(crate) retain_handling: RetainHandling,
}

/// When a subscription is answered by retained messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetainHandling {
    /// 0; always with 3.1.1.
    Send,
    /// 1
    SendIfNew,
    /// 2
    DoNotSend,
}

/// UNSUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsubscribe<'a> {
    /// Not 0.
    pub(crate) pkid: u16,
    /// At least one, each valid by [`super::topic::valid_filter`].
    pub(crate) filters: Vec<&'a str>,
}

/// DISCONNECT of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Disconnect {
    /// The will is dropped on [`ReasonCode::Success`] and published on any other.
    pub(crate) reason: ReasonCode,
    /// Seconds, in place of the one of CONNECT; not allowed where that was 0.
    pub(crate) session_expiry: Option<u32>,
}
