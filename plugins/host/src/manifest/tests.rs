//! What a manifest may say and how a wrong one is named.

use super::*;

const HEALTH: &str = include_str!("../../../health/manifest.toml");

#[test]
fn an_unknown_key_is_an_error_with_its_line_and_name() {
    let text = HEALTH.replace("version =", "verison =");
    let error = Manifest::parse(&text).unwrap_err();
    let ManifestError::Syntax { line, message } = &error else {
        panic!("{error}")
    };
    assert_eq!(*line, 2);
    assert!(
        message.contains("verison") && message.contains("version"),
        "{message}"
    );
}

#[test]
fn limits_reach_the_plugin_as_configuration_and_cannot_be_set() {
    let manifest = Manifest::parse(HEALTH).unwrap();
    let config = manifest
        .configuration(vec![("coverage".into(), "0.9".into())])
        .unwrap();
    assert!(config.contains(&("limit.no2_alarm.1".into(), "400".into())));
    assert!(config.contains(&("coverage".into(), "0.9".into())));
    let set = vec![("limit.no2_alarm.1".into(), "9000".into())];
    assert_eq!(manifest.configuration(set), Err("limit.no2_alarm.1".into()));
}

#[test]
fn values_without_sense_are_errors_that_name_the_key() {
    for (from, to, key) in [
        ("id = \"health\"", "id = \"he/alth\"", "id"),
        ("rule@1.0.0", "rule@2.0.0", "wit"),
        ("span_s = 3600", "span_s = 60", "reads.windows"),
        (
            "memory_bytes = 67_108_864",
            "memory_bytes = 67_108_864_000",
            "quotas.memory_bytes",
        ),
        (
            "state_bytes = 33_554_432",
            "state_bytes = 67_108_865",
            "quotas.state_bytes",
        ),
        ("limit = 400", "limit = nan", "emits.alerts.codes.limit"),
        ("code = 5", "code = 4", "emits.alerts.codes.code"),
        (
            "\"eaqi\", \"lqi\",",
            "\"eaqi\", \"eaqi\",",
            "emits.derived",
        ),
    ] {
        assert!(HEALTH.contains(from), "{from}");
        let error = Manifest::parse(&HEALTH.replace(from, to)).unwrap_err();
        let ManifestError::Value { key: named, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(named, key, "{error}");
    }
}

#[test]
fn the_dictionary_numbers_each_metric_once() {
    let manifest = Manifest::parse(HEALTH).unwrap();
    let metrics = manifest.metrics();
    assert_eq!(metrics[..5], ["pm2_5", "pm10", "no2", "o3", "so2"]);
    assert_eq!(metrics[10..12], ["eaqi", "lqi"]);
    let dict = manifest.dictionary(|name| (name.len() as u32, "1".to_owned()));
    assert_eq!(
        dict.metrics[0],
        Entry {
            id: 5,
            urn: "pm2_5".into(),
            unit: "1".into()
        }
    );
    assert_eq!(
        dict.topics[1],
        Entry {
            id: 1,
            urn: "no2_alarm".into(),
            unit: String::new()
        }
    );
}
