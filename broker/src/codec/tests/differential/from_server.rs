//! What we write, read by rumqttc.

use super::super::*;
use bytes::BytesMut;
use rumqttc::{
    mqttbytes::{QoS as QoS4, v4},
    v5::mqttbytes::{QoS as QoS5, v5},
};

fn read_v4(write: impl FnOnce(&mut BytesMut)) -> v4::Packet {
    let mut out = BytesMut::new();
    write(&mut out);
    let packet = v4::Packet::read(&mut out, 4096).unwrap();
    assert!(out.is_empty());
    packet
}

fn read_v5(write: impl FnOnce(&mut BytesMut)) -> v5::Packet {
    let mut out = BytesMut::new();
    write(&mut out);
    let packet = v5::Packet::read(&mut out, None).unwrap();
    assert!(out.is_empty());
    packet
}

#[test]
fn rumqttc_understands_connack() {
    let properties = ConnAckProperties {
        session_expiry: Some(1),
        receive_maximum: Some(2),
        retain_available: Some(true),
        maximum_packet_size: Some(3),
        assigned_client_id: Some("id"),
        topic_alias_maximum: Some(4),
        reason_string: Some("because"),
        wildcard_available: Some(true),
        subscription_ids_available: Some(false),
        shared_available: Some(true),
        server_keep_alive: Some(5),
    };
    let ack = ConnAck {
        session_present: true,
        reason: ReasonCode::Success,
        properties,
    };
    let code = v4::ConnectReturnCode::Success;
    let expected = v4::Packet::ConnAck(v4::ConnAck {
        session_present: true,
        code,
    });
    assert_eq!(read_v4(|out| ack.encode(Version::V3, out)), expected);
    let v5::Packet::ConnAck(found) = read_v5(|out| ack.encode(Version::V5, out)) else {
        panic!()
    };
    assert!(found.session_present && found.code == v5::ConnectReturnCode::Success);
    let expected = v5::ConnAckProperties {
        session_expiry_interval: Some(1),
        receive_max: Some(2),
        max_qos: None,
        retain_available: Some(1),
        max_packet_size: Some(3),
        assigned_client_identifier: Some("id".into()),
        topic_alias_max: Some(4),
        reason_string: Some("because".into()),
        user_properties: vec![],
        wildcard_subscription_available: Some(1),
        subscription_identifiers_available: Some(0),
        shared_subscription_available: Some(1),
        server_keep_alive: Some(5),
        response_information: None,
        server_reference: None,
        authentication_method: None,
        authentication_data: None,
    };
    assert_eq!(found.properties, Some(expected));
}

#[test]
fn rumqttc_understands_acknowledgements() {
    let codes = [ReasonCode::GrantedQos1, ReasonCode::NotAuthorized];
    let return_codes = vec![
        v4::SubscribeReasonCode::Success(QoS4::AtLeastOnce),
        v4::SubscribeReasonCode::Failure,
    ];
    let expected = v4::Packet::SubAck(v4::SubAck {
        pkid: 7,
        return_codes,
    });
    assert_eq!(
        read_v4(|out| encode_sub_ack(7, &codes, Version::V3, out)),
        expected
    );
    let success = v5::SubscribeReasonCode::Success(QoS5::AtLeastOnce);
    let return_codes = vec![success, v5::SubscribeReasonCode::NotAuthorized];
    let expected = v5::Packet::SubAck(v5::SubAck {
        pkid: 7,
        return_codes,
        properties: None,
    });
    assert_eq!(
        read_v5(|out| encode_sub_ack(7, &codes, Version::V5, out)),
        expected
    );

    let codes = [ReasonCode::NoSubscriptionExisted];
    let expected = v4::Packet::UnsubAck(v4::UnsubAck { pkid: 7 });
    assert_eq!(
        read_v4(|out| encode_unsub_ack(7, &codes, Version::V3, out)),
        expected
    );
    let reasons = vec![v5::UnsubAckReason::NoSubscriptionExisted];
    let expected = v5::Packet::UnsubAck(v5::UnsubAck {
        pkid: 7,
        reasons,
        properties: None,
    });
    assert_eq!(
        read_v5(|out| encode_unsub_ack(7, &codes, Version::V5, out)),
        expected
    );

    let code = ReasonCode::QuotaExceeded;
    let write = |out: &mut BytesMut| encode_ack(AckKind::PubAck, 7, code, Version::V5, out);
    let reason = v5::PubAckReason::QuotaExceeded;
    let expected = v5::Packet::PubAck(v5::PubAck {
        pkid: 7,
        reason,
        properties: None,
    });
    assert_eq!(read_v5(write), expected);
    let write = |out: &mut BytesMut| {
        encode_ack(
            AckKind::PubRel,
            7,
            ReasonCode::PacketIdentifierNotFound,
            Version::V5,
            out,
        );
    };
    let reason = v5::PubRelReason::PacketIdentifierNotFound;
    let expected = v5::Packet::PubRel(v5::PubRel {
        pkid: 7,
        reason,
        properties: None,
    });
    assert_eq!(read_v5(write), expected);
}

#[test]
fn rumqttc_understands_pingresp_and_disconnect() {
    assert_eq!(read_v4(encode_ping_resp), v4::Packet::PingResp);
    assert_eq!(
        read_v5(encode_ping_resp),
        v5::Packet::PingResp(v5::PingResp)
    );
    let write = |text| {
        read_v5(move |out| encode_disconnect(ReasonCode::SessionTakenOver, text, usize::MAX, out))
    };
    let mut expected = v5::Disconnect::new(v5::DisconnectReasonCode::SessionTakenOver);
    assert_eq!(write(""), v5::Packet::Disconnect(expected.clone()));
    expected.properties = Some(v5::DisconnectProperties {
        session_expiry_interval: None,
        reason_string: Some("because".into()),
        user_properties: vec![],
        server_reference: None,
    });
    assert_eq!(write("because"), v5::Packet::Disconnect(expected));
}

#[test]
fn rumqttc_understands_a_delivery() {
    let forward = [&[0x01, 1, 0x26][..], &text("k"), &text("v")].concat();
    // rumqttc counts every subscription identifier one byte too long, so it loses the third.
    let delivery = Delivery {
        dup: true,
        qos: QoS::ExactlyOnce,
        retain: true,
        pkid: 7,
        topic: "a/b",
        payload: b"x",
        forward: &forward,
        message_expiry: Some(9),
        topic_alias: Some(2),
        subscription_ids: &[1, 300],
    };
    let mut expected = v4::Publish::new("a/b", QoS4::ExactlyOnce, *b"x");
    (expected.dup, expected.retain, expected.pkid) = (true, true, 7);
    let found = read_v4(|out| delivery.encode(Version::V3, out).unwrap());
    assert_eq!(found, v4::Packet::Publish(expected));
    let properties = v5::PublishProperties {
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(9),
        topic_alias: Some(2),
        user_properties: vec![("k".into(), "v".into())],
        subscription_identifiers: vec![1, 300],
        ..v5::PublishProperties::default()
    };
    let mut expected = v5::Publish::new("a/b", QoS5::ExactlyOnce, &b"x"[..], Some(properties));
    (expected.dup, expected.retain, expected.pkid) = (true, true, 7);
    let found = read_v5(|out| delivery.encode(Version::V5, out).unwrap());
    assert_eq!(found, v5::Packet::Publish(expected));
}
