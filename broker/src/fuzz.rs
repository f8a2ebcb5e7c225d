//! Entries for a fuzzer: bytes into the codec, a script of hostile clients into a whole broker.
//!
//! Both panic on a finding. `broker/fuzz` runs them without end (`make fuzz`), the tests below for
//! a few thousand seeded inputs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::codec::{
    Delivery, Packet, Publish, Version, decode, decode_connect, frame, valid_topic,
};
use crate::{
    Broker, Changes, Client, Config, Disk, DiskFailed, Gate, Granted, Hooks, Intake, Login, Peer,
    Refused, RetainedSource, Rights, Taken, Telemetry,
};

/// Bytes of the largest packet that the codec is given.
const MAX_PACKET: usize = 1 << 16;
/// For anything that has to happen.
const SOON: Duration = Duration::from_secs(20);
/// Bytes between a client and the broker; more than a script can send, so that no write waits.
const PIPE: usize = 4 << 20;

/// Reads the packets of `bytes` as both versions. What is a PUBLISH must be the same once more
/// after it was encoded for a subscriber.
///
/// # Panics
/// On a finding.
pub fn packet(bytes: &[u8]) {
    for version in [Version::V3, Version::V5] {
        let mut rest = bytes;
        while let Ok(Some(frame)) = frame(rest, MAX_PACKET) {
            if let Ok(connect) = decode_connect(&frame)
                && let Some(will) = connect.will
            {
                assert!(valid_topic(will.topic));
            }
            if let Ok(Packet::Publish(publish)) = decode(&frame, version) {
                encode_again(&publish, version);
            }
            rest = rest.get(frame.len..).unwrap_or_default();
        }
    }
}

fn encode_again(publish: &Publish<'_>, version: Version) {
    let forward = publish.properties.forwarded();
    let delivery = Delivery {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        pkid: publish.pkid,
        topic: publish.topic,
        payload: publish.payload,
        forward: &forward,
        message_expiry: publish.properties.message_expiry,
        topic_alias: publish.properties.topic_alias,
        subscription_ids: &[],
    };
    let mut out = Vec::new();
    assert_eq!(delivery.encode(version, &mut out), Ok(()));
    assert_eq!(out.len(), delivery.size(version));
    let Ok(Some(frame)) = frame(&out, usize::MAX) else {
        panic!("no frame: {out:02x?}")
    };
    let Ok(Packet::Publish(again)) = decode(&frame, version) else {
        panic!("no PUBLISH: {out:02x?}")
    };
    assert_eq!(again.properties.forwarded(), forward);
    let again = Publish {
        properties: publish.properties,
        ..again
    };
    assert_eq!(again, *publish);
}

/// A broker whose clients are played by scripts, and one innocent client beside them.
pub struct Connections {
    runtime: Runtime,
    broker: Arc<Broker>,
    innocent: Mutex<(DuplexStream, u64)>,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections")
            .field("broker", &self.broker)
            .finish_non_exhaustive()
    }
}

impl Connections {
    /// A broker with everything allowed and its innocent client.
    ///
    /// # Panics
    /// The broker does not start.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let Ok(runtime) = runtime else {
            panic!("no runtime")
        };
        let (broker, innocent) = runtime.block_on(async {
            let Ok(broker) = Broker::start(Config::default(), hooks()) else {
                panic!("no broker")
            };
            let broker = Arc::new(broker);
            let (mut innocent, _) = open(&broker);
            let mut hello = connect(0b0010, "innocent");
            hello.extend(subscribe("innocent/+", 0));
            send(&mut innocent, &hello).await;
            (broker, innocent)
        });
        Self {
            runtime,
            broker,
            innocent: Mutex::new((innocent, 0)),
        }
    }

    /// Plays a script of two clients to its end; then all of them are gone and the innocent one is
    /// still served.
    ///
    /// # Panics
    /// On a finding.
    pub fn run(&self, script: &[u8]) {
        self.runtime.block_on(async {
            play(&self.broker, script).await;
            let (stream, round) = &mut *self.innocent.lock().await;
            *round += 1;
            let nonce = format!("round {round:016}");
            send(stream, &publish(0, "innocent/x", 0, nonce.as_bytes())).await;
            let served = async {
                let mut seen = Vec::new();
                while !seen.windows(nonce.len()).any(|w| w == nonce.as_bytes()) {
                    let read = stream.read_buf(&mut seen).await;
                    assert!(
                        read.is_ok_and(|read| read > 0),
                        "the innocent client was cut"
                    );
                }
            };
            assert!(
                timeout(SOON, served).await.is_ok(),
                "the innocent client waits"
            );
            assert_eq!(self.broker.stats().router_rebuilds, 0);
        });
    }
}

