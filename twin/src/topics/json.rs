//! Payloads of the twin's topics. Those that are sent for every reading are written by hand:
//! their shape is fixed and a serializer costs several times as much.

use std::io::Write as _;

use bytes::Bytes;
use serde::Serialize;
use serde_json::json as value;
use utoipa::ToSchema;

use crate::event::{Decision, Severity};
use crate::grid::Aggregate;
use crate::model::Millis;
use crate::state::{Alert, Change, Command};

/// The newest value of a stream. [`stream_json`] writes it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Value)]
pub struct ValuePayload<'a> {
    /// In `unit`.
    pub value: f64,
    /// UCUM code; empty for figures without one.
    pub unit: &'a str,
    /// Event time, RFC 3339 in UTC.
    #[schema(format = DateTime)]
    pub time: String,
    /// `good`; `uncertain`: metric or unit are not known; `bad`: outside the plausible range.
    #[schema(pattern = "^(good|uncertain|bad)$")]
    pub quality: &'a str,
    /// Values that the stream has taken. A gap between two messages is what was not seen.
    pub rev: u32,
}

/// What the streams of one metric in an H3 cell say together.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cell)]
pub struct CellPayload {
    /// Streams that have a value.
    pub count: u32,
    /// Mean, energetic where the metric says so.
    pub mean: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Sum.
    pub sum: f64,
    /// Assets that these streams belong to; of personal metrics five at least.
    pub assets: u32,
    /// Newest event time, RFC 3339 in UTC.
    #[schema(format = DateTime)]
    pub time: String,
}

/// An active alert; an empty payload when it is over.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Alert)]
pub struct AlertPayload<'a> {
    /// How bad it is.
    #[schema(value_type = String, pattern = "^(info|warning|major|critical)$")]
    pub severity: Severity,
    /// Event time at which it was raised, RFC 3339 in UTC.
    #[schema(format = DateTime)]
    pub since: String,
    /// Value that decided last.
    pub value: f64,
    /// Limit it was held against, where the rule has one.
    #[schema(required)]
    pub limit: Option<f64>,
    /// For people.
    pub text: &'a str,
    /// Plugin that raised it.
    pub plugin: &'a str,
    /// Id of the decision.
    pub decision: u64,
    /// The box that decided, where it was one: its decision is `{node}:{decision}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<&'a str>,
}

/// A decision and its id.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DecisionRecord)]
pub struct DecisionPayload<'a> {
    /// Journal position of the decision.
    pub id: u64,
    /// The box that decided, where it was one: the position is one of its journal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<&'a str>,
    /// What was decided.
    #[serde(flatten)]
    pub decision: &'a Decision,
}

/// What a device is to do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Command)]
pub struct CommandPayload<'a> {
    /// Property to set: the metric under which the device reports it on `dt/..`.
    pub property: &'a str,
    /// Wanted value, in the metric's unit.
    pub value: f64,
    /// Not wanted from then on, RFC 3339 in UTC.
    #[schema(format = DateTime)]
    pub expires: String,
    /// The same id is the same command: it comes again until the device has reported the value.
    pub id: String,
}

/// `{"value":21.5,"unit":"Cel","time":"..","quality":"good","rev":42}`.
pub fn stream_json(change: &Change, unit: &str) -> Bytes {
    let mut out = Vec::with_capacity(112);
    out.extend_from_slice(b"{\"value\":");
    number(&mut out, change.value);
    out.extend_from_slice(b",\"unit\":");
    string(&mut out, unit);
    out.extend_from_slice(b",\"time\":\"");
    time(&mut out, change.time);
    out.extend_from_slice(b"\",\"quality\":\"");
    out.extend_from_slice(change.quality.as_str().as_bytes());
    // Writing to a Vec does not fail.
    let _ = write!(out, "\",\"rev\":{}}}", change.rev);
    out.into()
}

/// The aggregate of a cell.
pub fn aggregate_json(aggregate: &Aggregate) -> Bytes {
    json(&CellPayload {
        count: aggregate.count,
        mean: aggregate.mean,
        min: aggregate.min,
        max: aggregate.max,
        sum: aggregate.sum,
        assets: aggregate.assets,
        time: aggregate.time.to_string(),
    })
}

/// An active alert.
pub fn alert_json(alert: &Alert) -> Bytes {
    json(&AlertPayload {
        severity: alert.severity,
        since: alert.since.to_string(),
        value: alert.value,
        limit: alert.limit,
        text: &alert.text,
        plugin: &alert.plugin,
        decision: alert.decision,
        node: alert.node.as_deref(),
    })
}

/// A command to a device.
pub fn command_json(command: &Command) -> Bytes {
    json(&CommandPayload {
        property: &command.property,
        value: command.value,
        expires: command.expires.to_string(),
        id: command.id.to_string(),
    })
}

/// The audit record of a batch; its id is the journal position of the decision.
pub fn decision_json(node: Option<&str>, position: u64, decision: &Decision) -> Bytes {
    json(&DecisionPayload {
        id: position,
        node,
        decision,
    })
}

/// Plain structs with finite or null numbers always serialize.
fn json(payload: &impl Serialize) -> Bytes {
    serde_json::to_vec(payload).unwrap_or_default().into()
}

fn number(out: &mut Vec<u8>, value: f64) {
    // The shortest text that reads back as the same number; `{}` of 1e300 has 300 digits.
    let size = value.abs();
    let written = if size != 0.0 && !(1e-7..1e17).contains(&size) {
        write!(out, "{value:e}")
    } else {
        write!(out, "{value}")
    };
    let _ = written;
}

fn string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        out.extend_from_slice(value!(text).to_string().as_bytes());
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

/// RFC 3339 in UTC. Days to date by Howard Hinnant's `civil_from_days`; years 0 to 9999.
fn time(out: &mut Vec<u8>, time: Millis) {
    const DAY: i64 = 86_400_000;
    let (days, ms) = (time.0.div_euclid(DAY), time.0.rem_euclid(DAY));
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if !(0..=9999).contains(&year) {
        let _ = write!(out, "{time}");
        return;
    }
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    digits(out, year, 4);
    for (separator, part) in [
        (b'-', month),
        (b'-', day),
        (b'T', hour),
        (b':', minute),
        (b':', second),
    ] {
        out.push(separator);
        digits(out, part, 2);
    }
    if ms % 1000 != 0 {
        out.push(b'.');
        digits(out, ms % 1000, 3);
    }
    out.push(b'Z');
}

fn digits(out: &mut Vec<u8>, mut value: i64, count: usize) {
    let start = out.len();
    out.resize(start + count, b'0');
    for place in out.iter_mut().skip(start).rev() {
        *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}
