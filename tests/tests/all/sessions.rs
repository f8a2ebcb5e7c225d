//! Sessions that are kept, over kill -9 and SIGTERM: QoS 1 at least once, QoS 2 exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use quartier_tests::{
    Client, ConnectOptions, Load, LoadOptions, Node, NodeConfig, Packet, Random, Version, pause,
    publish_packet,
};
use serde_json::Value;

const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;
/// Messages of a publisher in flight, and the few packet identifiers that it uses again and again.
const IN_FLIGHT: usize = 20;
const IDENTIFIERS: u16 = 40;
const PATIENCE: Duration = Duration::from_secs(120);

fn kept(id: &str) -> ConnectOptions<'_> {
    ConnectOptions {
        clean: false,
        ..ConnectOptions::new(id)
    }
}

fn acknowledge(client: &mut Client, kind: u8, id: u16) {
    let [high, low] = id.to_be_bytes();
    client.raw(&[kind, 2, high, low]);
}

fn identifier(body: &[u8]) -> u16 {
    u16::from_be_bytes([body[0], body[1]])
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Published,
    Released,
}

/// Publishes numbers, and remembers what MQTT asks a client to remember.
struct Publisher {
    qos: u8,
    topic: String,
    next: u64,
    last_identifier: u16,
    /// By the order of sending.
    in_flight: BTreeMap<u64, (u16, Step)>,
}

impl Publisher {
    fn send(&self, client: &mut Client, number: u64, id: u16, again: bool) {
        let payload = number.to_string();
        let mut packet = publish_packet(Version::V4, &self.topic, payload.as_bytes(), Some(id));
        packet[0] = 0x30 | (self.qos << 1) | (u8::from(again) << 3);
        client.raw(&packet);
    }

    fn resume(&self, client: &mut Client) {
        for (number, (id, step)) in &self.in_flight {
            match step {
                Step::Published => self.send(client, *number, *id, true),
                Step::Released => acknowledge(client, PUBREL, *id),
            }
        }
    }

    fn fill(&mut self, client: &mut Client) {
        while self.in_flight.len() < IN_FLIGHT {
            let used: BTreeSet<u16> = self.in_flight.values().map(|(id, _)| *id).collect();
            while used.contains(&self.last_identifier) || self.last_identifier == 0 {
                self.last_identifier = self.last_identifier % IDENTIFIERS + 1;
            }
            let (number, id) = (self.next, self.last_identifier);
            self.next += 1;
            self.in_flight.insert(number, (id, Step::Published));
            self.send(client, number, id, false);
        }
    }

    fn answered(&mut self, client: &mut Client, packet: &Packet) {
        let (kind, id) = match packet {
            Packet::PubAck(id, _) => (0x40, *id),
            Packet::Other(first, body) => (*first, identifier(body)),
            _ => return,
        };
        let number = self.in_flight.iter().find(|(_, (used, _))| *used == id);
        let Some(number) = number.map(|(number, _)| *number) else {
            return;
        };
        if kind == PUBREC {
            self.in_flight.insert(number, (id, Step::Released));
            acknowledge(client, PUBREL, id);
        } else {
            self.in_flight.remove(&number);
        }
    }

    fn live(&mut self, server: SocketAddr, ending: &AtomicBool) -> io::Result<()> {
        let name = format!("publisher-{}", self.qos);
        let (mut client, _) = Client::connect(server, &kept(&name))?;
        self.resume(&mut client);
        loop {
            if !ending.load(SeqCst) {
                self.fill(&mut client);
            } else if self.in_flight.is_empty() {
                return Ok(());
            }
            client.flush()?;
            if let Some(packet) = client.receive(Duration::from_millis(50))? {
                self.answered(&mut client, &packet);
            }
        }
    }

    /// How many were published, all of them acknowledged.
    fn run(mut self, server: SocketAddr, ending: &AtomicBool) -> u64 {
        let started = Instant::now();
        while self.live(server, ending).is_err() {
            assert!(started.elapsed() < PATIENCE, "the publisher never ends");
            pause(Duration::from_millis(10));
        }
        self.next
    }
}

