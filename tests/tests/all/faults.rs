//! Faults of configuration and surroundings: one clear line, exit code 2, nothing lost.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use quartier_tests::{
    Client, ConnectOptions, Finished, Load, LoadOptions, Node, NodeConfig, Packet, eventually, get,
    quartier, run,
};
use tempfile::TempDir;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn serve(file: &Path) -> Finished {
    let mut command = Command::new(quartier());
    command
        .args(["serve", "--config"])
        .arg(file)
        .env("NO_COLOR", "1");
    run(&mut command, Duration::from_secs(60))
}

/// Ended with code 2 and one line of `quartier: ...` that says all of `wanted`.
fn assert_one_clear_line(finished: &Finished, wanted: &[&str]) {
    assert_eq!(finished.code, Some(2), "{finished:?}");
    let lines: Vec<_> = finished
        .stderr
        .lines()
        .filter(|l| l.starts_with("quartier: "))
        .collect();
    assert_eq!(lines.len(), 1, "one line for people:\n{}", finished.stderr);
    for part in wanted {
        assert!(lines[0].contains(part), "{part:?} is not in: {}", lines[0]);
    }
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
    assert!(
        !finished.stderr.contains("ready mqtt"),
        "it never served: {}",
        finished.stderr
    );
}

#[test]
fn an_unknown_key_is_named_with_line_and_suggestion() {
    let folder = TempDir::new().unwrap();
    let config = NodeConfig {
        journal: "quota_byte = 5".into(),
        ..NodeConfig::of("johannstadt")
    };
    let file = config.write(folder.path(), ANY, ANY);
    let line = std::fs::read_to_string(&file).unwrap();
    let line = 1 + line
        .lines()
        .position(|l| l.starts_with("quota_byte"))
        .unwrap();
    let wanted = [
        &format!("quartier.toml:{line}"),
        "quota_byte",
        "quota_bytes",
    ];
    assert_one_clear_line(&serve(&file), &wanted);
    assert!(
        !folder.path().join("data").exists(),
        "a wrong configuration touches nothing"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = TempDir::new().unwrap();
    assert_one_clear_line(
        &serve(&folder.path().join("nowhere.toml")),
        &["nowhere.toml", "read"],
    );
    let mut config = NodeConfig::of("johannstadt");
    config.quarters[0].1 = Some("{}".to_owned());
    let file = config.write(folder.path(), ANY, ANY);
    assert_one_clear_line(&serve(&file), &["johannstadt.geojson"]);
    std::fs::remove_file(folder.path().join("johannstadt.geojson")).unwrap();
    assert_one_clear_line(&serve(&file), &["johannstadt.geojson", "read"]);
}

#[test]
fn a_port_in_use_is_named_with_the_key_to_change() {
    let taken = TcpListener::bind(ANY).unwrap();
    let address = taken.local_addr().unwrap();
    for (mqtt, http, key) in [(address, ANY, "mqtt.listen"), (ANY, address, "http.listen")] {
        let folder = TempDir::new().unwrap();
        let file = NodeConfig::of("johannstadt").write(folder.path(), mqtt, http);
        assert_one_clear_line(&serve(&file), &[&address.to_string(), key]);
    }
}

#[test]
fn a_data_folder_of_a_newer_version_is_refused_and_left_alone() {
    let mut node = Node::start(NodeConfig::of("johannstadt"));
    let options = LoadOptions {
        most: 20,
        ..LoadOptions::new("johannstadt", 1)
    };
    Load::start(node.mqtt(), &options).finish(Duration::from_secs(30));
    assert!(node.terminate().success());
    let format = node.folder().join("data/format");
    let ours = std::fs::read_to_string(&format).unwrap();
    let digits: String = ours.chars().filter(char::is_ascii_digit).collect();
    std::fs::write(&format, ours.replace(&digits, "999")).unwrap();
    let before = listing(&node.folder().join("data"));
    assert_one_clear_line(&serve(&node.folder().join("quartier.toml")), &["999"]);
    assert_eq!(listing(&node.folder().join("data")), before);
    std::fs::write(&format, ours).unwrap();
    node.restart();
    assert_eq!(node.value("device-0", "uptime"), Some((19.0, 20)));
}

fn listing(folder: &Path) -> Vec<(String, u64)> {
    let mut files: Vec<_> = std::fs::read_dir(folder.join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                entry.metadata().unwrap().len(),
            )
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_second_process_on_the_same_data_is_refused_and_the_first_goes_on() {
    let node = Node::start(NodeConfig::of("johannstadt"));
    let other = node.folder().join("second.toml");
    let text = std::fs::read_to_string(node.folder().join("quartier.toml")).unwrap();
    let text = text.replace(&node.mqtt().to_string(), &ANY.to_string());
    std::fs::write(
        &other,
        text.replace(&node.http().to_string(), &ANY.to_string()),
    )
    .unwrap();
    assert_one_clear_line(&serve(&other), &["data"]);
    let options = LoadOptions {
        most: 20,
        ..LoadOptions::new("johannstadt", 1)
    };
    Load::start(node.mqtt(), &options).finish(Duration::from_secs(30));
    node.settle();
    assert_eq!(node.value("device-0", "uptime"), Some((19.0, 20)));
}

#[test]
fn a_full_quota_refuses_with_0x97_and_loses_nothing_acknowledged() {
    // The sink never gets through, so that nothing may be released.
    let nowhere = "url = \"http://127.0.0.1:9\"\napi = \"v1\"\ndatabase = \"city\"\n";
    let journal = "quota_bytes = 300000\nsegment_bytes = 65536\nwhen_full = \"refuse\"\n";
    let mut node = Node::start(NodeConfig {
        journal: journal.to_owned(),
        influx: Some(nowhere.to_owned()),
        ..NodeConfig::of("johannstadt")
    });
    let options = LoadOptions {
        mixed_versions: true,
        ..LoadOptions::new("johannstadt", 2)
    };
    let load = Load::start(node.mqtt(), &options);
    eventually(
        "the quota is full and a v5 client was told so",
        Duration::from_secs(60),
        || {
            if load.refused() > 0 {
                Ok(())
            } else {
                Err(format!("{} acknowledged", load.total()))
            }
        },
    );
    // Single readings fill the last gap; then one is refused with the code of the contract.
    let (mut client, _) = Client::connect(node.mqtt(), &ConnectOptions::new("late").v5()).unwrap();
    let mut taken = 0u64;
    let code = loop {
        client.publish(
            "dt/johannstadt/late/uptime",
            taken.to_string().as_bytes(),
            Some(7),
            false,
        );
        client.flush().unwrap();
        match client.receive(Duration::from_secs(10)).unwrap() {
            Some(Packet::PubAck(7, 0)) if taken < 20_000 => taken += 1,
            Some(Packet::PubAck(7, code)) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 0x97, "after {taken}");
    let acknowledged = load.acknowledged();
    drop(load);
    let ready = get(node.http(), "/readyz").unwrap().text();
    assert!(ready.contains("quota"), "somebody must be told: {ready}");
    node.kill9();
    node.configure(|config| config.journal = "quota_bytes = 100000000\n".to_owned());
    node.restart();
    for sent in acknowledged {
        let (value, rev) = node.value(&sent.asset, "uptime").unwrap();
        assert!(value + 1.0 >= sent.acknowledged as f64, "{sent:?}: {value}");
        assert_eq!(rev as f64, value + 1.0, "{sent:?}");
    }
    let late = node
        .value("late", "uptime")
        .map_or(0, |(value, _)| value as u64 + 1);
    assert_eq!(
        late, taken,
        "what was refused is not there, what was acknowledged is"
    );
}
