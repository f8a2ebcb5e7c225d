//! Payloads as the contract has them.

use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLock;
use proptest::prelude::*;
use quartier_broker::RetainedSource as _;
use serde_json::Value;

use super::{TwinTopics, stream_json};
use quartier_plugin_host::Host;

use crate::edges::packages::Packages;
use crate::event::{CommandAsked, Entry, Event, Priority, Stamp};
use crate::model::{AssetRecord, Millis, Observed, Quality, QuarterRecord, Reading};
use crate::plugins::Artifacts;
use crate::state::{Change, Effects, Twin};

proptest! {
    #[test]
    fn a_payload_reads_back_as_what_was_said(
        value in any::<f64>().prop_filter("finite", |v| v.is_finite()),
        time in -62_135_596_800_000i64..253_402_300_800_000,
        unit in "[ -~äµ°]{0,8}",
        rev in any::<u32>(),
    ) {
        let time = Millis(time);
        let change = Change { stream: 0, value, time, quality: Quality::Good, rev };
        let read: Value = serde_json::from_slice(&stream_json(&change, &unit)).unwrap();
        prop_assert_eq!(read["value"].as_f64(), Some(value));
        prop_assert_eq!(read["unit"].as_str(), Some(unit.as_str()));
        prop_assert_eq!(read["quality"].as_str(), Some("good"));
        prop_assert_eq!(read["rev"].as_u64(), Some(u64::from(rev)));
        let parsed: jiff::Timestamp = read["time"].as_str().unwrap().parse().unwrap();
        prop_assert_eq!(parsed.as_millisecond(), time.0);
    }
}

#[test]
fn the_payload_is_the_one_of_the_contract() {
    let change = Change {
        stream: 0,
        value: 3.2,
        time: Millis(1_780_272_000_000),
        quality: Quality::Good,
        rev: 42,
    };
    let payload = stream_json(&change, "kW");
    let expected =
        r#"{"value":3.2,"unit":"kW","time":"2026-06-01T00:00:00Z","quality":"good","rev":42}"#;
    assert_eq!(payload, expected.as_bytes());
}

fn topics(twin: &Arc<RwLock<Twin>>) -> TwinTopics {
    let artifacts = Artifacts::new(Host::new().unwrap(), Path::new("none"));
    TwinTopics::new(Arc::clone(twin), Packages::new(Arc::new(artifacts)))
}

fn told(twin: &Arc<RwLock<Twin>>, filter: &str) -> Vec<(String, String)> {
    let mut told = Vec::new();
    topics(twin).matching(filter, &mut |topic, payload| {
        told.push((topic, String::from_utf8(payload.to_vec()).unwrap()));
    });
    told
}

#[test]
fn a_device_that_comes_back_is_told_what_is_open_for_it_and_nothing_else() {
    let twin = Arc::new(RwLock::new(Twin::new()));
    let fold = |event| {
        let at = Millis(1_780_272_000_000);
        let mut twin = twin.write();
        let position = twin.position() + 1;
        twin.fold(position, &Entry { at, event }, &mut Effects::default());
    };
    fold(Event::QuarterPut(QuarterRecord {
        id: "a".to_owned(),
        name: "A".to_owned(),
        cells: Vec::new(),
        timezone: "Europe/Berlin".to_owned(),
    }));
    for id in ["w1", "w2"] {
        let (quarter, id) = ("a".to_owned(), id.to_owned());
        fold(Event::AssetPut(AssetRecord {
            quarter,
            id,
            ..AssetRecord::default()
        }));
    }
    for (asset, property, value) in [
        ("w1", "limit_kw", 4.2),
        ("w1", "mode", 1.0),
        ("w2", "mode", 2.0),
    ] {
        fold(Event::CommandAsked(CommandAsked {
            quarter: "a".to_owned(),
            asset: asset.to_owned(),
            property: property.to_owned(),
            value,
            expires: Millis(1_780_275_600_000),
            priority: Priority::Normal,
            stamp: Stamp::default(),
            by: "ada".to_owned(),
            why: "test".to_owned(),
        }));
    }
    let topic = "cmd/v1/a/w1";
    assert!(topics(&twin).owns(topic));
    let (limit, mode) = (
        r#"{"property":"limit_kw","value":4.2,"expires":"2026-06-01T01:00:00Z","id":"4-0"}"#,
        r#"{"property":"mode","value":1.0,"expires":"2026-06-01T01:00:00Z","id":"5-0"}"#,
    );
    let line = |payload: &str| (topic.to_owned(), payload.to_owned());
    assert_eq!(told(&twin, topic), [line(limit), line(mode)]);
    assert_eq!(told(&twin, "cmd/#").len(), 3);
    assert_eq!(told(&twin, "twin/#"), []);
    fold(Event::Observed(Observed {
        quarter: "a",
        asset: "w1",
        place: None,
        readings: vec![Reading {
            metric: "limit_kw",
            value: 4.2,
            time: Millis(1_780_272_000_001),
            quality: Quality::Good,
            unit: None,
        }],
    }));
    assert_eq!(told(&twin, topic), [line(mode)]);
}
