//! The flat object of an asset.

use super::*;
use crate::decode::{MAX_PAYLOAD, MAX_VALUES};

#[test]
fn the_example_of_the_contract_is_decoded_to_the_letter() {
    let said = clean(
        ASSET,
        r#"{"temperature":21.5,"power":{"v":3.2,"u":"kW","t":"2026-06-01T00:00:01Z"}}"#,
    );
    assert_eq!(
        said.readings,
        [
            good("temperature", 21.5, NOW),
            good("active_power", 3.2, Millis(1_780_272_001_000))
        ]
    );
    assert_eq!(said.place, None);
}

#[test]
fn lat_and_lon_place_the_asset_and_t_is_the_time_of_all() {
    let said = clean(
        ASSET,
        r#"{"pm10":12,"t":1780271000,"lat":51.05,"lon":"13.74","pm2_5":{"value":7,"time":1780271060000}}"#,
    );
    assert_eq!(said.place, Place::new(51.05, 13.74));
    assert_eq!(
        said.readings,
        [
            good("pm10", 12.0, Millis(1_780_271_000_000)),
            good("pm2_5", 7.0, Millis(1_780_271_060_000))
        ]
    );
}

#[test]
fn a_position_alone_is_an_observation() {
    let said = clean(ASSET, r#"{"latitude":51.05,"longitude":13.74}"#);
    assert_eq!(
        (said.readings.len(), said.place),
        (0, Place::new(51.05, 13.74))
    );
}

#[test]
fn a_bad_value_never_costs_its_neighbours() {
    let said = said(
        ASSET,
        r#"{"temperature":null,"humidity":40,"status":"ok","pm10":"","pm2_5":"3.5","no2":"NaN",
            "o3":[1],"so2":{"v":{"x":1}},"co":{"u":"mg/m3"},"lat":91,"lon":0,
            "voltage":{"v":230,"u":"kg"},"current":{"v":1,"u":7},"pressure":{"v":1000,"t":"2026-06-01T00:00:00"},
            "snr":true}"#,
    )
    .unwrap();
    assert_eq!(
        said.readings,
        [
            good("humidity", 40.0, NOW),
            good("pm2_5", 3.5, NOW),
            good("snr", 1.0, NOW)
        ]
    );
    assert_eq!(said.place, None);
    use Reason::*;
    assert_eq!(
        reasons(&said),
        [
            NotANumber, NotANumber, NotANumber, NotANumber, NotANumber, NotANumber, NotANumber,
            Unit, Unit, Time, Place
        ]
    );
    let details: Vec<&str> = said.rejected.iter().map(|r| r.detail.as_str()).collect();
    assert!(
        details[0].starts_with("temperature: null"),
        "{}",
        details[0]
    );
    assert!(
        details[7].contains("\"kg\"") && details[7].contains("\"V\""),
        "{}",
        details[7]
    );
    assert!(details[9].contains("without offset"), "{}", details[9]);
}

