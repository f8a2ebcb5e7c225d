//! Load as real devices make it: QoS 1, many in flight, event times of their own, and after a
//! lost connection everything that was not acknowledged is sent again, in order.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::mqtt::{Client, ConnectOptions, Packet, Version};
use crate::wait::pause;

/// Event time of reading 0, milliseconds since 1970: 2026-01-01T00:00:00Z.
pub const EPOCH_MS: u64 = 1_767_225_600_000;
/// Milliseconds between the event times of two readings of a device.
pub const STEP_MS: u64 = 10;

/// What load to make.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Id of the quarter.
    pub quarter: String,
    /// Name of the metric; it takes values 0, 1, 2, ...
    pub metric: String,
    /// Devices, each with its own connection.
    pub devices: usize,
    /// Publishes of a device that wait for their acknowledgement, at most.
    pub in_flight: usize,
    /// Readings of a device at most.
    pub most: u64,
    /// Every second device speaks MQTT 5; otherwise all speak 3.1.1.
    pub mixed_versions: bool,
}

impl LoadOptions {
    /// `devices` devices of `quarter` that count up `uptime`, without end, 50 in flight.
    pub fn new(quarter: &str, devices: usize) -> Self {
        Self {
            quarter: quarter.to_owned(),
            metric: "uptime".to_owned(),
            devices,
            in_flight: 50,
            most: u64::MAX,
            mixed_versions: true,
        }
    }
}

/// What a device has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Id of the asset.
    pub asset: String,
    /// Readings acknowledged: values 0 to this number less one, in order.
    pub acknowledged: u64,
}

#[derive(Debug, Default)]
struct Shared {
    /// No new readings; what is in flight is still to be acknowledged.
    draining: AtomicBool,
    /// End at once.
    abandoned: AtomicBool,
    refused: AtomicU64,
}

/// Running load.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    endless: bool,
    devices: Vec<(String, Arc<AtomicU64>, Option<JoinHandle<()>>)>,
}

impl Load {
    /// Starts the devices; they wait for the server as long as it takes.
    pub fn start(server: SocketAddr, options: &LoadOptions) -> Self {
        let shared = Arc::new(Shared::default());
        let devices = (0..options.devices).map(|number| {
            let asset = format!("device-{number}");
            let acknowledged = Arc::new(AtomicU64::new(0));
            let version = if options.mixed_versions && number % 2 == 1 {
                Version::V5
            } else {
                Version::V4
            };
            let mut device = Device {
                server,
                id: asset.clone(),
                version,
                topic: format!("dt/{}/{asset}/{}", options.quarter, options.metric),
                in_flight: options.in_flight,
                most: options.most,
                next: 0,
                waiting: VecDeque::new(),
                acknowledged: Arc::clone(&acknowledged),
                shared: Arc::clone(&shared),
            };
            let thread = thread::spawn(move || device.run());
            (asset, acknowledged, Some(thread))
        });
        Self {
            devices: devices.collect(),
            endless: options.most == u64::MAX,
            shared,
        }
    }

    /// What is acknowledged by now.
    pub fn acknowledged(&self) -> Vec<Sent> {
        let sent = |(asset, acknowledged, _): &(String, Arc<AtomicU64>, _)| Sent {
            asset: asset.clone(),
            acknowledged: acknowledged.load(Ordering::SeqCst),
        };
        self.devices.iter().map(sent).collect()
    }

    /// Readings acknowledged by now, of all devices.
    pub fn total(&self) -> u64 {
        self.acknowledged()
            .iter()
            .map(|sent| sent.acknowledged)
            .sum()
    }

