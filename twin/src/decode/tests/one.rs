//! A single metric on its own topic.

use super::*;
use proptest::prelude::*;

const TEMPERATURE: &str = "dt/johannstadt/box-7/temperature";

#[test]
fn a_bare_number_is_the_value_now() {
    for (payload, value) in [
        ("21.5", 21.5),
        (" -8.40\n", -8.4),
        ("2e1", 20.0),
        ("\"21.5\"", 21.5),
        ("0", 0.0),
        ("true", 1.0),
        ("false", 0.0),
    ] {
        assert_eq!(
            clean(TEMPERATURE, payload).readings,
            [good("temperature", value, NOW)]
        );
    }
}

#[test]
fn an_object_has_value_time_and_unit() {
    let want = [good("temperature", 20.0, Millis(1_780_271_000_000))];
    for payload in [
        r#"{"value":293.15,"time":"2026-05-31T23:43:20Z","unit":"K"}"#,
        r#"{"v":"293.15","t":1780271000,"u":"K"}"#,
        r#"{"timestamp":1780271000000,"note":["x"],"unit":"K","value":293.15}"#,
    ] {
        assert_eq!(clean(TEMPERATURE, payload).readings, want, "{payload}");
    }
}

#[test]
fn what_is_no_number_is_rejected() {
    for payload in [
        "NaN",
        "inf",
        "-inf",
        "1e999",
        "null",
        "on",
        "\"\"",
        "\"",
        "21,5",
        "1 2",
        "{\"value\":null}",
        "{}",
    ] {
        let said = said(TEMPERATURE, payload).unwrap();
        assert_eq!(
            (said.readings.len(), reasons(&said)),
            (0, vec![Reason::NotANumber]),
            "{payload}"
        );
    }
    assert_eq!(refused(TEMPERATURE, "  "), Reason::Empty);
    assert_eq!(refused(TEMPERATURE, "{\"value\":"), Reason::Json);
}

#[test]
fn an_alias_in_the_topic_is_the_metric() {
    let said = clean("dt/johannstadt/box-7/PM2.5", "7");
    assert_eq!(said.readings, [good("pm2_5", 7.0, NOW)]);
    let said = clean("dt/johannstadt/box-7/bees", "7");
    assert_eq!(said.readings, [uncertain("bees", 7.0, NOW, None)]);
}

#[test]
fn a_value_that_leaves_f64_by_conversion_is_rejected() {
    let said = said("dt/q/a/active_power", r#"{"v":1e308,"u":"GW"}"#).unwrap();
    assert_eq!(
        (said.readings.len(), reasons(&said)),
        (0, vec![Reason::NotANumber])
    );
}

proptest! {
    #[test]
    fn a_number_arrives_as_it_was_sent_to_the_last_bit(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let topic = "dt/q/a/bees";
        prop_assert_eq!(clean(topic, &format!("{value:e}")).readings[0].value.to_bits(), bits);
        let object = format!("{{\"value\":{value:e}}}");
        prop_assert_eq!(clean(topic, &object).readings[0].value.to_bits(), bits);
    }

    #[test]
    fn a_converted_value_is_the_same_quantity(value in -1e9..1e9f64) {
        let said = clean("dt/q/a/active_power", &format!("{{\"v\":{value},\"u\":\"W\"}}"));
        prop_assert_eq!(said.readings[0].value, value / 1000.0);
    }
}
