//! A rule on the bench, as a lab would write and test it: car parks that are nearly full.

use quartier_sdk::prelude::*;
use quartier_sdk::testing::{Lab, Row, Said, values};

const MANIFEST: &str = r#"
id = "parking"
version = "1.0.0"
wit = "quartier:rule@1.0.0"
lab = "johannstadt"
description = "Occupancy of car parks"

[reads]
metrics = ["parking_free"]
windows = [{ metric = "no2", span_s = 3600 }]
kinds = ["car_park", "sign"]
properties = ["power_limit"]
tick_s = 60

[emits]
derived = ["parking_occupancy"]

[[emits.alerts]]
topic = "car_park_full"
codes = [{ code = 1, limit = 0.95, unit = "1", source = "test" }]

[[commands]]
name = "show"
kind = "sign"
property = "text"
min = 0
max = 1
rate_per_hour = 60
requires_approval = false

[config]
stale_after_s = "600"
"#;

const UNITS: [(&str, &str); 3] = [
    ("parking_free", "1"),
    ("parking_occupancy", "1"),
    ("no2", "ug/m3"),
];

struct Parking {
    free: Metric,
    occupancy: Metric,
    power_limit: Prop,
    full: Topic,
    limit: Limit,
    show: CommandId,
    stale_after_ms: u64,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Lot {
    last_ms: u64,
    full: Alarm,
}

impl Rule for Parking {
    type State = BTreeMap<AssetId, Lot>;
    const STATE_VERSION: u8 = 1;

    fn new(setup: &Setup) -> Result<Self, SetupError> {
        Ok(Self {
            free: setup.metric("parking_free", "1")?,
            occupancy: setup.metric("parking_occupancy", "1")?,
            power_limit: setup.prop("power_limit")?,
            full: setup.topic("car_park_full")?,
            limit: setup.limit("car_park_full", 1)?,
            show: setup.command("show")?,
            stale_after_ms: setup.integer("stale_after_s", 60..=86_400)? * 1000,
        })
    }

    fn reading(&self, state: &mut Self::State, row: &Reading, cx: &mut Context) {
        let asset = cx.assets().get(row.asset);
        let Some(capacity) = asset.and_then(|a| a.number("capacity")) else {
            return cx.log(Level::Warn, "a car park without capacity");
        };
        if row.metric != self.free || row.quality == Quality::Bad {
            return;
        }
        let lot = state.entry(row.asset).or_default();
        lot.last_ms = row.time_ms;
        let occupancy = 1.0 - row.value / capacity;
        cx.derive(row.asset, self.occupancy, occupancy, row.time_ms);
        let change = lot.full.step(Some(occupancy), &self.limit);
        let arg = match change {
            None => return,
            Some(Change::Raise) => {
                let (severity, text) = (Severity::Info, "nearly full");
                cx.raise(row.asset, self.full, &self.limit, severity, occupancy, text);
                1.0
            }
            Some(Change::Clear) => {
                cx.clear(row.asset, self.full, &self.limit, occupancy, "free again");
                0.0
            }
        };
        let expires_ms = row.time_ms + 60_000;
        for sign in cx.assets().relating(row.asset, "points_to") {
            cx.command(sign, self.show, arg, expires_ms, row.time_ms);
        }
    }

    /// A window says nothing but what the twin knows of the asset.
    fn window(&self, _: &mut Self::State, row: &Window, cx: &mut Context) {
        let (own, asked) = (
            row.prop(self.power_limit),
            cx.twin(row.asset, self.power_limit),
        );
        assert_eq!(own, asked);
        if let (Some(limit), Some(_)) = (own, row.mean_if(0.75)) {
            cx.derive(row.asset, self.occupancy, limit, row.end_ms);
        }
    }

    fn tick(&self, state: &mut Self::State, now_ms: u64, cx: &mut Context) {
        for (asset, lot) in state {
            if now_ms - lot.last_ms > self.stale_after_ms {
                cx.derive(*asset, self.occupancy, -1.0, now_ms);
            }
        }
    }

