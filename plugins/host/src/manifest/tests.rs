//! What a manifest may say and how a wrong one is named.

use super::*;
use crate::types::Entry;

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
        ("\"eaqi\", \"lqi\",", "\"eaqi\", \"eaqi\",", "emits.derived"),
    ] {
        assert!(HEALTH.contains(from), "{from}");
        let error = Manifest::parse(&HEALTH.replace(from, to)).unwrap_err();
        let ManifestError::Value { key: named, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(named, key, "{error}");
    }
}

/// A manifest with every key there is.
const ALL: &str = r#"
id = "fan"
version = "1.2.0"
wit = "quartier:rule@1.0.0"
component_sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
lab = "friedrichstadt"
description = "Runs a fan."

[reads]
metrics = ["temperature"]
properties = ["power_limit", "temperature"]
tick_s = 60

[emits]

[[emits.alerts]]
topic = "too_hot"
description = "Somebody should look."
codes = [{ code = 1, limit = 60, unit = "Cel", source = "data sheet" }]

[[commands]]
name = "set_fan"
kind = "city_tree"
property = "fan"
min = 0
max = 1
rate_per_hour = 4
requires_approval = false
description = "Turns the fan on and off."
interlocks = [{ metric = "temperature", above = 60.0, below = -5, reason = "motor" }]

[config]
stale_after_s = "300"

[parameters.stale_after_s]
title = "A reading older than this counts no more"
unit = "s"
source = "platform parameter"

[[vectors]]
title = "Hot"
given = "61 Cel"
then = "too_hot is raised"

[quotas]
fuel_per_batch = 20_000_000
fuel_per_reading = 10_000
deadline_ms = 500
memory_bytes = 16_777_216
state_bytes = 4096
outputs_per_batch = 300
"#;

#[test]
fn every_key_is_read() {
    let manifest = Manifest::parse(ALL).unwrap();
    assert!(manifest.component_sha256.unwrap().starts_with("ba78"));
    assert_eq!(manifest.reads.tick_s, Some(60));
    assert_eq!(
        manifest.emits.alerts[0].description,
        "Somebody should look."
    );
    assert_eq!(
        manifest.commands[0].description,
        "Turns the fan on and off."
    );
    assert_eq!(manifest.parameters["stale_after_s"].unit, "s");
    assert_eq!(manifest.vectors[0].then, "too_hot is raised");
    let interlock = &manifest.commands[0].interlocks[0];
    let held_back = [-5.1, -5.0, 60.0, 60.1, f64::NAN].map(|value| interlock.holds_back(value));
    assert_eq!(held_back, [true, false, false, true, false]);
}

#[test]
fn new_values_without_sense_are_errors_that_name_the_key() {
    for (from, to, key) in [
        ("\"fan\"\nversion", "\"..\"\nversion", "id"),
        ("\"1.2.0\"", "\"1/2\"", "version"),
        ("\"friedrichstadt\"", "\"\"", "lab"),
        ("\"ba78", "\"BA78", "component_sha256"),
        ("\"ba78", "\"78", "component_sha256"),
        ("\"power_limit\",", "\"temperature\",", "reads.properties"),
        ("\"power_limit\",", "\" \",", "reads.properties"),
        ("tick_s = 60", "tick_s = 0", "reads.tick_s"),
        ("tick_s = 60", "tick_s = 86401", "reads.tick_s"),
        ("max = 1", "max = inf", "commands.max"),
        ("min = 0", "min = 2", "commands.min"),
        ("above = 60.0, below = -5, ", "", "commands.interlocks"),
        ("above = 60.0", "above = nan", "commands.interlocks"),
        ("below = -5", "below = 60.1", "commands.interlocks"),
        ("\"motor\"", "\"\"", "commands.interlocks.reason"),
        ("stale_after_s = \"300\"", "", "parameters"),
        (
            "\"A reading older than this counts no more\"",
            "\"\"",
            "parameters.title",
        ),
        ("\"61 Cel\"", "\"\"", "vectors.given"),
    ] {
        assert!(ALL.contains(from), "{from}");
        let error = Manifest::parse(&ALL.replacen(from, to, 1)).unwrap_err();
        let ManifestError::Value { key: named, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(named, key, "{error}");
    }
    for from in [
        "[quotas]",
        "[parameters.stale_after_s]",
        "[[vectors]]",
        "[[commands]]",
    ] {
        let error = Manifest::parse(&ALL.replace(from, &format!("{from}\nsource_of = 1")));
        assert!(matches!(error, Err(ManifestError::Syntax { .. })), "{from}");
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
    let dict_of_all = Manifest::parse(ALL)
        .unwrap()
        .dictionary(|name| (7, name.to_uppercase()));
    assert_eq!(dict_of_all.props[1].id, 1, "numbered from 0");
    assert_eq!(dict_of_all.props[1].unit, "TEMPERATURE");
    assert_eq!(
        dict.topics[1],
        Entry {
            id: 1,
            urn: "no2_alarm".into(),
            unit: String::new()
        }
    );
}
