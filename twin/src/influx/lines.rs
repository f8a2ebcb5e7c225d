//! Line protocol: points in, lines out that every server of the family stores alike.
//!
//! `measurement,area=..,cell=..,device=.. metric=1.5,metric=2 1700000000000` - a measurement a
//! domain, tags sorted and never empty, metrics as float fields, milliseconds.
//!
//! Comma, space and equals sign are escaped. A backslash is not: measured on InfluxDB 1.6.7 and
//! VictoriaMetrics 1.79, a doubled one is kept double by the first and halved by the second, at
//! the end of a tag the first refuses it and before a comma the second loses the line. It becomes
//! `/`, which no name contains, so different devices stay different. In a field a double quote
//! makes VictoriaMetrics swallow the fields after it, so there it becomes `'`. Control characters
//! become `_`. The field names `time`, `area`, `cell` and `device` get a `_` behind them, because
//! InfluxDB drops the first without a word and takes the others for the tags.

use std::ops::Range;

use super::number::{push_float, push_integer};

/// Fields a line at most, so that one device with endless metrics makes no endless line.
const MAX_FIELDS: usize = 64;
/// Bytes of a name at most; longer ones are cut. The model's names are shorter than that.
const MAX_NAME: usize = 512;
/// InfluxDB keeps nanoseconds in 64 bits: milliseconds from 1677 to 2262.
const TIMES: Range<i64> = -9_223_372_036_854..9_223_372_036_854;

/// One value on its way out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point<'a> {
    /// Name of the domain, `environment`; not empty.
    pub measurement: &'a str,
    /// Id of the quarter; empty: no tag.
    pub area: &'a str,
    /// H3 cell at resolution 9, hex; `None` where the asset has no place, or is no fixed one.
    pub cell: Option<&'a str>,
    /// Id of the asset; empty: no tag.
    pub device: &'a str,
    /// Name of the metric; not empty.
    pub field: &'a str,
    /// In the metric's unit.
    pub value: f64,
    /// Event time, milliseconds since 1970.
    pub time: i64,
}

/// A growing body of line protocol. It holds whole, correct lines only.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    starts: Vec<usize>,
    points: u64,
    skipped: u64,
    last: Last,
}

/// What the last line speaks of, unescaped, so that the next point can join it.
#[derive(Debug, Default)]
struct Last {
    measurement: String,
    area: String,
    cell: String,
    device: String,
    time: i64,
    fields: Vec<Range<usize>>,
    fields_end: usize,
}

impl Lines {
    /// Appends a point: to the last line where that is of the same asset, domain and time and has
    /// no such field yet, else as a line of its own.
    ///
    /// `false`: skipped and counted, because no server could store it: a value that is not finite,
    /// a time before 1677 or after 2262, an empty measurement or field.
    pub fn push(&mut self, point: &Point<'_>) -> bool {
        if !point.value.is_finite()
            || !TIMES.contains(&point.time)
            || point.measurement.is_empty()
            || point.field.is_empty()
        {
            self.skipped += 1;
            return false;
        }
        if !self.join(point) {
            self.start(point);
        }
        self.points += 1;
        true
    }

    /// Lines it holds.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether it holds no line.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Points it holds; a line can hold several.
    pub fn points(&self) -> u64 {
        self.points
    }

