//! Publishing by the host.

use std::sync::Arc;

use crate::Message;
use crate::codec::{QoS, valid_topic};
use crate::envelope::{Draft, HOST, Parts};
use crate::hub::Hub;

/// Messages between two looks at how far the router has come.
const CHUNK: usize = 64;

/// Publishes messages of the host: QoS 1, so that a subscriber gets the quality it asked for, up to
/// that. Cheap to clone, for any thread; blocks while subscribers' messages are under way in large
/// number, so do not call it on an async worker.
#[derive(Clone)]
pub struct Publisher(pub(crate) Arc<Hub>);

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Publisher")
    }
}

impl Publisher {
    /// Whether any subscription may match topics whose first level is `first_level`. Cheap: ask
    /// before making payloads.
    pub fn anyone_for(&self, first_level: &str) -> bool {
        self.0.subscriptions.read().may_match(first_level)
    }

    /// Publishes in order. Messages with an invalid topic (empty, with a wildcard or NUL, above
    /// 65,535 bytes) are left out and logged.
    pub fn publish(&self, batch: Vec<Message>) {
        for chunk in batch.chunks(CHUNK) {
            if self.0.router.congested() {
                self.0.router.wait();
            }
            let valid = chunk.iter().filter(|message| {
                let valid = valid_topic(&message.topic);
                if !valid {
                    tracing::error!(topic = %message.topic, "not published: not a valid topic");
                }
                valid
            });
            self.0.publish(
                valid,
                |message| (&message.topic, message.retain),
                |message| draft(message),
            );
        }
    }
}

/// The message of a host's message.
pub(crate) fn draft(message: &Message) -> Draft {
    Draft::new(&Parts {
        topic: &message.topic,
        payload: &message.payload,
        qos: QoS::AtLeastOnce,
        retain: message.retain,
        properties: &[],
        expiry: None,
        origin: HOST,
    })
}
