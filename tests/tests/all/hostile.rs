//! Mutated packets and payloads at the front door: the node lives and counts every one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use quartier_tests::{
    Client, ConnectOptions, Node, NodeConfig, Packet, Random, Version, eventually, publish_packet,
};

const SEEDS: [&str; 8] = [
    "{\"temperature\":21.5,\"power\":{\"v\":3.2,\"u\":\"kW\",\"t\":\"2026-06-01T00:00:00Z\"}}",
    "[{\"bn\":\"urn:dev:\",\"bt\":1767225600,\"n\":\"temperature\",\"u\":\"Cel\",\"v\":21.5},{\"n\":\"humidity\",\"u\":\"%RH\",\"v\":55}]",
    "{\"lat\":51.05,\"lon\":13.74,\"pm10\":12.5,\"t\":1767225600}",
    "{\"value\":42.5,\"time\":\"2026-01-01T00:00:00Z\",\"unit\":\"Cel\"}",
    "21.5",
    "\"-7e3\"",
    "{\"a\":{\"b\":{\"c\":[1,2,{\"d\":null}]}}}",
    "[{\"bver\":10,\"bu\":\"kW\",\"n\":\"active_power\",\"v\":1.5,\"t\":-10},{\"n\":\"state\",\"vb\":true},{\"n\":\"text\",\"vs\":\"x\"}]",
];
const INTERESTING: [&[u8]; 10] = [
    b"\0",
    b"\xff\xfe",
    b"1e999",
    b"NaN",
    b"\\u0000",
    b"\"",
    b"}",
    b"[[[[[[[[",
    b"99999999999999999999",
    b"\xf0\x9f\x98\x80",
];

/// One to four changes: a bit, a byte, a cut, a doubled part, something that often hurts.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..random.within(1..5) {
        let at = random.index(bytes.len());
        match random.within(0..6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.within(0..8),
            1 if !bytes.is_empty() => bytes[at] = random.bits() as u8,
            2 => bytes.truncate(at),
            3 if !bytes.is_empty() => drop(bytes.remove(at)),
            4 => {
                let part = bytes[at..].to_vec();
                bytes.extend_from_slice(&part);
            }
            _ => {
                let what = INTERESTING[random.index(INTERESTING.len())];
                bytes.splice(at..at, what.iter().copied());
            }
        }
    }
}

fn alive(node: &Node, asset: &str) {
    let (mut client, code) = Client::connect(node.mqtt(), &ConnectOptions::new("good")).unwrap();
    assert_eq!(code, 0);
    client.publish(
        &format!("dt/johannstadt/{asset}/uptime"),
        b"7",
        Some(1),
        false,
    );
    client.flush().unwrap();
    let answer = client.receive(Duration::from_secs(20)).unwrap();
    assert_eq!(
        answer,
        Some(Packet::PubAck(1, 0)),
        "a good device is served"
    );
    node.settle();
    assert_eq!(
        node.value(asset, "uptime").map(|(value, _)| value),
        Some(7.0)
    );
    assert_eq!(node.json("/readyz")["ready"], true);
    assert!(!node.log().contains("panicked"), "{}", node.log());
}

