//! Users, tokens and certificates of a running node, from the command line as an operator has it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use quartier_tests::{
    Client, ConnectOptions, Finished, Node, NodeConfig, Packet, eventually, eventually_some,
    has_mosquitto_clients, has_program, mosquitto_pub, quartier, run,
};

const PASSWORD: &str = "correct horse";
const PATIENCE: Duration = Duration::from_secs(60);
const DISCONNECT: u8 = 0xE0;
const ADMINISTRATIVE: u8 = 0x98;

/// Runs `quartier` with `input` on its standard input.
fn cli(input: &str, args: &[&str]) -> Finished {
    let mut command = Command::new("sh");
    command.args(["-c", "printf '%s\\n' \"$INPUT\" | \"$0\" \"$@\""]);
    command.arg(quartier()).args(args).env("INPUT", input);
    run(&mut command, PATIENCE)
}

fn done(args: &[&str]) -> String {
    let finished = cli(PASSWORD, args);
    assert_eq!(finished.code, Some(0), "{args:?}: {finished:?}");
    finished.stdout
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn nobody_yet() -> NodeConfig {
    NodeConfig {
        anonymous: "none".to_owned(),
        ..NodeConfig::of("johannstadt")
    }
}

fn connect(node: &Node, id: &str, user: &str, password: &str) -> (Client, u8) {
    let options = ConnectOptions::new(id).v5().login(user, password);
    Client::connect(node.mqtt(), &options).unwrap()
}

/// Connects as soon as the node has taken the change that allows it.
fn connected(node: &Node, id: &str, user: &str, password: &str) -> Client {
    eventually_some("the login is taken", PATIENCE, || {
        let (client, code) = connect(node, id, user, password);
        (code == 0).then_some(client)
    })
}

fn is_sent_away(client: &mut Client) {
    match client.receive(PATIENCE) {
        Ok(Some(Packet::Other(DISCONNECT, body))) => {
            assert_eq!(body.first(), Some(&ADMINISTRATIVE), "{body:?}");
        }
        other => panic!("instead of a DISCONNECT: {other:?}"),
    }
}

#[test]
fn users_and_tokens_come_and_go_without_a_restart() {
    let mut node = Node::start(nobody_yet());
    let file = node.folder().join("quartier.toml");
    let at = ["--config", text(&file)];
    let (_, code) = connect(&node, "m", "meter-1", PASSWORD);
    assert_eq!(code, 0x86);

    let add = [
        "user",
        "add",
        "meter-1",
        "--role",
        "device",
        "--quarter",
        "johannstadt",
    ];
    done(&[&add[..], &at].concat());
    let mut meter = connected(&node, "m", "meter-1", PASSWORD);
    meter.publish("dt/johannstadt/meter-1/uptime", b"7", Some(1), false);
    meter.publish("dt/johannstadt/other/uptime", b"7", Some(2), false);
    meter.flush().unwrap();
    assert_eq!(meter.receive(PATIENCE).unwrap(), Some(Packet::PubAck(1, 0)));
    assert_eq!(
        meter.receive(PATIENCE).unwrap(),
        Some(Packet::PubAck(2, 0x87))
    );

    done(
        &[
            &["user", "add", "grid", "--role", "utility", "--no-password"][..],
            &at,
        ]
        .concat(),
    );
    let issued = done(
        &[
            &["token", "issue", "--user", "grid", "--expires", "2d"][..],
            &at,
        ]
        .concat(),
    );
    let token = issued.trim();
    let (id, secret) = token.strip_prefix("qt_").unwrap().split_once('_').unwrap();
    let mut grid = connected(&node, "g", "grid", token);
    let (codes, _) = grid.subscribe("twin/v1/+/energy/#", 1).unwrap();
    assert_eq!(codes, [1]);
    let listed = done(&[&["token", "list", "--json"][..], &at].concat());
    assert!(listed.contains(id) && !listed.contains(secret), "{listed}");

    done(&[&["token", "revoke", id][..], &at].concat());
    is_sent_away(&mut grid);
    let (_, code) = connect(&node, "g", "grid", token);
    assert_eq!(code, 0x86);
    done(&[&["user", "remove", "meter-1"][..], &at].concat());
    is_sent_away(&mut meter);
    let (_, code) = connect(&node, "m", "meter-1", PASSWORD);
    assert_eq!(code, 0x86);

    let audit = std::fs::read_to_string(node.folder().join("data/audit.log")).unwrap();
    for what in [
        "user meter-1",
        "user grid",
        "\"granted\"",
        "bad_credentials",
        "127.0.0.1",
    ] {
        assert!(audit.contains(what), "{what} in {audit}");
    }
    assert!(audit.contains(&format!("token:{id}")), "{audit}");
    let figures = node.figures();
    assert!(
        figures.contains("quartier_mqtt_logins_total{result=\"granted\"}"),
        "{figures}"
    );
    assert!(node.terminate().success());
    for (name, said) in [("audit", audit), ("log", node.log()), ("figures", figures)] {
        for hidden in [PASSWORD, secret, "$argon2id$"] {
            assert!(!said.contains(hidden), "{hidden} in the {name}: {said}");
        }
    }
}

#[test]
fn a_configuration_that_does_not_load_changes_nothing() {
    let node = Node::start(nobody_yet());
    let file = node.folder().join("quartier.toml");
    let add = [
        "user",
        "add",
        "lab",
        "--role",
        "lab",
        "--config",
        text(&file),
    ];
    done(&add);
    let mut lab = connected(&node, "l", "lab", PASSWORD);
    let good = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{good}\n[mqtt.nonsense]\n")).unwrap();
    let hup = Command::new("kill")
        .args(["-HUP", &node.pid().to_string()])
        .status();
    assert!(hup.unwrap().success());
    eventually("the error is logged", PATIENCE, || {
        let log = node.log();
        if log.contains("nonsense") && log.contains("quartier.toml:") {
            Ok(())
        } else {
            Err(log)
        }
    });
    let (codes, _) = lab.subscribe("twin/v1/+/#", 0).unwrap();
    assert_eq!(codes, [0], "who is in stays in");
    let (_, code) = connect(&node, "l2", "lab", PASSWORD);
    assert_eq!(code, 0);
    std::fs::write(&file, good.replace("[\"lab\"]", "[\"utility\"]")).unwrap();
    eventually("the lab is a utility now", PATIENCE, || {
        let (mut client, _) = connect(&node, "l3", "lab", PASSWORD);
        match client.subscribe("twin/v1/+/#", 0).unwrap().0[..] {
            [0x87] => Ok(()),
            _ => Err("still a lab".to_owned()),
        }
    });
}

#[test]
fn guessing_is_slowed_down_and_the_device_stays_in() {
    let node = Node::start(nobody_yet());
    let file = node.folder().join("quartier.toml");
    let add = [
        "user",
        "add",
        "meter",
        "--role",
        "device",
        "--config",
        text(&file),
    ];
    done(&add);
    let device = connected(&node, "m", "meter", PASSWORD);
    let codes: Vec<u8> = (0..30)
        .map(|n| connect(&node, &format!("x{n}"), &format!("u{n}"), "guess").1)
        .collect();
    assert_eq!(codes[..5], [0x86; 5]);
    assert!(codes.contains(&0x9F), "{codes:?}");
    drop(device);
    let (_, code) = connect(&node, "m", "meter", PASSWORD);
    assert_eq!(code, 0, "a device at its usual place");
}

#[test]
fn what_everybody_may_do_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("quartier.toml");
    std::fs::write(
        &file,
        "[node]\nname = \"n\"\nrole = \"city\"\ndata = \"d\"\n[[quarter]]\nid = \"q\"\nname = \"Q\"\n\
         [[mqtt.user]]\nname = \"grid\"\nroles = [\"utility\"]\nquarters = [\"q\"]\n\
         [[mqtt.acl]]\nuser = \"grid\"\nsubscribe = [\"personal/v1/{quarter}/energy/#\"]\n",
    )
    .unwrap();
    let rules = done(&["config", "check", text(&file), "--rules"]);
    assert!(
        rules.contains("dt/{quarter}/{asset}/+") && rules.contains("user grid"),
        "{rules}"
    );
    let of_grid = done(&[
        "config",
        "check",
        text(&file),
        "--rules",
        "--user",
        "grid",
        "--json",
    ]);
    let json: serde_json::Value = serde_json::from_str(&of_grid).unwrap();
    let filters: Vec<_> = json["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["filter"].as_str().unwrap())
        .collect();
    assert_eq!(
        filters,
        [
            "decision/v1/q/energy",
            "personal/v1/q/energy/#",
            "twin/v1/q/energy/#"
        ]
    );
    let unknown = cli(
        "",
        &["config", "check", text(&file), "--rules", "--user", "x"],
    );
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
}

/// Certificates of a test, made by the program itself.
fn certificates(folder: &Path) -> String {
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (ca, server, other) = (path("ca"), path("server"), path("other-ca"));
    done(&["cert", "ca", "--out", &ca]);
    done(&["cert", "ca", "--out", &other, "--name", "Another"]);
    done(&[
        "cert",
        "server",
        "--ca",
        &ca,
        "--host",
        "localhost",
        "127.0.0.1",
        "--out",
        &server,
    ]);
    for (ca, out) in [(&ca, "devices"), (&other, "strangers")] {
        done(&["cert", "device", "meter-1", "--ca", ca, "--out", &path(out)]);
        done(&["cert", "device", "nobody", "--ca", ca, "--out", &path(out)]);
    }
    format!(
        "tls_listen = \"127.0.0.1:0\"\ncert_file = \"{server}/server.crt\"\n\
         key_file = \"{server}/server.key\"\nclient_ca_file = \"{ca}/ca.crt\"\n"
    )
}

#[test]
fn a_certificate_lets_its_device_in_and_nobody_else() {
    if !has_mosquitto_clients() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let files = certificates(folder.path());
    let again = cli(
        "",
        &["cert", "ca", "--out", text(&folder.path().join("ca"))],
    );
    assert_eq!(again.code, Some(2), "never overwrites: {again:?}");
    let user = "[[mqtt.user]]\nname = \"meter-1\"\nroles = [\"device\"]\n";
    let node = Node::start(NodeConfig {
        mqtt: format!("{files}{user}"),
        http: "tls_listen = \"127.0.0.1:0\"\n".to_owned(),
        ..nobody_yet()
    });
    let port = node.mqtts().unwrap();
    let root = folder.path().join("ca/ca.crt");
    let publish = |of: &str, name: &str, more: &[&str]| {
        let file = |end: &str| format!("{}/{of}/{name}.{end}", folder.path().display());
        let (certificate, key) = (file("crt"), file("key"));
        let tls = [
            "--cafile",
            text(&root),
            "--cert",
            &certificate,
            "--key",
            &key,
        ];
        let topic = [
            "-V",
            "5",
            "-q",
            "1",
            "-t",
            "dt/johannstadt/meter-1/uptime",
            "-m",
            "5",
        ];
        mosquitto_pub(port, &[&tls[..], &topic, more].concat()).code
    };
    assert_eq!(publish("devices", "meter-1", &[]), Some(0));
    assert_eq!(publish("devices", "meter-1", &["-u", "meter-1"]), Some(0));
    assert_ne!(publish("devices", "meter-1", &["-u", "other"]), Some(0));
    assert_ne!(publish("devices", "nobody", &[]), Some(0));
    assert_ne!(publish("strangers", "meter-1", &[]), Some(0));
    node.settle();
    assert_eq!(
        node.value("meter-1", "uptime").map(|(value, _)| value),
        Some(5.0)
    );

    if has_program("/usr/bin/curl", "curl") {
        let url = format!("https://localhost:{}/healthz", node.https().unwrap().port());
        let mut curl = Command::new("/usr/bin/curl");
        curl.args([
            "-sf",
            "--noproxy",
            "*",
            "--cacert",
            text(&root),
            "--resolve",
        ]);
        curl.arg(format!(
            "localhost:{}:127.0.0.1",
            node.https().unwrap().port()
        ))
        .arg(url);
        let answer = run(&mut curl, PATIENCE);
        assert_eq!(answer.code, Some(0), "{answer:?}");
    }
    // A new certificate of the same name, while a client is connected.
    let server = folder.path().join("server");
    std::fs::remove_dir_all(&server).unwrap();
    let ca = folder.path().join("ca");
    done(&[
        "cert",
        "server",
        "--ca",
        text(&ca),
        "--host",
        "localhost",
        "127.0.0.1",
        "--out",
        text(&server),
    ]);
    eventually("the certificate is taken", PATIENCE, || {
        let log = node.log();
        if log.contains("certificates are taken") {
            Ok(())
        } else {
            Err(log)
        }
    });
    assert_eq!(publish("devices", "meter-1", &[]), Some(0));
}
