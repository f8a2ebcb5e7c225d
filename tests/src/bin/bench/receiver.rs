//! The one subscriber of all: counts readings and knows how long each was under way.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use std::net::TcpStream;

use crate::generator::Ledger;

/// A running subscriber.
#[derive(Debug)]
pub(crate) struct Receiver {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    ended: AtomicBool,
    /// Microseconds from before the publish's write to after this read.
    latencies: Mutex<Vec<u32>>,
}

impl Receiver {
    /// Subscribes to `filter` at QoS 1; a reading's value stands behind `key` in the payload.
    pub(crate) fn start(
        server: SocketAddr,
        filter: &str,
        key: &'static str,
        ledger: Arc<Ledger>,
    ) -> Result<Self> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(&[
            0x10, 16, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 4, b'a', b'l', b'l', b'!',
        ])?;
        expect(&mut stream, &[0x20, 2, 0, 0])?;
        let length = u8::try_from(filter.len())?;
        let mut subscribe = vec![0x82, length + 5, 0, 1, 0, length];
        subscribe.extend_from_slice(filter.as_bytes());
        subscribe.push(1);
        stream.write_all(&subscribe)?;
        expect(&mut stream, &[0x90, 3, 0, 1])?;
        let mut granted = [0];
        stream.read_exact(&mut granted)?;
        if granted[0] > 1 {
            bail!("the subscription to {filter} was refused: {granted:?}");
        }
        stream.set_read_timeout(Some(Duration::from_millis(100)))?;
        let shared = Arc::<Shared>::default();
        let inner = Arc::clone(&shared);
        let thread = thread::spawn(move || receive(stream, key, &ledger, &inner));
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The latencies since the last call, microseconds, sorted.
    pub(crate) fn latencies(&self) -> Vec<u32> {
        let mut latencies = self
            .shared
            .latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut taken = std::mem::take(&mut *latencies);
        taken.sort_unstable();
        taken
    }

    /// Whether the connection still lives.
    pub(crate) fn lives(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    /// Ends; the fault if the connection did not live until here.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.shared.ended.store(true, Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => bail!("the receiver panicked"),
        }
    }
}

fn expect(stream: &mut TcpStream, wanted: &[u8]) -> Result<()> {
    let mut answer = vec![0; wanted.len()];
    stream.read_exact(&mut answer)?;
    if answer != wanted {
        bail!("the server answered {answer:?} instead of {wanted:?}");
    }
    Ok(())
}

fn receive(mut stream: TcpStream, key: &str, ledger: &Ledger, shared: &Shared) -> Result<()> {
    let mut unread: Vec<u8> = Vec::with_capacity(1 << 20);
    let mut chunk = vec![0; 256 * 1024];
    let mut acks = Vec::new();
    let mut latencies = Vec::new();
    while !shared.ended.load(Relaxed) {
        let read = match stream.read(&mut chunk) {
            Ok(0) => bail!("the server closed the subscriber's connection"),
            Ok(read) => read,
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                continue;
            }
            Err(error) => return Err(error).context("subscriber"),
        };
        let now = ledger.now();
        unread.extend_from_slice(chunk.get(..read).unwrap_or_default());
        let mut done = 0;
        while let Some((first, body, length)) = packet(unread.get(done..).unwrap_or_default()) {
            done += length;
            if first >> 4 != 3 {
                continue;
            }
            if let Some((publisher, code, id)) = reading(first, body, key) {
                if let Some(id) = id {
                    acks.extend_from_slice(&[0x40, 2, id[0], id[1]]);
                }
                if let Some(sent) = ledger.sent_at(publisher, code) {
                    latencies.push(now.saturating_sub(sent));
                }
            }
        }
        unread.drain(..done);
        if !acks.is_empty() {
            stream.write_all(&acks)?;
            acks.clear();
        }
        ledger.received.fetch_add(latencies.len() as u64, Relaxed);
        shared
            .latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&mut latencies);
    }
    Ok(())
}

/// First byte, body and length of the first whole packet.
fn packet(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (mut length, mut at) = (0usize, 1);
    loop {
        let byte = *bytes.get(at)?;
        length |= usize::from(byte & 0x7F) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some((*bytes.first()?, bytes.get(at..at + length)?, at + length))
}

/// Publisher, code and packet id of a reading of this load.
fn reading(first: u8, body: &[u8], key: &str) -> Option<(usize, u64, Option<[u8; 2]>)> {
    let length = usize::from(u16::from_be_bytes([*body.first()?, *body.get(1)?]));
    let topic = body.get(2..2 + length)?;
    let rest = body.get(2 + length..)?;
    let (id, payload) = if first & 0b110 == 0 {
        (None, rest)
    } else {
        (Some([*rest.first()?, *rest.get(1)?]), rest.get(2..)?)
    };
    // `b12-07` is a level of the topic.
    let level = topic
        .split(|byte| *byte == b'/')
        .find(|l| l.len() == 6 && l.get(3) == Some(&b'-'))?;
    let publisher: usize = std::str::from_utf8(level.get(1..3)?).ok()?.parse().ok()?;
    let at = payload
        .windows(key.len())
        .position(|window| window == key.as_bytes())?
        + key.len();
    let value = payload.get(at..)?;
    let end = value
        .iter()
        .position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
    let value: f64 = std::str::from_utf8(value.get(..end)?).ok()?.parse().ok()?;
    Some((publisher, ((value - 10.0) * 1000.0).round() as u64, id))
}