#[test]
fn mutated_payloads_are_each_acknowledged_and_each_counted() {
    const COUNT: usize = 30_000;
    const RUN: usize = 100;
    let node = Node::start(NodeConfig::of("johannstadt"));
    let mut random = Random::new();
    let topics = [
        "dt/johannstadt/hostile",
        "dt/johannstadt/hostile/temperature",
        "dt/atlantis/x",
    ];
    let (mut client, _) = Client::connect(node.mqtt(), &ConnectOptions::new("hostile")).unwrap();
    for run in 0..COUNT / RUN {
        for id in 1..=RUN as u16 {
            let mut payload = SEEDS[random.index(SEEDS.len())].as_bytes().to_vec();
            mutate(&mut random, &mut payload);
            client.publish(
                topics[random.index(topics.len())],
                &payload,
                Some(id),
                false,
            );
        }
        client.flush().unwrap();
        for _ in 0..RUN {
            let answer = client.receive(Duration::from_secs(20)).unwrap();
            assert!(
                matches!(answer, Some(Packet::PubAck(_, 0))),
                "run {run}: {answer:?}"
            );
        }
    }
    node.settle();
    assert_eq!(node.figure("quartier_intake_payloads_total"), COUNT as f64);
    let decoded = node.figure("quartier_intake_readings_total");
    assert!(decoded > 0.0, "some mutations leave a reading");
    eventually(
        "every decoded reading is folded",
        Duration::from_secs(10),
        || {
            let folded = node.figure("quartier_twin_readings");
            if folded == decoded {
                Ok(())
            } else {
                Err(format!("{folded} of {decoded}"))
            }
        },
    );
    let figures = node.figures();
    let rejected: f64 = figures
        .lines()
        .filter(|line| line.starts_with("quartier_intake_rejected_total{"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum();
    // A payload can hold several values, so the sum is at least the number of payloads less those
    // that only placed the asset; none of the seeds does only that.
    assert!(
        decoded + rejected >= COUNT as f64,
        "{decoded} + {rejected} of {COUNT}"
    );
    let letters = node.json("/api/v1/dead-letters?limit=1")["count"]
        .as_f64()
        .unwrap();
    assert!(
        letters > 0.0 && letters <= rejected,
        "{letters} of {rejected}"
    );
    alive(&node, "good-1");
}

#[test]
fn payloads_of_one_value_add_up_exactly() {
    const COUNT: usize = 10_000;
    let node = Node::start(NodeConfig::of("johannstadt"));
    let mut random = Random::new();
    let (mut client, _) = Client::connect(node.mqtt(), &ConnectOptions::new("hostile")).unwrap();
    for _ in 0..COUNT / 100 {
        for id in 1..=100u16 {
            let mut payload = SEEDS[3 + random.index(3)].as_bytes().to_vec();
            mutate(&mut random, &mut payload);
            client.publish(
                "dt/johannstadt/hostile/temperature",
                &payload,
                Some(id),
                false,
            );
        }
        client.flush().unwrap();
        for _ in 0..100 {
            let answer = client.receive(Duration::from_secs(20)).unwrap();
            assert!(matches!(answer, Some(Packet::PubAck(_, 0))), "{answer:?}");
        }
    }
    let decoded = node.figure("quartier_intake_readings_total");
    let rejected: f64 = node
        .figures()
        .lines()
        .filter(|line| line.starts_with("quartier_intake_rejected_total{"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum();
    assert_eq!(
        decoded + rejected,
        COUNT as f64,
        "{decoded} decoded, {rejected} rejected"
    );
    assert!(
        decoded > 100.0 && rejected > 100.0,
        "{decoded} decoded, {rejected} rejected"
    );
}

/// A whole session's bytes: CONNECT, SUBSCRIBE, PUBLISH of every kind, PINGREQ, DISCONNECT.
fn stream(random: &mut Random, version: Version) -> Vec<u8> {
    let level = if version == Version::V5 { 5 } else { 4 };
    let mut connect = vec![0, 4, b'M', b'Q', b'T', b'T', level, 2, 0, 60];
    if version == Version::V5 {
        connect.push(0);
    }
    connect.extend_from_slice(&[0, 1, b'x']);
    let mut bytes = vec![0x10, connect.len() as u8];
    bytes.extend_from_slice(&connect);
    let subscribe: &[u8] = match version {
        Version::V5 => &[
            0x82, 12, 0, 1, 0, 0, 6, b't', b'w', b'i', b'n', b'/', b'#', 1,
        ],
        Version::V4 => &[0x82, 11, 0, 1, 0, 6, b't', b'w', b'i', b'n', b'/', b'#', 1],
    };
    bytes.extend_from_slice(subscribe);
    let payload = SEEDS[random.index(SEEDS.len())].as_bytes();
    bytes.extend(publish_packet(
        version,
        "dt/johannstadt/hostile",
        payload,
        Some(1),
    ));
    bytes.extend(publish_packet(version, "any/where", payload, None));
    let mut qos2 = publish_packet(version, "dt/johannstadt/hostile", payload, Some(2));
    qos2[0] = 0x34;
    bytes.extend(qos2);
    bytes.extend_from_slice(&[0x62, 2, 0, 2, 0xC0, 0]);
    bytes
}

/// Sends and waits for the end, shortly: a server may rightly wait for more of a cut packet.
fn throw(server: SocketAddr, bytes: &[u8]) {
    let Ok(mut socket) = TcpStream::connect(server) else {
        panic!("the front door is closed")
    };
    let _ = socket.set_read_timeout(Some(Duration::from_millis(2)));
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(std::net::Shutdown::Write);
    let mut answer = [0; 4096];
    while socket.read(&mut answer).is_ok_and(|read| read > 0) {}
}

/// The kernel's view of the connections to the node: state and bytes not read by it.
fn sockets(node: &Node) -> String {
    let port = format!("{:04X}", node.mqtt().port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let ours = table.lines().filter(|line| {
        line.split_ascii_whitespace()
            .nth(1)
            .is_some_and(|local| local.ends_with(&port))
    });
    ours.map(|line| format!("\n{}", line.chars().take(60).collect::<String>()))
        .collect()
}

#[test]
fn mutated_streams_of_packets_leave_the_front_door_open() {
    const COUNT: usize = 12_000;
    let node = Node::start(NodeConfig::of("johannstadt"));
    let mut random = Random::new();
    for number in 0..COUNT {
        let version = if number % 2 == 0 {
            Version::V4
        } else {
            Version::V5
        };
        let mut bytes = stream(&mut random, version);
        mutate(&mut random, &mut bytes);
        throw(node.mqtt(), &bytes);
        if number % 3000 == 2999 {
            alive(&node, &format!("good-{number}"));
        }
    }
    eventually(
        "no connection is left over",
        Duration::from_secs(30),
        || {
            let ready = node.json("/readyz").to_string();
            if ready.contains("\"0 connections\"") {
                Ok(())
            } else {
                Err(ready + &sockets(&node))
            }
        },
    );
}
