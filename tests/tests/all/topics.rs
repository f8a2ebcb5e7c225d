//! The topics of the contract, as `mosquitto_pub` and `mosquitto_sub` see them.

use std::process::Command;
use std::time::Duration;

use quartier_tests::{
    Client, ConnectOptions, Line, Node, NodeConfig, Packet, Subscriber, has_mosquitto_clients,
    health_plugin, mosquitto_pub, quartier, run,
};
use serde_json::Value;

fn publish(node: &Node, topic: &str, payload: &str) {
    let done = mosquitto_pub(node.mqtt(), &["-t", topic, "-m", payload]);
    assert_eq!(done.code, Some(0), "{done:?}");
}

fn is(line: &Line, topic: &str, value: f64) -> bool {
    let json: Value = serde_json::from_str(&line.payload).unwrap_or_default();
    line.topic == topic && json["value"].as_f64() == Some(value)
}

#[test]
fn every_payload_family_reaches_subscribers_of_both_protocol_versions() {
    if !has_mosquitto_clients() {
        return;
    }
    let node = Node::start(NodeConfig::of("johannstadt"));
    let subscribers = ["311", "5"].map(|v| Subscriber::start(node.mqtt(), v, &["twin/v1/#"], &[]));
    let sent = [
        (
            "dt/johannstadt/pack",
            "[{\"bn\":\"\",\"bt\":1780272000,\"n\":\"temperature\",\"u\":\"K\",\"v\":300.15}]",
            "twin/v1/johannstadt/environment/pack/temperature",
            27.0,
            "Cel",
        ),
        (
            "dt/johannstadt/flat",
            "{\"humidity\":55.5,\"active_power\":{\"v\":3200,\"u\":\"W\",\"t\":\"2026-06-01T00:00:00Z\"}}",
            "twin/v1/johannstadt/energy/flat/active_power",
            3.2,
            "kW",
        ),
        (
            "dt/johannstadt/scalar/uptime",
            "42",
            "twin/v1/johannstadt/device/scalar/uptime",
            42.0,
            "s",
        ),
        (
            "dt/johannstadt/one/pm10",
            "{\"value\":12.5,\"time\":\"2026-06-01T00:00:00Z\",\"unit\":\"ug/m3\"}",
            "twin/v1/johannstadt/environment/one/pm10",
            12.5,
            "ug/m3",
        ),
    ];
    for (version, (topic, payload, ..)) in ["311", "5", "311", "5"].iter().zip(sent) {
        let done = mosquitto_pub(node.mqtt(), &["-V", version, "-t", topic, "-m", payload]);
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    for subscriber in &subscribers {
        for (_, _, topic, value, unit) in sent {
            let line = subscriber.expect(topic, |line| is(line, topic, value));
            let json: Value = serde_json::from_str(&line.payload).unwrap();
            assert_eq!(json["unit"], unit, "{line:?}");
            assert_eq!(json["quality"], "good", "{line:?}");
            assert_eq!(json["rev"], 1, "{line:?}");
            assert!(!line.retain, "sent as it happens: {line:?}");
        }
        let line = subscriber.expect("of pack", |line| line.topic.contains("/pack/"));
        let json: Value = serde_json::from_str(&line.payload).unwrap();
        assert_eq!(
            json["time"], "2026-06-01T00:00:00Z",
            "the device's time: {line:?}"
        );
    }
}

#[test]
fn twin_topics_are_retained_and_there_again_after_a_restart() {
    if !has_mosquitto_clients() {
        return;
    }
    let mut node = Node::start(NodeConfig::of("johannstadt"));
    publish(&node, "dt/johannstadt/box-1", "{\"temperature\":20}");
    publish(&node, "dt/johannstadt/box-1", "{\"temperature\":21.5}");
    let topic = "twin/v1/johannstadt/environment/box-1/temperature";
    for life in ["first", "after SIGTERM", "after kill -9"] {
        node.settle();
        for filter in [
            topic,
            "twin/v1/#",
            "twin/v1/johannstadt/+/box-1/+",
            "twin/+/+/environment/#",
        ] {
            let subscriber = Subscriber::start(node.mqtt(), "5", &[filter], &[]);
            let line = subscriber.expect(life, |line| line.topic == topic);
            assert!(
                line.retain && is(&line, topic, 21.5),
                "{life}, {filter}: {line:?}"
            );
            assert_eq!(
                subscriber.messages().len(),
                1,
                "{life}, {filter}: the last value, once"
            );
        }
        if life == "first" {
            assert!(node.terminate().success());
        }
        node.restart();
    }
}

#[test]
fn nobody_can_publish_a_twin_topic_past_the_twin() {
    let node = Node::start(NodeConfig::of("johannstadt"));
    let (mut client, _) = Client::connect(node.mqtt(), &ConnectOptions::new("liar")).unwrap();
    client.publish("dt/johannstadt/box-1/uptime", b"7", Some(1), false);
    client.flush().unwrap();
    assert_eq!(
        client.receive(Duration::from_secs(20)).unwrap(),
        Some(Packet::PubAck(1, 0))
    );
    node.settle();
    let mut packet = quartier_tests::publish_packet(
        quartier_tests::Version::V4,
        "twin/v1/johannstadt/device/box-1/uptime",
        b"{\"value\":8}",
        Some(2),
    );
    packet[0] |= 1;
    client.raw(&packet);
    client.flush().unwrap();
    let _ = client.receive(Duration::from_secs(2));
    let (mut reader, _) = Client::connect(node.mqtt(), &ConnectOptions::new("reader")).unwrap();
    let (_, mut packets) = reader.subscribe("twin/v1/#", 1).unwrap();
    packets.extend(reader.receive(Duration::from_secs(2)).unwrap());
    let [Packet::Publish { payload, .. }] = packets.as_slice() else {
        panic!("{packets:?}")
    };
    let json: Value = serde_json::from_slice(payload).unwrap();
    assert_eq!(
        json["value"], 7.0,
        "a retained twin topic is answered from the twin"
    );
}

/// Five boxes within one cell of resolution 9, near the Fetscherplatz, and one 3 km away.
const BOXES: [(&str, f64, f64, f64); 6] = [
    ("a", 51.04400, 13.76900, 10.0),
    ("b", 51.04401, 13.76901, 12.0),
    ("c", 51.04400, 13.76901, 14.0),
    ("d", 51.04401, 13.76900, 16.0),
    ("e", 51.04402, 13.76900, 18.0),
    ("far", 51.0700, 13.7400, 99.0),
];

fn place_boxes(node: &Node, metric: &str) {
    for (id, lat, lon, value) in BOXES {
        let payload = format!("{{\"lat\":{lat},\"lon\":{lon},\"{metric}\":{value}}}");
        publish(node, &format!("dt/johannstadt/{id}"), &payload);
    }
}

#[test]
fn a_cell_topic_says_what_its_assets_report_together() {
    if !has_mosquitto_clients() {
        return;
    }
    let node = Node::start(NodeConfig::of("johannstadt"));
    let live = Subscriber::start(node.mqtt(), "5", &["cell/v1/8/+/environment/pm10"], &[]);
    place_boxes(&node, "pm10");
    let five = |line: &Line| {
        let json: Value = serde_json::from_str(&line.payload).unwrap_or_default();
        json["assets"] == 5 && json["mean"] == 14.0
    };
    let line = live.expect("with the mean of the five", five);
    let json: Value = serde_json::from_str(&line.payload).unwrap();
    let figures = ["count", "min", "max", "sum"].map(|name| json[name].as_f64());
    assert_eq!(figures, [5.0, 10.0, 18.0, 70.0].map(Some), "{line:?}");
    let later = Subscriber::start(node.mqtt(), "311", &[&line.topic], &[]);
    assert!(later.expect("retained", five).retain);
    let cell = line.topic.split('/').nth(3).unwrap();
    let answer = node.json(&format!("/api/v1/cells/{cell}"));
    assert_eq!(answer["metrics"]["pm10"]["mean"], 14.0, "{answer}");
}

#[test]
fn the_filter_that_quartier_area_prints_selects_the_assets_there() {
    if !has_mosquitto_clients() {
        return;
    }
    let node = Node::start(NodeConfig::of("johannstadt"));
    let mut command = Command::new(quartier());
    let printed = run(
        command.args(["area", "51.0440,13.7690", "--res", "8"]),
        Duration::from_secs(20),
    );
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let filter = printed
        .stdout
        .split_ascii_whitespace()
        .find(|word| word.starts_with("area/v1/"));
    let filter = filter.unwrap_or_else(|| panic!("no filter: {printed:?}"));
    assert!(
        filter.ends_with("/#") && filter.split('/').count() == 6,
        "r6, d7, d8: {filter}"
    );
    let subscriber = Subscriber::start(node.mqtt(), "5", &[filter], &[]);
    place_boxes(&node, "pm10");
    for (id, _, _, value) in BOXES.iter().take(5) {
        subscriber.expect(id, |line| {
            line.topic.ends_with(&format!("/environment/{id}/pm10")) && {
                let json: Value = serde_json::from_str(&line.payload).unwrap_or_default();
                json["value"].as_f64() == Some(*value)
            }
        });
    }
    // `far` was published last: with it folded, whatever was to come has come.
    node.settle();
    let all = subscriber.messages();
    assert!(
        !all.iter().any(|line| line.topic.contains("/far/")),
        "{all:#?}"
    );
}

#[test]
fn a_household_appears_under_personal_only_and_in_a_cell_only_among_five() {
    if !has_mosquitto_clients() {
        return;
    }
    let node = Node::start(NodeConfig::of("johannstadt"));
    let public = Subscriber::start(
        node.mqtt(),
        "5",
        &["twin/v1/#", "area/v1/#", "cell/v1/#"],
        &[],
    );
    let personal = Subscriber::start(node.mqtt(), "5", &["personal/v1/#"], &[]);
    let meter = |id: &str, value: f64| {
        let payload = format!("{{\"lat\":51.0440,\"lon\":13.7690,\"household_power\":{value}}}");
        publish(&node, &format!("dt/johannstadt/{id}"), &payload);
    };
    for (number, id) in ["m1", "m2", "m3", "m4"].iter().enumerate() {
        meter(id, number as f64);
        let topic = format!("personal/v1/johannstadt/energy/{id}/household_power");
        personal.expect(id, |line| is(line, &topic, number as f64));
    }
    // A public metric of the same place travels behind them: once its cell is out, theirs would be.
    publish(
        &node,
        "dt/johannstadt/box",
        "{\"lat\":51.0440,\"lon\":13.7690,\"pm10\":5}",
    );
    public.expect("cell of the box", |line| {
        line.topic.starts_with("cell/v1/9/") && line.topic.ends_with("/pm10")
    });
    let seen = public.messages();
    assert!(
        !seen.iter().any(|line| line.topic.contains("household")),
        "{seen:#?}"
    );
    let answer = node.json("/api/v1/assets/m1");
    assert!(
        answer["metrics"]["household_power"].is_null(),
        "no login, no household: {answer}"
    );
    meter("m5", 4.0);
    let line = public.expect("cell of five households", |line| {
        line.topic.ends_with("/household_power")
    });
    assert!(line.topic.starts_with("cell/v1/"), "{line:?}");
    let json: Value = serde_json::from_str(&line.payload).unwrap();
    assert_eq!(json["assets"], 5, "{line:?}");
    let retained = Subscriber::start(node.mqtt(), "5", &["personal/v1/#"], &[]);
    retained.expect("retained", |line| {
        line.retain && line.topic.contains("/m3/")
    });
}

#[test]
fn poor_air_for_two_hours_raises_an_alert_that_is_retained_and_clears() {
    let Some(plugin) = health_plugin().filter(|_| has_mosquitto_clients()) else {
        return;
    };
    let mut config = NodeConfig::of("friedrichstadt");
    let street = "{\"type\":\"FeatureCollection\",\"features\":[{\"type\":\"Feature\",\"id\":\"street\",\
                  \"geometry\":{\"type\":\"Point\",\"coordinates\":[13.72,51.06]},\
                  \"properties\":{\"kind\":\"air_quality_station\",\"interval_s\":\"3600\"}}]}";
    config.quarters[0].1 = Some(street.to_owned());
    config.plugins.push(("friedrichstadt".to_owned(), plugin));
    let node = Node::start(config);
    let filters = [
        "alert/v1/#",
        "decision/v1/#",
        "twin/v1/friedrichstadt/health/#",
    ];
    let live = Subscriber::start(node.mqtt(), "5", &filters, &[]);
    // Hourly means stamped at the end of their hour: 150 ug/m3 of PM10 is
    // poor (class 4), 10 is good.
    let hour = |hour: u32, value: f64| {
        let (day, hour) = (1 + hour / 24, hour % 24);
        let payload =
            format!("{{\"pm10\":{{\"v\":{value},\"t\":\"2026-06-{day:02}T{hour:02}:00:00Z\"}}}}");
        publish(&node, "dt/friedrichstadt/street", &payload);
    };
    for number in 1..=6 {
        hour(number, 150.0);
    }
    let topic = "alert/v1/friedrichstadt/eaqi_poor/street";
    let raised = live.expect("alert", |line| {
        line.topic == topic && !line.payload.is_empty()
    });
    let json: Value = serde_json::from_str(&raised.payload).unwrap();
    let figures = ["value", "limit"].map(|name| json[name].as_f64());
    assert_eq!(figures, [Some(4.0); 2], "{raised:?}");
    assert!(
        json["decision"].as_u64().is_some() && json["severity"].is_string(),
        "{raised:?}"
    );
    live.expect("decision", |line| {
        line.topic == "decision/v1/friedrichstadt/health"
    });
    let derived = "twin/v1/friedrichstadt/health/street/eaqi";
    live.expect("derived index", |line| is(line, derived, 4.0));
    let later = Subscriber::start(node.mqtt(), "311", &["alert/v1/#"], &[]);
    assert!(
        later
            .expect("retained alert", |line| line.topic == topic)
            .retain
    );
    let listed = node.json("/api/v1/alerts?quarter=friedrichstadt");
    assert_eq!(listed["alerts"][0]["rule"], "eaqi_poor", "{listed}");
    for number in 7..=13 {
        hour(number, 10.0);
    }
    live.expect("cleared by an empty payload", |line| {
        line.topic == topic && line.payload.is_empty()
    });
    assert_eq!(
        node.json("/api/v1/alerts")["alerts"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
}

#[test]
fn the_node_says_retained_that_it_is_online_and_when_it_ends_that_it_is_not() {
    if !has_mosquitto_clients() {
        return;
    }
    let mut node = Node::start(NodeConfig::of("johannstadt"));
    let status = Subscriber::start(node.mqtt(), "5", &["node/v1/test-1/status"], &[]);
    let online = status.expect("online", |line| line.payload.contains("\"online\""));
    let json: Value = serde_json::from_str(&online.payload).unwrap();
    assert!(
        json["position"].is_u64() && json["lag"]["twin"].is_u64(),
        "{online:?}"
    );
    let late = Subscriber::start(node.mqtt(), "311", &["node/v1/+/status"], &[]);
    assert!(
        late.expect("retained", |line| line.payload.contains("\"online\""))
            .retain
    );
    assert!(node.terminate().success());
    status.expect("offline", |line| line.payload.contains("\"offline\""));
}

/// argon2id of `correct horse`, with parameters that cost little: `quartier user add` takes more.
const HASH: &str = "$argon2id$v=19$m=1024,t=1,p=1$k3nrGhXaX4JQf6NtBz1V8w$lKo3uZWTrsJWrGG+fpvunAbgbnkZwyPyTnpRMn5A/3g";

#[test]
fn without_the_right_password_nobody_gets_in() {
    if !has_mosquitto_clients() {
        return;
    }
    let user = format!(
        "[[mqtt.user]]\nname = \"meter-1\"\npassword_hash = \"{HASH}\"\nroles = [\"device\"]\n"
    );
    let node = Node::start(NodeConfig {
        anonymous: "none".to_owned(),
        mqtt: user,
        ..NodeConfig::of("johannstadt")
    });
    let topic = ["-t", "dt/johannstadt/meter-1/uptime", "-m", "1"];
    let with = |login: &[&str]| mosquitto_pub(node.mqtt(), &[login, &topic].concat());
    assert_eq!(
        with(&["-u", "meter-1", "-P", "correct horse"]).code,
        Some(0)
    );
    for version in ["311", "5"] {
        let wrong: [&[&str]; 4] = [
            &[],
            &["-u", "meter-1", "-P", "wrong horse"],
            &["-u", "meter-1"],
            &["-u", "nobody", "-P", "correct horse"],
        ];
        for login in wrong {
            let refused = with(&[login, &["-V", version]].concat());
            assert_ne!(refused.code, Some(0), "{login:?} -V {version}");
            let said = refused.stderr.to_lowercase();
            let reason = ["not authori", "bad user", "refused"]
                .iter()
                .any(|r| said.contains(r));
            assert!(reason, "{login:?} -V {version}: {refused:?}");
        }
    }
    node.settle();
    assert_eq!(node.value("meter-1", "uptime"), Some((1.0, 1)));
}
