//! Properties of a PUBLISH and of a will: those the server acts on, and the bytes of all the
//! others, which it forwards unaltered and in order (MQTT 5, 3.3.2.3).

use std::borrow::Cow;

use super::{
    property::{Ids, Properties, Value, id},
    read::Reader,
    reason::{Malformed, ReasonCode},
    topic::valid_topic,
};

const PUBLISH: Ids = Ids::of(&[
    id::PAYLOAD_FORMAT,
    id::MESSAGE_EXPIRY,
    id::TOPIC_ALIAS,
    id::RESPONSE_TOPIC,
    id::CORRELATION_DATA,
    id::USER_PROPERTY,
    id::CONTENT_TYPE,
]);

const WILL: Ids = Ids::of(&[
    id::WILL_DELAY,
    id::PAYLOAD_FORMAT,
    id::MESSAGE_EXPIRY,
    id::CONTENT_TYPE,
    id::RESPONSE_TOPIC,
    id::CORRELATION_DATA,
    id::USER_PROPERTY,
]);

/// Properties of a PUBLISH or a will, validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PublishProperties<'a> {
    /// All properties without their length.
    raw: &'a [u8],
    /// Those of them that the packet may have.
    will: bool,
    /// Whether `raw` holds something that is not forwarded.
    filtered: bool,
    /// Seconds the message is worth delivering.
    pub(crate) message_expiry: Option<u32>,
    /// Not 0. Whether it is in range and known is for the caller.
    pub(crate) topic_alias: Option<u16>,
}

impl<'a> PublishProperties<'a> {
    /// Takes the properties of a PUBLISH from a client, which may not send a subscription
    /// identifier.
    pub(super) fn of_publish(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Self::read(reader, false).map(|(_, properties)| properties)
    }

    /// Takes the properties of a will: its delay in seconds and those it is published with.
    pub(super) fn of_will(reader: &mut Reader<'a>) -> Result<(u32, Self), Malformed> {
        Self::read(reader, true)
    }

    fn read(reader: &mut Reader<'a>, will: bool) -> Result<(u32, Self), Malformed> {
        let mut properties = Properties::take(reader, if will { WILL } else { PUBLISH })?;
        let mut found = Self {
            raw: properties.rest(),
            will,
            ..Self::default()
        };
        let mut delay = 0;
        while let Some((id, value)) = properties.next()? {
            match (id, value) {
                (id::MESSAGE_EXPIRY, Value::Four(seconds)) => found.message_expiry = Some(seconds),
                (id::WILL_DELAY, Value::Four(seconds)) => delay = seconds,
                (id::TOPIC_ALIAS, Value::Two(0)) => {
                    let (reason, what) = (ReasonCode::TopicAliasInvalid, "topic alias 0");
                    return Err(Malformed { reason, what });
                }
                (id::TOPIC_ALIAS, Value::Two(alias)) => found.topic_alias = Some(alias),
                (id::PAYLOAD_FORMAT, value) => {
                    value.flag()?;
                }
                (id::RESPONSE_TOPIC, Value::Text(topic)) if !valid_topic(topic) => {
                    let what = "the response topic is empty or has a wildcard";
                    return Err(Malformed::protocol(what));
                }
                _ => {}
            }
            found.filtered |= !is_forwarded(id);
        }
        Ok((delay, found))
    }

    /// The bytes for [`super::Delivery::forward`]: payload format, response topic, correlation
    /// data, user properties and content type. Allocates only where the publisher also sent an
    /// expiry, a topic alias or a will delay.
    pub(crate) fn forwarded(&self) -> Cow<'a, [u8]> {
        if !self.filtered {
            return Cow::Borrowed(self.raw);
        }
        let mut kept = Vec::with_capacity(self.raw.len());
        let mut properties = Properties::new(self.raw, if self.will { WILL } else { PUBLISH });
        let mut before = properties.rest();
        while let Ok(Some((id, _))) = properties.next() {
            let after = properties.rest();
            if is_forwarded(id) {
                kept.extend(before.iter().take(before.len() - after.len()));
            }
            before = after;
        }
        Cow::Owned(kept)
    }
}

fn is_forwarded(id: u8) -> bool {
    !matches!(id, id::MESSAGE_EXPIRY | id::TOPIC_ALIAS | id::WILL_DELAY)
}
