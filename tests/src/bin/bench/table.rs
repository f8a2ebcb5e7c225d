//! The figures: as an aligned table for people, as JSON for machines.

use serde_json::{Value, json};

/// One figure.
#[derive(Debug)]
struct Row {
    what: String,
    quartier: String,
    mosquitto: String,
    ratio: String,
    goal: &'static str,
    how: String,
    figures: Value,
}

/// All figures, in the order in which they were measured.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// A figure of both sides; the ratio is Quartier's by mosquitto's.
    pub(crate) fn both(
        &mut self,
        what: &str,
        (quartier, mosquitto): (f64, f64),
        unit: &str,
        goal: &'static str,
        how: &str,
    ) {
        let ratio = quartier / mosquitto;
        self.add(Row {
            what: what.to_owned(),
            quartier: format!("{} {unit}", number(quartier)),
            mosquitto: format!("{} {unit}", number(mosquitto)),
            ratio: format!("{ratio:.2}"),
            goal,
            how: how.to_owned(),
            figures: json!({ "quartier": quartier, "mosquitto": mosquitto, "ratio": ratio, "unit": unit }),
        });
    }

    /// A figure of Quartier's own.
    pub(crate) fn one(
        &mut self,
        what: &str,
        value: f64,
        unit: &str,
        goal: &'static str,
        how: &str,
    ) {
        self.add(Row {
            what: what.to_owned(),
            quartier: format!("{} {unit}", number(value)),
            mosquitto: String::new(),
            ratio: String::new(),
            goal,
            how: how.to_owned(),
            figures: json!({ "quartier": value, "unit": unit }),
        });
    }

    fn add(&mut self, row: Row) {
        eprintln!(
            "{}: {} {} {}",
            row.what, row.quartier, row.mosquitto, row.ratio
        );
        self.rows.push(row);
    }

    /// For people: the table, and below it how each figure was measured.
    pub(crate) fn text(&self) -> String {
        let head = ["what", "Quartier", "mosquitto", "ratio", "goal"].map(str::to_owned);
        let cells = |row: &Row| {
            let goal = row.goal.to_owned();
            [
                row.what.clone(),
                row.quartier.clone(),
                row.mosquitto.clone(),
                row.ratio.clone(),
                goal,
            ]
        };
        let lines: Vec<[String; 5]> = std::iter::once(head)
            .chain(self.rows.iter().map(cells))
            .collect();
        let mut widths = [0; 5];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = String::new();
        for line in &lines {
            for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
                let right = (1..=3).contains(&column);
                let cell = if right {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                };
                text.push_str(&cell);
                text.push_str("  ");
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text.push('\n');
        for row in &self.rows {
            text.push_str(&format!("{}: {}\n", row.what, row.how));
        }
        text
    }

    /// For machines.
    pub(crate) fn json(&self, quick: bool) -> Value {
        let row = |row: &Row| {
            let mut value = row.figures.clone();
            if let Some(fields) = value.as_object_mut() {
                fields.insert("what".to_owned(), row.what.as_str().into());
                fields.insert("goal".to_owned(), row.goal.into());
                fields.insert("how".to_owned(), row.how.as_str().into());
            }
            value
        };
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        json!({
            "quick": quick,
            "cores": cores,
            "figures": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

/// Three significant digits, large numbers in groups of three.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => {
            let digits = format!("{value:.0}");
            let mut grouped = String::new();
            for (at, digit) in digits.chars().enumerate() {
                if at > 0 && (digits.len() - at) % 3 == 0 {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
