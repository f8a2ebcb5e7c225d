//! A small blocking WebSocket client (RFC 6455) that hides nothing, with nothing of the product
//! in it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A key is any 16 bytes; nothing depends on them here.
const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAA==";
const MASK: [u8; 4] = [0x5A, 0xA5, 0x3C, 0xC3];

/// A connection after its upgrade.
#[derive(Debug)]
pub struct WebSocket {
    stream: TcpStream,
    unread: Vec<u8>,
    /// Payloads of all binary messages, joined.
    data: Vec<u8>,
    ponged: bool,
    closed: bool,
    ended: bool,
}

impl WebSocket {
    /// Upgrades at `/mqtt`; otherwise the status of the answer.
    ///
    /// # Errors
    /// The status of an answer that is not 101.
    pub fn open(server: SocketAddr, protocol: &str, origin: Option<&str>) -> Result<Self, u16> {
        let mut stream = TcpStream::connect(server)
            .unwrap_or_else(|error| panic!("{server} does not answer: {error}"));
        let origin = origin.map_or_else(String::new, |origin| format!("Origin: {origin}\r\n"));
        let request = format!(
            "GET /mqtt HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\
             Sec-WebSocket-Protocol: {protocol}\r\n{origin}\r\n"
        );
        let sent = stream.write_all(request.as_bytes());
        assert!(sent.is_ok(), "no request: {sent:?}");
        let mut socket = Self {
            stream,
            unread: Vec::new(),
            data: Vec::new(),
            ponged: false,
            closed: false,
            ended: false,
        };
        let end = Instant::now() + Duration::from_secs(20);
        let head = loop {
            let found = socket.unread.windows(4).position(|w| w == b"\r\n\r\n");
            if let Some(at) = found {
                break socket.unread.drain(..at + 4).collect::<Vec<_>>();
            }
            assert!(
                Instant::now() < end && !socket.ended,
                "no answer to the upgrade"
            );
            socket.receive();
        };
        let head = String::from_utf8_lossy(&head).to_lowercase();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        match status.unwrap_or(0) {
            101 => {
                assert!(head.contains("sec-websocket-protocol: mqtt"), "{head}");
                Ok(socket)
            }
            other => Err(other),
        }
    }

    /// A frame as a client sends it: the last of its message, masked.
    pub fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        match u16::try_from(payload.len()) {
            Ok(small) if small < 126 => frame.push(0x80 | u8::try_from(small).unwrap_or(0)),
            Ok(medium) => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&medium.to_be_bytes());
            }
            Err(_) => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&MASK);
        frame.extend(
            payload
                .iter()
                .zip(MASK.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        frame
    }

    /// Sends a binary message.
    pub fn binary(&mut self, payload: &[u8]) {
        self.raw(&Self::frame(2, payload));
    }

    /// Sends a text message.
    pub fn text(&mut self, payload: &str) {
        self.raw(&Self::frame(1, payload.as_bytes()));
    }

    /// Sends bytes as they are; a connection that is gone shows when it is read.
    pub fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Bytes of binary messages that came so far.
    pub fn received(&self) -> usize {
        self.data.len()
    }

    /// What came behind the first `from` bytes, after another look.
    pub fn read_more(&mut self, from: usize) -> Vec<u8> {
        self.receive();
        self.data.get(from..).unwrap_or_default().to_vec()
    }

    /// At least `count` bytes of binary messages; panics at the deadline.
    pub fn bytes(&mut self, count: usize, within: Duration) -> Vec<u8> {
        let end = Instant::now() + within;
        while self.data.len() < count {
            assert!(
                Instant::now() < end && !self.ended,
                "came: {:x?}",
                self.data
            );
            self.receive();
        }
        self.data.clone()
    }

    /// Whether a ping is answered in time.
    pub fn ping(&mut self, within: Duration) -> bool {
        self.raw(&Self::frame(9, b"?"));
        let end = Instant::now() + within;
        while !self.ponged && !self.ended && Instant::now() < end {
            self.receive();
        }
        self.ponged
    }

    /// Whether the server ends the connection in time.
    pub fn ends(&mut self, within: Duration) -> bool {
        let end = Instant::now() + within;
        while !self.ended && Instant::now() < end {
            self.receive();
        }
        self.ended
    }

    /// Whether a close frame came.
    pub fn closed_cleanly(&self) -> bool {
        self.closed
    }

    /// Reads for a moment.
    fn receive(&mut self) {
        let _ = self
            .stream
            .set_read_timeout(Some(Duration::from_millis(50)));
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => self.ended = true,
            Ok(read) => self
                .unread
                .extend_from_slice(chunk.get(..read).unwrap_or_default()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.ended = true,
        }
        while let Some((opcode, payload, total)) = self.next_frame() {
            match opcode {
                2 | 0 => self.data.extend_from_slice(&payload),
                8 => self.closed = true,
                10 => self.ponged = true,
                _ => {}
            }
            self.unread.drain(..total);
        }
    }

    /// Opcode, payload and whole length of the first frame, once it is there. While the upgrade is
    /// under way there is none: an answer of HTTP begins with a letter.
    fn next_frame(&self) -> Option<(u8, Vec<u8>, usize)> {
        let first = *self.unread.first()?;
        if first == b'H' {
            return None;
        }
        let short = usize::from(*self.unread.get(1)? & 0x7F);
        let (length, start) = match short {
            126 => {
                let bytes = self.unread.get(2..4)?.try_into().ok()?;
                (usize::from(u16::from_be_bytes(bytes)), 4)
            }
            127 => {
                let bytes = self.unread.get(2..10)?.try_into().ok()?;
                (usize::try_from(u64::from_be_bytes(bytes)).ok()?, 10)
            }
            short => (short, 2),
        };
        let payload = self.unread.get(start..start + length)?.to_vec();
        Some((first & 0x0F, payload, start + length))
    }
}
