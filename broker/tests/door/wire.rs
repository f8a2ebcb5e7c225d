//! A client that says exactly what a test wants, byte by byte.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::harness::soon;

/// CONNECT.
#[derive(Clone)]
pub(crate) struct Connect {
    pub(crate) level: u8,
    pub(crate) id: String,
    pub(crate) clean: bool,
    pub(crate) keep_alive: u16,
    pub(crate) will: Option<(String, String, u8, bool)>,
    /// MQTT 5, seconds.
    pub(crate) will_delay: u32,
    pub(crate) login: Option<(String, String)>,
    /// MQTT 5, without their length.
    pub(crate) properties: Vec<u8>,
}

impl Connect {
    pub(crate) fn v3(id: &str) -> Self {
        Self {
            level: 4,
            id: id.into(),
            clean: true,
            keep_alive: 0,
            will: None,
            will_delay: 0,
            login: None,
            properties: vec![],
        }
    }

    pub(crate) fn v5(id: &str) -> Self {
        Self {
            level: 5,
            ..Self::v3(id)
        }
    }

    /// A session that outlives the connection.
    pub(crate) fn lasting(mut self) -> Self {
        self.clean = false;
        if self.level == 5 {
            self.properties.extend([0x11, 0, 0, 0, 60]);
        }
        self
    }

    pub(crate) fn will(mut self, topic: &str, payload: &str, qos: u8, retain: bool) -> Self {
        self.will = Some((topic.into(), payload.into(), qos, retain));
        self
    }

    pub(crate) fn will_delay(mut self, seconds: u32) -> Self {
        self.will_delay = seconds;
        self
    }

    /// MQTT 5: a session that outlives the connection by so many seconds.
    pub(crate) fn expiry(mut self, seconds: u32) -> Self {
        self.clean = false;
        self.properties.push(0x11);
        self.properties.extend(seconds.to_be_bytes());
        self
    }

    pub(crate) fn login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.into(), password.into()));
        self
    }

    pub(crate) fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = text("MQTT");
        let mut flags = u8::from(self.clean) << 1;
        if let Some((.., qos, retain)) = &self.will {
            flags |= 0x04 | qos << 3 | u8::from(*retain) << 5;
        }
        if self.login.is_some() {
            flags |= 0xC0;
        }
        body.extend([self.level, flags]);
        body.extend(self.keep_alive.to_be_bytes());
        if self.level == 5 {
            body.push(self.properties.len() as u8);
            body.extend(&self.properties);
        }
        body.extend(text(&self.id));
        if let Some((topic, payload, ..)) = &self.will {
            if self.level == 5 {
                body.extend([5, 0x18]);
                body.extend(self.will_delay.to_be_bytes());
            }
            body.extend(text(topic));
            body.extend(text(payload));
        }
        if let Some((user, password)) = &self.login {
            body.extend(text(user));
            body.extend(text(password));
        }
        packet(0x10, &body)
    }
}

/// A string with its length.
pub(crate) fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u16).to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

/// A packet with its length.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut left = body.len();
    loop {
        let more = left > 0x7F;
        bytes.push((left & 0x7F) as u8 | if more { 0x80 } else { 0 });
        left >>= 7;
        if !more {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

/// PUBLISH; `properties` for MQTT 5 without their length.
pub(crate) fn publish(
    level: u8,
    topic: &str,
    payload: &[u8],
    flags: u8,
    pkid: u16,
    properties: &[u8],
) -> Vec<u8> {
    let mut body = text(topic);
    if flags & 0x06 != 0 {
        body.extend(pkid.to_be_bytes());
    }
    if level == 5 {
        body.push(properties.len() as u8);
        body.extend(properties);
    }
    body.extend(payload);
    packet(0x30 | flags, &body)
}

/// A message as the client got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) topic: String,
    pub(crate) payload: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) pkid: u16,
    /// MQTT 5, without their length.
    pub(crate) properties: Vec<u8>,
}

/// A connected client.
pub(crate) struct Wire<S = TcpStream> {
    pub(crate) stream: BufReader<S>,
    pub(crate) level: u8,
    /// Body of the CONNACK.
    pub(crate) connack: Vec<u8>,
}

impl Wire {
    /// Connects; whatever is answered is in `connack`, empty where the broker closed instead.
    pub(crate) async fn dial(port: u16, connect: Connect) -> Self {
        Self::over(
            TcpStream::connect(("127.0.0.1", port)).await.unwrap(),
            connect,
        )
        .await
    }

