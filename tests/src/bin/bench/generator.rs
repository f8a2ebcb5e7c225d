//! The load: 50 publishers at QoS 1 in one thread, from packets that are encoded beforehand.
//!
//! Every reading can be told from every other of its publisher for [`CODES`] readings: its value
//! is `10 + code / 1000`, so that the receiver knows when it was sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use quartier_tests::{Version, publish_packet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval_at};

/// Connections that publish.
pub(crate) const PUBLISHERS: u32 = 50;
/// Assets that a publisher reports for, in turn.
pub(crate) const ASSETS: u32 = 20;
/// Publishes of a connection that wait for their PUBACK, at most.
const IN_FLIGHT: u64 = 20;
/// Bytes of a payload: one metric, a time, spaces.
const PAYLOAD: usize = 150;
/// Readings between the publishers and the subscriber, at most. Without it a load that saturates
/// the intake would measure how long a queue gets, or how soon a slow subscriber is cut.
const UNDER_WAY: u64 = 5000;
/// Values that differ.
pub(crate) const CODES: u64 = 80_000;
/// First event time, seconds since 1970: 2026-01-01T00:00:00Z.
const EPOCH_S: i64 = 1_767_225_600;
/// Acknowledgements have to come, on a loaded machine too.
const PATIENCE: Duration = Duration::from_secs(60);

/// What publishers and receiver share.
#[derive(Debug)]
pub(crate) struct Ledger {
    started: Instant,
    /// When a reading was sent, microseconds since `started`; by publisher and code.
    sent: Vec<AtomicU32>,
    /// Readings sent and acknowledged since the beginning.
    pub(crate) acknowledged: AtomicU64,
    /// Readings that reached the subscriber since the beginning.
    pub(crate) received: AtomicU64,
    published: AtomicU64,
    /// Next code of each publisher, from one load to the next: no event comes twice.
    next: Vec<AtomicU64>,
    stop: AtomicBool,
}

impl Ledger {
    /// Nothing is sent yet.
    pub(crate) fn new() -> Arc<Self> {
        let slots = u64::from(PUBLISHERS) * CODES;
        Arc::new(Self {
            started: Instant::now(),
            sent: (0..slots).map(|_| AtomicU32::new(0)).collect(),
            acknowledged: AtomicU64::new(0),
            received: AtomicU64::new(0),
            published: AtomicU64::new(0),
            next: (0..PUBLISHERS).map(|_| AtomicU64::new(0)).collect(),
            stop: AtomicBool::new(false),
        })
    }

    /// Microseconds since the beginning.
    pub(crate) fn now(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_micros()).unwrap_or(u32::MAX)
    }

    /// When a reading was sent.
    pub(crate) fn sent_at(&self, publisher: usize, code: u64) -> Option<u32> {
        let slot = self.slot(publisher, code)?;
        self.sent.get(slot).map(|sent| sent.load(Relaxed))
    }

    fn has_room(&self) -> bool {
        self.published
            .load(Relaxed)
            .saturating_sub(self.received.load(Relaxed))
            < UNDER_WAY
    }

    fn slot(&self, publisher: usize, code: u64) -> Option<usize> {
        usize::try_from(code % CODES)
            .ok()
            .map(|code| publisher * CODES as usize + code)
    }
}

/// Publishes for `time`, all of it acknowledged when it returns: as much as goes in, or `rate`
/// readings a second. Returns the seconds it took.
pub(crate) fn publish(
    server: SocketAddr,
    ledger: &Arc<Ledger>,
    rate: Option<f64>,
    time: Duration,
) -> Result<f64> {
    ledger.stop.store(false, Relaxed);
    let stopper = Arc::clone(ledger);
    let timer = thread::spawn(move || {
        quartier_tests::pause(time);
        stopper.stop.store(true, Relaxed);
    });
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..PUBLISHERS {
            let publisher = Publisher::connect(server, number, Arc::clone(ledger)).await?;
            let each = rate.map(|rate| Duration::from_secs_f64(f64::from(PUBLISHERS) / rate));
            tasks.spawn(async move {
                let run = async {
                    match each {
                        None => publisher.saturate().await,
                        Some(each) => publisher.pace(each).await,
                    }
                };
                tokio::time::timeout(time + PATIENCE, run)
                    .await
                    .context("no PUBACK")?
            });
        }
        while let Some(task) = tasks.join_next().await {
            task??;
        }
        Ok(())
    });
    let took = started.elapsed().as_secs_f64();
    if timer.join().is_err() {
        bail!("the timer panicked");
    }
    done.map(|()| took)
}

struct Publisher {
    stream: TcpStream,
    number: u32,
    ledger: Arc<Ledger>,
    /// One packet an asset, of the same length.
    packets: Vec<Vec<u8>>,
    /// Where in a packet its changing parts begin.
    at: Parts,
    code: u64,
    waiting: u64,
    unread: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Parts {
    id: usize,
    time: usize,
    value: usize,
}

const TIME: &str = "2026-01-01T00:00:00Z";
const VALUE: &str = "10.000";

impl Publisher {
    async fn connect(server: SocketAddr, number: u32, ledger: Arc<Ledger>) -> Result<Self> {
        let mut stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let id = format!("bench-{number:02}");
        let length = u8::try_from(12 + id.len())?;
        let mut connect = vec![
            0x10,
            length,
            0,
            4,
            b'M',
            b'Q',
            b'T',
            b'T',
            4,
            2,
            0,
            60,
            0,
            length - 12,
        ];
        connect.extend_from_slice(id.as_bytes());
        stream.write_all(&connect).await?;
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).await?;
        if connack != [0x20, 2, 0, 0] {
            bail!("{id} was not let in: {connack:?}");
        }
        let packets: Vec<_> = (0..ASSETS).map(|asset| packet(number, asset)).collect();
        let first = packets.first().context("no assets")?;
        let find = |part: &str| first.windows(part.len()).position(|w| w == part.as_bytes());
        let time = find(TIME).context("no time in the packet")?;
        let at = Parts {
            id: first.len() - PAYLOAD - 2,
            time,
            value: find(VALUE).context("no value in the packet")?,
        };
        let next = ledger
            .next
            .get(number as usize)
            .context("no such publisher")?;
        let code = next.load(Relaxed);
        Ok(Self {
            stream,
            number,
            ledger,
            packets,
            at,
            code,
            waiting: 0,
            unread: Vec::new(),
        })
    }

