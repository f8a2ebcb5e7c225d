//! Entries for a fork that come from elsewhere than a journal: recorded messages of devices in the
//! order of their times, with ticks between them.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::data::{DataFolder, RerunError};
use super::{WATCHED, Watch};
use crate::decode::{Texts, decode};
use crate::event::{Decision, Entry, Event};
use crate::journal::{ReadError, Reader as _};
use crate::model::{AssetRecord, Millis, Observed, Quality, QuarterRecord, Reading};
use crate::vocabulary::Vocabulary;

/// Milliseconds between two ticks at most.
const TICK_MS: i64 = 60_000;
/// Time goes on behind the last message: so long, until windows that ended are closed.
const AFTER_MS: i64 = 20 * 60_000;
/// Messages that could not be used, of which the reason is kept.
const MOST_REASONS: usize = 20;

/// A file of messages cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InjectError {
    /// It cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is wrong.
    #[error("{}:{line}: {what}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong, and what is expected.
        what: String,
    },
}

/// Messages cannot be made entries.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// None of them.
    #[error("no message can be used: {0}")]
    Empty(String),
    /// Too large.
    #[error("a message cannot be encoded: {0}")]
    Encode(#[from] postcard::Error),
}

/// A message of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Injected {
    /// `dt/{quarter}/{asset}` and perhaps a metric.
    pub topic: String,
    /// What was sent.
    pub payload: String,
    /// When it comes.
    pub time: Millis,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    topic: String,
    payload: Value,
    time: Value,
}

impl Injected {
    /// Reads a file with one JSON object a line: `topic`, `payload` (text, or JSON as it is) and
    /// `time` (RFC 3339, or milliseconds since 1970).
    ///
    /// # Errors
    /// Names the line.
    pub fn load(path: &Path) -> Result<Vec<Self>, InjectError> {
        let text = std::fs::read_to_string(path).map_err(|source| InjectError::Read {
            path: path.to_owned(),
            source,
        })?;
        let lines = (1..).zip(text.lines());
        let lines = lines.filter(|(_, text)| !text.trim().is_empty());
        let message = |(line, text): (usize, &str)| {
            Self::parse(text).map_err(|what| InjectError::Line {
                path: path.to_owned(),
                line,
                what,
            })
        };
        lines.map(message).collect()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let line: Line = serde_json::from_str(text).map_err(|error| {
            format!("{error}; expected {{\"topic\":..,\"payload\":..,\"time\":..}}")
        })?;
        let time = match &line.time {
            Value::String(text) => text
                .parse::<jiff::Timestamp>()
                .ok()
                .map(|t| Millis(t.as_millisecond())),
            Value::Number(number) => number.as_i64().map(Millis),
            _ => None,
        };
        let time = time.ok_or_else(|| {
            format!(
                "time {} is neither RFC 3339 nor milliseconds since 1970",
                line.time
            )
        })?;
        let mut texts = Texts::default();
        let payload = match line.payload {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let vocabulary = Vocabulary::builtin();
        let decoded = decode(
            &line.topic,
            payload.as_bytes(),
            time,
            vocabulary,
            &mut texts,
        );
        decoded.map_err(|why| format!("{}: {}", why.reason.as_str(), why.detail))?;
        Ok(Self {
            topic: line.topic,
            payload,
            time,
        })
    }

    /// Id of its quarter.
    pub fn quarter(&self) -> &str {
        self.topic.split('/').nth(1).unwrap_or_default()
    }
}

/// Entries in memory, encoded.
#[derive(Debug, Default)]
pub struct Script {
    pub(super) entries: Vec<Vec<u8>>,
    /// Readings in them.
    pub readings: u64,
    /// Messages and values that cannot be used.
    pub rejected: u64,
    /// Why, of the first of them.
    pub reasons: Vec<String>,
}

impl Script {
    /// A quarter with its assets, and messages in the order of their times. Time goes on in ticks,
    /// `tick_s` seconds apart or a minute.
    ///
    /// # Errors
    /// No message can be used.
    pub fn of(
        quarter: QuarterRecord,
        assets: Vec<AssetRecord>,
        mut messages: Vec<Injected>,
        tick_s: Option<u32>,
    ) -> Result<Self, ScriptError> {
        messages.sort_by_key(|message| message.time);
        let every = tick_s.map_or(TICK_MS, |s| (i64::from(s) * 1000).clamp(1000, TICK_MS));
        let mut script = Self::default();
        let Some(begin) = messages.first().map(|message| message.time) else {
            return Err(ScriptError::Empty("there is none".to_owned()));
        };
        let here = quarter.id.clone();
        script.push(begin, Event::QuarterPut(quarter))?;
        for asset in assets {
            script.push(begin, Event::AssetPut(asset))?;
        }
        let mut tick = next_tick(begin, every);
        let mut end = begin;
        for message in &messages {
            while tick <= message.time {
                script.push(tick, Event::Ticked)?;
                tick = tick.plus(every);
            }
            script.message(message, &here)?;
            end = message.time;
        }
        while tick <= end.plus(AFTER_MS) {
            script.push(tick, Event::Ticked)?;
            tick = tick.plus(every);
        }
        match script.readings {
            0 => Err(ScriptError::Empty(script.reasons.join("; "))),
            _ => Ok(script),
        }
    }

