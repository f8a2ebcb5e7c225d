//! What must not be accepted, and with which reason.

use super::*;
use ReasonCode::{
    ClientIdentifierNotValid, MalformedPacket, PacketTooLarge, ProtocolError, TopicAliasInvalid,
    UnsupportedProtocolVersion,
};
use Version::{V3, V5};

#[track_caller]
fn refused(reason: ReasonCode, version: Version, first: u8, parts: &[&[u8]]) {
    let bytes = packet(first, parts);
    let found = read(&bytes, version);
    assert_eq!(
        found.map_err(|error| error.reason),
        Err(reason),
        "{version:?} {bytes:02x?}"
    );
}

#[track_caller]
fn refused_connect(reason: ReasonCode, version: Option<Version>, parts: &[&[u8]]) {
    let bytes = packet(0x10, parts);
    let refusal = decode_connect(&whole(&bytes)).unwrap_err();
    assert_eq!(
        (refusal.error.reason, refusal.version),
        (reason, version),
        "{bytes:02x?}"
    );
}

#[test]
fn reserved_bits_of_the_fixed_header() {
    for type_ in [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] {
        let right = if matches!(type_, 6 | 8 | 10) { 2 } else { 0 };
        for flags in (0..16).filter(|flags| *flags != right) {
            let error = frame(&[type_ << 4 | flags], 100).unwrap_err();
            assert_eq!(error.reason, MalformedPacket, "type {type_}, flags {flags}");
        }
    }
    for first in [0x00, 0x0f, 0x36, 0x3f, 0x38, 0x39] {
        assert_eq!(
            frame(&[first], 100).unwrap_err().reason,
            MalformedPacket,
            "{first:02x}"
        );
    }
}

#[test]
fn lengths() {
    let five = frame(&[0x30, 0x80, 0x80, 0x80, 0x80], usize::MAX).unwrap_err();
    assert_eq!(five.reason, MalformedPacket);
    assert_eq!(
        frame(&[0x30, 0xff, 0x7f], 100).unwrap_err().reason,
        PacketTooLarge
    );
    let padded = [0xc0, 0x80, 0x00];
    assert_eq!(read(&padded, V3), Ok(Packet::PingReq));
    assert_eq!(read(&padded, V5).unwrap_err().reason, MalformedPacket);
    refused(MalformedPacket, V5, 0x30, &[&text("a"), &[0x80, 0]]);
    refused(
        MalformedPacket,
        V5,
        0x30,
        &[&text("a"), &[0x80, 0x80, 0x80, 0x80, 0]],
    );
    refused(MalformedPacket, V5, 0x30, &[&text("a"), &[3, 1]]);
    refused(MalformedPacket, V3, 0x30, &[&[0, 4], b"abc"]);
    refused(MalformedPacket, V3, 0x30, &[&[0]]);
}

#[test]
fn text_that_is_not_utf_8_or_has_a_nul() {
    let bad: [&[u8]; 5] = [
        &[0xff],
        &[0xed, 0xa0, 0x80],
        &[0xc0, 0x80],
        &[b'a', 0],
        &[0xf0, 0x9f],
    ];
    for bad in bad {
        refused(MalformedPacket, V3, 0x30, &[&text(bad)]);
        refused(MalformedPacket, V5, 0x30, &[&text(bad), &[0]]);
        refused(MalformedPacket, V3, 0x82, &[&[0, 1], &text(bad), &[0]]);
        refused(MalformedPacket, V3, 0xa2, &[&[0, 1], &text(bad)]);
        let user = properties(&[&[0x26], &text("a"), &text(bad)]);
        refused(MalformedPacket, V5, 0x30, &[&text("a"), &user]);
        refused_connect(
            MalformedPacket,
            Some(V3),
            &[b"\0\x04MQTT\x04\x02\0\0", &text(bad)],
        );
    }
}

#[test]
fn publishes() {
    for topic in ["", "a/+", "#", "a/b#", "+"] {
        let reason = if topic.is_empty() {
            ProtocolError
        } else {
            MalformedPacket
        };
        refused(reason, V3, 0x30, &[&text(topic)]);
        refused(reason, V5, 0x30, &[&text(topic), &[0]]);
    }
    refused(ProtocolError, V3, 0x32, &[&text("a"), &[0, 0]]);
    refused(ProtocolError, V5, 0x34, &[&text("a"), &[0, 0, 0]]);
    refused(TopicAliasInvalid, V5, 0x30, &[&text("a"), &[3, 0x23, 0, 0]]);
    refused(ProtocolError, V5, 0x30, &[&text("a"), &[2, 0x01, 2]]);
    for topic in ["", "a/#"] {
        let answer = properties(&[&[0x08], &text(topic)]);
        refused(ProtocolError, V5, 0x30, &[&text("a"), &answer]);
    }
}

