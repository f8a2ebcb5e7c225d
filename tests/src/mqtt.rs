//! A small blocking MQTT client that hides nothing: packets are sent when asked for and handed
//! over as they come, so that a test knows exactly what was acknowledged.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest wait for a connection and its CONNACK.
const PATIENCE: Duration = Duration::from_secs(10);

/// Protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1.
    V4,
    /// 5.
    V5,
}

/// How to connect.
#[derive(Debug, Clone)]
pub struct ConnectOptions<'a> {
    /// Client identifier.
    pub id: &'a str,
    /// Protocol version.
    pub version: Version,
    /// User name and password.
    pub login: Option<(&'a str, &'a str)>,
    /// Clean session, or clean start.
    pub clean: bool,
    /// Topic and payload of a will at QoS 1.
    pub will: Option<(&'a str, &'a [u8])>,
}

impl<'a> ConnectOptions<'a> {
    /// 3.1.1, clean, no login.
    pub fn new(id: &'a str) -> Self {
        Self {
            id,
            version: Version::V4,
            login: None,
            clean: true,
            will: None,
        }
    }

    /// With MQTT 5.
    #[must_use]
    pub fn v5(self) -> Self {
        Self {
            version: Version::V5,
            ..self
        }
    }

    /// With a login.
    #[must_use]
    pub fn login(self, user: &'a str, password: &'a str) -> Self {
        Self {
            login: Some((user, password)),
            ..self
        }
    }

    /// With a will at QoS 1.
    #[must_use]
    pub fn will(self, topic: &'a str, payload: &'a [u8]) -> Self {
        Self {
            will: Some((topic, payload)),
            ..self
        }
    }
}

/// A packet from the server, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// CONNACK: return or reason code, 0 is welcome.
    ConnAck(u8),
    /// PUBACK: packet id and reason; below 0x80 is taken.
    PubAck(u16, u8),
    /// SUBACK: packet id and the codes.
    SubAck(u16, Vec<u8>),
    /// PUBLISH.
    Publish {
        /// Topic.
        topic: String,
        /// Payload.
        payload: Vec<u8>,
        /// Retain flag.
        retain: bool,
        /// Packet id, beyond QoS 0.
        id: Option<u16>,
    },
    /// Any other: its first byte and body.
    Other(u8, Vec<u8>),
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    version: Version,
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

impl Client {
    /// Connects and waits for the CONNACK; its code is the second half.
    ///
    /// # Errors
    /// No connection, or the server closed it without a CONNACK.
    pub fn connect(server: SocketAddr, options: &ConnectOptions<'_>) -> io::Result<(Self, u8)> {
        let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
        stream.set_nodelay(true)?;
        let version = options.version;
        let mut client = Self {
            stream,
            version,
            unread: Vec::new(),
            unsent: Vec::new(),
        };
        client.unsent.extend_from_slice(&connect_packet(options));
        client.flush()?;
        match client.receive(PATIENCE)? {
            Some(Packet::ConnAck(code)) => Ok((client, code)),
            other => Err(io::Error::other(format!("instead of a CONNACK: {other:?}"))),
        }
    }

    /// Queues a PUBLISH at QoS 1 under `id`, or at QoS 0 without one.
    pub fn publish(&mut self, topic: &str, payload: &[u8], id: Option<u16>, again: bool) {
        let mut packet = publish_packet(self.version, topic, payload, id);
        if again
            && id.is_some()
            && let Some(first) = packet.first_mut()
        {
            *first |= 0b1000;
        }
        self.unsent.extend_from_slice(&packet);
    }

    /// Publishes each at QoS 1, one after the other, and waits for the acknowledgement of each.
    ///
    /// # Errors
    /// The connection ended, or one was not taken.
    pub fn publish_all(&mut self, messages: &[(&str, &str)]) -> io::Result<()> {
        for (topic, payload) in messages {
            self.publish(topic, payload.as_bytes(), Some(1), false);
            self.flush()?;
            match self.receive(PATIENCE)? {
                Some(Packet::PubAck(1, reason)) if reason < 0x80 => {}
                other => return Err(io::Error::other(format!("instead of a PUBACK: {other:?}"))),
            }
        }
        Ok(())
    }

    /// Queues the PUBACK of a publish that came under `id`.
    pub fn acknowledge(&mut self, id: Option<u16>) {
        if let Some(id) = id {
            packet_into(&mut self.unsent, 0x40, &id.to_be_bytes());
        }
    }