    /// Connects and is let in.
    pub(crate) async fn join(port: u16, connect: Connect) -> Self {
        let wire = Self::dial(port, connect).await;
        assert_eq!(wire.connack.get(1), Some(&0), "refused");
        wire
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Sends a CONNECT over any stream; whatever is answered is in `connack`.
    pub(crate) async fn over(stream: S, connect: Connect) -> Self {
        let mut wire = Self {
            stream: BufReader::new(stream),
            level: connect.level,
            connack: vec![],
        };
        // A broker that closes at once is seen by the answer that does not come.
        let _ = wire.stream.write_all(&connect.bytes()).await;
        let _ = wire.stream.flush().await;
        if let Some((first, body)) = wire.packet().await {
            assert_eq!(first, 0x20, "not a CONNACK");
            wire.connack = body;
        }
        wire
    }

    pub(crate) fn session_present(&self) -> bool {
        self.connack[0] == 1
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next packet; `None` at the end of the connection.
    pub(crate) async fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        soon("a packet", async {
            let first = self.stream.read_u8().await.ok()?;
            let (mut len, mut shift) = (0, 0);
            loop {
                let byte = self.stream.read_u8().await.ok()?;
                len |= usize::from(byte & 0x7F) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let mut body = vec![0; len];
            self.stream.read_exact(&mut body).await.ok()?;
            Some((first, body))
        })
        .await
    }

    /// The next packet is this one.
    pub(crate) async fn expect(&mut self, first: u8, body: &[u8]) {
        assert_eq!(self.packet().await, Some((first, body.to_vec())));
    }

    /// Nothing comes until the answer to a PINGREQ.
    pub(crate) async fn expect_silence(&mut self) {
        self.send(&[0xC0, 0]).await;
        self.expect(0xD0, &[]).await;
    }

    /// The connection ends; an MQTT 5 client is told `reason` before.
    pub(crate) async fn expect_end(&mut self, reason: u8) {
        loop {
            match self.packet().await {
                None => {
                    assert_eq!(self.level, 4, "MQTT 5 client was not told");
                    return;
                }
                Some((0xE0, body)) => {
                    assert_eq!((self.level, body.first()), (5, Some(&reason)));
                    assert_eq!(self.packet().await, None);
                    return;
                }
                Some(_) => {}
            }
        }
    }

    pub(crate) async fn subscribe(&mut self, pkid: u16, filter: &str, options: u8) {
        let granted = self.try_subscribe(pkid, filter, options, &[]).await;
        assert_eq!(granted, options & 3, "SUBACK for {filter}");
    }

    /// SUBSCRIBE; the reason code of the SUBACK.
    pub(crate) async fn try_subscribe(
        &mut self,
        pkid: u16,
        filter: &str,
        options: u8,
        properties: &[u8],
    ) -> u8 {
        let mut body = pkid.to_be_bytes().to_vec();
        if self.level == 5 {
            body.push(properties.len() as u8);
            body.extend(properties);
        }
        body.extend(text(filter));
        body.push(options);
        self.send(&packet(0x82, &body)).await;
        let (first, body) = self.packet().await.unwrap();
        assert_eq!((first, &body[..2]), (0x90, &pkid.to_be_bytes()[..]));
        *body.last().unwrap()
    }

    pub(crate) async fn unsubscribe(&mut self, pkid: u16, filter: &str) -> Vec<u8> {
        let mut body = pkid.to_be_bytes().to_vec();
        if self.level == 5 {
            body.push(0);
        }
        body.extend(text(filter));
        self.send(&packet(0xA2, &body)).await;
        let (first, body) = self.packet().await.unwrap();
        assert_eq!(first, 0xB0);
        body
    }

    pub(crate) async fn publish(&mut self, topic: &str, payload: &str, qos: u8, pkid: u16) {
        self.publish_with(topic, payload, qos << 1, pkid, &[]).await;
    }

    pub(crate) async fn publish_with(
        &mut self,
        topic: &str,
        payload: &str,
        flags: u8,
        pkid: u16,
        properties: &[u8],
    ) {
        let bytes = publish(
            self.level,
            topic,
            payload.as_bytes(),
            flags,
            pkid,
            properties,
        );
        self.send(&bytes).await;
    }

    /// The next packet, which is a PUBLISH; it is not acknowledged.
    pub(crate) async fn message(&mut self) -> Got {
        let (first, body) = self.packet().await.expect("a message");
        assert_eq!(first & 0xF0, 0x30, "not a PUBLISH: {first:#x} {body:?}");
        let qos = first >> 1 & 3;
        let topic_len = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let mut at = 2 + topic_len;
        let topic = String::from_utf8(body[2..at].to_vec()).unwrap();
        let mut pkid = 0;
        if qos > 0 {
            pkid = u16::from_be_bytes([body[at], body[at + 1]]);
            at += 2;
        }
        let mut properties = vec![];
        if self.level == 5 {
            let len = usize::from(body[at]);
            properties = body[at + 1..at + 1 + len].to_vec();
            at += 1 + len;
        }
        let payload = String::from_utf8_lossy(&body[at..]).into_owned();
        let (retain, dup) = (first & 1 != 0, first & 8 != 0);
        Got {
            topic,
            payload,
            qos,
            retain,
            dup,
            pkid,
            properties,
        }
    }

    pub(crate) async fn ack(&mut self, first: u8, pkid: u16) {
        self.send(&packet(first, &pkid.to_be_bytes())).await;
    }

    /// DISCONNECT without a will.
    pub(crate) async fn leave(mut self) {
        self.send(&[0xE0, 0]).await;
        assert_eq!(self.packet().await, None);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Acknowledges messages until there are none before a PINGRESP; how many they were.
    pub(crate) async fn take_all(&mut self) -> usize {
        let mut count = 0;
        loop {
            self.send(&[0xC0, 0]).await;
            let before = count;
            loop {
                let (first, body) = self.packet().await.expect("open");
                if first == 0xD0 {
                    break;
                }
                let at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                self.ack(0x40, u16::from_be_bytes([body[at], body[at + 1]]))
                    .await;
                count += 1;
            }
            if count == before {
                return count;
            }
        }
    }
}
