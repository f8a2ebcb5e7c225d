//! What the public sees: nothing of households, and every criterion.

use quartier_plugin_host::Manifest;
use quartier_tests::{Api, Client, ConnectOptions, Lab, Packet, cli, eventually};
use serde_json::Value;

use super::{PATIENCE, SINGLE, connect, decided, node, publish, rows, runs};

#[test]
fn what_a_household_measured_is_shown_to_nobody_but_the_operator() {
    let lab = Lab::new("tests");
    // The guest counts readings; `active_power` is only a name to it.
    let household = [
        SINGLE,
        ("metrics = [\"power\"]", "metrics = [\"household_power\"]"),
        (
            "derived = [\"seen\"]",
            "derived = [\"seen\", \"active_power\"]",
        ),
    ];
    let Some(package) = lab.package("hostile", &household) else {
        return;
    };
    let node = node(&lab, "dashboard");
    let file = node.folder().join("quartier.toml");
    let at = ["--config", file.to_str().unwrap()];
    let add = ["user", "add", "city", "--role", "operator", "--no-password"];
    assert_eq!(cli(&[&add[..], &at].concat()).code, Some(0));
    let issue = ["token", "issue", "--user", "city", "--expires", "1d"];
    let token = cli(&[&issue[..], &at].concat()).stdout.trim().to_owned();
    let operator = Api::of(node.http()).token(&token);
    eventually("the node knows the token", PATIENCE, || {
        match operator
            .get("/api/v1/plugins/johannstadt/hostile/logs")
            .status
        {
            401 => Err("not yet".to_owned()),
            _ => Ok(()),
        }
    });
    operator.deployed("johannstadt", &package, &[]);
    runs(&node, 1);
    let mut dashboard = Client::connect(node.mqtt(), &ConnectOptions::new("dashboard"))
        .unwrap()
        .0;
    let (codes, _) = dashboard.subscribe("decision/v1/#", 1).unwrap();
    assert_eq!(codes, [1]);
    let topic = "dt/johannstadt/flat-7/household_power";
    publish(&mut connect(&node), topic, 0..1, 4.321);
    let id = decided(&node, "", 1)[0]["id"].clone();
    let path = format!("/api/v1/decisions/{id}");

    let public = node.json(&path);
    assert!(!public.to_string().contains("4.321"), "{public}");
    assert_eq!(
        public["record"]["causes"][0]["metric"], "household_power",
        "{public}"
    );
    assert_eq!(
        public["record"]["causes"][0]["value"],
        Value::Null,
        "{public}"
    );
    let words = public["explanation"].to_string();
    assert!(words.contains("it speaks of a household"), "{words}");
    let whole = operator.get(&path).json().unwrap();
    assert_eq!(whole["record"]["causes"][0]["value"], 4.321, "{whole}");
    assert!(
        whole["explanation"].to_string().contains("was 4.321 kW"),
        "{whole}"
    );
    let heard = dashboard.receive(PATIENCE).unwrap();
    let Some(Packet::Publish { topic, payload, .. }) = heard else {
        panic!("{heard:?}")
    };
    let payload = String::from_utf8_lossy(&payload);
    assert_eq!(topic, "decision/v1/johannstadt/hostile");
    assert!(
        !payload.contains("4.321") && payload.contains("household_power"),
        "{payload}"
    );
}

#[test]
fn the_rules_page_names_every_limit_parameter_and_source_and_runs_no_script() {
    let lab = Lab::new("tests");
    let evil = "<script>alert(1)</script>\\\" onload=\\\"x";
    let description = format!("description = \"{evil}\"");
    let more = "\n[parameters.raise_after]\ntitle = \"Readings before an alert\"\nsource = \"a <b>lab</b>\"\n\
                \n[[sources]]\ntitle = \"<i>A norm</i>\"\nurl = \"https://norm.example/?a=1&b='2'\\\"\"\n\
                \n[[vectors]]\ntitle = \"two & more\"\ngiven = \"33 Cel, 34 Cel\"\nthen = \"an alert\"\n\n[config]";
    let Some(plain) = rows(&lab, &[]) else { return };
    let old = plain
        .manifest
        .lines()
        .find(|line| line.starts_with("description"))
        .unwrap();
    let package = rows(&lab, &[(old, &description), ("\n[config]", more)]).unwrap();
    let node = node(&lab, "dashboard");
    let empty = Api::of(node.http()).get("/rules").text();
    assert!(empty.contains("No rule runs on this node."), "{empty}");
    drop(node);
    let node = self::node(&lab, "operator");
    let api = Api::of(node.http());
    api.deployed("johannstadt", &package, &[("set", "raise_after=4")]);
    runs(&node, 1);
    let manifest = Manifest::parse(&package.manifest).unwrap();
    let index = api.get("/rules");
    let page = api.get("/rules/rows");
    for answer in [&index, &page] {
        assert_eq!(answer.status, 200);
        let text = answer.text();
        assert!(
            answer.headers.to_ascii_lowercase().contains("text/html"),
            "{}",
            answer.headers
        );
        assert!(
            text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
            "{text}"
        );
        for raw in ["<script", "<i>", "<b>", "\" onload"] {
            assert!(!text.contains(raw), "{raw} in {text}");
        }
    }
    assert!(
        index.text().contains("href=\"/rules/rows\""),
        "{}",
        index.text()
    );
    let page = page.text();
    let mut names: Vec<String> = Vec::new();
    for alert in &manifest.emits.alerts {
        names.push(alert.topic.clone());
        let limits = alert
            .codes
            .iter()
            .map(|limit| (limit.limit, &limit.unit, &limit.source));
        names.extend(
            limits.flat_map(|(limit, unit, source)| [format!("{limit} {unit}"), source.clone()]),
        );
    }
    names.extend(manifest.config.keys().cloned());
    names.extend(
        manifest
            .reads
            .metrics
            .iter()
            .chain(&manifest.reads.properties)
            .cloned(),
    );
    names.extend(manifest.emits.derived.iter().cloned());
    names.extend(manifest.commands.iter().map(|command| command.name.clone()));
    let more = [
        "https://norm.example/?a=1&amp;b='2'&quot;",
        "&lt;i&gt;A norm&lt;/i&gt;",
        "Readings before an alert",
        "johannstadt: 4",
        "33 Cel, 34 Cel",
        "two &amp; more",
        "johannstadt: 1.0.0",
    ];
    names.extend(more.map(str::to_owned));
    names.push(package.component_digest().to_string());
    for name in names {
        assert!(page.contains(&name), "{name:?} in {page}");
    }
    let unknown = api.get("/rules/nothing");
    assert_eq!(unknown.status, 404, "{}", unknown.text());
}
