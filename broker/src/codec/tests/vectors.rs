//! What valid packets mean, byte by byte.

use super::*;

#[test]
fn a_connect_of_311_with_everything_is_read() {
    // MQTT 3.1.1, figure 3.6: flags 1100_1110, keep-alive 10; then the payload fields in order.
    let bytes = [
        &[0x10, 39, 0, 4][..],
        b"MQTT",
        &[4, 0b1100_1110, 0, 10],
        b"\0\x04test\0\x02/a\0\x07offline\0\x04rust\0\x02mq",
    ]
    .concat();
    let connect = decode_connect(&whole(&bytes)).unwrap();
    let will = Will {
        topic: "/a",
        payload: b"offline",
        qos: QoS::AtLeastOnce,
        retain: false,
        delay: 0,
        properties: PublishProperties::default(),
    };
    let expected = Connect {
        version: Version::V3,
        client_id: "test",
        clean_start: true,
        keep_alive: 10,
        user: Some("rust"),
        password: Some(b"mq"),
        will: Some(will),
        session_expiry: 0,
        receive_maximum: 65_535,
        maximum_packet_size: u32::MAX,
        topic_alias_maximum: 0,
        request_response_information: false,
        request_problem_information: true,
        authentication_method: None,
        authentication_data: None,
    };
    assert_eq!(connect, expected);
}

#[test]
fn a_session_of_311_that_is_not_clean_never_expires() {
    let bytes = packet(0x10, &[b"\0\x04MQTT\x04\0\0\0", &text("id")]);
    assert_eq!(
        decode_connect(&whole(&bytes)).unwrap().session_expiry,
        u32::MAX
    );
}

#[test]
fn a_connect_of_5_with_every_property_is_read() {
    let (_, bytes) = &corpus()[3];
    let connect = decode_connect(&whole(bytes)).unwrap();
    assert_eq!(connect.version, Version::V5);
    assert!(!connect.clean_start);
    assert_eq!(
        (connect.session_expiry, connect.receive_maximum),
        (3600, 20)
    );
    assert_eq!(
        (connect.maximum_packet_size, connect.topic_alias_maximum),
        (65_536, 10)
    );
    assert!(connect.request_response_information && !connect.request_problem_information);
    assert_eq!(connect.authentication_method, Some("SCRAM"));
    assert_eq!(connect.authentication_data, Some(&b"data"[..]));
    assert_eq!(
        (connect.user, connect.password),
        (Some("user"), Some(&b"secret"[..]))
    );
    let will = connect.will.unwrap();
    assert_eq!(
        (will.topic, will.payload),
        ("dt/johannstadt/meter-1", &b"gone"[..])
    );
    assert_eq!(
        (will.qos, will.retain, will.delay),
        (QoS::ExactlyOnce, true, 5)
    );
    assert_eq!(will.properties.message_expiry, Some(60));
}

#[test]
fn a_password_without_user_is_allowed_by_5() {
    let bytes = packet(
        0x10,
        &[b"\0\x04MQTT\x05\x42\0\0\0", &text(""), &text([0xff])],
    );
    let connect = decode_connect(&whole(&bytes)).unwrap();
    assert_eq!((connect.user, connect.password), (None, Some(&[0xff][..])));
    assert_eq!((connect.client_id, connect.session_expiry), ("", 0));
}

#[test]
fn a_publish_is_read_as_in_the_example_of_the_specification() {
    // MQTT 3.1.1, figure 3.11: topic a/b, packet identifier 10.
    let bytes = packet(0x32, &[&[0, 3, 0x61, 0x2f, 0x62, 0, 10], b"payload"]);
    let expected = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        pkid: 10,
        topic: "a/b",
        payload: b"payload",
        properties: PublishProperties::default(),
    };
    assert_eq!(publish(&bytes, Version::V3), expected);
    let bytes = packet(0x3d, &[&[0, 3, 0x61, 0x2f, 0x62, 0, 10, 0]]);
    let publish = publish(&bytes, Version::V5);
    assert!(publish.dup && publish.retain && publish.payload.is_empty());
    assert_eq!(publish.qos, QoS::ExactlyOnce);
}

