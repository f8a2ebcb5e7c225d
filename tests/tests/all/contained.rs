//! A hostile plugin in one quarter and a good one in another: the good one's readings, decisions and
//! topics go on, and what the other did can be seen.

mod guard;
mod lasting;

use std::time::{Duration, Instant};

use quartier_plugin_host::{Package, QUARANTINE};
use quartier_tests::{Api, Client, ConnectOptions, Lab, Node, NodeConfig, eventually};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const HOSTILE: &str = "johannstadt";
const GOOD: &str = "friedrichstadt";
/// A batch for each reading.
const SINGLE: (&str, &str) = ("[reads]", "[reads]\nbatch = 1");
/// The name under which a node has what the guest reads.
pub(crate) const BY_ITS_NAME: (&str, &str) = ("[\"power\"]", "[\"active_power\"]");
/// The reading at which the hostile guest does as its mode says.
const POISON: f64 = -1.0;

struct City {
    lab: Lab,
    node: Node,
    device: Client,
    seconds: u64,
    /// Readings of the good plugin.
    good: u64,
}

impl City {
    /// The good plugin runs; `None`, said on stderr, where the plugins were not built.
    fn new() -> Option<Self> {
        let lab = Lab::new("tests");
        let good = lab.package("rows", &[SINGLE])?;
        let node = Node::start(NodeConfig {
            quarters: [HOSTILE, GOOD].map(|id| (id.to_owned(), None)).to_vec(),
            more: lab.config(&[HOSTILE, GOOD]),
            ..NodeConfig::default()
        });
        Api::of(node.http()).deployed(GOOD, &good, &[]);
        let city = Self {
            device: connect(&node),
            lab,
            node,
            seconds: 0,
            good: 0,
        };
        city.is(GOOD, "rows", "running");
        Some(city)
    }

    fn hostile(&self, changes: &[(&str, &str)]) -> Package {
        self.lab
            .package("hostile", &[&[BY_ITS_NAME, SINGLE], changes].concat())
            .unwrap()
    }

    /// Deploys the hostile plugin, or another setting of it, and waits until it has begun.
    fn deploys(&self, package: &Package, mode: &str) {
        let set = format!("mode={mode}");
        let done = Api::of(self.node.http()).deployed(HOSTILE, package, &[("set", &set)]);
        let position = done["position"].as_u64();
        eventually("it runs as asked", PATIENCE, || {
            let one = self.plugin(HOSTILE, "hostile");
            let as_asked = one["state"] == "running" && one["config"]["mode"] == mode;
            let since = one["since"].as_u64() >= position;
            if as_asked && since {
                Ok(())
            } else {
                Err(one.to_string())
            }
        });
    }

    fn plugin(&self, quarter: &str, id: &str) -> Value {
        let list = self
            .node
            .json(&format!("/api/v1/plugins?quarter={quarter}"));
        let found = list["plugins"].as_array().into_iter().flatten();
        found
            .clone()
            .find(|p| p["plugin"] == id)
            .cloned()
            .unwrap_or_default()
    }

    fn is(&self, quarter: &str, id: &str, state: &str) {
        eventually(&format!("{id} is {state}"), PATIENCE, || {
            let one = self.plugin(quarter, id);
            if one["state"] == state {
                Ok(())
            } else {
                Err(one.to_string())
            }
        });
    }

    fn publish(&mut self, topic: &str, value: f64) {
        self.seconds += 1;
        let (minute, second) = (self.seconds / 60, self.seconds % 60);
        let time = format!(
            "2026-01-01T{:02}:{:02}:{second:02}Z",
            minute / 60,
            minute % 60
        );
        let payload = format!("{{\"value\":{value},\"time\":\"{time}\"}}");
        self.device.publish_all(&[(topic, &payload)]).unwrap();
    }

    /// A reading of the hostile plugin's asset.
    fn hostile_reads(&mut self, value: f64) {
        self.publish("dt/johannstadt/box-1/active_power", value);
    }

