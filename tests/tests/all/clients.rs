//! Clients that people use, against the real program: each connects, subscribes, publishes at every
//! QoS, sees retained messages and wills, and takes up its session again.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use quartier_tests::{
    Finished, Node, NodeConfig, Process, chromium, has_mosquitto_clients, node_script, python,
    quartier, run, workspace,
};
use rumqttc::v5::mqttbytes::QoS as QoS5;
use rumqttc::v5::mqttbytes::v5::LastWill;
use rumqttc::{Event, Outgoing, Packet, QoS};
use tempfile::TempDir;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
/// Of a script with all its steps, a browser's start included.
const SCRIPT: Duration = Duration::from_secs(180);

fn node() -> Node {
    Node::start(NodeConfig::of("johannstadt"))
}

fn assert_done(done: &Finished) {
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    for version in ["MQTT 3.1.1: ", "MQTT 5: "] {
        assert!(
            done.stdout.contains(version),
            "{}\n{}",
            done.stdout,
            done.stderr
        );
    }
}

/// `mosquitto_sub` or `_pub` in one version of the protocol.
struct Mosquitto<'a> {
    server: SocketAddr,
    version: &'a str,
}

impl Mosquitto<'_> {
    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("stdbuf");
        let port = self.server.port().to_string();
        let host = self.server.ip().to_string();
        command.args(["-oL", program, "-h", &host, "-p", &port, "-V", self.version]);
        command.args(args);
        command
    }

    fn publish(&self, args: &[&str]) {
        let done = run(&mut self.command("mosquitto_pub", args), PATIENCE);
        assert_eq!(done.code, Some(0), "{args:?}: {done:?}");
    }

    /// Subscribed when it returns.
    fn subscribe(&self, id: &str, args: &[&str]) -> Process {
        let mut all = vec!["-d", "-i", id, "-F", "GOT %r %q %t %p"];
        all.extend(args);
        let process = Process::start(&mut self.command("mosquitto_sub", &all));
        expect(&process, "Subscribed");
        process
    }
}

fn expect(process: &Process, text: &str) {
    let found = process.stdout_has(PATIENCE, |lines| {
        lines.iter().any(|line| line.contains(text)).then_some(())
    });
    assert!(found.is_some(), "no {text:?} in {:#?}", process.stdout());
}

#[test]
fn mosquitto_pub_and_sub() {
    if !has_mosquitto_clients() {
        return;
    }
    let node = node();
    for version in ["311", "5"] {
        let mosquitto = Mosquitto {
            server: node.mqtt(),
            version,
        };
        let top = format!("clients/mosquitto-{version}");
        let filter = format!("{top}/#");
        let session = if version == "5" {
            &["-x", "600"][..]
        } else {
            &[][..]
        };
        let id = format!("m-{version}");
        let mut args = vec!["-c", "-q", "2", "-t", &filter];
        args.extend(session);
        let mut sub = mosquitto.subscribe(&id, &args);
        for qos in ["0", "1", "2"] {
            mosquitto.publish(&["-q", qos, "-t", &format!("{top}/q"), "-m", qos]);
            expect(&sub, &format!("GOT 0 {qos} {top}/q {qos}"));
        }
        mosquitto.publish(&["-q", "1", "-r", "-t", &format!("{top}/kept"), "-m", "kept"]);
        let late = mosquitto.subscribe("late", &["-q", "1", "-t", &filter]);
        expect(&late, &format!("GOT 1 1 {top}/kept kept"));

        // Killed, so that its will is published and its session waits.
        let will = format!("{top}/will");
        let will = [
            "--will-topic",
            &will,
            "--will-payload",
            "gone",
            "--will-qos",
            "1",
        ];
        let mut args = vec!["-t", "clients/none"];
        args.extend(will);
        let mut dies = mosquitto.subscribe("dies", &args);
        dies.kill9();
        expect(&sub, &format!("GOT 0 1 {top}/will gone"));
        sub.kill9();
        mosquitto.publish(&["-q", "2", "-t", &format!("{top}/away"), "-m", "away"]);
        let mut args = vec!["-c", "-q", "2", "-t", "clients/other"];
        args.extend(session);
        let again = mosquitto.subscribe(&id, &args);
        expect(&again, &format!("GOT 0 2 {top}/away away"));
        mosquitto.publish(&["-r", "-n", "-t", &format!("{top}/kept")]);
    }
}