    /// MQTT 5 publishes that were refused with 0x97 by now.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// Returns when everything is acknowledged: all there is of load with an end
    /// ([`LoadOptions::most`]), and of endless load, which makes no new readings from here on, all
    /// that was sent. Panics at the deadline.
    pub fn finish(mut self, within: Duration) -> Vec<Sent> {
        self.shared.draining.store(self.endless, Ordering::SeqCst);
        let end = Instant::now() + within;
        while self
            .devices
            .iter()
            .any(|(_, _, t)| t.as_ref().is_some_and(|t| !t.is_finished()))
        {
            assert!(
                Instant::now() < end,
                "not all that was sent was acknowledged within {within:?}: {:?}",
                self.acknowledged()
            );
            pause(Duration::from_millis(5));
        }
        for (asset, _, thread) in &mut self.devices {
            let ended = thread.take().is_none_or(|thread| thread.join().is_ok());
            assert!(ended, "{asset} panicked");
        }
        self.acknowledged()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.abandoned.store(true, Ordering::SeqCst);
        for (_, _, thread) in &mut self.devices {
            let _ = thread.take().map(JoinHandle::join);
        }
    }
}

struct Device {
    server: SocketAddr,
    id: String,
    version: Version,
    topic: String,
    in_flight: usize,
    most: u64,
    /// Number of the next new reading.
    next: u64,
    /// Readings that are not acknowledged, oldest first, and whether they are now.
    waiting: VecDeque<(u64, bool)>,
    acknowledged: Arc<AtomicU64>,
    shared: Arc<Shared>,
}

impl Device {
    fn run(&mut self) {
        while !self.done() {
            // A lost connection is what this load is about.
            let _ = self.session();
            pause(Duration::from_millis(5));
        }
    }

    fn done(&self) -> bool {
        let drained = self.shared.draining.load(Ordering::SeqCst) && self.waiting.is_empty();
        drained
            || self.shared.abandoned.load(Ordering::SeqCst)
            || (self.next >= self.most && self.waiting.is_empty())
    }

    /// One connection: first what was not acknowledged, then new readings.
    fn session(&mut self) -> io::Result<()> {
        let options = ConnectOptions {
            version: self.version,
            ..ConnectOptions::new(&self.id)
        };
        let (mut client, code) = Client::connect(self.server, &options)?;
        if code != 0 {
            return Err(io::Error::other(format!("refused: {code}")));
        }
        for (number, _) in &self.waiting {
            client.publish(
                &self.topic,
                payload(*number).as_bytes(),
                Some(packet_id(*number)),
                true,
            );
        }
        while !self.done() {
            let draining = self.shared.draining.load(Ordering::SeqCst);
            while !draining && self.waiting.len() < self.in_flight && self.next < self.most {
                let (number, id) = (self.next, packet_id(self.next));
                client.publish(&self.topic, payload(number).as_bytes(), Some(id), false);
                self.waiting.push_back((number, false));
                self.next += 1;
            }
            client.flush()?;
            let mut packet = client.receive(Duration::from_millis(50))?;
            while let Some(received) = packet {
                self.take(&received)?;
                packet = client.next_packet();
            }
        }
        Ok(())
    }

    fn take(&mut self, packet: &Packet) -> io::Result<()> {
        let Packet::PubAck(id, reason) = packet else {
            return Ok(());
        };
        if *reason >= 0x80 {
            self.shared.refused.fetch_add(1, Ordering::SeqCst);
            // Not taken: it stays, and is sent again on the next connection.
            return Err(io::Error::other("refused"));
        }
        if let Some(entry) = self
            .waiting
            .iter_mut()
            .find(|(number, _)| packet_id(*number) == *id)
        {
            entry.1 = true;
        }
        while let Some((number, true)) = self.waiting.front() {
            self.acknowledged.store(number + 1, Ordering::SeqCst);
            self.waiting.pop_front();
        }
        Ok(())
    }
}

fn packet_id(number: u64) -> u16 {
    u16::try_from(number % 60_000).unwrap_or(0) + 1
}

fn payload(number: u64) -> String {
    // Milliseconds as SenML would not: the time is text, so that no guess about units is needed.
    let time = jiff::Timestamp::from_millisecond(
        i64::try_from(EPOCH_MS + number * STEP_MS).unwrap_or(i64::MAX),
    );
    let time = time.map(|time| time.to_string()).unwrap_or_default();
    format!("{{\"value\":{number},\"time\":\"{time}\"}}")
}
