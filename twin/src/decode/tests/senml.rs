//! SenML packs; the examples are those of RFC 8428, section 5.1.

use super::*;
use proptest::prelude::*;

const ONE_WIRE: &str = "dt/johannstadt/10e2073a01080063";

#[test]
fn single_datapoint() {
    let pack = r#"[{"n":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]"#;
    assert_eq!(
        clean(ONE_WIRE, pack).readings,
        [good("temperature", 23.1, NOW)]
    );
    assert_eq!(
        clean(ASSET, pack).readings,
        [uncertain("10e2073a01080063", 23.1, NOW, Some("Cel"))],
        "on the topic of another asset it is a name like any other"
    );
}

#[test]
fn multiple_datapoints() {
    let pack = r#"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},
                   {"n":"current","u":"A","v":1.2}]"#;
    assert_eq!(
        clean(ASSET, pack).readings,
        [good("voltage", 120.1, NOW), good("current", 1.2, NOW)]
    );
}

#[test]
fn relative_times_with_a_base_time() {
    let pack = r#"[{"bn":"urn:dev:ow:10e2073a0108006:","bt":1.276020076001e+09,"bu":"A","bver":5,
                    "n":"voltage","u":"V","v":120.1},
                   {"n":"current","t":-5,"v":1.2},{"n":"current","t":-4,"v":1.3},
                   {"n":"current","t":-3,"v":1.4},{"n":"current","t":-2,"v":1.5},
                   {"n":"current","t":-1,"v":1.6},{"n":"current","v":1.7}]"#;
    let base = Millis(1_276_020_076_001);
    let mut want = vec![good("voltage", 120.1, base)];
    for (back, value) in [(5, 1.2), (4, 1.3), (3, 1.4), (2, 1.5), (1, 1.6), (0, 1.7)] {
        want.push(good("current", value, base.plus(-1000 * back)));
    }
    assert_eq!(clean(ASSET, pack).readings, want);
}

#[test]
fn measurements_on_the_way_with_position() {
    let pack = r#"[{"bn":"urn:dev:ow:10e2073a01080063","bt":1.320067464e+09,"bu":"%RH","v":20},
                   {"u":"lon","v":24.30621},{"u":"lat","v":60.07965},
                   {"t":60,"v":20.3},
                   {"u":"lon","t":60,"v":24.30622},{"u":"lat","t":60,"v":60.07965},
                   {"t":120,"v":20.7},
                   {"u":"lon","t":120,"v":24.30623},{"u":"lat","t":120,"v":60.07966},
                   {"u":"%EL","t":150,"v":98},
                   {"t":180,"v":21.2}]"#;
    let at = |s: i64| Millis(1_320_067_464_000 + s * 1000);
    let said = clean(ASSET, pack);
    assert_eq!(
        said.readings,
        [
            good("humidity", 20.0, at(0)),
            good("humidity", 20.3, at(60)),
            good("humidity", 20.7, at(120)),
            good("battery_level", 98.0, at(150)),
            good("humidity", 21.2, at(180)),
        ]
    );
    assert_eq!(
        said.place,
        Place::new(60.07966, 24.30623),
        "the last position counts"
    );
}

#[test]
fn multiple_data_types_keep_numbers_and_booleans() {
    let pack = r#"[{"bn":"urn:dev:ow:10e2073a01080063:","n":"temp","u":"Cel","v":23.1},
                   {"n":"label","vs":"Machine Room"},{"n":"open","vb":false},
                   {"n":"nfc-reader","vd":"aGkgCg"}]"#;
    let said = said(ASSET, pack).unwrap();
    assert_eq!(
        said.readings,
        [
            good("temperature", 23.1, NOW),
            uncertain("open", 0.0, NOW, None)
        ]
    );
    assert_eq!(reasons(&said), [Reason::NotANumber; 2]);
}

