//! What cannot be used is set aside with its reason, and costs nothing else.

use std::time::Duration;

use quartier_tests::{Client, ConnectOptions, Node, NodeConfig, Packet, eventually};

/// Publishes each at QoS 1 on one connection and waits for every acknowledgement.
fn publish_all(node: &Node, messages: &[(&str, &str)]) {
    let (mut client, code) =
        Client::connect(node.mqtt(), &ConnectOptions::new("bad-device")).unwrap();
    assert_eq!(code, 0);
    for (id, (topic, payload)) in (1u16..).zip(messages) {
        client.publish(topic, payload.as_bytes(), Some(id), false);
    }
    client.flush().unwrap();
    for _ in messages {
        let packet = client.receive(Duration::from_secs(20)).unwrap();
        assert!(matches!(packet, Some(Packet::PubAck(_, 0))), "{packet:?}");
    }
}

/// Topic, payload, reason.
const BAD: [(&str, &str, &str); 11] = [
    ("dt/johannstadt/box-1", "{\"temperature\":", "json"),
    ("dt/johannstadt/box-1", "temperature is 21", "json"),
    ("dt/johannstadt/box-1", "", "empty"),
    ("dt/johannstadt/box-1/temperature", "warm", "not_a_number"),
    (
        "dt/johannstadt/box-1",
        "{\"temperature\":{\"v\":21,\"u\":\"furlong\"}}",
        "unit",
    ),
    (
        "dt/johannstadt/box-1",
        "{\"temperature\":{\"v\":21,\"u\":\"kW\"}}",
        "unit",
    ),
    (
        "dt/johannstadt/box-1",
        "{\"temperature\":21,\"t\":\"yesterday\"}",
        "time",
    ),
    (
        "dt/johannstadt/box-1",
        "{\"temperature\":21,\"lat\":91,\"lon\":13}",
        "place",
    ),
    (
        "dt/johannstadt/box-1",
        "[{\"bver\":99,\"n\":\"temperature\",\"v\":1}]",
        "senml",
    ),
    ("dt/atlantis/box-1", "{\"temperature\":21}", "topic"),
    ("dt/johannstadt/a/b/c", "21", "topic"),
];

#[test]
fn bad_input_is_counted_by_reason_and_listed_with_its_payload() {
    let node = Node::start(NodeConfig::of("johannstadt"));
    let messages: Vec<_> = BAD
        .iter()
        .map(|(topic, payload, _)| (*topic, *payload))
        .collect();
    publish_all(&node, &messages);
    eventually(
        "all are in the dead letters",
        Duration::from_secs(10),
        || {
            let count = node.json("/api/v1/dead-letters")["count"].as_u64();
            if count == Some(BAD.len() as u64) {
                Ok(())
            } else {
                Err(format!("{count:?}"))
            }
        },
    );
    let letters = node.json("/api/v1/dead-letters");
    let letters = letters["dead_letters"].as_array().unwrap();
    // Newest first.
    for (letter, (topic, payload, reason)) in letters.iter().rev().zip(BAD) {
        assert_eq!(letter["reason"], reason, "{payload}: {letter}");
        assert_eq!(letter["topic"], topic, "{letter}");
        assert_eq!(letter["payload"], payload, "{letter}");
        assert!(!letter["detail"].as_str().unwrap().is_empty(), "{letter}");
    }
    for reason in [
        "json",
        "empty",
        "not_a_number",
        "unit",
        "time",
        "place",
        "senml",
        "topic",
    ] {
        let expected = BAD.iter().filter(|(_, _, r)| *r == reason).count();
        let name = format!("quartier_intake_rejected_total{{reason=\"{reason}\"}}");
        assert_eq!(node.figure(&name), expected as f64, "{name}");
        let listed = node.json(&format!("/api/v1/dead-letters?reason={reason}"));
        assert_eq!(
            listed["dead_letters"].as_array().unwrap().len(),
            expected,
            "{reason}"
        );
    }
    assert_eq!(
        node.figure("quartier_intake_payloads_total"),
        BAD.len() as f64
    );
}

#[test]
fn the_neighbours_of_a_bad_value_are_kept() {
    let node = Node::start(NodeConfig::of("johannstadt"));
    let flat = "{\"temperature\":21.5,\"humidity\":\"wet\",\"pressure\":{\"v\":1013,\"u\":\"kg\"},\"co2\":612}";
    let senml = "[{\"bn\":\"\",\"n\":\"temperature\",\"u\":\"Cel\",\"v\":7},\
                  {\"n\":\"pressure\",\"u\":\"furlong\",\"v\":1},{\"n\":\"humidity\",\"u\":\"%RH\",\"v\":55}]";
    publish_all(
        &node,
        &[
            ("dt/johannstadt/flat", flat),
            ("dt/johannstadt/pack", senml),
        ],
    );
    node.settle();
    let value = |asset: &str, metric: &str| node.value(asset, metric).map(|(value, _)| value);
    assert_eq!(value("flat", "temperature"), Some(21.5));
    assert_eq!(value("flat", "co2"), Some(612.0));
    assert_eq!(value("flat", "humidity"), None);
    assert_eq!(value("flat", "pressure"), None);
    assert_eq!(value("pack", "temperature"), Some(7.0));
    assert_eq!(value("pack", "humidity"), Some(55.0));
    assert_eq!(value("pack", "pressure"), None);
    eventually(
        "the three bad values are listed",
        Duration::from_secs(10),
        || {
            let letters = node.json("/api/v1/dead-letters");
            if letters["count"] == 3 {
                Ok(())
            } else {
                Err(letters.to_string())
            }
        },
    );
}

#[test]
fn dead_letters_survive_a_restart() {
    let mut node = Node::start(NodeConfig::of("johannstadt"));
    publish_all(&node, &[("dt/johannstadt/box-1", "no json")]);
    eventually("it is listed", Duration::from_secs(10), || {
        let letters = node.json("/api/v1/dead-letters");
        if letters["count"] == 1 {
            Ok(())
        } else {
            Err(letters.to_string())
        }
    });
    assert!(node.terminate().success());
    node.restart();
    assert_eq!(
        node.json("/api/v1/dead-letters")["dead_letters"][0]["payload"],
        "no json"
    );
}
