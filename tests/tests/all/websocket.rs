//! MQTT over WebSocket at `/mqtt` of the HTTP port, byte by byte.

use std::time::Duration;

use quartier_tests::{
    ConnectOptions, Node, NodeConfig, Version, WebSocket, connect_packet, eventually, get,
    publish_packet,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn connections(node: &Node) -> f64 {
    node.figure("quartier_mqtt_connections")
}

fn open(node: &Node) -> WebSocket {
    WebSocket::open(node.http(), "mqtt", None).unwrap_or_else(|status| panic!("HTTP {status}"))
}

fn connect(version: Version) -> Vec<u8> {
    connect_packet(&ConnectOptions {
        version,
        ..ConnectOptions::new("ws-1")
    })
}

#[test]
fn packets_may_span_messages_and_share_them() {
    let node = Node::start(NodeConfig::of("johannstadt"));
    for version in [Version::V4, Version::V5] {
        let mut socket = open(&node);
        for byte in connect(version) {
            socket.binary(&[byte]);
        }
        let connack = socket.bytes(4, PATIENCE);
        assert_eq!((connack[0], connack[3]), (0x20, 0), "{version:?}");
        let mut both = publish_packet(version, "dt/johannstadt/ws/uptime", b"1", Some(1));
        both.extend(publish_packet(
            version,
            "dt/johannstadt/ws/uptime",
            b"2",
            Some(2),
        ));
        let before = socket.received();
        socket.binary(&both);
        // PUBACK 1 and 2, behind what MQTT 5 has in its CONNACK.
        eventually("both are acknowledged", PATIENCE, || {
            let bytes = socket.read_more(before);
            let acks = bytes
                .windows(4)
                .filter(|w| w[0] == 0x40 && w[1] >= 2 && w[2] == 0);
            match acks.count() {
                2 => Ok(()),
                _ => Err(format!("{bytes:x?}")),
            }
        });
        assert!(socket.ping(PATIENCE), "a ping is answered");
    }
}

#[test]
fn mqtt_6_0_0_1_a_text_message_closes_the_connection() {
    let node = Node::start(NodeConfig::of("johannstadt"));
    let mut socket = open(&node);
    socket.binary(&connect(Version::V5));
    socket.bytes(4, PATIENCE);
    socket.text("PUBLISH");
    assert!(socket.ends(PATIENCE));
}

#[test]
fn only_the_subprotocol_mqtt_and_known_origins_are_let_in() {
    let node = Node::start(NodeConfig {
        http: "allow_origins = [\"https://map.city\"]\n".to_owned(),
        ..NodeConfig::of("johannstadt")
    });
    let own = format!("http://{}", node.http());
    let refused = |protocol, origin| WebSocket::open(node.http(), protocol, origin).err();
    assert_eq!(refused("mqtt", None), None);
    assert_eq!(refused("mqtt", Some(own.as_str())), None);
    assert_eq!(refused("mqtt", Some("https://map.city")), None);
    assert_eq!(refused("mqtt", Some("https://evil.example")), Some(403));
    assert_eq!(refused("chat", None), Some(400));
    let plain = get(node.http(), "/mqtt").map(|answer| answer.status);
    assert_eq!(plain.unwrap_or_default(), 400);
}

#[test]
fn silence_and_half_a_frame_are_cut_and_count_as_connections_until_then() {
    let node = Node::start(NodeConfig {
        mqtt: "connect_timeout_s = 3\n".to_owned(),
        ..NodeConfig::of("johannstadt")
    });
    let mut silent = open(&node);
    let mut half = open(&node);
    let connect = connect(Version::V4);
    half.raw(&WebSocket::frame(2, &connect)[..connect.len() / 2]);
    let mut drip = open(&node);
    drip.binary(&connect[..connect.len() / 2]);
    eventually("they are counted", PATIENCE, || {
        let now = connections(&node);
        if now == 3.0 {
            Ok(())
        } else {
            Err(now.to_string())
        }
    });
    for socket in [&mut silent, &mut half, &mut drip] {
        assert!(socket.ends(PATIENCE));
    }
    eventually("they are gone", PATIENCE, || {
        let now = connections(&node);
        if now == 0.0 {
            Ok(())
        } else {
            Err(now.to_string())
        }
    });
}

#[test]
fn a_node_that_ends_says_so_and_closes_the_websocket() {
    let mut node = Node::start(NodeConfig::of("johannstadt"));
    let mut socket = open(&node);
    socket.binary(&connect(Version::V5));
    socket.bytes(4, PATIENCE);
    let before = socket.received();
    node.terminate();
    assert!(socket.ends(PATIENCE));
    let last = socket.read_more(before);
    assert!(
        last.windows(3).any(|w| w[0] == 0xE0 && w[2] == 0x8B),
        "{last:x?}"
    );
    assert!(socket.closed_cleanly(), "a close frame came before the end");
}

#[test]
fn websockets_count_against_the_limit_of_connections() {
    let node = Node::start(NodeConfig {
        mqtt: "max_connections = 2\n".to_owned(),
        ..NodeConfig::of("johannstadt")
    });
    let mut kept: Vec<_> = (0..2).map(|_| open(&node)).collect();
    for (number, socket) in kept.iter_mut().enumerate() {
        socket.binary(&connect_packet(&ConnectOptions::new(&format!(
            "ws-{number}"
        ))));
        socket.bytes(4, PATIENCE);
    }
    let mut third = open(&node);
    assert!(third.ends(PATIENCE), "one too many");
    drop(kept);
    eventually("there is room again", PATIENCE, || {
        let now = connections(&node);
        if now == 0.0 {
            Ok(())
        } else {
            Err(now.to_string())
        }
    });
    let mut again = open(&node);
    again.binary(&connect(Version::V4));
    assert_eq!(again.bytes(4, PATIENCE)[3], 0);
}

#[test]
fn a_message_larger_than_two_packets_is_refused_before_it_is_there() {
    let node = Node::start(NodeConfig {
        mqtt: "max_packet = 4096\n".to_owned(),
        ..NodeConfig::of("johannstadt")
    });
    let mut socket = open(&node);
    socket.binary(&connect(Version::V5));
    socket.bytes(4, PATIENCE);
    // The head of a frame of 1 GiB, and nothing of it.
    socket.raw(&[0x82, 0xFF, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4]);
    assert!(socket.ends(Duration::from_secs(5)));
}
