//! What the server sends, byte by byte, and that it can be read back.

use super::*;
use proptest::prelude::*;

fn delivery<'a>() -> Delivery<'a> {
    Delivery {
        qos: QoS::AtLeastOnce,
        pkid: 10,
        topic: "a/b",
        payload: b"x",
        ..Delivery::default()
    }
}

fn written(delivery: &Delivery<'_>, version: Version) -> Vec<u8> {
    let mut out = Vec::new();
    delivery.encode(version, &mut out).unwrap();
    assert_eq!(out.len(), delivery.size(version));
    out
}

#[test]
fn acknowledgements_are_short_where_they_can_be() {
    let write = |kind, reason, version| {
        let mut out = vec![0xff];
        encode_ack(kind, 0x1234, reason, version, &mut out);
        out
    };
    use AckKind::{PubAck, PubComp, PubRec, PubRel};
    for (kind, first) in [
        (PubAck, 0x40),
        (PubRec, 0x50),
        (PubRel, 0x62),
        (PubComp, 0x70),
    ] {
        let success = [0xff, first, 2, 0x12, 0x34];
        assert_eq!(write(kind, ReasonCode::Success, Version::V5), success);
        assert_eq!(write(kind, ReasonCode::QuotaExceeded, Version::V3), success);
        let failed = write(kind, ReasonCode::PacketIdentifierNotFound, Version::V5);
        assert_eq!(failed, [0xff, first, 3, 0x12, 0x34, 0x92]);
    }
}

#[test]
fn connack_tells_311_its_own_codes() {
    let write = |session_present, reason, version| {
        let mut out = Vec::new();
        let properties = ConnAckProperties::default();
        ConnAck {
            session_present,
            reason,
            properties,
        }
        .encode(version, &mut out);
        out
    };
    assert_eq!(
        write(true, ReasonCode::Success, Version::V3),
        [0x20, 2, 1, 0]
    );
    assert_eq!(
        write(true, ReasonCode::NotAuthorized, Version::V3),
        [0x20, 2, 0, 5]
    );
    assert_eq!(
        write(false, ReasonCode::QuotaExceeded, Version::V3),
        [0x20, 2, 0, 3]
    );
    assert_eq!(
        write(true, ReasonCode::Success, Version::V5),
        [0x20, 3, 1, 0, 0]
    );
    assert_eq!(
        write(true, ReasonCode::NotAuthorized, Version::V5),
        [0x20, 3, 0, 0x87, 0]
    );
}

#[test]
fn connack_carries_its_properties() {
    let properties = ConnAckProperties {
        session_expiry: Some(9),
        assigned_client_id: Some("id"),
        retain_available: Some(false),
        server_keep_alive: Some(60),
        ..ConnAckProperties::default()
    };
    let mut out = Vec::new();
    ConnAck {
        session_present: false,
        reason: ReasonCode::Success,
        properties,
    }
    .encode(Version::V5, &mut out);
    let expected = b"\x20\x12\0\0\x0f\x11\0\0\0\x09\x25\0\x12\0\x02id\x13\0\x3c";
    assert_eq!(out, expected);
}

#[test]
fn suback_tells_311_only_failure() {
    let codes = [
        ReasonCode::Success,
        ReasonCode::GrantedQos1,
        ReasonCode::GrantedQos2,
        ReasonCode::NotAuthorized,
    ];
    let mut out = Vec::new();
    encode_sub_ack(10, &codes, Version::V3, &mut out);
    encode_sub_ack(10, &codes, Version::V5, &mut out);
    assert_eq!(
        out,
        b"\x90\x06\0\x0a\x00\x01\x02\x80\x90\x07\0\x0a\0\x00\x01\x02\x87"
    );
}

#[test]
fn unsuback_tells_311_no_codes() {
    let codes = [ReasonCode::Success, ReasonCode::NoSubscriptionExisted];
    let mut out = Vec::new();
    encode_unsub_ack(10, &codes, Version::V3, &mut out);
    encode_unsub_ack(10, &codes, Version::V5, &mut out);
    assert_eq!(out, b"\xb0\x02\0\x0a\xb0\x05\0\x0a\0\x00\x11");
}