#[test]
fn paho_python_over_tcp_and_websocket() {
    let Some(python) = python() else { return };
    let node = node();
    let script = workspace().join("tests/python/paho_steps.py");
    for (server, transport) in [(node.mqtt(), "tcp"), (node.http(), "websockets")] {
        let mut command = Command::new(&python);
        command.arg(&script).arg(server.ip().to_string());
        let done = run(
            command.args([&server.port().to_string(), transport]),
            SCRIPT,
        );
        assert_done(&done);
    }
}

#[test]
fn mqtt_js_over_websocket_in_node() {
    let Some(mut script) = node_script("mqttjs.mjs") else {
        return;
    };
    let node = node();
    let done = run(script.arg(format!("ws://{}/mqtt", node.http())), SCRIPT);
    assert_done(&done);
}

#[test]
fn mqtt_js_over_websocket_and_tls() {
    let Some(mut script) = node_script("mqttjs.mjs") else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for args in [
        vec!["ca", "--out", &at("ca")],
        vec![
            "server",
            "--ca",
            &at("ca"),
            "--host",
            "localhost",
            "--out",
            &at("server"),
        ],
    ] {
        let done = run(Command::new(quartier()).arg("cert").args(&args), PATIENCE);
        assert_eq!(done.code, Some(0), "{done:?}");
    }
    let node = Node::start(NodeConfig {
        mqtt: format!(
            "cert_file = \"{0}/server.crt\"\nkey_file = \"{0}/server.key\"\n",
            at("server")
        ),
        http: "tls_listen = \"127.0.0.1:0\"\n".to_owned(),
        ..NodeConfig::of("johannstadt")
    });
    let url = format!("wss://localhost:{}/mqtt", node.https().unwrap().port());
    let done = run(
        script.arg(url).env("NODE_EXTRA_CA_CERTS", at("ca/ca.crt")),
        SCRIPT,
    );
    assert_done(&done);
}

#[test]
fn mqtt_js_over_websocket_in_chromium_where_the_page_may() {
    let (Some(chromium), Some(_)) = (chromium(), node_script("browser.mjs")) else {
        return;
    };
    let node = node();
    let page = |of: &Node| {
        let url = format!("ws://{}/mqtt", node.http());
        let origin = format!("http://{}/healthz", of.http());
        let mut script = node_script("browser.mjs").unwrap();
        run(script.args([url.as_str(), chromium, &origin]), SCRIPT)
    };
    assert_done(&page(&node));
    let other = Node::start(NodeConfig::of("johannstadt"));
    let refused = page(&other);
    assert_eq!(
        refused.code,
        Some(3),
        "a page of another origin: {refused:?}"
    );
}

#[tokio::test]
async fn rumqttc_in_both_versions() {
    let node = node();
    rumqttc_4(node.mqtt()).await;
    rumqttc_5(node.mqtt()).await;
}