#[test]
fn acknowledgements() {
    for first in [0x40, 0x50, 0x62, 0x70] {
        refused(ProtocolError, V3, first, &[&[0, 0]]);
        refused(ProtocolError, V5, first, &[&[0, 0]]);
        refused(MalformedPacket, V3, first, &[&[0, 1, 0]]);
        refused(MalformedPacket, V5, first, &[&[0]]);
        refused(MalformedPacket, V5, first, &[&[0, 1, 0, 0, 0]]);
        let wrong = if first < 0x60 { 0x92 } else { 0x97 };
        refused(ProtocolError, V5, first, &[&[0, 1, wrong]]);
        refused(ProtocolError, V5, first, &[&[0, 1, 0x7f]]);
    }
}

#[test]
fn subscriptions() {
    for version in [V3, V5] {
        let none: &[u8] = if version == V3 { &[] } else { &[0] };
        refused(ProtocolError, version, 0x82, &[&[0, 1], none]);
        refused(ProtocolError, version, 0xa2, &[&[0, 1], none]);
        refused(
            ProtocolError,
            version,
            0x82,
            &[&[0, 0], none, &text("a"), &[0]],
        );
        refused(ProtocolError, version, 0xa2, &[&[0, 0], none, &text("a")]);
        refused(
            ProtocolError,
            version,
            0x82,
            &[&[0, 1], none, &text("a"), &[3]],
        );
        refused(
            MalformedPacket,
            version,
            0x82,
            &[&[0, 1], none, &text("a"), &[0x40]],
        );
        refused(MalformedPacket, version, 0x82, &[&[0, 1], none, &text("a")]);
        for filter in ["", "a/#/b", "a+", "$share/g", "$share//a"] {
            refused(
                MalformedPacket,
                version,
                0x82,
                &[&[0, 1], none, &text(filter), &[0]],
            );
            refused(
                MalformedPacket,
                version,
                0xa2,
                &[&[0, 1], none, &text(filter)],
            );
        }
    }
    refused(MalformedPacket, V3, 0x82, &[&[0, 1], &text("a"), &[4]]);
    refused(ProtocolError, V5, 0x82, &[&[0, 1, 0], &text("a"), &[0x30]]);
    refused(
        ProtocolError,
        V5,
        0x82,
        &[&[0, 1, 0], &text("$share/g/a"), &[4]],
    );
    refused(
        ProtocolError,
        V5,
        0x82,
        &[&[0, 1, 2, 0x0b, 0], &text("a"), &[0]],
    );
}

#[test]
fn properties_twice_or_in_the_wrong_packet() {
    let topic = text("a");
    let values: [(u8, &[u8]); 27] = [
        (0x01, &[0]),
        (0x02, &[0, 0, 0, 1]),
        (0x03, &[0, 1, b'a']),
        (0x08, &[0, 1, b'a']),
        (0x09, &[0, 1, b'a']),
        (0x0b, &[1]),
        (0x11, &[0, 0, 0, 1]),
        (0x12, &[0, 1, b'a']),
        (0x13, &[0, 1]),
        (0x15, &[0, 1, b'a']),
        (0x16, &[0, 1, b'a']),
        (0x17, &[0]),
        (0x18, &[0, 0, 0, 1]),
        (0x19, &[0]),
        (0x1a, &[0, 1, b'a']),
        (0x1c, &[0, 1, b'a']),
        (0x1f, &[0, 1, b'a']),
        (0x21, &[0, 1]),
        (0x22, &[0, 1]),
        (0x23, &[0, 1]),
        (0x24, &[0]),
        (0x25, &[0]),
        (0x26, &[0, 1, b'a', 0, 0]),
        (0x27, &[0, 0, 0, 1]),
        (0x28, &[0]),
        (0x29, &[0]),
        (0x2a, &[0]),
    ];
    // First byte, what is before and after the properties, and which may be there (table 2-4).
    type Case<'a> = (u8, &'a [u8], &'a [u8], &'a [u8]);
    let packets: [Case<'_>; 7] = [
        (
            0x30,
            &topic,
            &[],
            &[0x01, 0x02, 0x03, 0x08, 0x09, 0x23, 0x26],
        ),
        (0x40, &[0, 1, 0], &[], &[0x1f, 0x26]),
        (0x62, &[0, 1, 0], &[], &[0x1f, 0x26]),
        (0x82, &[0, 1], &[0, 1, b'a', 0], &[0x0b, 0x26]),
        (0xa2, &[0, 1], &[0, 1, b'a'], &[0x26]),
        (0xe0, &[0], &[], &[0x11, 0x1f, 0x26]),
        (0xf0, &[0x18], &[], &[0x15, 0x16, 0x1f, 0x26]),
    ];
    for (first, before, after, allowed) in packets {
        for (id, value) in values {
            let one = properties(&[&[id], value]);
            let two = properties(&[&[id], value, &[id], value]);
            let once = packet(first, &[before, &one, after]);
            if !allowed.contains(&id) {
                refused(MalformedPacket, V5, first, &[before, &one, after]);
            } else if id == 0x26 {
                read(&packet(first, &[before, &two, after]), V5).unwrap();
            } else {
                read(&once, V5).unwrap_or_else(|error| panic!("{once:02x?}: {error}"));
                refused(ProtocolError, V5, first, &[before, &two, after]);
            }
        }
        for id in [0x00, 0x04, 0x2b, 0x40, 0x7f, 0x80, 0xff] {
            refused(
                MalformedPacket,
                V5,
                first,
                &[before, &properties(&[&[id, 0]]), after],
            );
        }
    }
}

