//! Topic aliases towards the client.
//!
//! Invariant: an alias stands for one topic for as long as the connection lasts, and is used alone
//! only after a packet with both was written.

use hashbrown::HashMap;

use crate::codec::Delivery;

/// A topic that is not longer gains nothing: property and identifier take as much.
const SHORT: usize = 4;

/// The aliases that a client was told. The first topics get them: a subscriber of few topics is
/// served best, one of many loses nothing.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    known: HashMap<Box<str>, u16>,
    max: u16,
}

impl Aliases {
    /// For a client that takes aliases up to `max`; 0 is none.
    pub(super) fn up_to(max: u16) -> Self {
        Self {
            known: HashMap::new(),
            max,
        }
    }

    /// Puts an alias in place of the topic, or beside it when it is new; true then, and
    /// [`Aliases::told`] has to follow once the packet is written.
    pub(super) fn shorten(&self, packet: &mut Delivery<'_>) -> bool {
        if self.max == 0 || packet.topic.len() <= SHORT {
            return false;
        }
        if let Some(alias) = self.known.get(packet.topic) {
            packet.topic = "";
            packet.topic_alias = Some(*alias);
            return false;
        }
        packet.topic_alias = self.next();
        packet.topic_alias.is_some()
    }

    /// The client knows the next alias as that of `topic`.
    pub(super) fn told(&mut self, topic: &str) {
        if let Some(alias) = self.next() {
            self.known.insert(topic.into(), alias);
        }
    }

    fn next(&self) -> Option<u16> {
        let next = u16::try_from(self.known.len()).ok()?.checked_add(1)?;
        (next <= self.max).then_some(next)
    }
}