    /// The good plugin evaluates a reading: its count is derived, decided and in the twin.
    fn good_goes_on(&mut self) -> Duration {
        let started = Instant::now();
        self.publish("dt/friedrichstadt/box-2/temperature", 20.0);
        self.good += 1;
        let expected = (self.good as f64, self.good);
        eventually("the other quarter goes on", PATIENCE, || {
            match self.node.value("box-2", "seen") {
                Some(found) if found == expected => Ok(()),
                other => Err(format!("{other:?} in place of {expected:?}")),
            }
        });
        started.elapsed()
    }

    /// Newest decisions of the hostile plugin.
    fn decisions(&self, query: &str) -> Vec<Value> {
        let path = format!("/api/v1/decisions?quarter={HOSTILE}{query}");
        let page = self.node.json(&path);
        page["decisions"].as_array().cloned().unwrap_or_default()
    }

    fn figure(&self, name: &str) -> f64 {
        let labels = "{quarter=\"johannstadt\",plugin=\"hostile\",stage=\"quarter\"}";
        self.node.figure(&format!("{name}{labels}"))
    }

    fn dead_letters(&self) -> Vec<Value> {
        let page = self
            .node
            .json("/api/v1/dead-letters?reason=plugin&limit=1000");
        page["dead_letters"].as_array().cloned().unwrap_or_default()
    }

    fn quarantine_alerts(&self) -> Vec<Value> {
        let all = self.node.json("/api/v1/alerts");
        let all = all["alerts"].as_array().cloned().unwrap_or_default();
        all.into_iter()
            .filter(|alert| alert["rule"] == "plugin_quarantined")
            .collect()
    }
}

fn connect(node: &Node) -> Client {
    Client::connect(node.mqtt(), &ConnectOptions::new("device"))
        .unwrap()
        .0
}

#[test]
fn whatever_fails_is_set_aside_with_its_reason_and_then_called_no_more() {
    let Some(mut city) = City::new() else { return };
    let package = city.hostile(&[]);
    let modes = [
        ("loop", "on-batch: out of fuel"),
        ("memory", "on-batch: more memory than the quota"),
        (
            "recursion",
            "on-batch: trap: wasm trap: call stack exhausted",
        ),
        ("trap", "on-batch: trap: wasm trap: wasm `unreachable`"),
        ("refuse", "on-batch: bad input in row 0"),
        ("log-flood", "on-batch: more than 16777216 bytes of log"),
        (
            "tiny-log-flood",
            "on-batch: more than 16777216 bytes of log",
        ),
        ("ask-flood", "on-batch: more than 16777216 bytes of log"),
    ];
    for (mode, reason) in modes {
        city.deploys(&package, mode);
        assert_eq!(
            city.quarantine_alerts(),
            [] as [Value; 0],
            "{mode}: a new version begins anew"
        );
        let (failures, letters) = (
            city.figure("quartier_plugin_failures_total"),
            city.dead_letters(),
        );
        let mut longest = Duration::ZERO;
        for _ in 0..QUARANTINE {
            city.hostile_reads(POISON);
            longest = longest.max(city.good_goes_on());
        }
        eprintln!("{mode}: the other quarter's slowest reading took {longest:?}");
        city.is(HOSTILE, "hostile", "quarantined");
        let alerts = eventually_alerts(&city);
        assert_eq!(alerts.len(), 1, "{mode}: {alerts:?}");
        assert_eq!(
            (&alerts[0]["asset"], &alerts[0]["severity"]),
            (&"hostile".into(), &"major".into())
        );
        assert!(
            alerts[0]["text"].as_str().unwrap().contains(reason),
            "{mode}: {alerts:?}"
        );
        // What comes now is not for it, and fills neither the audit nor the dead letters.
        city.hostile_reads(POISON);
        city.good_goes_on();
        let count = QUARANTINE as usize;
        let failed = city.decisions("&failed=true&limit=6");
        let new = failed
            .iter()
            .filter(|d| d["failure"].as_str().unwrap().starts_with(reason));
        assert!(new.count() >= count, "{mode}: {failed:?}");
        let now = city.dead_letters();
        assert_eq!(now.len(), letters.len() + count, "{mode}: {now:?}");
        assert!(
            now[0]["detail"].as_str().unwrap().contains(reason),
            "{mode}: {:?}",
            now[0]
        );
        assert_eq!(now[0]["source"], "plugin hostile in johannstadt");
        let grown = city.figure("quartier_plugin_failures_total") - failures;
        assert!(grown >= f64::from(QUARANTINE), "{mode}: {grown}");
        assert_eq!(city.figure("quartier_plugin_quarantined"), 1.0, "{mode}");
    }
    assert!(city.node.json("/readyz")["ready"] == true);
    assert!(!city.node.log().contains("panicked"));
}

