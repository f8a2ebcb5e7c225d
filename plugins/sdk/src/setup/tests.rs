//! What a rule looks up once, and how it is told what is missing.

use super::*;

fn setup(config: &[(&str, &str)]) -> Setup {
    let entry = |id, urn: &str, unit: &str| Entry {
        id,
        urn: urn.to_owned(),
        unit: unit.to_owned(),
    };
    let dict = Dictionary {
        metrics: vec![entry(7, "no2", "ug/m3"), entry(8, "eaqi", "1")],
        props: vec![entry(3, "power_limit", "")],
        topics: vec![entry(4, "no2_alarm", "")],
        commands: vec![entry(5, "set_fan", "")],
    };
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    Setup::new(dict, config.iter().map(pair).collect())
}

/// What the limit is refused with under these keys.
fn refused(config: &[(&str, &str)]) -> String {
    let config = [&[("limit.no2_alarm.1", "400")], config].concat();
    setup(&config)
        .limit("no2_alarm", 1)
        .unwrap_err()
        .to_string()
}

#[test]
fn names_become_their_numbers() {
    let setup = setup(&[]);
    assert_eq!(setup.metric("no2", "ug/m3"), Ok(Metric(7)));
    assert_eq!(setup.prop("power_limit"), Ok(Prop(3)));
    assert_eq!(setup.topic("no2_alarm"), Ok(Topic(4)));
    assert_eq!(setup.command("set_fan"), Ok(CommandId(5)));
}

#[test]
fn another_unit_is_refused_with_both() {
    let error = setup(&[]).metric("no2", "mg/m3").unwrap_err().to_string();
    assert!(error.starts_with("metric no2: "), "{error}");
    assert!(
        error.contains("ug/m3") && error.contains("mg/m3"),
        "{error}"
    );
}

#[test]
fn a_name_the_manifest_lacks_is_refused_with_its_place() {
    let setup = setup(&[]);
    let errors = [
        (setup.metric("o3", "ug/m3").map(drop), "reads.metrics"),
        (setup.prop("o3").map(drop), "reads.properties"),
        (setup.topic("o3").map(drop), "emits.alerts"),
        (setup.command("o3").map(drop), "commands"),
        (setup.limit("o3", 1).map(drop), "emits.alerts"),
        (setup.text("o3").map(drop), "[config]"),
    ];
    for (result, place) in errors {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("o3") && error.contains(place), "{error}");
    }
}

#[test]
fn a_limit_has_the_patience_of_its_topic_else_of_all_else_the_default() {
    let limit = |config: &[(&str, &str)]| {
        let config = [&[("limit.no2_alarm.1", "400")], config].concat();
        let limit = setup(&config).limit("no2_alarm", 1).unwrap();
        (limit.raise_after, limit.clear_after, limit.clear_margin)
    };
    assert_eq!(limit(&[]), (2, 3, Margin::Share(0.1)));
    let all = [("raise_after", "4"), ("clear_margin", "0.2")];
    assert_eq!(limit(&all), (4, 3, Margin::Share(0.2)));
    let own = [
        ("raise_after", "4"),
        ("raise_after.no2_alarm", "1"),
        ("clear_after.no2_alarm", "7"),
        ("clear_margin", "0.2"),
        ("clear_margin_absolute.no2_alarm", "2"),
    ];
    assert_eq!(limit(&own), (1, 7, Margin::Absolute(2.0)));
}

#[test]
fn a_key_out_of_range_is_refused_by_the_name_it_stands_under() {
    for (key, value) in [
        ("raise_after", "0"),
        ("raise_after", "1.5"),
        ("raise_after.no2_alarm", "two"),
        ("clear_after", "-1"),
        ("clear_margin", "1.1"),
        ("clear_margin", "NaN"),
        ("clear_margin_absolute", "-2"),
        ("clear_margin_absolute", "inf"),
    ] {
        let error = refused(&[(key, value)]);
        assert!(error.starts_with(&format!("config {key}: ")), "{error}");
        assert!(error.contains(value), "{error}");
    }
}

#[test]
fn configuration_is_read_by_kind_and_range() {
    let setup = setup(&[
        ("share", "0.75"),
        ("count", "12"),
        ("on", "true"),
        ("word", "x"),
    ]);
    assert_eq!(setup.number("share", 0.0..=1.0), Ok(0.75));
    assert_eq!(setup.integer("count", 1..=20), Ok(12));
    assert_eq!(setup.flag("on"), Ok(true));
    assert_eq!(setup.text("word"), Ok("x"));
    assert!(setup.number("share", 0.0..=0.5).is_err());
    assert!(setup.number("word", 0.0..=0.5).is_err());
    assert!(setup.integer("share", 0..=1).is_err());
    assert!(setup.integer("count", 0..=11).is_err());
    assert!(setup.flag("word").is_err());
}
