//! The message that a client leaves behind.

use crate::codec::{self, QoS};
use crate::envelope::{Draft, Parts};
use crate::hub::Hub;

/// A will, copied from CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Will {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) properties: Vec<u8>,
    /// Seconds from its publication that the message is worth delivering.
    pub(crate) expiry: Option<u32>,
    /// Seconds from the end of the connection to its publication.
    pub(crate) delay: u32,
}

impl Will {
    /// Copies a will; `None` for a topic that clients may not publish to.
    pub(crate) fn new(will: &codec::Will<'_>) -> Option<Self> {
        (!will.topic.starts_with('$')).then(|| Self {
            topic: will.topic.to_owned(),
            payload: will.payload.to_vec(),
            qos: will.qos,
            retain: will.retain,
            properties: will.properties.forwarded().into_owned(),
            expiry: will.properties.message_expiry,
            delay: will.delay,
        })
    }

    /// Publishes it for session `origin`.
    pub(crate) fn publish(&self, hub: &Hub, origin: u64) {
        let _round = hub.publish(
            std::iter::once(self),
            |will| (&will.topic, will.retain),
            |will| {
                Draft::new(&Parts {
                    topic: &will.topic,
                    payload: &will.payload,
                    qos: will.qos,
                    retain: will.retain,
                    properties: &will.properties,
                    expiry: will.expiry,
                    origin,
                })
            },
        );
    }
}
