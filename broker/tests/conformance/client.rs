//! What these tests need beside [`Wire`]: raw bytes, properties by their identifiers, and the
//! steps of the two acknowledged qualities.

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::harness::Door;
use crate::wire::{Connect, Wire, packet, text};

/// Protocol levels that the broker speaks.
pub(crate) const BOTH: [u8; 2] = [4, 5];

pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const PUBREC: u8 = 0x50;
pub(crate) const PUBREL: u8 = 0x62;
pub(crate) const PUBCOMP: u8 = 0x70;
pub(crate) const SUBSCRIBE: u8 = 0x82;
pub(crate) const SUBACK: u8 = 0x90;
pub(crate) const UNSUBSCRIBE: u8 = 0xA2;
pub(crate) const UNSUBACK: u8 = 0xB0;
pub(crate) const PINGREQ: [u8; 2] = [0xC0, 0];
pub(crate) const PINGRESP: u8 = 0xD0;

/// CONNECT of a protocol level with a clean start.
pub(crate) fn connect(level: u8, id: &str) -> Connect {
    Connect {
        level,
        ..Connect::v3(id)
    }
}

/// CONNECT of a session that outlives its connection.
pub(crate) fn lasting(level: u8, id: &str) -> Connect {
    connect(level, id).lasting()
}

/// The body of a CONNECT from its parts, valid or not.
pub(crate) fn connect_body(
    name: &str,
    level: u8,
    flags: u8,
    properties: &[u8],
    rest: &[u8],
) -> Vec<u8> {
    let mut body = text(name);
    body.extend([level, flags, 0, 0]);
    if level == 5 {
        body.push(properties.len() as u8);
        body.extend(properties);
    }
    body.extend(rest);
    packet(0x10, &body)
}

/// A user property.
pub(crate) fn user_property(key: &str, value: &str) -> Vec<u8> {
    [&[0x26][..], &text(key), &text(value)].concat()
}

/// A property whose value is a string or binary data.
pub(crate) fn property(id: u8, value: &str) -> Vec<u8> {
    [&[id][..], &text(value)].concat()
}

/// The body of a SUBSCRIBE.
pub(crate) fn subscribe_body(
    level: u8,
    pkid: u16,
    properties: &[u8],
    filters: &[(&str, u8)],
) -> Vec<u8> {
    let mut body = pkid.to_be_bytes().to_vec();
    if level == 5 {
        body.push(properties.len() as u8);
        body.extend(properties);
    }
    for (filter, options) in filters {
        body.extend(text(filter));
        body.push(*options);
    }
    body
}

/// The body of an UNSUBSCRIBE.
pub(crate) fn unsubscribe_body(level: u8, pkid: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = pkid.to_be_bytes().to_vec();
    if level == 5 {
        body.push(0);
    }
    filters.iter().for_each(|filter| body.extend(text(filter)));
    body
}

/// The properties of a section, each as its identifier and the bytes of its value.
pub(crate) fn split_properties(mut section: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = vec![];
    while let [id, rest @ ..] = section {
        let string = |at: usize| 2 + usize::from(u16::from_be_bytes([rest[at], rest[at + 1]]));
        let len = match id {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2A => 1,
            0x13 | 0x21..=0x23 => 2,
            0x02 | 0x11 | 0x18 | 0x27 => 4,
            0x0B => 1 + rest.iter().take_while(|byte| **byte & 0x80 != 0).count(),
            0x26 => string(0) + string(string(0)),
            _ => string(0),
        };
        found.push((*id, rest[..len].to_vec()));
        section = &rest[len..];
    }
    found
}

/// The value of a property, which is there at most once.
pub(crate) fn value(section: &[u8], id: u8) -> Option<Vec<u8>> {
    let mut all = split_properties(section)
        .into_iter()
        .filter(|(found, _)| *found == id);
    let value = all.next().map(|(_, value)| value);
    assert!(all.next().is_none(), "{id:#x} is there twice");
    value
}

impl Wire {
    /// Sends bytes on a new connection, without a handshake.
    pub(crate) async fn raw(port: u16, level: u8, bytes: &[u8]) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        Self {
            stream: BufReader::new(stream),
            level,
            connack: vec![],
        }
    }

    /// The properties of the CONNACK.
    pub(crate) fn connack_properties(&self) -> &[u8] {
        assert_eq!(usize::from(self.connack[2]), self.connack.len() - 3);
        &self.connack[3..]
    }

    /// The connection ends without another packet.
    pub(crate) async fn expect_closed(&mut self) {
        assert_eq!(self.packet().await, None);
    }

    /// A CONNECT is refused: CONNACK with session present 0 and the code of the version, where
    /// there is one, then the end.
    pub(crate) async fn expect_refused(&mut self, v3: Option<u8>, v5: u8) {
        let code = if self.level == 4 { v3 } else { Some(v5) };
        if let Some(code) = code {
            let (first, body) = self.packet().await.expect("a CONNACK");
            assert_eq!((first, &body[..2]), (0x20, &[0, code][..]));
        }
        self.expect_closed().await;
    }

    /// PUBLISH with QoS 1 or 2, acknowledged whole.
    pub(crate) async fn deliver(&mut self, topic: &str, payload: &str, qos: u8) {
        self.publish(topic, payload, qos, 100).await;
        match qos {
            0 => self.expect_silence().await,
            1 => self.expect_ack(PUBACK, 100).await,
            _ => {
                self.expect_ack(PUBREC, 100).await;
                self.ack(PUBREL, 100).await;
                self.expect_ack(PUBCOMP, 100).await;
            }
        }
    }

    /// The next packet acknowledges `pkid` without an error.
    pub(crate) async fn expect_ack(&mut self, first: u8, pkid: u16) {
        let (found, body) = self.packet().await.expect("an acknowledgement");
        assert_eq!((found, &body[..2]), (first, &pkid.to_be_bytes()[..]));
        assert!(body.get(2).is_none_or(|code| *code < 0x80), "{body:?}");
    }

    /// The next message, acknowledged by all steps of its quality.
    pub(crate) async fn take(&mut self) -> crate::wire::Got {
        let got = self.message().await;
        match got.qos {
            0 => {}
            1 => self.ack(PUBACK, got.pkid).await,
            _ => {
                self.ack(PUBREC, got.pkid).await;
                self.expect_ack(PUBREL, got.pkid).await;
                self.ack(PUBCOMP, got.pkid).await;
            }
        }
        got
    }
}

impl Door {
    /// A client of a protocol level with a clean start.
    pub(crate) async fn client(&self, level: u8, id: &str) -> Wire {
        Wire::join(self.port, connect(level, id)).await
    }

    /// Waits until `count` connections are open.
    pub(crate) async fn until_open(&self, count: u64) {
        self.until("connections", |d| d.stats().connections == count)
            .await;
    }
}