    /// Points skipped since [`Lines::clear`].
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The lines, each with its newline.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the lines and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
        self.points = 0;
        self.skipped = 0;
        self.last.fields.clear();
    }

    /// The bytes of some of the lines; empty where there are none such.
    pub(super) fn part(&self, lines: &Range<usize>) -> &[u8] {
        let start = self
            .starts
            .get(lines.start)
            .copied()
            .unwrap_or(self.bytes.len());
        let end = self
            .starts
            .get(lines.end)
            .copied()
            .unwrap_or(self.bytes.len());
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// One line for each field of a line; `None` where it has only one.
    pub(super) fn fields_apart(&self, line: usize) -> Option<Self> {
        let mut sections = split(self.part(&(line..line + 1)), b' ');
        let (series, fields, time) = (sections.next()?, sections.next()?, sections.next()?);
        let mut apart = Self::default();
        for field in split(fields, b',') {
            apart.starts.push(apart.bytes.len());
            for bytes in [series, b" ", field, b" ", time] {
                apart.bytes.extend_from_slice(bytes);
            }
            apart.points += 1;
        }
        (apart.len() > 1).then_some(apart)
    }

    fn join(&mut self, point: &Point<'_>) -> bool {
        let last = &mut self.last;
        if last.fields.is_empty() || last.fields.len() >= MAX_FIELDS || !last.is_of(point) {
            return false;
        }
        let tail = self.bytes.len();
        // Behind the line for the time being: it must not name the field already.
        push_field(&mut self.bytes, point.field);
        let name = self.bytes.get(tail..).unwrap_or_default();
        if last
            .fields
            .iter()
            .any(|field| self.bytes.get(field.clone()) == Some(name))
        {
            self.bytes.truncate(tail);
            return false;
        }
        let name = name.len();
        self.bytes.copy_within(tail.., last.fields_end + 1);
        if let Some(comma) = self.bytes.get_mut(last.fields_end) {
            *comma = b',';
        }
        let start = last.fields_end + 1;
        self.bytes.truncate(start + name);
        self.finish(start, point);
        true
    }

    fn start(&mut self, point: &Point<'_>) {
        let out = &mut self.bytes;
        self.starts.push(out.len());
        push_measurement(out, point.measurement);
        push_tag(out, b",area=", point.area);
        push_tag(out, b",cell=", point.cell.unwrap_or_default());
        push_tag(out, b",device=", point.device);
        out.push(b' ');
        self.last.set(point);
        let start = out.len();
        push_field(out, point.field);
        self.finish(start, point);
    }

    /// Writes value and time behind the field name that begins at `name`.
    fn finish(&mut self, name: usize, point: &Point<'_>) {
        let out = &mut self.bytes;
        self.last.fields.push(name..out.len());
        out.push(b'=');
        push_float(out, point.value);
        self.last.fields_end = out.len();
        out.push(b' ');
        push_integer(out, point.time);
        out.push(b'\n');
    }
}

impl Last {
    fn is_of(&self, point: &Point<'_>) -> bool {
        self.time == point.time
            && self.device == point.device
            && self.measurement == point.measurement
            && self.area == point.area
            && self.cell == point.cell.unwrap_or_default()
    }

    fn set(&mut self, point: &Point<'_>) {
        for (kept, new) in [
            (&mut self.measurement, point.measurement),
            (&mut self.area, point.area),
            (&mut self.cell, point.cell.unwrap_or_default()),
            (&mut self.device, point.device),
        ] {
            kept.clear();
            kept.push_str(new);
        }
        self.time = point.time;
        self.fields.clear();
    }
}

/// The bytes between the delimiters that are not escaped. No backslash that is written is itself
/// escaped.
fn split(bytes: &[u8], delimiter: u8) -> impl Iterator<Item = &[u8]> {
    let mut escaped = false;
    bytes.split(move |byte| {
        let here = *byte == delimiter && !escaped;
        escaped = *byte == b'\\';
        here
    })
}

fn push_measurement(out: &mut Vec<u8>, name: &str) {
    let start = out.len();
    push_name(out, name, |c| match c {
        ',' | ' ' => Write::Escaped,
        '=' => Write::As(b'_'),
        _ => Write::Plain,
    });
    // A line that begins with `#` is a comment.
    if let Some(first @ b'#') = out.get_mut(start) {
        *first = b'_';
    }
}

fn push_tag(out: &mut Vec<u8>, key: &[u8], value: &str) {
    if value.is_empty() {
        return;
    }
    out.extend_from_slice(key);
    push_name(out, value, |c| match c {
        ',' | ' ' | '=' => Write::Escaped,
        _ => Write::Plain,
    });
}

fn push_field(out: &mut Vec<u8>, name: &str) {
    push_name(out, name, |c| match c {
        ',' | ' ' | '=' => Write::Escaped,
        '"' => Write::As(b'\''),
        _ => Write::Plain,
    });
    if matches!(name, "time" | "area" | "cell" | "device") {
        out.push(b'_');
    }
}

/// How one character of a name is written.
enum Write {
    Plain,
    Escaped,
    As(u8),
}

fn push_name(out: &mut Vec<u8>, name: &str, write: impl Fn(char) -> Write) {
    let usual = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
    if name.len() <= MAX_NAME && name.as_bytes().iter().all(usual) {
        return out.extend_from_slice(name.as_bytes());
    }
    let cut = name.floor_char_boundary(MAX_NAME);
    for c in name.get(..cut).unwrap_or_default().chars() {
        let how = match c {
            '\\' => Write::As(b'/'),
            c if c.is_control() => Write::As(b'_'),
            c => write(c),
        };
        match how {
            Write::As(byte) => out.push(byte),
            Write::Plain | Write::Escaped => {
                if matches!(how, Write::Escaped) {
                    out.push(b'\\');
                }
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
}
