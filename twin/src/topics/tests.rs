//! Payloads as the contract has them.

use proptest::prelude::*;
use serde_json::Value;

use super::stream_json;
use crate::model::{Millis, Quality};
use crate::state::Change;

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