/// The alert comes with the decision, through the journal.
fn eventually_alerts(city: &City) -> Vec<Value> {
    quartier_tests::eventually_some("an alert", PATIENCE, || {
        let alerts = city.quarantine_alerts();
        (!alerts.is_empty()).then_some(alerts)
    })
}

/// Name, reasons with the rows that are dropped for them, rows that pass.
type Mode = (&'static str, &'static [(&'static str, u64)], u64);

#[test]
fn what_the_manifest_does_not_allow_is_dropped_row_by_row_with_its_reason() {
    let Some(mut city) = City::new() else { return };
    let package = city.hostile(&[]);
    let modes: [Mode; 9] = [
        ("undeclared-metric", &[("undeclared_metric", 1)], 1),
        ("nan", &[("not_finite", 1)], 1),
        ("unknown-asset", &[("unknown_asset", 1)], 1),
        ("bad-time", &[("time_out_of_range", 1)], 1),
        ("columns", &[("column_lengths", 2)], 0),
        ("flood", &[("too_many", 701)], 300),
        ("flood-host", &[("text_too_long", 12)], 1),
        (
            "bad-alerts",
            &[
                ("undeclared_topic", 1),
                ("undeclared_code", 1),
                ("not_finite", 1),
                ("cause_out_of_range", 1),
                ("text_too_long", 1),
            ],
            1,
        ),
        (
            "bad-commands",
            &[
                ("undeclared_command", 1),
                ("not_finite", 1),
                ("argument_out_of_range", 1),
            ],
            1,
        ),
    ];
    for (mode, reasons, values) in modes {
        city.deploys(&package, mode);
        let before = city.figure("quartier_plugin_dropped_rows_total");
        city.hostile_reads(POISON);
        city.good_goes_on();
        let expected: u64 = reasons.iter().map(|(_, rows)| rows).sum();
        let decision = quartier_tests::eventually_some("it is decided", PATIENCE, || {
            let newest = city
                .decisions("&plugin=hostile&limit=1")
                .into_iter()
                .next()?;
            (newest["dropped"] == expected).then_some(newest)
        });
        assert_eq!(decision["values"], values, "{mode}: {decision}");
        let told = city
            .node
            .json(&format!("/api/v1/decisions/{}", decision["id"]));
        let dropped: Vec<(String, u64)> =
            serde_json::from_value(told["record"]["dropped"].clone()).unwrap();
        let dropped: Vec<_> = dropped
            .iter()
            .map(|(reason, rows)| (&**reason, *rows))
            .collect();
        assert_eq!(dropped, reasons, "{mode}");
        let words = told["explanation"]["outputs"].to_string();
        assert!(
            reasons.iter().all(|(reason, _)| words.contains(reason)),
            "{mode}: {words}"
        );
        let grown = city.figure("quartier_plugin_dropped_rows_total") - before;
        assert_eq!(grown, expected as f64, "{mode}");
        assert_eq!(
            city.plugin(HOSTILE, "hostile")["state"],
            "running",
            "{mode}"
        );
    }
}