    /// What a journal recorded of a quarter in the entries from `from` to before `upto`, and what
    /// other plugins than `plugin` derived there, as readings.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn recorded(
        data: &DataFolder,
        (quarter, plugin): (&str, &str),
        (from, upto): (u64, u64),
        watch: Watch<'_>,
    ) -> Result<Self, RerunError> {
        let mut script = Self::default();
        let mut reader = data.reader(from)?;
        loop {
            let frame = match reader.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(script),
                Err(ReadError::Gap { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            for (position, bytes) in frame.entries() {
                if position >= upto {
                    return Ok(script);
                }
                if position % WATCHED == 0 {
                    watch("reading", position - from, None);
                }
                let Ok(entry) = postcard::from_bytes::<Entry<'_>>(bytes) else {
                    continue;
                };
                match entry.event {
                    Event::Observed(observed) if observed.quarter == quarter => {
                        script.readings += observed.readings.len() as u64;
                    }
                    Event::Ticked | Event::QuarterPut(_) | Event::AssetPut(_) => {}
                    Event::Decided(decision)
                        if decision.quarter == quarter && decision.plugin != plugin =>
                    {
                        script.derived(entry.at, &decision);
                        continue;
                    }
                    _ => continue,
                }
                script.entries.push(bytes.to_vec());
            }
        }
    }

    fn derived(&mut self, at: Millis, decision: &Decision) {
        let acting = decision.derived.iter().filter(|_| decision.stage.acts());
        for derived in acting {
            let reading = Reading {
                metric: &derived.metric,
                value: derived.value,
                time: derived.time,
                quality: Quality::Good,
                unit: None,
            };
            let event = Event::Observed(Observed {
                quarter: &decision.quarter,
                asset: &derived.asset,
                place: None,
                readings: vec![reading],
            });
            // What was in the journal fits into an entry.
            let _ = self.push(at, event);
        }
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn push(&mut self, at: Millis, event: Event<'_>) -> Result<(), postcard::Error> {
        self.entries
            .push(postcard::to_allocvec(&Entry { at, event })?);
        Ok(())
    }

    fn message(&mut self, message: &Injected, quarter: &str) -> Result<(), postcard::Error> {
        let mut texts = Texts::default();
        let (topic, payload) = (&message.topic, message.payload.as_bytes());
        let vocabulary = Vocabulary::builtin();
        let decoded = match decode(topic, payload, message.time, vocabulary, &mut texts) {
            Ok(decoded) => decoded,
            Err(why) => {
                self.reject(message, &why.detail);
                return Ok(());
            }
        };
        for why in &decoded.rejected {
            self.reject(message, &why.detail);
        }
        let observed = decoded.observed;
        if observed.quarter != quarter {
            self.reject(message, &format!("the quarter is not {quarter}"));
            return Ok(());
        }
        self.readings += observed.readings.len() as u64;
        self.push(message.time, Event::Observed(observed))
    }

    fn reject(&mut self, message: &Injected, why: &str) {
        self.rejected += 1;
        if self.reasons.len() < MOST_REASONS {
            let Injected { topic, time, .. } = message;
            self.reasons.push(format!("{topic} at {time}: {why}"));
        }
    }
}

/// The first full multiple of `every` behind `begin`.
fn next_tick(begin: Millis, every: i64) -> Millis {
    Millis(begin.0 - begin.0.rem_euclid(every) + every)
}