/// What is left of a script.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn one_of<T: Copy>(&mut self, table: &[T]) -> Option<T> {
        let byte = usize::from(self.byte()?);
        table.get(byte % table.len()).copied()
    }
}

const IDS: [&str; 4] = ["", "a/b", "ä", "c"];
const TOPICS: [&str; 8] = ["a", "a/b", "ä/x", "dt/q/a", "$SYS/x", "/", "a/+", "will"];
const FILTERS: [&str; 10] = [
    "#",
    "+",
    "a/#",
    "a/b",
    "+/b",
    "ä/+",
    "$share/g/a/#",
    "$share/g/a/b",
    "$SYS/#",
    "a/#/b",
];

async fn play(broker: &Arc<Broker>, script: &[u8]) {
    let mut script = Script(script);
    let mut streams = [None, None];
    let mut tasks = Vec::new();
    while let Some(op) = script.byte() {
        let [one, two] = &mut streams;
        let stream = if op & 0x80 == 0 { one } else { two };
        let Some(bytes) = packets(op, &mut script) else {
            break;
        };
        match op & 0x0F {
            0 => {
                let (opened, task) = open(broker);
                tasks.push(task);
                *stream = Some(opened);
            }
            1 => *stream = None,
            2 => {
                for _ in 0..16 {
                    tokio::task::yield_now().await;
                }
                if let Some(stream) = stream {
                    let mut sink = [0; 4096];
                    let _ = timeout(Duration::from_millis(1), stream.read(&mut sink)).await;
                }
            }
            _ => {}
        }
        if let Some(stream) = stream {
            // The broker may have closed already.
            let _ = stream.write_all(&bytes).await;
        }
    }
    drop(streams);
    for task in tasks {
        let ended = timeout(SOON, task).await;
        assert!(matches!(ended, Ok(Ok(()))), "a connection: {ended:?}");
    }
}

/// What the client says in a step of the script; `None` at the end of the script.
fn packets(op: u8, script: &mut Script<'_>) -> Option<Vec<u8>> {
    Some(match op & 0x0F {
        0 => connect(script.byte()?, script.one_of(&IDS)?),
        1 | 2 => Vec::new(),
        3 | 4 => subscribe(script.one_of(&FILTERS)?, script.byte()?),
        5 => {
            let filter = text(script.one_of(&FILTERS)?.as_bytes());
            framed(0xA2, &[&[0, 1, 0], &filter[..]].concat())
        }
        6..=8 => {
            let (flags, pkid) = (script.byte()? & 0x0F, script.byte()?);
            publish(flags, script.one_of(&TOPICS)?, pkid, &[b'x'; 20])
        }
        9 | 10 => {
            let kind = script.one_of(&[0x40, 0x50, 0x62, 0x70])?;
            framed(kind, &[0, script.byte()?])
        }
        11 => framed(0xE0, script.bytes(1)),
        12 => vec![0xC0, 0],
        _ => {
            let len = script.byte()?;
            script.bytes(usize::from(len)).to_vec()
        }
    })
}

fn text(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap_or(0);
    [&len.to_be_bytes(), bytes].concat()
}

fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    let len = u8::try_from(body.len()).unwrap_or(0).min(127);
    [&[first, len], body].concat()
}

/// CONNECT of MQTT 5; bits 0 to 3: will, clean start, session, receive maximum 1.
fn connect(bits: u8, id: &str) -> Vec<u8> {
    let will = bits & 1;
    let mut body = text(b"MQTT");
    body.extend([5, bits & 2 | will << 2 | will << 3, 0, 0]);
    let mut properties = Vec::new();
    if bits & 4 != 0 {
        properties.extend([0x11, 0, 0, 0, 1]);
    }
    if bits & 8 != 0 {
        properties.extend([0x21, 0, 1, 0x22, 0, 2]);
    }
    body.extend(u8::try_from(properties.len()));
    body.extend(properties);
    body.extend(text(id.as_bytes()));
    if will == 1 {
        body.push(0);
        body.extend([text(b"will"), text(b"gone")].concat());
    }
    framed(0x10, &body)
}

