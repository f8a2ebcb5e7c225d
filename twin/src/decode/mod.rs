//! Payloads to readings: what a device published on `dt/...` becomes an [`Observed`].
//!
//! | topic | payload |
//! |---|---|
//! | `dt/{quarter}/{asset}` | `[`: SenML JSON, RFC 8428 (see `senml`); `{`: a flat object (see `flat`) |
//! | `dt/{quarter}/{asset}/{metric}` | a bare number, or `{"value":..,"time":..,"unit":..}` (`v`, `t`, `u`) |
//!
//! Invariants: no input panics; every value of a payload becomes a reading or a [`Rejection`],
//! and a bad value never costs its neighbours; a reading's value is finite and in the metric's
//! unit, its time lies between 1990 and a day after its receipt (a year, where that is
//! guessed), its metric is a legal name;
//! no two readings of one payload share metric and time: the last one wins.
//!
//! Numbers may be sent as strings (`"21.5"`), booleans count as 1 and 0. A name that the
//! vocabulary does not know is kept as sent, with its unit, and marked uncertain; a value outside
//! the plausible range is kept and marked bad.

mod collect;
mod flat;
mod json;
mod rejection;
mod senml;
#[cfg(test)]
mod tests;
mod time;

use crate::clock::Moment;
use crate::model::{Millis, Observed, Reading, is_name};
use crate::vocabulary::Vocabulary;

use collect::Collector;
pub use collect::Texts;
pub use rejection::{Reason, Rejection};

/// The largest payload that is looked at, bytes.
pub const MAX_PAYLOAD: usize = 256 * 1024;

/// The most values in one payload, kept and rejected ones together.
pub const MAX_VALUES: usize = 1000;

/// What a payload said.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded<'a> {
    /// What was understood. Without readings it may still place the asset, or say nothing: then
    /// `rejected` is not empty.
    pub observed: Observed<'a>,
    /// Readings without a time of their own, where [`Received::guessed`] asks for them; else they
    /// are in `observed`.
    pub untimed: Vec<Reading<'a>>,
    /// Values that were not, one entry a value; their neighbours are in `observed`.
    pub rejected: Vec<Rejection>,
}

/// When a publish was received.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// By the node's clock; readings without a time get it.
    pub time: Millis,
    /// The node does not know the time. Readings without a time come apart and at most uncertain,
    /// and a time may be ahead by a year.
    pub guessed: bool,
}

impl From<Millis> for Received {
    /// At a time that is known.
    fn from(time: Millis) -> Self {
        Self {
            time,
            guessed: false,
        }
    }
}

impl From<&Moment<'_>> for Received {
    fn from(moment: &Moment<'_>) -> Self {
        Self {
            time: moment.time,
            guessed: moment.guessed,
        }
    }
}

/// Decodes one publish.
///
/// The result borrows from topic, payload and vocabulary; `texts` holds the few names and units
/// that nothing of these spells out (escaped in JSON, or joined from a SenML base name), and can
/// be used again for the next payload.
///
/// # Errors
/// Nothing of the payload could be used: bad topic, not JSON, not SenML, too large, empty.
pub fn decode<'a>(
    topic: &'a str,
    payload: &'a [u8],
    received: impl Into<Received>,
    vocabulary: &'a Vocabulary,
    texts: &'a mut Texts,
) -> Result<Decoded<'a>, Rejection> {
    let address = Address::parse(topic)?;
    if payload.len() > MAX_PAYLOAD {
        let detail = format!(
            "{} bytes, at most {MAX_PAYLOAD} are accepted",
            payload.len()
        );
        return Err(Rejection::new(Reason::TooLarge, detail));
    }
    let text = std::str::from_utf8(payload)
        .map_err(|error| Rejection::new(Reason::Json, format!("not UTF-8: {error}")))?
        .trim_ascii();
    let mut collector = Collector::new(vocabulary, received.into());
    match (address.metric, text.bytes().next()) {
        (_, None) => {
            return Err(Rejection::new(
                Reason::Empty,
                "the payload is empty".to_owned(),
            ));
        }
        (None, Some(b'[')) => senml::read(text, address.asset, &mut collector)?,
        (None, Some(b'{')) => flat::read(text, &mut collector)?,
        (None, Some(_)) => {
            let detail = format!(
                "neither a SenML array nor an object; a bare number goes to {topic}/{{metric}}"
            );
            return Err(Rejection::new(Reason::Json, detail));
        }
        (Some(metric), Some(b'{')) => flat::read_one(text, metric, &mut collector)?,
        (Some(metric), Some(_)) => flat::read_bare(text, metric, &mut collector),
    }
    collector.finish(address.quarter, address.asset, texts)
}

/// The parts of a telemetry topic.
struct Address<'a> {
    quarter: &'a str,
    asset: &'a str,
    metric: Option<&'a str>,
}

impl<'a> Address<'a> {
    fn parse(topic: &'a str) -> Result<Self, Rejection> {
        let mut levels = topic.split('/');
        let (root, quarter, asset) = (levels.next(), levels.next(), levels.next());
        let (metric, rest) = (levels.next(), levels.next());
        match (root, quarter, asset, rest) {
            (Some("dt"), Some(quarter), Some(asset), None)
                if is_name(quarter) && is_name(asset) && metric.is_none_or(is_name) =>
            {
                Ok(Self {
                    quarter,
                    asset,
                    metric,
                })
            }
            _ => Err(Rejection::new(
                Reason::Topic,
                format!(
                    "{topic}: expected dt/{{quarter}}/{{asset}} or dt/{{quarter}}/{{asset}}/{{metric}}"
                ),
            )),
        }
    }
}