    /// Queues bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    /// Sends a SUBSCRIBE and waits for its SUBACK; what came before it is handed over too.
    ///
    /// # Errors
    /// The connection ended, or there was no SUBACK in time.
    pub fn subscribe(&mut self, filter: &str, qos: u8) -> io::Result<(Vec<u8>, Vec<Packet>)> {
        let mut body = vec![0, 1];
        if self.version == Version::V5 {
            body.push(0);
        }
        text(&mut body, filter);
        body.push(qos);
        packet_into(&mut self.unsent, 0x82, &body);
        self.flush()?;
        let mut before = Vec::new();
        loop {
            match self.receive(PATIENCE)? {
                Some(Packet::SubAck(_, codes)) => return Ok((codes, before)),
                Some(other) => before.push(other),
                None => return Err(io::Error::new(ErrorKind::TimedOut, "no SUBACK")),
            }
        }
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// The connection ended.
    pub fn flush(&mut self) -> io::Result<()> {
        let sent = self.stream.write_all(&self.unsent);
        self.unsent.clear();
        sent
    }

    /// The next packet; `None` when `within` is over.
    ///
    /// # Errors
    /// The connection ended.
    pub fn receive(&mut self, within: Duration) -> io::Result<Option<Packet>> {
        let end = Instant::now() + within;
        loop {
            if let Some(packet) = self.next_packet() {
                return Ok(Some(packet));
            }
            let left = end
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left))?;
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self
                    .unread
                    .extend_from_slice(chunk.get(..read).unwrap_or_default()),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A packet that has arrived whole.
    pub fn next_packet(&mut self) -> Option<Packet> {
        let (first, body, total) = frame(&self.unread)?;
        let packet = parse(first, body, self.version);
        self.unread.drain(..total);
        Some(packet)
    }
}

/// Type byte, body and whole length of the first packet of `bytes`, once it is complete.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let first = *bytes.first()?;
    let (mut length, mut shift, mut at) = (0usize, 0, 1);
    loop {
        let byte = *bytes.get(at)?;
        length |= usize::from(byte & 0x7F) << shift;
        (shift, at) = (shift + 7, at + 1);
        if byte & 0x80 == 0 || shift > 21 {
            break;
        }
    }
    Some((first, bytes.get(at..at + length)?, at + length))
}

fn parse(first: u8, body: &[u8], version: Version) -> Packet {
    let byte = |at: usize| body.get(at).copied().unwrap_or(0);
    let id = |at: usize| u16::from_be_bytes([byte(at), byte(at + 1)]);
    // Behind a property length of one byte, which is all that local servers need.
    let behind = |at: usize| {
        at + if version == Version::V5 {
            1 + usize::from(byte(at))
        } else {
            0
        }
    };
    match first >> 4 {
        2 => Packet::ConnAck(byte(1)),
        3 => {
            let length = usize::from(id(0));
            let after = 2 + length + if first & 0b110 == 0 { 0 } else { 2 };
            Packet::Publish {
                topic: String::from_utf8_lossy(body.get(2..2 + length).unwrap_or_default()).into(),
                payload: body.get(behind(after)..).unwrap_or_default().to_vec(),
                retain: first & 1 == 1,
                id: (first & 0b110 != 0).then(|| id(2 + length)),
            }
        }
        4 => Packet::PubAck(id(0), byte(2)),
        9 => Packet::SubAck(id(0), body.get(behind(2)..).unwrap_or_default().to_vec()),
        _ => Packet::Other(first, body.to_vec()),
    }
}

/// A CONNECT, encoded; keep-alive 60 s.
pub fn connect_packet(options: &ConnectOptions<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    body.push(if options.version == Version::V5 { 5 } else { 4 });
    let login = if options.login.is_some() { 0xC0 } else { 0 };
    let will = if options.will.is_some() { 0x0C } else { 0 };
    body.push(login | will | (u8::from(options.clean) << 1));
    body.extend_from_slice(&60u16.to_be_bytes());
    if options.version == Version::V5 {
        body.push(0);
    }
    text(&mut body, options.id);
    if let Some((topic, payload)) = options.will {
        if options.version == Version::V5 {
            body.push(0);
        }
        text(&mut body, topic);
        let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(payload);
    }
    if let Some((user, password)) = options.login {
        text(&mut body, user);
        text(&mut body, password);
    }
    let mut packet = Vec::new();
    packet_into(&mut packet, 0x10, &body);
    packet
}

/// A PUBLISH, encoded: at QoS 1 with a packet id, at QoS 0 without.
pub fn publish_packet(version: Version, topic: &str, payload: &[u8], id: Option<u16>) -> Vec<u8> {
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 5);
    text(&mut body, topic);
    if let Some(id) = id {
        body.extend_from_slice(&id.to_be_bytes());
    }
    if version == Version::V5 {
        body.push(0);
    }
    body.extend_from_slice(payload);
    let mut packet = Vec::with_capacity(body.len() + 5);
    packet_into(&mut packet, if id.is_some() { 0x32 } else { 0x30 }, &body);
    packet
}

fn packet_into(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    let mut length = body.len();
    loop {
        let byte = u8::try_from(length & 0x7F).unwrap_or(0);
        length >>= 7;
        out.push(if length == 0 { byte } else { byte | 0x80 });
        if length == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}
