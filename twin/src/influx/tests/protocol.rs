//! Line protocol read back by a parser of its own: what went in comes out, whatever the names.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::rig::{EPOCH, Sample};
use crate::influx::Lines;

/// A parsed line.
#[derive(Debug, PartialEq)]
struct Parsed {
    measurement: String,
    tags: Vec<(String, String)>,
    fields: Vec<(String, f64)>,
    time: i64,
}

/// Splits at `delimiter` where no backslash stands before it.
fn split(text: &str, delimiter: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == delimiter && !escaped {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    parts
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(',' | ' ' | '=') if c == '\\' => out.extend(chars.next()),
            _ => out.push(c),
        }
    }
    out
}

fn pair(text: &str) -> (String, String) {
    let parts = split(text, '=');
    assert_eq!(parts.len(), 2, "not a pair: {text}");
    (unescape(&parts[0]), unescape(&parts[1]))
}

fn parse(line: &str) -> Parsed {
    let sections = split(line, ' ');
    assert_eq!(sections.len(), 3, "not three sections: {line}");
    let mut key = split(&sections[0], ',').into_iter();
    Parsed {
        measurement: unescape(&key.next().unwrap()),
        tags: key.map(|tag| pair(&tag)).collect(),
        fields: split(&sections[1], ',')
            .iter()
            .map(|field| pair(field))
            .map(|(name, value)| (name, value.parse().unwrap()))
            .collect(),
        time: sections[2].parse().unwrap(),
    }
}

/// What a name becomes in every server.
pub(super) fn stored_tag(name: &str) -> String {
    name.chars()
        .map(|c| if c == '\\' { '/' } else { c })
        .map(|c| if c.is_control() { '_' } else { c })
        .collect()
}

pub(super) fn stored_field(name: &str) -> String {
    let reserved = ["time", "area", "cell", "device"].contains(&name);
    stored_tag(name).replace('"', "'") + if reserved { "_" } else { "" }
}

fn stored_measurement(name: &str) -> String {
    let name = stored_tag(name).replace('=', "_");
    name.strip_prefix('#')
        .map(|rest| format!("_{rest}"))
        .unwrap_or(name)
}

type Stored = BTreeMap<(String, String, String, String, i64, String), f64>;

fn expected(samples: &[Sample]) -> Stored {
    samples
        .iter()
        .filter(|sample| sample.value.is_finite())
        .filter(|sample| !sample.measurement.is_empty() && !sample.field.is_empty())
        .map(|sample| {
            let key = (
                stored_measurement(&sample.measurement),
                stored_tag(&sample.area),
                stored_tag(&sample.cell),
                stored_tag(&sample.device),
                sample.time,
                stored_field(&sample.field),
            );
            (key, sample.value)
        })
        .collect()
}

/// What a server would hold: a later value of the same point replaces the earlier one.
fn read_back(text: &str) -> Stored {
    let mut stored = Stored::new();
    for line in text.lines() {
        let line = parse(line);
        let sorted = line.tags.is_sorted_by(|a, b| a.0 < b.0);
        assert!(
            sorted && line.tags.iter().all(|(_, value)| !value.is_empty()),
            "{line:?}"
        );
        let tag = |key: &str| {
            let found = line.tags.iter().find(|(name, _)| name == key);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        for (field, value) in &line.fields {
            let key = (
                line.measurement.clone(),
                tag("area"),
                tag("cell"),
                tag("device"),
                line.time,
                field.clone(),
            );
            stored.insert(key, *value);
        }
    }
    stored
}

fn encode(samples: &[Sample]) -> Lines {
    let mut lines = Lines::default();
    for sample in samples {
        lines.push(&sample.point());
    }
    lines
}

fn text(lines: &Lines) -> &str {
    std::str::from_utf8(lines.as_bytes()).unwrap()
}

fn name() -> impl Strategy<Value = String> {
    let nasty = prop::sample::select(vec![
        '\\', ',', ' ', '=', '"', '\'', '\n', '\r', '\t', '\0', '#', '/', 'ä', '☃', 'a', '_', '.',
    ]);
    prop_oneof![
        prop::sample::select(vec!["no2", "time", "device", "d1", ""]).prop_map(str::to_owned),
        prop::collection::vec(nasty, 0..6).prop_map(String::from_iter),
    ]
}

prop_compose! {
    fn sample()(
        measurement in name(),
        area in name(),
        cell in name(),
        device in name(),
        field in name(),
        value in prop_oneof![any::<f64>(), (-9_999_i32..9_999).prop_map(|n| f64::from(n) / 10.0)],
        time in 0_i64..3,
    ) -> Sample {
        Sample { measurement, area, cell, device, field, value, time: EPOCH + time }
    }
}

/// Samples that stay with the same asset for a while, as they do in the journal.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let run = (
        sample(),
        prop::collection::vec((name(), any::<f64>()), 1..5),
    )
        .prop_map(|(asset, readings)| -> Vec<Sample> {
            let reading = |(field, value)| Sample {
                field,
                value,
                ..asset.clone()
            };
            readings.into_iter().map(reading).collect()
        });
    prop::collection::vec(run, 0..6).prop_map(|runs| runs.into_iter().flatten().collect())
}