/// Receives numbers.
struct Subscriber {
    qos: u8,
    /// In the order received, without repetitions that QoS 2 tells apart.
    received: Arc<Mutex<Vec<u64>>>,
    held: BTreeSet<u16>,
    wanted: Arc<AtomicU64>,
}

impl Subscriber {
    fn got(&mut self, client: &mut Client, packet: &Packet) {
        match packet {
            Packet::Publish {
                payload,
                id: Some(id),
                ..
            } => {
                let number = String::from_utf8_lossy(payload).parse().unwrap();
                if self.qos == 1 {
                    self.received.lock().unwrap().push(number);
                    client.acknowledge(Some(*id));
                } else {
                    if self.held.insert(*id) {
                        self.received.lock().unwrap().push(number);
                    }
                    acknowledge(client, PUBREC, *id);
                }
            }
            Packet::Other(PUBREL, body) => {
                self.held.remove(&identifier(body));
                acknowledge(client, PUBCOMP, identifier(body));
            }
            _ => {}
        }
    }

    fn has_all(&self) -> bool {
        let received = self.received.lock().unwrap();
        received.iter().collect::<BTreeSet<_>>().len() as u64 >= self.wanted.load(SeqCst)
    }

    fn live(&mut self, server: SocketAddr) -> io::Result<()> {
        let name = format!("subscriber-{}", self.qos);
        let (mut client, _) = Client::connect(server, &kept(&name))?;
        while !self.has_all() {
            if let Some(packet) = client.receive(Duration::from_millis(50))? {
                self.got(&mut client, &packet);
            }
            while let Some(packet) = client.next_packet() {
                self.got(&mut client, &packet);
            }
            client.flush()?;
        }
        // What is sent once too often comes now.
        while let Some(packet) = client.receive(Duration::from_millis(300))? {
            self.got(&mut client, &packet);
            client.flush()?;
        }
        Ok(())
    }

    fn run(mut self, server: SocketAddr) {
        let started = Instant::now();
        while self.live(server).is_err() {
            assert!(started.elapsed() < PATIENCE, "the subscriber never has all");
            pause(Duration::from_millis(10));
        }
    }
}

/// A publisher and a subscriber of one quality, while `trouble` happens; how many were published,
/// and what was received.
fn under(node: &mut Node, qos: u8, trouble: impl FnOnce(&mut Node)) -> (u64, Vec<u64>) {
    let server = node.mqtt();
    let topic = format!("app/{qos}");
    let name = format!("subscriber-{qos}");
    let (mut client, _) = Client::connect(server, &kept(&name)).unwrap();
    let (granted, _) = client.subscribe(&topic, qos).unwrap();
    assert_eq!(granted, [qos]);
    drop(client);
    let received = Arc::<Mutex<Vec<u64>>>::default();
    let wanted = Arc::new(AtomicU64::new(u64::MAX));
    let ending = Arc::new(AtomicBool::new(false));
    let subscriber = Subscriber {
        qos,
        received: Arc::clone(&received),
        held: BTreeSet::new(),
        wanted: Arc::clone(&wanted),
    };
    let publisher = Publisher {
        qos,
        topic,
        next: 0,
        last_identifier: 0,
        in_flight: BTreeMap::new(),
    };
    let end = Arc::clone(&ending);
    let publishing = thread::spawn(move || publisher.run(server, &end));
    let receiving = thread::spawn(move || subscriber.run(server));
    pause(Duration::from_millis(300));
    trouble(node);
    ending.store(true, SeqCst);
    let published = publishing.join().unwrap();
    wanted.store(published, SeqCst);
    receiving.join().unwrap();
    let received = std::mem::take(&mut *received.lock().unwrap());
    (published, received)
}