#[test]
fn a_position_that_is_half_or_not_a_number_is_rejected() {
    for (payload, count) in [
        (r#"{"co2":500,"lat":51}"#, 1),
        (r#"{"co2":500,"lon":13}"#, 1),
        (r#"{"co2":500,"lat":null,"lon":null}"#, 2),
        (r#"{"co2":500,"lat":0,"lon":181}"#, 1),
    ] {
        let said = said(ASSET, payload).unwrap();
        assert_eq!(said.readings, [good("co2", 500.0, NOW)], "{payload}");
        assert_eq!(reasons(&said), vec![Reason::Place; count], "{payload}");
    }
}

#[test]
fn units_are_converted_to_the_metrics_own() {
    let said = clean(
        ASSET,
        r#"{"power":{"v":1500,"u":"W"},"temperature":{"v":68,"u":"[degF]"},
            "pressure":{"value":"100520.25","unit":"Pa"},"pm10":{"v":0.02,"u":"mg/m3"},
            "humidity":{"v":0.5,"u":"1"},"laeq":{"v":52.5,"u":"dBA"},
            "pm2_5":{"v":4,"u":"\u00b5g/m\u00b3"},"voltage":{"v":230,"u":""},"current":{"v":2,"u":null}}"#,
    );
    let values: Vec<(&str, f64)> = said
        .readings
        .iter()
        .map(|r| (r.metric.as_str(), r.value))
        .collect();
    assert_eq!(
        values,
        [
            ("active_power", 1.5),
            ("temperature", 20.0),
            ("pressure", 1005.2025),
            ("pm10", 20.0),
            ("humidity", 50.0),
            ("laeq", 52.5),
            ("pm2_5", 4.0),
            ("voltage", 230.0),
            ("current", 2.0)
        ]
    );
    assert!(
        said.readings
            .iter()
            .all(|r| r.unit.is_none() && r.quality == Quality::Good)
    );
}

#[test]
fn a_value_outside_the_plausible_range_is_kept_and_marked_bad() {
    let said = clean(ASSET, r#"{"temperature":85,"humidity":100,"pm10":-0.1}"#);
    let qualities: Vec<Quality> = said.readings.iter().map(|r| r.quality).collect();
    assert_eq!(qualities, [Quality::Bad, Quality::Good, Quality::Bad]);
    assert_eq!(said.readings[0].value, 85.0);
}

#[test]
fn an_unknown_metric_is_kept_with_its_unit_and_marked() {
    let said = clean(
        ASSET,
        r#"{"radon":{"v":120,"u":"Bq/m3"},"Z\u00e4hler":{"v":7,"u":"\u00b0dH"},"bees":42}"#,
    );
    assert_eq!(
        said.readings,
        [
            uncertain("radon", 120.0, NOW, Some("Bq/m3")),
            uncertain("Z\u{e4}hler", 7.0, NOW, Some("\u{b0}dH")),
            uncertain("bees", 42.0, NOW, None)
        ]
    );
}

#[test]
fn an_escaped_key_is_the_same_metric() {
    let said = clean(ASSET, r#"{"\u0074emperature":20,"\u0074":1780271000}"#);
    assert_eq!(
        said.readings,
        [good("temperature", 20.0, Millis(1_780_271_000_000))]
    );
}

#[test]
fn a_name_that_is_no_topic_level_is_rejected() {
    let said = said(ASSET, r##"{"a/b":1,"":2,"a b":3,"#":4,"$x":5,"ok":6}"##).unwrap();
    assert_eq!(said.readings, [uncertain("ok", 6.0, NOW, None)]);
    assert_eq!(reasons(&said), [Reason::Name; 5]);
}

#[test]
fn of_values_for_the_same_metric_and_time_the_last_wins_and_the_rest_is_counted() {
    let few = said(
        ASSET,
        r#"{"temp":1,"humidity":50,"temperature":2,"temp":3}"#,
    )
    .unwrap();
    assert_eq!(
        few.readings,
        [good("humidity", 50.0, NOW), good("temperature", 3.0, NOW)]
    );
    assert_eq!(reasons(&few), [Reason::Duplicate; 2]);

    let mut many: Vec<String> = (0..50).map(|i| format!("\"m{}\":{i}", i % 25)).collect();
    many.push("\"Z\\u00e4hler\":1,\"Z\u{e4}hler\":2".to_owned());
    let many = said(ASSET, &format!("{{{}}}", many.join(","))).unwrap();
    assert_eq!((many.readings.len(), many.rejected.len()), (26, 26));
    let expected = (25..50).map(f64::from).chain([2.0]);
    assert!(many.readings.iter().map(|r| r.value).eq(expected));
}

#[test]
fn the_same_metric_at_two_times_is_two_readings() {
    let said = clean(
        ASSET,
        r#"{"temp":{"v":1,"t":1780271000},"temperature":{"v":2,"t":1780271001}}"#,
    );
    assert_eq!(said.readings.len(), 2);
}

#[test]
fn a_bad_common_time_costs_exactly_the_values_that_need_it() {
    let said = said(
        ASSET,
        r#"{"time":"2018-02-15T17:37:10","co2":500,"pm10":{"v":5,"t":1780271000},"humidity":40}"#,
    )
    .unwrap();
    assert_eq!(
        said.readings,
        [good("pm10", 5.0, Millis(1_780_271_000_000))]
    );
    assert_eq!(reasons(&said), [Reason::Time; 2]);
    assert!(
        said.rejected[0]
            .detail
            .contains("local time without offset")
    );

    let ahead = super::said(ASSET, r#"{"co2":500,"t":1780358401}"#).unwrap();
    assert_eq!(
        (ahead.readings.len(), reasons(&ahead)),
        (0, vec![Reason::Time])
    );
    assert_eq!(
        clean(ASSET, r#"{"co2":500,"t":1780358400}"#).readings.len(),
        1
    );
}

#[test]
fn what_is_not_json_of_the_right_shape_is_refused_whole() {
    for payload in [
        "{",
        "{\"a\":1}x",
        "{\"a\":NaN}",
        "{a:1}",
        "21.5",
        "\"x\"",
        "true",
        "{\"a\":1,}",
    ] {
        assert_eq!(refused(ASSET, payload), Reason::Json, "{payload}");
    }
    for payload in ["", " \n", "{}", "[]", "{\"t\":1780271000}"] {
        assert_eq!(refused(ASSET, payload), Reason::Empty, "{payload}");
    }
    let mut texts = Texts::default();
    let bytes = b"{\"temperature\xff\":1}";
    let error = decode(ASSET, bytes, NOW, Vocabulary::builtin(), &mut texts).unwrap_err();
    assert_eq!(error.reason, Reason::Json);
}

#[test]
fn size_number_and_depth_are_bounded() {
    let values = |n: usize| {
        let all: Vec<String> = (0..n).map(|i| format!("\"m{i}\":{i}")).collect();
        format!("{{{}}}", all.join(","))
    };
    assert_eq!(clean(ASSET, &values(MAX_VALUES)).readings.len(), MAX_VALUES);
    assert_eq!(refused(ASSET, &values(MAX_VALUES + 1)), Reason::TooLarge);
    let nulls = format!("{{{}\"x\":1}}", "\"a\":null,".repeat(MAX_VALUES));
    assert_eq!(refused(ASSET, &nulls), Reason::TooLarge);

    let padded = |n: usize| format!("{{\"co2\":500{}}}", " ".repeat(n - "{\"co2\":500}".len()));
    assert_eq!(clean(ASSET, &padded(MAX_PAYLOAD)).readings.len(), 1);
    assert_eq!(refused(ASSET, &padded(MAX_PAYLOAD + 1)), Reason::TooLarge);

    let deep = format!(
        "{{\"a\":{}1{},\"co2\":500}}",
        "[".repeat(9_000),
        "]".repeat(9_000)
    );
    let said = said(ASSET, &deep).unwrap();
    assert_eq!(said.readings, [good("co2", 500.0, NOW)]);
    assert_eq!(reasons(&said), [Reason::NotANumber]);
}
