//! Why something was not decoded: a closed set of reasons for counters, a detail for people.

use std::fmt;

/// Why a payload or a value was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Not a telemetry topic.
    Topic,
    /// Too many bytes or values.
    TooLarge,
    /// Nothing to decode.
    Empty,
    /// Not UTF-8, not JSON, or not of the expected shape.
    Json,
    /// JSON, but not a SenML pack this version understands.
    Senml,
    /// A name that cannot be a metric's.
    Name,
    /// No number where one was expected; also NaN, infinities and null.
    NotANumber,
    /// A unit that is unknown or measures something else.
    Unit,
    /// A time that cannot be read or cannot be true.
    Time,
    /// A position that is not on Earth.
    Place,
    /// A later value of the same payload has the same metric and time.
    Duplicate,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::Topic,
        Self::TooLarge,
        Self::Empty,
        Self::Json,
        Self::Senml,
        Self::Name,
        Self::NotANumber,
        Self::Unit,
        Self::Time,
        Self::Place,
        Self::Duplicate,
    ];

    /// The name in metrics and dead letters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::TooLarge => "too_large",
            Self::Empty => "empty",
            Self::Json => "json",
            Self::Senml => "senml",
            Self::Name => "name",
            Self::NotANumber => "not_a_number",
            Self::Unit => "unit",
            Self::Time => "time",
            Self::Place => "place",
            Self::Duplicate => "duplicate",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The longest detail, characters; devices do not decide how much a dead letter holds.
const MAX_DETAIL: usize = 240;

/// A payload or a value that was not decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Rejection {
    /// For counters.
    pub reason: Reason,
    /// For people: which value, and what is wrong; one line of at most 240 characters.
    pub detail: String,
}

impl Rejection {
    pub(super) fn new(reason: Reason, mut detail: String) -> Self {
        if let Some((end, _)) = detail.char_indices().nth(MAX_DETAIL) {
            detail.truncate(end);
        }
        if detail.contains(char::is_control) {
            detail = detail.replace(char::is_control, " ");
        }
        Self { reason, detail }
    }
}
