//! A box's whole state on its way to the city, in parts. Sent only where entries are lost for good
//! that the box itself has folded: without it the city's replica would be another one for ever.

use serde::{Deserialize, Serialize};

use super::chain::JournalId;
use super::squeeze::{UplinkError, pack, unpack};
use crate::event::Digest;

const VERSION: u8 = 1;
/// Bytes of a state at most: some hundred thousand streams.
const MAX_STATE: usize = 64 << 20;
/// Bytes of all its parts at most.
const MAX_PACKED: u64 = 16 << 20;

/// A part of the deflated state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatePart<'a> {
    version: u8,
    /// Which journal.
    pub journal: JournalId,
    /// Position behind which the state is.
    pub position: u64,
    /// SHA-256 of the state.
    pub state: Digest,
    /// Bytes of all parts.
    pub all: u64,
    /// Bytes before this part.
    pub before: u64,
    /// This part.
    pub bytes: &'a [u8],
}

impl<'a> StatePart<'a> {
    /// What a payload says.
    ///
    /// # Errors
    /// See [`UplinkError`].
    pub fn decode(payload: &'a [u8]) -> Result<Self, UplinkError> {
        let version = payload.first().copied().unwrap_or_default();
        if version != VERSION {
            return Err(UplinkError::Version(version));
        }
        let part: Self = postcard::from_bytes(payload)
            .map_err(|error| UplinkError::Decode(error.to_string()))?;
        match part.all > MAX_PACKED {
            true => Err(UplinkError::TooLarge(MAX_STATE)),
            false => Ok(part),
        }
    }
}

/// The state of all its parts.
///
/// # Errors
/// See [`UplinkError`].
pub fn whole(packed: &[u8]) -> Result<Vec<u8>, UplinkError> {
    unpack(packed, MAX_STATE)
}

/// A state that is being sent.
#[derive(Debug)]
pub struct StateWriter {
    journal: JournalId,
    position: u64,
    state: Digest,
    packed: Vec<u8>,
    sent: usize,
}

impl StateWriter {
    /// The state behind `position`.
    ///
    /// # Errors
    /// [`UplinkError::TooLarge`].
    pub fn new(journal: JournalId, position: u64, bytes: &[u8]) -> Result<Self, UplinkError> {
        let packed = pack(bytes);
        if bytes.len() > MAX_STATE || packed.len() as u64 > MAX_PACKED {
            return Err(UplinkError::TooLarge(MAX_STATE));
        }
        Ok(Self {
            journal,
            position,
            state: Digest::of(bytes),
            packed,
            sent: 0,
        })
    }

    /// The payload of the next part, with about `bytes` of the state; `None`: all were sent.
    pub fn next_part(&mut self, bytes: usize) -> Option<Vec<u8>> {
        let rest = self
            .packed
            .get(self.sent..)
            .filter(|rest| !rest.is_empty())?;
        let (part, _) = rest.split_at(bytes.clamp(1, rest.len()));
        let wire = StatePart {
            version: VERSION,
            journal: self.journal,
            position: self.position,
            state: self.state,
            all: self.packed.len() as u64,
            before: self.sent as u64,
            bytes: part,
        };
        // Fails only where a value cannot be serialised at all.
        let payload = postcard::to_allocvec(&wire).unwrap_or_default();
        self.sent += part.len();
        Some(payload)
    }
}