#[test]
fn pingresp_and_disconnect() {
    let mut out = Vec::new();
    encode_ping_resp(&mut out);
    encode_disconnect(ReasonCode::SessionTakenOver, "", usize::MAX, &mut out);
    encode_disconnect(ReasonCode::QuotaExceeded, "full", usize::MAX, &mut out);
    assert_eq!(out, b"\xd0\x00\xe0\x02\x8e\0\xe0\x09\x97\x07\x1f\0\x04full");
}

#[test]
fn a_delivery_is_written_as_in_the_example_of_the_specification() {
    let first = Delivery {
        payload: b"",
        ..delivery()
    };
    assert_eq!(written(&first, Version::V3), b"\x32\x07\0\x03a/b\0\x0a");
    assert_eq!(written(&first, Version::V5), b"\x32\x08\0\x03a/b\0\x0a\0");
    let again = Delivery {
        dup: true,
        retain: true,
        qos: QoS::ExactlyOnce,
        ..first
    };
    assert_eq!(written(&again, Version::V3)[0], 0x3d);
    let once = Delivery {
        qos: QoS::AtMostOnce,
        ..first
    };
    assert_eq!(written(&once, Version::V3), b"\x30\x05\0\x03a/b");
}

#[test]
fn properties_of_a_delivery_go_only_to_5() {
    let delivery = Delivery {
        forward: &[0x01, 1],
        message_expiry: Some(9),
        topic_alias: Some(2),
        subscription_ids: &[1, 128],
        ..delivery()
    };
    let expected =
        b"\x32\x18\0\x03a/b\0\x0a\x0f\x02\0\0\0\x09\x23\0\x02\x01\x01\x0b\x01\x0b\x80\x01x";
    assert_eq!(written(&delivery, Version::V5), expected);
    assert_eq!(written(&delivery, Version::V3), b"\x32\x08\0\x03a/b\0\x0ax");
}

#[test]
fn what_does_not_fit_into_mqtt_is_not_written() {
    let topic = "a".repeat(65_536);
    let mut out = Vec::new();
    let long = Delivery {
        topic: &topic,
        ..delivery()
    };
    assert_eq!(long.encode(Version::V3, &mut out), Err(TooLarge));
    let payload = vec![0; 268_435_455 - 6];
    let large = Delivery {
        payload: &payload,
        ..delivery()
    };
    assert_eq!(large.encode(Version::V3, &mut out), Err(TooLarge));
    assert!(out.is_empty());
}

#[test]
fn a_text_above_its_limit_is_cut() {
    let mut out = Vec::new();
    encode_disconnect(
        ReasonCode::QuotaExceeded,
        &"a".repeat(70_000),
        usize::MAX,
        &mut out,
    );
    assert_eq!(whole(&out).body.len(), 1 + 3 + 3 + 65_535);
}

proptest! {
    #[test]
    fn a_delivery_is_read_back(
        flags in (any::<bool>(), any::<bool>(), 0..3_u8),
        pkid in 1..=u16::MAX,
        topic in "[^\0+#]{1,200}",
        payload in proptest::collection::vec(any::<u8>(), 0..300),
        expiry in any::<Option<u32>>(),
        alias in proptest::option::of(1..=u16::MAX),
        user in proptest::collection::vec("[^\0]{0,30}", 0..20),
    ) {
        let qos = QoS::from_bits(flags.2).unwrap();
        let pkid = if qos == QoS::AtMostOnce { 0 } else { pkid };
        let dup = flags.0 && qos != QoS::AtMostOnce;
        let forward: Vec<u8> =
            user.iter().flat_map(|word| [&[0x26][..], &text(word), &text("v")].concat()).collect();
        let sent = Delivery {
            dup, qos, retain: flags.1, pkid, topic: &topic, payload: &payload,
            forward: &forward, message_expiry: expiry, topic_alias: alias, subscription_ids: &[],
        };
        for version in [Version::V3, Version::V5] {
            let bytes = written(&sent, version);
            let got = publish(&bytes, version);
            prop_assert_eq!((got.dup, got.qos, got.retain), (dup, qos, flags.1));
            prop_assert_eq!((got.pkid, got.topic, got.payload), (pkid, &topic[..], &payload[..]));
            if version == Version::V5 {
                prop_assert_eq!(got.properties.message_expiry, expiry);
                prop_assert_eq!(got.properties.topic_alias, alias);
                prop_assert_eq!(&got.properties.forwarded()[..], &forward[..]);
            }
        }
    }
}