#[test]
fn what_a_publisher_sent_is_forwarded_without_expiry_and_alias() {
    let user = [&[0x26][..], &text("k"), &text("v")].concat();
    let kept = [&[0x01, 1][..], &user, &[0x03], &text("x"), &user].concat();
    let sent = [
        &[0x01, 1, 0x02, 0, 0, 0, 9][..],
        &user,
        &[0x23, 0, 2, 0x03],
        &text("x"),
        &user,
    ];
    let bytes = packet(0x30, &[&text("a"), &properties(&[&sent.concat()])]);
    let found = publish(&bytes, Version::V5).properties;
    assert_eq!(
        (found.message_expiry, found.topic_alias),
        (Some(9), Some(2))
    );
    assert_eq!(found.forwarded(), kept);

    let bytes = packet(0x30, &[&text("a"), &properties(&[&kept])]);
    let forwarded = publish(&bytes, Version::V5).properties.forwarded();
    assert!(matches!(forwarded, std::borrow::Cow::Borrowed(raw) if raw == kept));
}

#[test]
fn the_properties_of_a_will_are_forwarded_without_its_delay() {
    let (_, bytes) = &corpus()[3];
    let will = decode_connect(&whole(bytes)).unwrap().will.unwrap();
    let forwarded = will.properties.forwarded();
    assert_eq!(forwarded[..3], [0x01, 1, 0x03]);
    assert!(forwarded.ends_with("w\u{e4}rme".as_bytes()));
    assert_eq!(forwarded.len(), 2 + 13 + 15 + 5 + 2 * 14);
}

#[test]
fn the_bytes_of_a_utf_8_string_are_kept_as_they_are() {
    // MQTT 3.1.1, figure 1.2: A and U+2A6D4; and U+FEFF, which is not a byte order mark here.
    let bytes = packet(0x30, &[&[0, 5, 0x41, 0xf0, 0xaa, 0x9b, 0x94]]);
    assert_eq!(publish(&bytes, Version::V3).topic, "A\u{2a6d4}");
    let bytes = packet(0x30, &[&[0, 3, 0xef, 0xbb, 0xbf]]);
    assert_eq!(publish(&bytes, Version::V3).topic, "\u{feff}");
}

#[test]
fn an_acknowledgement_of_5_may_leave_out_reason_and_properties() {
    let success = Ack {
        pkid: 0x1234,
        reason: ReasonCode::Success,
    };
    for version in [Version::V3, Version::V5] {
        assert_eq!(
            read(&[0x40, 2, 0x12, 0x34], version),
            Ok(Packet::PubAck(success))
        );
        assert_eq!(
            read(&[0x50, 2, 0x12, 0x34], version),
            Ok(Packet::PubRec(success))
        );
        assert_eq!(
            read(&[0x62, 2, 0x12, 0x34], version),
            Ok(Packet::PubRel(success))
        );
        assert_eq!(
            read(&[0x70, 2, 0x12, 0x34], version),
            Ok(Packet::PubComp(success))
        );
    }
    let quota = Ack {
        pkid: 1,
        reason: ReasonCode::QuotaExceeded,
    };
    assert_eq!(
        read(&[0x40, 3, 0, 1, 0x97], Version::V5),
        Ok(Packet::PubAck(quota))
    );
    assert_eq!(
        read(&[0x40, 4, 0, 1, 0x97, 0], Version::V5),
        Ok(Packet::PubAck(quota))
    );
}