#[test]
fn bytes_after_the_packet() {
    refused(MalformedPacket, V3, 0xc0, &[&[0]]);
    refused(MalformedPacket, V3, 0xe0, &[&[0]]);
    refused(MalformedPacket, V5, 0xe0, &[&[0, 0, 0]]);
    refused(MalformedPacket, V5, 0xf0, &[&[0x18, 0, 0]]);
    refused_connect(
        MalformedPacket,
        Some(V3),
        &[b"\0\x04MQTT\x04\x02\0\0\0\0", &[0]],
    );
    refused_connect(
        MalformedPacket,
        Some(V5),
        &[b"\0\x04MQTT\x05\x02\0\0\0\0\0", &[0]],
    );
}

#[test]
fn packets_that_no_client_sends_here() {
    for first in [0x20, 0x90, 0xb0, 0xd0, 0x10] {
        for version in [V3, V5] {
            refused(ProtocolError, version, first, &[&[0, 0]]);
        }
    }
    refused(MalformedPacket, V3, 0xf0, &[&[0x18]]);
    refused(ProtocolError, V5, 0xf0, &[&[0x00]]);
    refused(ProtocolError, V5, 0xe0, &[&[0x8e]]);
    let refusal = decode_connect(&whole(&[0xc0, 0])).unwrap_err();
    assert_eq!(
        (refusal.version, refusal.error.reason),
        (None, ProtocolError)
    );
}

#[test]
fn other_protocols() {
    refused_connect(
        UnsupportedProtocolVersion,
        Some(V3),
        &[b"\0\x06MQIsdp\x03\x02\0\0\0\x01a"],
    );
    refused_connect(
        UnsupportedProtocolVersion,
        Some(V3),
        &[b"\0\x04MQTT\x03\x02\0\0\0\x01a"],
    );
    refused_connect(
        UnsupportedProtocolVersion,
        Some(V3),
        &[b"\0\x04MQTT\x84\x02\0\0\0\x01a"],
    );
    refused_connect(
        UnsupportedProtocolVersion,
        Some(V5),
        &[b"\0\x04MQTT\x06\x02\0\0\0\x01a"],
    );
    refused_connect(
        UnsupportedProtocolVersion,
        None,
        &[b"\0\x04HTTP\x04\x02\0\0\0\x01a"],
    );
    refused_connect(MalformedPacket, None, &[b"\0\x04MQ"]);
    assert_eq!(UnsupportedProtocolVersion.v3_connack(), Some(1));
    assert_eq!(MalformedPacket.v3_connack(), None);
}

#[test]
fn connects() {
    let v3 = |flags: u8, rest: &[u8]| [&b"\0\x04MQTT\x04"[..], &[flags, 0, 0], rest].concat();
    let id = text("a");
    for flags in [0x03, 0x0a, 0x12, 0x22, 0x1e] {
        refused_connect(MalformedPacket, Some(V3), &[&v3(flags, &id)]);
    }
    refused_connect(
        MalformedPacket,
        Some(V3),
        &[&v3(0x42, &id), &text("password")],
    );
    refused_connect(ClientIdentifierNotValid, Some(V3), &[&v3(0, &text(""))]);
    for topic in ["", "a/+"] {
        refused_connect(
            MalformedPacket,
            Some(V3),
            &[&v3(6, &id), &text(topic), &text("x")],
        );
    }
    let v5 = |section: &[u8]| {
        [
            &b"\0\x04MQTT\x05\x02\0\0"[..],
            &properties(&[section]),
            &text("a"),
        ]
        .concat()
    };
    let sections: [&[u8]; 6] = [
        &[0x21, 0, 0],
        &[0x27, 0, 0, 0, 0],
        &[0x17, 2],
        &[0x19, 2],
        &[0x16, 0, 1, b'a'],
        &[0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1],
    ];
    for section in sections {
        refused_connect(ProtocolError, Some(V5), &[&v5(section)]);
    }
    refused_connect(MalformedPacket, Some(V5), &[&v5(&[0x23, 0, 1])]);
    let padded = [&[0x10, 0x8e, 0x00][..], &v5(&[])].concat();
    let refusal = decode_connect(&whole(&padded)).unwrap_err();
    assert_eq!(
        (refusal.error.reason, refusal.version),
        (MalformedPacket, Some(V5))
    );
}
