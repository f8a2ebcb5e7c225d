//! Mutated packets: no panic, nothing beyond the frame, and what is accepted keeps its promises.

use super::*;

const ROUNDS: usize = 1_000_000;

/// Changes a packet in one to four places; every second time the remaining length is made right
/// again, so that the change reaches the body's reader.
pub(super) fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>, other: &[u8]) {
    const EDGES: [u8; 10] = [0, 1, 2, 0x7f, 0x80, 0xff, b'+', b'#', 0x26, 0x0b];
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = *dice.pick(&EDGES),
            2 if at < bytes.len() => bytes[at] = dice.next() as u8,
            3 => bytes.insert(at, *dice.pick(&EDGES)),
            4 => {
                let end = (at + 1 + dice.below(4)).min(bytes.len());
                bytes.drain(at..end);
            }
            5 => {
                let from = dice.below(other.len());
                let end = (from + 1 + dice.below(12)).min(other.len());
                bytes.splice(at..at, other[from..end].iter().copied());
            }
            _ => {}
        }
    }
    if dice.below(2) == 0 && bytes.len() > 2 {
        *bytes = packet(bytes[0], &[&bytes[2..]]);
    }
}

fn lies_within(frame: &[u8], part: &[u8]) -> bool {
    let (outer, inner) = (frame.as_ptr_range(), part.as_ptr_range());
    part.is_empty() || (outer.start <= inner.start && inner.end <= outer.end)
}

fn check_publish(publish: &Publish<'_>, version: Version, frame: &[u8]) {
    let topic = publish.topic;
    assert!(valid_topic(topic) || (topic.is_empty() && publish.properties.topic_alias.is_some()));
    assert_eq!(publish.pkid == 0, publish.qos == QoS::AtMostOnce);
    assert!(lies_within(frame, topic.as_bytes()) && lies_within(frame, publish.payload));
    let forward = publish.properties.forwarded();
    let delivery = Delivery {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        pkid: publish.pkid,
        topic,
        payload: publish.payload,
        forward: &forward,
        message_expiry: publish.properties.message_expiry,
        topic_alias: publish.properties.topic_alias,
        subscription_ids: &[],
    };
    let mut out = Vec::new();
    delivery.encode(version, &mut out).unwrap();
    assert_eq!(out.len(), delivery.size(version));
    let again = super::publish(&out, version);
    assert_eq!(again.properties.forwarded(), forward);
    assert_eq!(
        Publish {
            properties: publish.properties,
            ..again
        },
        *publish
    );
}

fn check(packet: &Packet<'_>, version: Version, frame: &[u8]) {
    match packet {
        Packet::Publish(publish) => check_publish(publish, version, frame),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            assert!(ack.pkid != 0);
        }
        Packet::Subscribe(subscribe) => {
            assert!(subscribe.pkid != 0 && !subscribe.filters.is_empty());
            for filter in &subscribe.filters {
                assert!(valid_filter(filter.filter));
                assert!(lies_within(frame, filter.filter.as_bytes()));
            }
        }
        Packet::Unsubscribe(unsubscribe) => {
            assert!(unsubscribe.pkid != 0 && !unsubscribe.filters.is_empty());
            assert!(
                unsubscribe
                    .filters
                    .iter()
                    .all(|filter| valid_filter(filter))
            );
        }
        Packet::PingReq | Packet::Disconnect(_) | Packet::Auth => {}
    }
}

#[test]
fn a_million_mutated_packets_do_no_harm() {
    let corpus = corpus();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let (mut accepted, mut refused, mut incomplete) = (0, 0, 0);
    for _ in 0..ROUNDS {
        let ((version, original), (_, other)) = (dice.pick(&corpus), dice.pick(&corpus));
        let mut bytes = original.clone();
        mutate(&mut dice, &mut bytes, other);
        let version = if dice.below(8) == 0 {
            Version::V3
        } else {
            *version
        };
        match frame(&bytes, 4096) {
            Ok(None) => incomplete += 1,
            Err(_) => refused += 1,
            Ok(Some(frame)) => {
                assert!(frame.len <= bytes.len() && frame.len <= 4096);
                let front = &bytes[..frame.len];
                let connect = decode_connect(&frame);
                if let Ok(Connect {
                    will: Some(will), ..
                }) = connect
                {
                    assert!(valid_topic(will.topic) && lies_within(front, will.payload));
                }
                let decoded = decode(&frame, version);
                if let Ok(packet) = &decoded {
                    check(packet, version, front);
                }
                if decoded.is_ok() || connect.is_ok() {
                    accepted += 1;
                } else {
                    refused += 1;
                }
            }
        }
    }
    // Both ways must really be taken, or the mutations are too tame or too wild.
    assert!(accepted > ROUNDS / 20, "{accepted} accepted");
    assert!(refused > ROUNDS / 4, "{refused} refused");
    assert!(incomplete > ROUNDS / 50, "{incomplete} incomplete");
}