#[test]
fn collection_of_resources() {
    let pack = r#"[{"bn":"2001:db8::2/","bt":1.320078429e+09,"n":"temperature","u":"Cel","v":25.2},
                   {"n":"humidity","u":"%RH","v":30},
                   {"bn":"2001:db8::1/","n":"temperature","u":"Cel","v":12.3},
                   {"n":"humidity","u":"%RH","v":67}]"#;
    let said = said(ASSET, pack).unwrap();
    let at = Millis(1_320_078_429_000);
    assert_eq!(
        said.readings,
        [good("temperature", 12.3, at), good("humidity", 67.0, at)],
        "the topic is one asset: the later value of the same metric and time wins"
    );
    assert_eq!(reasons(&said), [Reason::Duplicate; 2]);
}

#[test]
fn setting_an_actuator_begins_with_a_record_of_base_fields() {
    let pack = r#"[{"bn":"urn:dev:ow:10e2073a01080063:"},{"n":"temp","u":"Cel","v":23.1},
                   {"n":"heat","u":"/","v":1},{"n":"fan","u":"/","v":0}]"#;
    assert_eq!(
        clean(ASSET, pack).readings,
        [
            good("temperature", 23.1, NOW),
            uncertain("heat", 1.0, NOW, Some("/")),
            uncertain("fan", 0.0, NOW, Some("/"))
        ]
    );
}

#[test]
fn a_name_is_the_last_part_of_base_name_and_name() {
    for (bn, n, metric) in [
        (
            "urn:dev:mac:0024befffe804ff1/",
            "temperature",
            "temperature",
        ),
        ("", "urn:x:temperature", "temperature"),
        ("urn:x;", "a;temperature", "temperature"),
        ("urn:x:temp", "erature", "temperature"),
        ("box-7", "temperature", "temperature"),
        ("urn:dev:box-7_", "temperature", "temperature"),
        ("urn:x:temperature", "", "temperature"),
        ("\\u0075rn:x:temper", "\\u0061ture", "temperature"),
        ("box-8", "temperature", "box-8temperature"),
        ("urn:\\u0078:be", "es", "bees"),
    ] {
        let pack = format!(r#"[{{"bn":"{bn}","n":"{n}","v":20}}]"#);
        let said = clean(ASSET, &pack);
        assert_eq!(said.readings[0].metric, metric, "{pack}");
    }
    let said = said(
        ASSET,
        r#"[{"bn":"urn:x:","v":20},{"n":"co2","v":500},{"n":5,"v":1}]"#,
    );
    let said = said.unwrap();
    assert_eq!(
        (said.readings.len(), reasons(&said)),
        (1, vec![Reason::Name; 2])
    );
}

#[test]
fn base_value_is_added_and_stands_for_a_missing_value() {
    let pack = r#"[{"bn":"x:","bv":20,"n":"temp","v":1.5},{"n":"temp","t":-1},
                   {"n":"open","t":-2,"vb":true},{"bv":10,"n":"temp","t":-3,"v":-1}]"#;
    assert_eq!(
        clean(ASSET, pack).readings,
        [
            good("temperature", 21.5, NOW),
            good("temperature", 20.0, NOW.plus(-1000)),
            uncertain("open", 1.0, NOW.plus(-2000), None),
            good("temperature", 9.0, NOW.plus(-3000))
        ]
    );
}

#[test]
fn a_sum_is_a_reading_of_its_own() {
    let pack =
        r#"[{"bn":"x:","bs":100,"n":"power","u":"W","v":1500,"s":20},{"n":"flow","u":"l","s":1}]"#;
    assert_eq!(
        clean(ASSET, pack).readings,
        [
            uncertain("power_sum", 120.0, NOW, Some("W.s")),
            good("active_power", 1.5, NOW),
            uncertain("flow_sum", 101.0, NOW, Some("l.s"))
        ]
    );
}

#[test]
fn times_below_2_to_the_28_count_from_receipt() {
    let pack = r#"[{"n":"co2","v":500,"t":-60},{"n":"pm1","v":1,"t":3600},
                   {"n":"pm10","v":1,"t":268435456},{"n":"no","v":1,"t":268435455},
                   {"n":"no2","v":1,"t":"x"},{"n":"o3","v":1,"t":1780271000.5,"ut":60}]"#;
    let said = said(ASSET, pack).unwrap();
    assert_eq!(
        said.readings,
        [
            good("co2", 500.0, NOW.plus(-60_000)),
            good("pm1", 1.0, NOW.plus(3_600_000)),
            good("o3", 1.0, Millis(1_780_271_000_500))
        ]
    );
    let details: Vec<&str> = said.rejected.iter().map(|r| r.detail.as_str()).collect();
    assert_eq!(reasons(&said), [Reason::Time; 3]);
    assert!(
        details[0].contains("1990") && details[1].contains("ahead"),
        "{details:?}"
    );
}

