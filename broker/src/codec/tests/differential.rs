//! rumqttc's codec as a second opinion, on valid and on mutated packets.

mod from_server;
mod views;

use std::collections::BTreeMap;

use bytes::BytesMut;
use rumqttc::{mqttbytes::v4, v5::mqttbytes::v5};

use super::*;

const ROUNDS: usize = 300_000;

/// What rumqttc 0.25 lets pass and MQTT does not; here by the words of our refusal.
const LAX: &[&str] = &[
    // It does not look at the flags of the fixed header, apart from those of PUBLISH.
    "reserved flags of the fixed header",
    "a duplicate of QoS 0",
    "the reserved flag of a CONNECT",
    // Lengths: any number of bytes, properties that run over their own end, trailing bytes.
    "the remaining length is longer than it needs",
    "a variable byte integer is longer than it needs",
    "the packet ends too early",
    "bytes are left after the packet",
    // Text and topics: bytes in 5, only UTF-8 in 3.1.1.
    "a string has a NUL",
    "the topic is not UTF-8",
    "a string is not UTF-8",
    "the topic has a wildcard or a NUL",
    "an empty topic without a topic alias",
    "the topic of the will is empty or has a wildcard",
    "the response topic is empty or has a wildcard",
    "a topic filter is not valid",
    // Values.
    "packet identifier 0",
    "subscription identifier 0",
    "receive maximum 0",
    "maximum packet size 0",
    "topic alias 0",
    "a property is neither 0 nor 1",
    "authentication data without a method",
    "a password without a user name",
    "an empty client identifier needs a clean session",
    "reserved bits of the subscription options",
    "no-local on a shared subscription",
    "an UNSUBSCRIBE without a filter",
    // Properties: the last of several wins; those of a server are taken from a client.
    "a property is there twice",
    "a property does not belong into the packet",
    "a reason code does not belong into the packet",
];

/// Differences that mutation hits too rarely.
fn rare() -> Vec<(Version, Vec<u8>)> {
    use Version::{V3, V5};
    let connect = |section: &[u8]| {
        let section = properties(&[section]);
        (
            V5,
            packet(0x10, &[b"\0\x04MQTT\x05\x02\0\0", &section, b"\0\x01a"]),
        )
    };
    vec![
        connect(&[0x21, 0, 0]),
        connect(&[0x27, 0, 0, 0, 0]),
        connect(&[0x16, 0, 1, b'a']),
        (V3, packet(0x10, &[b"\0\x04MQTT\x04\0\0\0\0\0"])),
        (V5, packet(0x82, &[&[0, 1, 2, 0x0b, 0], b"\0\x01a\0"])),
    ]
}

/// What rumqttc 0.25 refuses and MQTT allows: a password that is not UTF-8, a DISCONNECT of 5
/// without a body or without the length of its properties, AUTH.
fn too_strict(bytes: &[u8], version: Version, error: &str) -> bool {
    match (bytes[0] >> 4, version) {
        (1, _) => error.contains("UTF-8") || error.contains("utf-8"),
        (14, Version::V5) => matches!(whole_body(bytes), [] | [_]),
        (15, Version::V5) => true,
        _ => false,
    }
}

fn whole_body(bytes: &[u8]) -> &[u8] {
    frame(bytes, 4096).unwrap().unwrap().body
}

/// Our reading of a packet, in words that both sides can say.
fn ours(bytes: &[u8], version: Version) -> Result<Option<String>, Malformed> {
    let Some(frame) = frame(bytes, 4096)? else {
        return Ok(None);
    };
    if bytes[0] >> 4 == 1 {
        let connect = decode_connect(&frame).map_err(|refusal| refusal.error)?;
        if connect.version != version {
            return Ok(None);
        }
        return Ok(Some(views::connect(&connect)));
    }
    decode(&frame, version).map(|packet| Some(views::packet(&packet, version)))
}

fn theirs(bytes: &[u8], version: Version) -> Result<String, String> {
    let mut buffer = BytesMut::from(bytes);
    match version {
        Version::V3 => v4::Packet::read(&mut buffer, 4096)
            .map(|packet| views::v4(&packet))
            .map_err(|error| error.to_string()),
        Version::V5 => v5::Packet::read(&mut buffer, Some(4096))
            .map(|packet| views::v5(&packet))
            .map_err(|error| error.to_string()),
    }
}

/// Whether both read the packet, and then the same.
fn compare(bytes: &[u8], version: Version, lax: &mut BTreeMap<&'static str, usize>) -> bool {
    match (ours(bytes, version), theirs(bytes, version)) {
        (Ok(Some(ours)), Ok(theirs)) => {
            assert_eq!(ours, theirs, "{version:?} {bytes:02x?}");
            return true;
        }
        (Ok(Some(ours)), Err(theirs)) => {
            let known = too_strict(bytes, version, &theirs);
            assert!(known, "{version:?} {bytes:02x?}: {ours}, rumqttc: {theirs}");
        }
        (Err(ours), Ok(theirs)) => {
            // A packet of a server, which rumqttc as a client has to take.
            let server = matches!(bytes[0] >> 4, 2 | 9 | 11 | 13);
            assert!(
                server || LAX.contains(&ours.what),
                "{bytes:02x?}: {ours}, rumqttc: {theirs}"
            );
            *lax.entry(ours.what).or_default() += 1;
        }
        (Ok(None), _) | (Err(_), Err(_)) => {}
    }
    false
}

#[test]
fn valid_packets_mean_the_same_to_rumqttc() {
    let mut lax = BTreeMap::new();
    for (version, bytes) in corpus() {
        assert!(matches!(ours(&bytes, version), Ok(Some(_))), "{bytes:02x?}");
        let same = compare(&bytes, version, &mut lax);
        assert!(same || too_strict(&bytes, version, ""), "{bytes:02x?}");
    }
    assert!(lax.is_empty());
}

#[test]
fn mutated_packets_mean_the_same_to_rumqttc_but_for_its_known_differences() {
    let corpus = corpus();
    let mut dice = Dice(0xd1b5_4a32_d192_ed03);
    let mut lax = BTreeMap::new();
    let mut same = 0;
    for (version, bytes) in rare() {
        assert!(!compare(&bytes, version, &mut lax), "{bytes:02x?}");
    }
    for _ in 0..ROUNDS {
        let ((version, original), (_, other)) = (dice.pick(&corpus), dice.pick(&corpus));
        let mut bytes = original.clone();
        mutation::mutate(&mut dice, &mut bytes, other);
        if bytes.len() > 1 {
            same += usize::from(compare(&bytes, *version, &mut lax));
        }
    }
    let unseen: Vec<_> = LAX.iter().filter(|what| !lax.contains_key(*what)).collect();
    assert!(
        unseen.is_empty(),
        "not a difference of rumqttc: {unseen:?} {lax:?} {same}"
    );
    assert!(same > ROUNDS / 20, "{same} packets read by both");
}
