//! Reason codes of MQTT 5 (section 2.4) and how a refused CONNECT is told to a 3.1.1 client.

/// Defines the enum and its reading from one list, so that the two cannot differ.
macro_rules! reason_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// Reason code of MQTT 5; the value is the byte on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum ReasonCode { $($(#[$doc])* $name = $code,)* }

        impl ReasonCode {
            /// The reason code of a byte, `None` where MQTT 5 defines none.
            pub(crate) fn from_u8(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

reason_codes! {
    /// Success, normal disconnection and granted QoS 0.
    Success = 0x00,
    /// Granted QoS 1.
    GrantedQos1 = 0x01,
    /// Granted QoS 2.
    GrantedQos2 = 0x02,
    /// The client leaves, and the server shall publish its will.
    DisconnectWithWill = 0x04,
    /// Accepted, and nobody is subscribed.
    NoMatchingSubscribers = 0x10,
    /// UNSUBACK: there was no such subscription.
    NoSubscriptionExisted = 0x11,
    /// AUTH: next step.
    ContinueAuthentication = 0x18,
    /// AUTH: once more.
    ReAuthenticate = 0x19,
    /// Without a better reason.
    UnspecifiedError = 0x80,
    /// The bytes do not follow the specification.
    MalformedPacket = 0x81,
    /// Well-formed, and not allowed here.
    ProtocolError = 0x82,
    /// Allowed by MQTT, not by this implementation.
    ImplementationSpecificError = 0x83,
    /// CONNECT of a protocol or level that is not spoken here.
    UnsupportedProtocolVersion = 0x84,
    /// Client identifier not allowed.
    ClientIdentifierNotValid = 0x85,
    /// Login failed.
    BadUserNameOrPassword = 0x86,
    /// Not allowed to this client.
    NotAuthorized = 0x87,
    /// Server unavailable.
    ServerUnavailable = 0x88,
    /// Server busy.
    ServerBusy = 0x89,
    /// Banned by an administrator.
    Banned = 0x8A,
    /// Server shutting down.
    ServerShuttingDown = 0x8B,
    /// Authentication method not supported.
    BadAuthenticationMethod = 0x8C,
    /// Nothing came within 1.5 times the keep-alive.
    KeepAliveTimeout = 0x8D,
    /// Another connection took the session over.
    SessionTakenOver = 0x8E,
    /// Well-formed filter that is not accepted.
    TopicFilterInvalid = 0x8F,
    /// Well-formed topic that is not accepted.
    TopicNameInvalid = 0x90,
    /// Packet identifier in use.
    PacketIdentifierInUse = 0x91,
    /// Packet identifier not known.
    PacketIdentifierNotFound = 0x92,
    /// More publishes in flight than the receive maximum.
    ReceiveMaximumExceeded = 0x93,
    /// Topic alias 0, above the maximum, or never set.
    TopicAliasInvalid = 0x94,
    /// Packet above the maximum packet size.
    PacketTooLarge = 0x95,
    /// Message rate too high.
    MessageRateTooHigh = 0x96,
    /// A quota is used up.
    QuotaExceeded = 0x97,
    /// Ended by an administrator.
    AdministrativeAction = 0x98,
    /// Payload is not what its format indicator says.
    PayloadFormatInvalid = 0x99,
    /// Retained messages are not supported.
    RetainNotSupported = 0x9A,
    /// QoS above the maximum.
    QosNotSupported = 0x9B,
    /// Use another server for now.
    UseAnotherServer = 0x9C,
    /// Use another server for good.
    ServerMoved = 0x9D,
    /// Shared subscriptions are not supported.
    SharedSubscriptionsNotSupported = 0x9E,
    /// Connection rate too high.
    ConnectionRateExceeded = 0x9F,
    /// Maximum connect time is over.
    MaximumConnectTime = 0xA0,
    /// Subscription identifiers are not supported.
    SubscriptionIdentifiersNotSupported = 0xA1,
    /// Wildcard subscriptions are not supported.
    WildcardSubscriptionsNotSupported = 0xA2,
}

impl ReasonCode {
    /// Whether the code says failure (0x80 and above).
    pub(crate) fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// The return code of a 3.1.1 CONNACK (section 3.2.2.3); `None` where 3.1.1 has none and the
    /// connection is closed without an answer.
    pub(crate) fn v3_connack(self) -> Option<u8> {
        match self {
            Self::Success => Some(0),
            Self::UnsupportedProtocolVersion => Some(1),
            Self::ClientIdentifierNotValid => Some(2),
            Self::ServerUnavailable
            | Self::ServerBusy
            | Self::ServerShuttingDown
            | Self::QuotaExceeded
            | Self::ConnectionRateExceeded => Some(3),
            Self::BadUserNameOrPassword => Some(4),
            Self::NotAuthorized | Self::Banned => Some(5),
            _ => None,
        }
    }
}

/// A packet that MQTT does not allow. The connection ends; an MQTT 5 client is told `reason` first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} (0x{:02x})", *reason as u8)]
pub(crate) struct Malformed {
    /// For DISCONNECT, or CONNACK where the packet was the CONNECT. A CONNECT of another protocol
    /// or level (3.1 among them) is [`ReasonCode::UnsupportedProtocolVersion`].
    pub(crate) reason: ReasonCode,
    /// What was wrong, for the log and the reason string.
    pub(crate) what: &'static str,
}

impl Malformed {
    /// 0x81: the bytes do not follow the specification.
    pub(super) const fn packet(what: &'static str) -> Self {
        Self {
            reason: ReasonCode::MalformedPacket,
            what,
        }
    }

    /// 0x82: well-formed, and not allowed.
    pub(super) const fn protocol(what: &'static str) -> Self {
        Self {
            reason: ReasonCode::ProtocolError,
            what,
        }
    }
}