#[test]
fn what_would_falsify_the_whole_pack_refuses_it() {
    for pack in [
        r#"[{"n":"co2","v":500},{"n":"co2","v":500,"must_":1}]"#,
        r#"[{"n":"co2","v":500,"bver":11}]"#,
        r#"[{"n":"co2","v":500,"bver":"x"}]"#,
        r#"[{"n":"co2","v":500,"bt":"now"}]"#,
        r#"[{"n":"co2","v":500,"bn":5}]"#,
        r#"[{"n":"co2","v":500,"bu":[]}]"#,
        r#"[{"n":"co2","v":500,"bv":null}]"#,
        r#"[{"n":"co2","v":500},5]"#,
        r#"[[]]"#,
    ] {
        assert_eq!(refused(ASSET, pack), Reason::Senml, "{pack}");
    }
    assert_eq!(refused(ASSET, r#"[{"n":"co2","v":500}"#), Reason::Json);
    assert_eq!(refused(ASSET, r#"[{"bn":"x:"}]"#), Reason::Empty);
    let said = clean(
        ASSET,
        r#"[{"n":"co2","v":500,"bver":10,"may":[1,{"x":2}]}]"#,
    );
    assert_eq!(said.readings, [good("co2", 500.0, NOW)]);
}

#[test]
fn a_bad_record_never_costs_its_neighbours() {
    let pack = r#"[{"n":"co2","v":500},{"n":"temp","v":null},{"n":"temp","v":1,"u":"kg"},
                   {"n":"hum","u":7,"v":1},{"n":"pm10"},{"u":"lat","v":95},{"u":"lon","v":13},
                   {"n":"pm2_5","v":"3.5"}]"#;
    let said = said(ASSET, pack).unwrap();
    assert_eq!(
        said.readings,
        [good("co2", 500.0, NOW), good("pm2_5", 3.5, NOW)]
    );
    use Reason::*;
    assert_eq!(reasons(&said), [NotANumber, Unit, Unit, NotANumber, Place]);
}

#[test]
fn a_pack_of_more_than_a_thousand_records_is_refused() {
    let pack = |n: usize| {
        let all: Vec<String> = (0..n)
            .map(|i| format!(r#"{{"n":"co2","v":500,"t":{}}}"#, -(i as i64)))
            .collect();
        format!("[{}]", all.join(","))
    };
    assert_eq!(clean(ASSET, &pack(1000)).readings.len(), 1000);
    assert_eq!(refused(ASSET, &pack(1001)), Reason::TooLarge);
}

proptest! {
    #[test]
    fn a_pack_with_base_fields_says_what_its_resolved_form_says(
        base in prop::option::of(1_700_000_000..1_780_000_000i64),
        base_value in prop::option::of(-50..50i32),
        records in prop::collection::vec((0..4usize, 0..1000i64, -50..50i32), 1..20),
    ) {
        let names = ["co2", "bees", "temp", "noise"];
        let mut compact = vec![format!(
            r#"{{"bn":"urn:q:"{}{}}}"#,
            base.map_or(String::new(), |t| format!(r#","bt":{t}"#)),
            base_value.map_or(String::new(), |v| format!(r#","bv":{v}"#)),
        )];
        let mut resolved = Vec::new();
        for (name, back, value) in records {
            let name = names[name];
            compact.push(format!(r#"{{"n":"{name}","t":{},"v":{value}}}"#, -back));
            let time = base.unwrap_or(0) - back;
            let value = value + base_value.unwrap_or(0);
            resolved.push(format!(r#"{{"n":"urn:q:{name}","t":{time},"v":{value}}}"#));
        }
        let compact = said(ASSET, &format!("[{}]", compact.join(","))).unwrap();
        prop_assert_eq!(compact, said(ASSET, &format!("[{}]", resolved.join(","))).unwrap());
    }
}