fn kill_ten_times(node: &mut Node) {
    let mut random = Random::new();
    for _ in 0..10 {
        pause(Duration::from_millis(random.within(20..500)));
        node.kill9();
        node.restart();
    }
    pause(Duration::from_millis(300));
}

fn missing(published: u64, received: &[u64]) -> Vec<u64> {
    let received: BTreeSet<u64> = received.iter().copied().collect();
    (0..published).filter(|n| !received.contains(n)).collect()
}

#[test]
fn qos_2_is_exactly_once_over_kill_9_with_sessions_on_both_sides() {
    let mut node = Node::start(NodeConfig::of("johannstadt"));
    let (published, received) = under(&mut node, 2, kill_ten_times);
    assert!(published > 200, "too few to mean anything: {published}");
    assert_eq!(missing(published, &received), Vec::<u64>::new());
    assert_eq!(received.len() as u64, published, "some came twice");
}

#[test]
fn qos_1_is_at_least_once_over_kill_9_with_sessions_on_both_sides() {
    let mut node = Node::start(NodeConfig::of("johannstadt"));
    let (published, received) = under(&mut node, 1, kill_ten_times);
    assert!(published > 200, "too few to mean anything: {published}");
    assert_eq!(missing(published, &received), Vec::<u64>::new());
}

#[test]
fn sigterm_loses_and_doubles_nothing_of_qos_2() {
    let mut node = Node::start(NodeConfig::of("johannstadt"));
    let (published, received) = under(&mut node, 2, |node| {
        for _ in 0..3 {
            pause(Duration::from_millis(300));
            assert!(node.terminate().success());
            node.restart();
        }
    });
    assert_eq!(missing(published, &received), Vec::<u64>::new());
    assert_eq!(received.len() as u64, published, "some came twice");
}

/// Asset and value of a message of the twin.
fn reading(packet: &Packet) -> Option<(String, u64)> {
    let Packet::Publish { topic, payload, .. } = packet else {
        return None;
    };
    let asset = topic.split('/').nth(4)?.to_owned();
    let value: Value = serde_json::from_slice(payload).ok()?;
    Some((asset, value.get("value")?.as_f64()? as u64))
}

#[test]
fn a_utility_that_is_away_misses_no_reading_of_a_node_that_is_killed() {
    let mut node = Node::start(NodeConfig::of("johannstadt"));
    let filter = "twin/v1/johannstadt/#";
    let (mut client, _) = Client::connect(node.mqtt(), &kept("utility")).unwrap();
    assert_eq!(client.subscribe(filter, 1).unwrap().0, [1]);
    drop(client);
    pause(Duration::from_millis(100));
    let options = LoadOptions {
        most: 5_000,
        ..LoadOptions::new("johannstadt", 3)
    };
    let load = Load::start(node.mqtt(), &options);
    kill_ten_times(&mut node);
    let sent = load.finish(PATIENCE);
    node.settle();

    let mut missing: BTreeMap<String, BTreeSet<u64>> = sent
        .iter()
        .map(|one| (one.asset.clone(), (0..one.acknowledged).collect()))
        .collect();
    let (mut client, _) = Client::connect(node.mqtt(), &kept("utility")).unwrap();
    let started = Instant::now();
    while missing.values().any(|left| !left.is_empty()) {
        let left = || missing.iter().map(|(asset, left)| (asset, left.len()));
        assert!(
            started.elapsed() < PATIENCE,
            "never came: {:?}",
            left().collect::<Vec<_>>()
        );
        let packet = client.receive(Duration::from_secs(5)).unwrap();
        let Some(packet) = packet else {
            panic!(
                "nothing more comes, and there are left: {:?}",
                left().collect::<Vec<_>>()
            )
        };
        if let Some((asset, value)) = reading(&packet)
            && let Some(left) = missing.get_mut(&asset)
        {
            left.remove(&value);
        }
        if let Packet::Publish { id, .. } = packet {
            client.acknowledge(id);
            client.flush().unwrap();
        }
    }
}
