//! Windows against a slow reference, named examples of the rules, real data.

mod examples;
mod noise;
mod properties;
mod reference;

use super::{Closed, Outcome, Spans, Windows};
use crate::model::Millis;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 3_600_000;

/// 1 June 2018, midnight UTC.
const JUNE: i64 = 1_527_811_200_000;
/// Wall clock of the tests that do not care: long after the data.
const LATER: Millis = Millis(1_790_000_000_000);

fn spans(seconds: &[u32]) -> Spans {
    seconds
        .iter()
        .map(|&s| Spans::from_seconds(s).unwrap())
        .fold(Spans::NONE, Spans::union)
}

fn instant(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// Feeds (time, value) pairs of stream 0 and gives the rows of that span.
fn feed(windows: &mut Windows, readings: impl IntoIterator<Item = (i64, f64)>) -> Vec<Closed> {
    let mut out = Vec::new();
    for (time, value) in readings {
        windows.observe(0, Millis(time), value, LATER, &mut out);
    }
    out
}

fn of_span(rows: &[Closed], span_s: u32) -> Vec<Closed> {
    rows.iter()
        .copied()
        .filter(|row| row.span_s == span_s)
        .collect()
}
