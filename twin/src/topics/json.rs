//! Payloads of the twin's topics. Those that are sent for every reading are written by hand:
//! their shape is fixed and a serializer costs several times as much.

use std::io::Write as _;

use bytes::Bytes;
use serde_json::json;

use crate::event::Decision;
use crate::grid::Aggregate;
use crate::model::Millis;
use crate::state::{Alert, Change};

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

/// `{"count":..,"mean":..,"min":..,"max":..,"sum":..,"assets":..,"time":".."}`.
pub fn aggregate_json(aggregate: &Aggregate) -> Bytes {
    json!({
        "count": aggregate.count,
        "mean": aggregate.mean,
        "min": aggregate.min,
        "max": aggregate.max,
        "sum": aggregate.sum,
        "assets": aggregate.assets,
        "time": aggregate.time.to_string(),
    })
    .to_string()
    .into()
}

/// Severity, since, value, limit, text and the id of the decision.
pub fn alert_json(alert: &Alert) -> Bytes {
    json!({
        "severity": alert.severity,
        "since": alert.since.to_string(),
        "value": alert.value,
        "limit": alert.limit,
        "text": alert.text,
        "plugin": alert.plugin,
        "decision": alert.decision,
    })
    .to_string()
    .into()
}

/// The audit record of a batch; its id is the journal position of the decision.
pub fn decision_json(position: u64, decision: &Decision) -> Bytes {
    let mut record = serde_json::to_value(decision).unwrap_or_default();
    if let Some(fields) = record.as_object_mut() {
        fields.insert("id".to_owned(), position.into());
    }
    record.to_string().into()
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
        out.extend_from_slice(json!(text).to_string().as_bytes());
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