/// Polls until `wanted` finds something.
macro_rules! until {
    ($events:expr, $wanted:expr) => {{
        let wanted = $wanted;
        let found = async {
            loop {
                let event = $events.poll().await.expect("the connection stands");
                if let Some(found) = wanted(event) {
                    break found;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("in time")
    }};
}

async fn rumqttc_4(server: SocketAddr) {
    let options = |id: &str| {
        let mut options = rumqttc::MqttOptions::new(id, server.ip().to_string(), server.port());
        options.set_clean_session(false);
        options
    };
    let published = |event| match event {
        Event::Incoming(Packet::Publish(publish)) => Some(publish),
        _ => None,
    };
    let subscribed = |event| matches!(event, Event::Incoming(Packet::SubAck(_))).then_some(());
    let completed = |event| matches!(event, Event::Outgoing(Outgoing::PubComp(_))).then_some(());
    let (client, mut events) = rumqttc::AsyncClient::new(options("r4"), 10);
    client
        .subscribe("clients/r4/#", QoS::ExactlyOnce)
        .await
        .unwrap();
    until!(events, subscribed);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        client
            .publish("clients/r4/q", qos, false, "1")
            .await
            .unwrap();
        assert_eq!(until!(events, published).qos, qos);
    }
    // A new event loop knows nothing of a QoS 2 exchange that the session goes on with, and ends.
    until!(events, completed);
    let mut will = options("r4-will");
    let topic = "clients/r4/will";
    will.set_last_will(rumqttc::LastWill::new(
        topic,
        "gone",
        QoS::AtLeastOnce,
        true,
    ));
    let (_dies, mut dying) = rumqttc::AsyncClient::new(will, 10);
    until!(dying, |event| matches!(
        event,
        Event::Incoming(Packet::ConnAck(_))
    )
    .then_some(()));
    drop(dying);
    assert_eq!(until!(events, published).topic, topic);
    drop((client, events));

    let (other, mut sending) = rumqttc::AsyncClient::new(options("r4-other"), 10);
    other
        .publish("clients/r4/away", QoS::ExactlyOnce, false, "2")
        .await
        .unwrap();
    until!(sending, |event| matches!(
        event,
        Event::Incoming(Packet::PubComp(_))
    )
    .then_some(()));
    let (_again, mut events) = rumqttc::AsyncClient::new(options("r4"), 10);
    let present = until!(events, |event| match event {
        Event::Incoming(Packet::ConnAck(connack)) => Some(connack.session_present),
        _ => None,
    });
    assert!(present);
    assert_eq!(until!(events, published).topic, "clients/r4/away");
    other.subscribe(topic, QoS::AtLeastOnce).await.unwrap();
    assert!(until!(sending, published).retain, "the will was retained");
}

async fn rumqttc_5(server: SocketAddr) {
    use rumqttc::v5::mqttbytes::v5::Packet;
    use rumqttc::v5::{AsyncClient, Event, MqttOptions};
    let options = |id: &str| {
        let mut options = MqttOptions::new(id, server.ip().to_string(), server.port());
        options
            .set_clean_start(false)
            .set_session_expiry_interval(Some(600));
        options
    };
    let published = |event| match event {
        Event::Incoming(Packet::Publish(publish)) => Some(publish),
        _ => None,
    };
    let subscribed = |event| matches!(event, Event::Incoming(Packet::SubAck(_))).then_some(());
    let completed = |event| matches!(event, Event::Outgoing(Outgoing::PubComp(_))).then_some(());
    let (client, mut events) = AsyncClient::new(options("r5"), 10);
    client
        .subscribe("clients/r5/#", QoS5::ExactlyOnce)
        .await
        .unwrap();
    until!(events, subscribed);
    for qos in [QoS5::AtMostOnce, QoS5::AtLeastOnce, QoS5::ExactlyOnce] {
        client
            .publish("clients/r5/q", qos, false, "1")
            .await
            .unwrap();
        assert_eq!(until!(events, published).qos, qos);
    }
    // A new event loop knows nothing of a QoS 2 exchange that the session goes on with, and ends.
    until!(events, completed);
    let mut will = options("r5-will");
    let topic = "clients/r5/will";
    will.set_last_will(LastWill::new(topic, "gone", QoS5::AtLeastOnce, true, None));
    let (_dies, mut dying) = AsyncClient::new(will, 10);
    until!(dying, |event| matches!(
        event,
        Event::Incoming(Packet::ConnAck(_))
    )
    .then_some(()));
    drop(dying);
    assert_eq!(until!(events, published).topic, topic);
    drop((client, events));

    let (other, mut sending) = AsyncClient::new(options("r5-other"), 10);
    other
        .publish("clients/r5/away", QoS5::AtLeastOnce, false, "2")
        .await
        .unwrap();
    until!(sending, |event| matches!(
        event,
        Event::Incoming(Packet::PubAck(_))
    )
    .then_some(()));
    let (_again, mut events) = AsyncClient::new(options("r5"), 10);
    let present = until!(events, |event| match event {
        Event::Incoming(Packet::ConnAck(connack)) => Some(connack.session_present),
        _ => None,
    });
    assert!(present);
    assert_eq!(until!(events, published).topic, "clients/r5/away");
    other.subscribe(topic, QoS5::AtLeastOnce).await.unwrap();
    assert!(until!(sending, published).retain, "the will was retained");
}
