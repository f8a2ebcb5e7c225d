//! What became of the rows: counted, with the first lines of each kind of fault.

use std::collections::BTreeMap;

use serde::Serialize;

/// Line numbers that are kept of one kind of fault.
const LINES: usize = 5;

/// What a replay did.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) rows: u64,
    /// Publishes, each with a PUBACK when the replay is done.
    pub(super) messages: u64,
    pub(super) readings: u64,
    /// Rows left out on purpose, by reason.
    pub(super) skipped: BTreeMap<String, u64>,
    /// Rows and values that could not be used, by reason.
    pub(super) rejected: BTreeMap<String, Rejected>,
    pub(super) seconds: f64,
    pub(super) messages_per_second: f64,
    pub(super) readings_per_second: f64,
}

/// One kind of fault.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Rejected {
    pub(super) count: u64,
    pub(super) first_lines: Vec<u64>,
    pub(super) example: String,
}

impl Report {
    pub(super) fn skip(&mut self, reason: &str) {
        *self.skipped.entry(reason.to_owned()).or_default() += 1;
    }

    pub(super) fn reject(&mut self, line: u64, reason: &str, example: &str) {
        let rejected = self.rejected.entry(reason.to_owned()).or_default();
        rejected.count += 1;
        if rejected.first_lines.len() < LINES {
            rejected.first_lines.push(line);
        }
        if rejected.count == 1 {
            rejected.example = example.chars().take(60).collect();
        }
    }

    pub(super) fn taken(&mut self, readings: u64) {
        self.messages += 1;
        self.readings += readings;
    }

    #[expect(clippy::cast_precision_loss, reason = "rates for people")]
    pub(super) fn ended(&mut self, seconds: f64) {
        self.seconds = seconds;
        self.messages_per_second = (self.messages as f64 / seconds.max(1e-3)).round();
        self.readings_per_second = (self.readings as f64 / seconds.max(1e-3)).round();
    }

    /// For people, a line for each fact.
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{} rows: {} messages acknowledged, {} readings, {:.1} s, {} messages/s, {} readings/s",
            self.rows,
            self.messages,
            self.readings,
            self.seconds,
            self.messages_per_second,
            self.readings_per_second
        );
        for (reason, count) in &self.skipped {
            text.push_str(&format!("\n  skipped  {count}: {reason}"));
        }
        for (reason, rejected) in &self.rejected {
            let lines: Vec<_> = rejected.first_lines.iter().map(u64::to_string).collect();
            let more = if rejected.count > LINES as u64 {
                ", .."
            } else {
                ""
            };
            text.push_str(&format!(
                "\n  rejected {}: {reason}, such as {:?} (line {}{more})",
                rejected.count,
                rejected.example,
                lines.join(", ")
            ));
        }
        text
    }
}