    fn asset_gone(&self, state: &mut Self::State, asset: AssetId) {
        state.remove(&asset);
    }
}

quartier_sdk::export!(Parking);

fn lab() -> Lab<Parking> {
    let mut lab = Lab::with_units(MANIFEST, &UNITS);
    lab.asset("p-1", "car_park", &[("capacity", "100")])
        .asset("p-2", "car_park", &[("capacity", "50")])
        .asset("sign", "sign", &[])
        .relate("sign", "points_to", "p-1");
    lab
}

#[test]
fn what_a_rule_says_comes_by_name() {
    let mut lab = lab();
    let said = lab.reading("p-1", "parking_free", 4.0, 1000);
    assert_eq!(
        said,
        [Said::Derived {
            asset: "p-1".into(),
            metric: "parking_occupancy".into(),
            value: 0.96,
            time_ms: 1000,
        }]
    );
    let said = lab.reading("p-1", "parking_free", 4.0, 2000);
    assert_eq!(
        said[1..],
        [
            Said::Raised {
                asset: "p-1".into(),
                rule: "car_park_full".into(),
                code: 1,
                severity: Severity::Info,
                value: 0.96,
                text: "nearly full".into(),
            },
            Said::Command {
                asset: "sign".into(),
                command: "show".into(),
                arg: 1.0,
                expires_ms: 62_000,
                dedup_key: 2000,
            }
        ]
    );
}

/// Free places that fill both car parks and empty them again, in order of time.
fn day() -> Vec<Row> {
    let row = |minute: u64| {
        let lot = if minute.is_multiple_of(2) {
            "p-1"
        } else {
            "p-2"
        };
        let free = 30.0 * (minute as f64 / 90.0).cos().abs();
        Row::reading(lot, "parking_free", free.round(), minute * 60_000)
    };
    (0..600).map(row).collect()
}

#[test]
fn neither_cuts_nor_restarts_change_what_is_said() {
    let said = lab().same_in_all_cuts(&day());
    let alerts: Vec<bool> = said
        .iter()
        .filter_map(|s| s.alert("car_park_full"))
        .collect();
    assert!(alerts.contains(&true) && alerts.contains(&false));
    assert_eq!(values(&said, "parking_occupancy").len(), 600);
    assert_eq!(lab().in_batches(5, &day()), said);
}

#[test]
fn a_restart_keeps_a_raised_alert() {
    let mut lab = lab();
    lab.in_batches(256, &day()[..150]);
    assert!(lab.state().values().any(|lot| lot.full.is_active()));
    let before = lab.snapshot();
    lab.survives_restart();
    assert_eq!(lab.snapshot(), before);
    assert!(lab.state().values().any(|lot| lot.full.is_active()));
}

#[test]
fn properties_and_coverage_reach_the_rule() {
    let mut lab = lab();
    assert_eq!(lab.window("p-1", "no2", 3600, 40.0, 5), []);
    lab.property("p-1", "power_limit", 4.2);
    let said = lab.window("p-1", "no2", 3600, 40.0, 5);
    assert_eq!(values(&said, "parking_occupancy"), [4.2]);
    assert_eq!(lab.window("p-2", "no2", 3600, 40.0, 5), []);
    let sparse = Row::window("p-1", "no2", 3600, 40.0, 5).coverage(0.7);
    assert_eq!(lab.row(sparse), []);
}

#[test]
fn time_passes_and_assets_go() {
    let mut lab = lab();
    lab.reading("p-1", "parking_free", 50.0, 0);
    assert_eq!(lab.tick(600_000), []);
    assert_eq!(values(&lab.tick(600_001), "parking_occupancy"), [-1.0]);
    lab.remove("p-1");
    assert_eq!(lab.tick(600_001), []);
}

#[test]
fn configuration_and_attributes_can_be_set() {
    let mut lab = lab();
    lab.set("stale_after_s", "60");
    lab.reading("p-1", "parking_free", 50.0, 0);
    assert_eq!(lab.tick(60_001).len(), 1);
    lab.asset("p-1", "car_park", &[]);
    assert_eq!(lab.reading("p-1", "parking_free", 50.0, 1), []);
    assert_eq!(
        lab.logged(),
        [(Level::Warn, "a car park without capacity".into())]
    );
    let bad = Row::reading("p-2", "parking_free", 1.0, 2).quality(Quality::Bad);
    assert_eq!(lab.row(bad), []);
}

#[test]
fn a_setup_that_does_not_fit_is_told() {
    let mut lab = lab();
    lab.set("stale_after_s", "1");
    let error = lab.start().unwrap_err();
    assert_eq!(error.key, "config stale_after_s");
    let mut lab = Lab::<Parking>::with_units(MANIFEST, &UNITS);
    lab.unit("parking_free", "%");
    assert_eq!(lab.start().unwrap_err().key, "metric parking_free");
}

#[test]
#[should_panic(expected = "does not name parking_occupancy in emits.derived")]
fn a_value_that_the_manifest_does_not_declare_is_a_panic() {
    let manifest = MANIFEST
        .replace("derived = [\"parking_occupancy\"]", "derived = []")
        .replace(
            "[\"parking_free\"]",
            "[\"parking_free\", \"parking_occupancy\"]",
        );
    let mut lab = Lab::<Parking>::with_units(&manifest, &UNITS);
    lab.asset("p-1", "car_park", &[("capacity", "100")]);
    lab.reading("p-1", "parking_free", 1.0, 0);
}

#[test]
#[should_panic(expected = "1 is outside the manifest's range")]
fn a_command_out_of_its_range_is_a_panic() {
    let manifest = MANIFEST.replace("max = 1", "max = 0.5");
    let mut lab = Lab::<Parking>::with_units(&manifest, &UNITS);
    lab.asset("p-1", "car_park", &[("capacity", "100")])
        .asset("sign", "sign", &[])
        .relate("sign", "points_to", "p-1");
    for time_ms in 0..2 {
        lab.reading("p-1", "parking_free", 1.0, time_ms);
    }
}

#[test]
#[should_panic(expected = "does not name it in reads.metrics")]
fn a_reading_that_the_manifest_does_not_ask_for_is_a_panic() {
    lab().reading("p-1", "no2", 1.0, 0);
}

#[test]
#[should_panic(expected = "reads.kinds of the manifest leaves out \"meter\"")]
fn an_asset_that_the_manifest_does_not_see_is_a_panic() {
    lab().asset("m-1", "meter", &[]);
}

#[test]
#[should_panic(expected = "does not set reads.tick_s")]
fn a_tick_that_the_manifest_does_not_ask_for_is_a_panic() {
    let manifest = MANIFEST.replace("tick_s = 60", "");
    Lab::<Parking>::with_units(&manifest, &UNITS).tick(0);
}

#[test]
#[should_panic(expected = "derive parking_occupancy: the value is -inf")]
fn a_value_that_is_not_finite_is_a_panic() {
    let mut lab = lab();
    lab.asset("p-1", "car_park", &[("capacity", "0")]);
    lab.reading("p-1", "parking_free", 1.0, 0);
}

#[test]
#[should_panic(expected = "what is said in batches of 7")]
fn a_rule_that_looks_at_the_batch_is_found_out() {
    // Rows that are not sorted: a batch of seven sorts them, a batch of one cannot.
    let mut rows = day();
    rows.swap(0, 2);
    lab().same_in_all_cuts(&rows);
}