#[test]
fn a_subscribe_is_read_as_in_the_example_of_the_specification() {
    // MQTT 3.1.1, figure 3.23: a/b with QoS 1, c/d with QoS 2.
    let filters = b"\0\x03a/b\x01\0\x03c/d\x02";
    let filter = |filter, qos| Filter {
        filter,
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    let both = vec![
        filter("a/b", QoS::AtLeastOnce),
        filter("c/d", QoS::ExactlyOnce),
    ];
    let expected = Subscribe {
        pkid: 10,
        subscription_id: None,
        filters: both,
    };
    let bytes = packet(0x82, &[&[0, 10], filters]);
    assert_eq!(
        read(&bytes, Version::V3),
        Ok(Packet::Subscribe(expected.clone()))
    );
    let bytes = packet(0x82, &[&[0, 10, 0], filters]);
    assert_eq!(read(&bytes, Version::V5), Ok(Packet::Subscribe(expected)));

    let bytes = packet(
        0x82,
        &[&[0, 10, 5, 0x0b, 0xff, 0xff, 0xff, 0x7f], b"\0\x01a\x2d"],
    );
    let filters = vec![Filter {
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
        ..filter("a", QoS::AtLeastOnce)
    }];
    let subscription_id = Some(268_435_455);
    let expected = Packet::Subscribe(Subscribe {
        pkid: 10,
        subscription_id,
        filters,
    });
    assert_eq!(read(&bytes, Version::V5), Ok(expected));
}

#[test]
fn an_unsubscribe_is_read() {
    // MQTT 3.1.1, figure 3.28.
    let expected = Packet::Unsubscribe(Unsubscribe {
        pkid: 10,
        filters: vec!["a/b", "c/d"],
    });
    let bytes = packet(0xa2, &[&[0, 10], b"\0\x03a/b\0\x03c/d"]);
    assert_eq!(read(&bytes, Version::V3), Ok(expected.clone()));
    let bytes = packet(0xa2, &[&[0, 10, 0], b"\0\x03a/b\0\x03c/d"]);
    assert_eq!(read(&bytes, Version::V5), Ok(expected));
}

#[test]
fn a_disconnect_of_5_may_be_empty() {
    let normal = Disconnect {
        reason: ReasonCode::Success,
        session_expiry: None,
    };
    assert_eq!(
        read(&[0xe0, 0], Version::V3),
        Ok(Packet::Disconnect(normal))
    );
    assert_eq!(
        read(&[0xe0, 0], Version::V5),
        Ok(Packet::Disconnect(normal))
    );
    let will = Disconnect {
        reason: ReasonCode::DisconnectWithWill,
        ..normal
    };
    assert_eq!(
        read(&[0xe0, 1, 4], Version::V5),
        Ok(Packet::Disconnect(will))
    );
    let bytes = [0xe0, 7, 0, 5, 0x11, 0, 0, 0, 9];
    let later = Disconnect {
        session_expiry: Some(9),
        ..normal
    };
    assert_eq!(read(&bytes, Version::V5), Ok(Packet::Disconnect(later)));
}

#[test]
fn every_packet_of_the_corpus_is_read_from_the_front_of_a_longer_buffer() {
    for (version, bytes) in corpus() {
        for end in 0..bytes.len() {
            assert_eq!(
                frame(&bytes[..end], usize::MAX),
                Ok(None),
                "{bytes:02x?} to {end}"
            );
        }
        let longer = [&bytes[..], &[0xc0, 0]].concat();
        let frame = frame(&longer, bytes.len()).unwrap().unwrap();
        assert_eq!(frame.len, bytes.len());
        if bytes[0] == 0x10 {
            assert_eq!(decode_connect(&frame).unwrap().version, version);
        } else {
            decode(&frame, version).unwrap();
        }
    }
}

#[test]
fn the_remaining_length_has_its_documented_limits() {
    // MQTT 3.1.1, table 2.4.
    let cases: [(&[u8], usize); 8] = [
        (&[0x00], 0),
        (&[0x7f], 127),
        (&[0x80, 0x01], 128),
        (&[0xff, 0x7f], 16_383),
        (&[0x80, 0x80, 0x01], 16_384),
        (&[0xff, 0xff, 0x7f], 2_097_151),
        (&[0x80, 0x80, 0x80, 0x01], 2_097_152),
        (&[0xff, 0xff, 0xff, 0x7f], 268_435_455),
    ];
    for (header, remaining) in cases {
        let bytes = [&[0x30], header].concat();
        let len = bytes.len() + remaining;
        assert_eq!(
            frame(&bytes, len).map(|frame| frame.is_some()),
            Ok(remaining == 0)
        );
        let reason = frame(&bytes, len - 1).unwrap_err().reason;
        assert_eq!(reason, ReasonCode::PacketTooLarge);
        let mut written = Vec::new();
        super::super::property::put_varint(remaining, &mut written);
        assert_eq!(written, header);
        assert_eq!(super::super::property::varint_len(remaining), header.len());
    }
}