fn subscribe(filter: &str, options: u8) -> Vec<u8> {
    let body = [&[0, 1, 0], &text(filter.as_bytes())[..], &[options]].concat();
    framed(0x82, &body)
}

fn publish(flags: u8, topic: &str, pkid: u8, payload: &[u8]) -> Vec<u8> {
    let mut body = text(topic.as_bytes());
    if flags & 0x06 != 0 {
        body.extend([0, pkid]);
    }
    body.push(0);
    body.extend(payload);
    framed(0x30 | flags, &body)
}

fn open(broker: &Arc<Broker>) -> (DuplexStream, JoinHandle<()>) {
    let (near, far) = tokio::io::duplex(PIPE);
    let peer = Peer {
        address: ([127, 0, 0, 1], 1).into(),
        certificate: None,
    };
    let broker = Arc::clone(broker);
    let task = tokio::spawn(async move { broker.connect(far, peer).await });
    (near, task)
}

async fn send(stream: &mut DuplexStream, bytes: &[u8]) {
    assert!(stream.write_all(bytes).await.is_ok(), "the client was cut");
}

/// A host that allows everything, takes every telemetry at once and keeps nothing.
struct Host(watch::Sender<u64>);

fn hooks() -> Hooks {
    let host = Arc::new(Host(watch::Sender::new(u64::MAX)));
    Hooks {
        gate: host.clone(),
        intake: host.clone(),
        retained: host.clone(),
        disk: host,
    }
}

impl Gate for Host {
    fn login(&self, _: &Login<'_>) -> Result<Granted, Refused> {
        Ok(Granted {
            user: None,
            credential: None,
            roles: Arc::from([]),
            rights: Rights::all(),
        })
    }

    fn rights(&self, _: &Client) -> Option<Rights> {
        Some(Rights::all())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

impl Intake for Host {
    fn wants(&self, topic: &str) -> bool {
        topic.starts_with("dt/")
    }

    fn take(&self, _: &Client, _: &[Telemetry<'_>]) -> Taken {
        Taken::At(1)
    }

    fn durable(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

impl RetainedSource for Host {
    fn owns(&self, _: &str) -> bool {
        false
    }

    fn matching(&self, _: &str, _: &mut dyn FnMut(String, Bytes)) {}
}

impl Disk for Host {
    fn read(&self, _: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), DiskFailed> {
        Ok(())
    }

    fn write(&self, _: Changes) -> Result<(), DiskFailed> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::Rng;
    use proptest::test_runner::{RngAlgorithm, TestRng};

    use super::*;

    fn bytes(rng: &mut TestRng, most: u32) -> Vec<u8> {
        (0..rng.next_u32() % most)
            .map(|_| (rng.next_u32() >> (rng.next_u32() % 8)) as u8)
            .collect()
    }

    #[test]
    fn seeded_bytes_find_nothing_in_the_codec() {
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[3; 32]);
        for _ in 0..50_000 {
            let body = bytes(&mut rng, 60);
            packet(&body);
            packet(&framed(body.first().copied().unwrap_or(0x30), &body));
        }
    }

    #[test]
    fn seeded_scripts_find_nothing_in_the_broker() {
        let connections = Connections::start();
        let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[4; 32]);
        for _ in 0..2_000 {
            let mut script = Vec::new();
            for _ in 0..rng.next_u32() % 40 {
                let op = rng.next_u32() as u8;
                script.push(if script.is_empty() { op & 0xF0 } else { op });
                script.extend(bytes(&mut rng, 4));
            }
            connections.run(&script);
        }
        let stats = connections.broker.stats();
        assert!(
            stats.accepted > 1_000 && stats.received > 1_000,
            "{stats:?}"
        );
        assert!(
            stats.sent > 1_000 && stats.protocol_errors > 100,
            "{stats:?}"
        );
    }
}
