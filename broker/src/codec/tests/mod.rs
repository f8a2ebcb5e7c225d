//! Tests of the codec as a whole: byte vectors of the specification, what must be refused, round
//! trips, rumqttc's codec as a second opinion, and mutated packets.

mod differential;
mod encoding;
mod mutation;
mod refused;
mod topics;
mod vectors;

use super::*;
use super::{
    encode::TooLarge, frame::Frame, publish_properties::PublishProperties, topic::valid_filter,
};

/// A packet of a first byte and the parts of its body.
fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut out = vec![first];
    super::property::put_varint(body.len(), &mut out);
    out.extend_from_slice(&body);
    out
}

/// A string or binary data with its length.
fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    let mut out = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(text);
    out
}

/// Properties with their length.
fn properties(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = packet(0, parts);
    out.remove(0);
    out
}

fn whole(bytes: &[u8]) -> Frame<'_> {
    let frame = frame(bytes, usize::MAX).unwrap().unwrap();
    assert_eq!(frame.len, bytes.len(), "{bytes:02x?}");
    frame
}

fn read(bytes: &[u8], version: Version) -> Result<Packet<'_>, Malformed> {
    frame(bytes, usize::MAX)
        .map(Option::unwrap)
        .and_then(|frame| decode(&frame, version))
}

fn publish(bytes: &[u8], version: Version) -> Publish<'_> {
    match read(bytes, version) {
        Ok(Packet::Publish(publish)) => publish,
        other => panic!("{other:?}"),
    }
}

/// Xorshift64*: the same packets in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Valid packets of every kind that a client sends, with every property.
fn corpus() -> Vec<(Version, Vec<u8>)> {
    use Version::{V3, V5};
    let user = [&[0x26][..], &text("key"), &text("w\u{e4}rme")].concat();
    let reason = [&[0x1f][..], &text("because")].concat();
    let message = [
        &[0x01, 1, 0x02, 0, 0, 0, 60, 0x03][..],
        &text("text/plain"),
        &[0x08],
        &text("answers/here"),
        &[0x09],
        &text([0, 255]),
        &user,
        &user,
    ]
    .concat();
    let connect = properties(&[
        &[
            0x11, 0, 0, 14, 16, 0x21, 0, 20, 0x27, 0, 1, 0, 0, 0x22, 0, 10, 0x19, 1, 0x17, 0,
        ],
        &user,
        &[0x15],
        &text("SCRAM"),
        &[0x16],
        &text("data"),
    ]);
    let (v3, v5) = (
        [0, 4, b'M', b'Q', b'T', b'T', 4],
        [0, 4, b'M', b'Q', b'T', b'T', 5],
    );
    let (id, topic, payload) = (
        text("meter-1"),
        text("dt/johannstadt/meter-1"),
        text("gone"),
    );
    let login = [text("user"), text("secret")].concat();
    let will = properties(&[&[0x18, 0, 0, 0, 5], &message]);
    let publish = properties(&[&message, &[0x23, 0, 3]]);
    let filters = [
        text("twin/v1/+/energy/#"),
        vec![1],
        text("$share/g/a/b"),
        vec![0],
    ]
    .concat();
    let options = [
        text("twin/v1/+/energy/#"),
        vec![0x2d],
        text("$share/g/a"),
        vec![0x12],
    ]
    .concat();
    let names = [text("a/b"), text("+/#")].concat();
    let ack = properties(&[&reason, &user]);
    let mut all = vec![
        (V3, packet(0x10, &[&v3, &[0x02, 0, 60], &id])),
        (
            V3,
            packet(0x10, &[&v3, &[0xee, 0, 60], &id, &topic, &payload, &login]),
        ),
        (V5, packet(0x10, &[&v5, &[0x02, 0, 60, 0], &id])),
        (
            V5,
            packet(
                0x10,
                &[
                    &v5,
                    &[0xf4, 0, 60],
                    &connect,
                    &id,
                    &will,
                    &topic,
                    &payload,
                    &login,
                ],
            ),
        ),
        (V3, packet(0x30, &[&topic, b"21.5"])),
        (V3, packet(0x3b, &[&topic, &[0, 7], b"21.5"])),
        (V3, packet(0x34, &[&topic, &[1, 0], &[b'x'; 150]])),
        (V5, packet(0x31, &[&topic, &[0], b"21.5"])),
        (V5, packet(0x32, &[&topic, &[0, 7], &publish, b"21.5"])),
        (V5, packet(0x32, &[&[0, 0, 0, 7, 3, 0x23, 0, 1], b"21.5"])),
        (V3, packet(0x82, &[&[0, 9], &filters])),
        (V5, packet(0x82, &[&[0, 9, 0], &filters])),
        (
            V5,
            packet(
                0x82,
                &[&[0, 9], &properties(&[&[0x0b, 0x80, 1], &user]), &options],
            ),
        ),
        (V3, packet(0xa2, &[&[0, 9], &names])),
        (V5, packet(0xa2, &[&[0, 9], &properties(&[&user]), &names])),
        (V3, vec![0xc0, 0]),
        (V5, vec![0xc0, 0]),
        (V3, vec![0xe0, 0]),
        (V5, vec![0xe0, 0]),
        (V5, vec![0xe0, 1, 4]),
        (
            V5,
            packet(
                0xe0,
                &[&[0], &properties(&[&[0x11, 0, 0, 0, 9], &reason, &user])],
            ),
        ),
        (
            V5,
            packet(
                0xf0,
                &[&[0x18], &properties(&[&[0x15], &text("SCRAM"), &reason])],
            ),
        ),
    ];
    for first in [0x40, 0x50, 0x62, 0x70] {
        let code = if first < 0x60 { 0x97 } else { 0x92 };
        all.push((V3, packet(first, &[&[0x12, 0x34]])));
        all.push((V5, packet(first, &[&[0x12, 0x34]])));
        all.push((V5, packet(first, &[&[0x12, 0x34, code]])));
        all.push((V5, packet(first, &[&[0x12, 0x34, code], &ack])));
    }
    all
}
