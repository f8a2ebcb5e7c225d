//! Payloads that no device would send.

use super::*;
use proptest::prelude::*;

const SEEDS: [(&str, &str); 8] = [
    (
        "dt/q/a",
        r#"{"temperature":21.5,"power":{"v":3.2,"u":"kW","t":"2026-06-01T00:00:01Z"}}"#,
    ),
    (
        "dt/q/a",
        r#"{"t":1780271000,"lat":51.05,"lon":13.74,"pm10":"12.5","pm2_5":7,"x":null}"#,
    ),
    (
        "dt/q/a",
        r#"{"Z\u00e4hler":{"value":1e3,"unit":"\u00b0C","time":1780271000123},"b":true}"#,
    ),
    (
        "dt/q/a",
        r#"[{"bn":"urn:dev:ow:1:","bt":1.28e9,"bu":"A","bver":5,"n":"voltage","u":"V","v":1},{"n":"current","t":-5,"v":1.2},{"u":"lat","v":60.1},{"u":"lon","v":24.3}]"#,
    ),
    (
        "dt/q/a",
        r#"[{"bn":"a_","bv":2,"bs":1},{"n":"temp","vb":false,"s":3},{"n":"x","vs":"y"},{"vd":"aGk"}]"#,
    ),
    (
        "dt/q/a/pm10",
        r#"{"value":21.5,"time":"2026-06-01T00:00:01.5+02:00","unit":"ug/m3"}"#,
    ),
    ("dt/q/a/pm10", "21.5"),
    ("dt/q/a/bees", "\"-1.25e-3\""),
];

const WORDS: [&str; 20] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\u00e4",
    "null",
    "1e999",
    "-0",
    "1e308",
    "\"t\":",
    "\"u\":\"GW\"",
    "\"v\":",
    "\"bt\":-9e18",
    "\"bn\":\"\u{e4}:\"",
    "_\":1",
    "NaN",
    "\"lat\":",
];

/// SplitMix64: the same mutations on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(8)).min(bytes.len());
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.next() as u8,
                2 => bytes.truncate(at),
                3 => drop(bytes.drain(at..end)),
                4 => {
                    let piece = bytes[at..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, piece);
                }
                _ => {
                    let word = WORDS[self.below(WORDS.len())];
                    bytes.splice(at..at, word.bytes());
                }
            }
        }
    }
}

/// Every promise of the module on whatever was decoded.
fn check(decoded: &Decoded<'_>) {
    let readings = &decoded.observed.readings;
    assert!(
        !readings.is_empty() || decoded.observed.place.is_some() || !decoded.rejected.is_empty(),
        "neither decoded nor rejected"
    );
    for (i, reading) in readings.iter().enumerate() {
        assert!(reading.value.is_finite(), "{reading:?}");
        assert!(crate::model::is_name(reading.metric), "{reading:?}");
        assert!(reading.time >= Millis(631_152_000_000), "{reading:?}");
        assert!(reading.time <= NOW.plus(86_400_000), "{reading:?}");
        let known = Vocabulary::builtin().get(reading.metric);
        assert_eq!(
            known.is_none(),
            reading.quality == Quality::Uncertain,
            "{reading:?}"
        );
        assert!(reading.unit.is_none() || known.is_none(), "{reading:?}");
        let twice =
            |r: &crate::model::Reading<'_>| (r.metric, r.time) == (reading.metric, reading.time);
        assert!(
            !readings[i + 1..].iter().any(twice),
            "{reading:?} stands twice"
        );
    }
    for rejection in &decoded.rejected {
        assert!(!rejection.detail.is_empty());
        assert!(
            !rejection.detail.contains(char::is_control),
            "{rejection:?}"
        );
    }
}

#[test]
fn of_a_million_mutated_payloads_each_is_decoded_or_rejected_and_none_panics() {
    let mut random = Random(8428);
    let mut texts = Texts::default();
    let (mut sent, mut whole, mut part, mut refused) = (0, 0, 0, 0);
    let mut by_reason = std::collections::BTreeMap::new();
    for _ in 0..1_000_000 {
        let (topic, seed) = SEEDS[random.below(SEEDS.len())];
        let mut payload = seed.as_bytes().to_vec();
        random.mutate(&mut payload);
        sent += 1;
        match decode(topic, &payload, NOW, Vocabulary::builtin(), &mut texts) {
            Ok(decoded) => {
                check(&decoded);
                *if decoded.rejected.is_empty() {
                    &mut whole
                } else {
                    &mut part
                } += 1;
                for rejection in &decoded.rejected {
                    *by_reason.entry(rejection.reason).or_insert(0) += 1;
                }
            }
            Err(rejection) => {
                refused += 1;
                *by_reason.entry(rejection.reason).or_insert(0) += 1;
            }
        }
    }
    assert_eq!(sent, whole + part + refused);
    assert!(
        whole > 50_000 && part > 50_000 && refused > 50_000,
        "{whole} {part} {refused}"
    );
    for reason in Reason::ALL {
        let expected = !matches!(reason, Reason::Topic | Reason::TooLarge);
        assert_eq!(
            by_reason.contains_key(&reason),
            expected,
            "{reason}: {by_reason:?}"
        );
    }
}

#[test]
fn the_values_of_a_payload_are_readings_or_rejections_and_the_sum_is_right() {
    let mut random = Random(1);
    let values = [
        "1",
        "-2.5e3",
        "\"7\"",
        "\"x\"",
        "null",
        "true",
        "[]",
        "{}",
        r#"{"v":1}"#,
        r#"{"v":"x"}"#,
        r#"{"v":1,"u":"kW"}"#,
        r#"{"v":1,"u":"\u00b0C"}"#,
        r#"{"v":1,"t":5}"#,
        r#"{"v":1,"t":1780271000}"#,
    ];
    let names = [
        "temp",
        "temperature",
        "co2",
        "power",
        "Z\\u00e4hler",
        "bees",
        "a b",
        "pm10",
    ];
    for _ in 0..20_000 {
        let count = 1 + random.below(40);
        let fields: Vec<String> = (0..count)
            .map(|_| {
                let name = names[random.below(names.len())];
                format!("\"{name}\":{}", values[random.below(values.len())])
            })
            .collect();
        let payload = format!("{{{}}}", fields.join(","));
        let said = said(ASSET, &payload).unwrap();
        assert_eq!(
            said.readings.len() + said.rejected.len(),
            count,
            "{payload}"
        );
    }
}

proptest! {
    #[test]
    fn any_bytes_on_any_topic_are_decoded_or_rejected(
        topic in "(dt|x)(/[a-z+#$ ]{0,3}){0,5}",
        payload in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut texts = Texts::default();
        if let Ok(decoded) = decode(&topic, &payload, NOW, Vocabulary::builtin(), &mut texts) {
            check(&decoded);
        }
    }
}