    async fn saturate(mut self) -> Result<()> {
        let mut out = Vec::with_capacity(8 * 1024);
        loop {
            let stop = self.ledger.stop.load(Relaxed);
            while !stop && self.waiting < IN_FLIGHT && self.ledger.has_room() {
                self.append(&mut out);
            }
            if !out.is_empty() {
                self.stream.write_all(&out).await?;
                out.clear();
            }
            match self.waiting {
                0 if stop => break,
                0 => tokio::time::sleep(Duration::from_millis(1)).await,
                _ => self.read().await?,
            }
        }
        self.leave().await
    }

    async fn pace(mut self, each: Duration) -> Result<()> {
        let offset = each.mul_f64(f64::from(self.number) / f64::from(PUBLISHERS));
        let mut timer = interval_at(tokio::time::Instant::now() + offset, each);
        timer.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut out = Vec::with_capacity(8 * 1024);
        loop {
            let stop = self.ledger.stop.load(Relaxed);
            if stop && self.waiting == 0 {
                break;
            }
            tokio::select! {
                _ = timer.tick(), if !stop => {
                    self.append(&mut out);
                    self.stream.write_all(&out).await?;
                    out.clear();
                }
                ready = self.stream.readable(), if self.waiting > 0 => {
                    ready?;
                    self.read_now()?;
                }
            }
        }
        self.leave().await
    }

    /// Appends the next reading's packet.
    fn append(&mut self, out: &mut Vec<u8>) {
        let (code, at) = (self.code, self.at);
        let reading = code / u64::from(ASSETS);
        let asset = usize::try_from(code % u64::from(ASSETS)).unwrap_or(0);
        let second = EPOCH_S + i64::try_from(reading).unwrap_or(0);
        let time = jiff::Timestamp::from_second(second)
            .unwrap_or_default()
            .to_string();
        let value = format!("{:.3}", 10.0 + (code % CODES) as f64 / 1000.0);
        if let Some(packet) = self.packets.get_mut(asset) {
            let id = u16::try_from(code % 60_000).unwrap_or(0) + 1;
            put(packet, at.id, &id.to_be_bytes());
            put(packet, at.time, time.as_bytes());
            put(packet, at.value, value.as_bytes());
            out.extend_from_slice(packet);
        }
        let ledger = &self.ledger;
        if let Some(slot) = ledger
            .slot(self.number as usize, code)
            .and_then(|s| ledger.sent.get(s))
        {
            slot.store(ledger.now(), Relaxed);
        }
        ledger.published.fetch_add(1, Relaxed);
        self.code += 1;
        self.waiting += 1;
    }

    async fn read(&mut self) -> Result<()> {
        self.stream.readable().await?;
        self.read_now()
    }

    /// A PUBACK of 3.1.1 is always four bytes.
    fn read_now(&mut self) -> Result<()> {
        let mut chunk = [0; 4096];
        let read = match self.stream.try_read(&mut chunk) {
            Ok(0) => bail!(
                "the server closed the connection of publisher {}",
                self.number
            ),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.unread
            .extend_from_slice(chunk.get(..read).unwrap_or_default());
        let whole = self.unread.len() / 4;
        if let Some(other) = self
            .unread
            .chunks_exact(4)
            .find(|ack| ack.first() != Some(&0x40))
        {
            bail!("instead of a PUBACK: {other:?}");
        }
        self.unread.drain(..whole * 4);
        self.waiting = self
            .waiting
            .checked_sub(whole as u64)
            .context("a PUBACK too many")?;
        self.ledger.acknowledged.fetch_add(whole as u64, Relaxed);
        Ok(())
    }

    async fn leave(mut self) -> Result<()> {
        if let Some(next) = self.ledger.next.get(self.number as usize) {
            next.store(self.code, Relaxed);
        }
        self.stream.write_all(&[0xE0, 0]).await?;
        Ok(())
    }
}

/// `dt/johannstadt/b12-07`.
pub(crate) fn asset(publisher: u32, asset: u32) -> String {
    format!("b{publisher:02}-{asset:02}")
}

fn packet(publisher: u32, number: u32) -> Vec<u8> {
    let topic = format!("dt/johannstadt/{}", asset(publisher, number));
    let mut payload = format!("{{\"t\":\"{TIME}\",\"pm10\":{VALUE}");
    payload.push_str(&" ".repeat(PAYLOAD - payload.len() - 1));
    payload.push('}');
    publish_packet(Version::V4, &topic, payload.as_bytes(), Some(1))
}

fn put(packet: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(part) = packet.get_mut(at..at + bytes.len()) {
        part.copy_from_slice(bytes);
    }
}
