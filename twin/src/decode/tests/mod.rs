//! Claims about decoding, through its one entrance.

mod flat;
mod hostile;
mod one;
mod senml;

use super::{Decoded, Reason, Received, Rejection, Texts, decode};
use crate::model::{Millis, Place, Quality};
use crate::vocabulary::Vocabulary;

/// 2026-06-01T00:00:00Z.
const NOW: Millis = Millis(1_780_272_000_000);

const ASSET: &str = "dt/johannstadt/box-7";

/// A decoded payload without its borrows.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    readings: Vec<Value>,
    place: Option<Place>,
    rejected: Vec<Rejection>,
}

#[derive(Debug, Clone, PartialEq)]
struct Value {
    metric: String,
    value: f64,
    time: Millis,
    quality: Quality,
    unit: Option<String>,
}

fn said(topic: &str, payload: &str) -> Result<Said, Rejection> {
    let mut texts = Texts::default();
    let decoded = decode(
        topic,
        payload.as_bytes(),
        NOW,
        Vocabulary::builtin(),
        &mut texts,
    )?;
    Ok(own(&decoded))
}

fn own(decoded: &Decoded<'_>) -> Said {
    let value = |reading: &crate::model::Reading<'_>| Value {
        metric: reading.metric.to_owned(),
        value: reading.value,
        time: reading.time,
        quality: reading.quality,
        unit: reading.unit.map(str::to_owned),
    };
    Said {
        readings: decoded.observed.readings.iter().map(value).collect(),
        place: decoded.observed.place,
        rejected: decoded.rejected.clone(),
    }
}

/// What was said, where nothing was rejected.
fn clean(topic: &str, payload: &str) -> Said {
    let said = said(topic, payload).unwrap();
    assert_eq!(said.rejected, []);
    said
}

fn good(metric: &str, value: f64, time: Millis) -> Value {
    Value {
        metric: metric.to_owned(),
        value,
        time,
        quality: Quality::Good,
        unit: None,
    }
}

fn uncertain(metric: &str, value: f64, time: Millis, unit: Option<&str>) -> Value {
    let unit = unit.map(str::to_owned);
    Value {
        metric: metric.to_owned(),
        value,
        time,
        quality: Quality::Uncertain,
        unit,
    }
}

fn reasons(said: &Said) -> Vec<Reason> {
    said.rejected
        .iter()
        .map(|rejection| rejection.reason)
        .collect()
}

/// The reason why nothing of a payload was used.
fn refused(topic: &str, payload: &str) -> Reason {
    said(topic, payload).unwrap_err().reason
}

#[test]
fn only_telemetry_topics_are_decoded() {
    for topic in [
        "",
        "dt",
        "dt/q",
        "dt//a",
        "dt/q/",
        "dt/q/a/",
        "dt/q/a/m/x",
        "twin/q/a",
        "dt/q/a b",
        "dt/$q/a",
        "/dt/q/a",
    ] {
        assert_eq!(
            refused(topic, "{\"temperature\":1}"),
            Reason::Topic,
            "{topic}"
        );
    }
    let mut texts = Texts::default();
    let topic = "dt/johannstadt/box-7/temperature";
    let decoded = decode(topic, b"21.5", NOW, Vocabulary::builtin(), &mut texts).unwrap();
    assert_eq!(
        (decoded.observed.quarter, decoded.observed.asset),
        ("johannstadt", "box-7")
    );
}

#[test]
fn every_reason_has_a_label_of_its_own() {
    let labels: std::collections::BTreeSet<&str> =
        Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(labels.len(), Reason::ALL.len());
}

#[test]
fn a_detail_is_one_short_line_whatever_was_sent() {
    let long = format!("{{\"status\":\"{}\\n\"}}", "\u{e4}\\u0007".repeat(400));
    let said = said(ASSET, &long).unwrap();
    assert_eq!(reasons(&said), [Reason::NotANumber]);
    let detail = &said.rejected[0].detail;
    assert!(
        detail.chars().count() <= 240 && !detail.contains(char::is_control),
        "{detail}"
    );
}

#[test]
fn texts_can_be_used_for_one_payload_after_the_other() {
    let mut texts = Texts::default();
    for name in ["Z\\u00e4hler", "F\\u00fcllstand"] {
        let payload = format!("{{\"{name}\":1}}");
        let decoded = decode(
            ASSET,
            payload.as_bytes(),
            NOW,
            Vocabulary::builtin(),
            &mut texts,
        )
        .unwrap();
        let plain = name
            .replace("\\u00e4", "\u{e4}")
            .replace("\\u00fc", "\u{fc}");
        assert_eq!(decoded.observed.readings[0].metric, plain);
    }
}

#[test]
fn while_the_node_guesses_readings_without_a_time_come_apart_and_marked() {
    let guessed = Received {
        time: NOW,
        guessed: true,
    };
    let own = NOW.plus(300 * 24 * 3_600_000);
    let object = format!(
        r#"{{"temperature": 21.5, "humidity": {{"value": 40, "time": {}}}}}"#,
        own.0
    );
    let senml = format!(
        r#"[{{"n":"temperature","v":21.5,"t":-30}},{{"n":"humidity","v":40,"t":{}}}]"#,
        own.0 / 1000
    );
    for (payload, time) in [(object, NOW), (senml, NOW.plus(-30_000))] {
        let mut texts = Texts::default();
        let decoded = decode(
            ASSET,
            payload.as_bytes(),
            guessed,
            Vocabulary::builtin(),
            &mut texts,
        );
        let decoded = decoded.unwrap();
        assert_eq!(decoded.rejected, [], "{payload}");
        let [untimed] = decoded.untimed.as_slice() else {
            panic!("{payload}: {decoded:?}");
        };
        assert_eq!((untimed.metric, untimed.time), ("temperature", time));
        assert_eq!(untimed.quality, Quality::Uncertain);
        let [timed] = decoded.observed.readings.as_slice() else {
            panic!("{payload}: {decoded:?}");
        };
        assert_eq!((timed.metric, timed.time), ("humidity", own));
        assert_eq!(timed.quality, Quality::Good);
    }
    let mut texts = Texts::default();
    let of_all = br#"{"temperature": 21.5, "time": "2026-06-01T00:00:00Z"}"#;
    let decoded = decode(ASSET, of_all, guessed, Vocabulary::builtin(), &mut texts).unwrap();
    assert!(decoded.untimed.is_empty(), "{decoded:?}");
    assert_eq!(decoded.observed.readings[0].quality, Quality::Good);
}