proptest! {
    #[test]
    fn what_goes_in_is_read_back_whatever_the_names(samples in samples()) {
        let lines = encode(&samples);
        prop_assert_eq!(read_back(text(&lines)), expected(&samples));
        prop_assert_eq!(lines.points() + lines.skipped(), samples.len() as u64);
        prop_assert_eq!(lines.len(), text(&lines).lines().count());
        let parts: Vec<u8> =
            (0..lines.len()).flat_map(|n| lines.part(&(n..n + 1)).to_vec()).collect();
        prop_assert_eq!(parts, lines.as_bytes());
    }

    #[test]
    fn the_fields_of_a_line_taken_apart_say_the_same(samples in samples()) {
        let lines = encode(&samples);
        let mut apart = Stored::new();
        for n in 0..lines.len() {
            let fields = lines.fields_apart(n);
            let bytes = fields.as_ref().map_or(lines.part(&(n..n + 1)), Lines::as_bytes);
            for line in std::str::from_utf8(bytes).unwrap().lines() {
                prop_assert_eq!(parse(line).fields.len(), 1);
                apart.extend(read_back(line));
            }
        }
        prop_assert_eq!(apart, expected(&samples));
    }

    #[test]
    fn every_number_reads_back_as_itself(bits in any::<u64>(), small in -2_000_000_i64..2_000_000) {
        for value in [f64::from_bits(bits), small as f64 / 1000.0, small as f64 / 7.0] {
            if value.is_finite() {
                let lines = encode(&[Sample::of("d", "f", value, EPOCH)]);
                let line = parse(text(&lines).trim_end());
                prop_assert_eq!(line.fields[0].1, value);
            }
        }
    }
}

#[test]
fn a_line_looks_as_the_schema_says() {
    let mut lines = encode(&[
        Sample::of("d1", "pm10", 12.5, EPOCH),
        Sample::of("d1", "pm2_5", -0.05, EPOCH),
        Sample {
            cell: String::new(),
            ..Sample::of("d1", "pm2_5", 1e300, EPOCH)
        },
        Sample::of("d1", "pm10", 3.0, EPOCH + 1),
    ]);
    assert_eq!(
        text(&lines),
        "environment,area=friedrichstadt,cell=891f1d48a3bffff,device=d1 pm10=12.5,pm2_5=-0.05 \
         1780272000000\n\
         environment,area=friedrichstadt,device=d1 pm2_5=1e300 1780272000000\n\
         environment,area=friedrichstadt,cell=891f1d48a3bffff,device=d1 pm10=3 1780272000001\n"
    );
    assert_eq!((lines.len(), lines.points()), (3, 4));
    lines.clear();
    lines.push(&Sample::of("d1", "pm2_5", 1.0, EPOCH + 1).point());
    assert_eq!(
        text(&lines).lines().count(),
        1,
        "joined a line that was cleared"
    );
}

#[test]
fn a_second_value_of_the_same_field_gets_a_line_of_its_own() {
    let lines = encode(&[
        Sample::of("d1", "pm10", 1.0, EPOCH),
        Sample::of("d1", "pm10", 2.0, EPOCH),
    ]);
    assert_eq!(lines.len(), 2);
}

#[test]
fn a_device_with_endless_metrics_makes_no_endless_line() {
    let many: Vec<_> = (0..1_000)
        .map(|n| Sample::of("d1", &format!("m{n}"), 1.0, EPOCH))
        .collect();
    let lines = encode(&many);
    assert_eq!(read_back(text(&lines)), expected(&many));
    assert!(text(&lines).lines().all(|line| line.len() < 2_000));
}

#[test]
fn what_no_server_can_store_is_skipped_and_counted() {
    let lines = encode(&[
        Sample::of("d1", "no2", f64::NAN, EPOCH),
        Sample::of("d1", "no2", f64::INFINITY, EPOCH),
        Sample::of("d1", "no2", f64::NEG_INFINITY, EPOCH),
        Sample::of("d1", "no2", 1.0, i64::MAX),
        Sample::of("d1", "no2", 1.0, i64::MIN),
        Sample::of("d1", "", 1.0, EPOCH),
        Sample {
            measurement: String::new(),
            ..Sample::of("d1", "no2", 1.0, EPOCH)
        },
    ]);
    assert_eq!((lines.len(), lines.points(), lines.skipped()), (0, 0, 7));
}
