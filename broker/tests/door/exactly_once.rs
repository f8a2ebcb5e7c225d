//! QoS 2 through a broker that is killed after each of its writes: exactly once, both ways.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use quartier_broker::Config;
use tokio::time::{Instant, sleep};

use crate::harness::{Door, SOON, TestDisk, TestIntake};
use crate::wire::{Connect, Wire};

const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;
const MESSAGES: usize = 4;

/// Sends its messages one after the other, all with packet identifier 1.
struct Sender {
    wire: Wire,
    topic: &'static str,
    sent: usize,
    done: usize,
    released: bool,
}

impl Sender {
    async fn new(door: &Door, topic: &'static str) -> Self {
        Self {
            wire: Wire::join(door.port, Connect::v5("sender").lasting()).await,
            topic,
            sent: 0,
            done: 0,
            released: false,
        }
    }

    async fn publish(&mut self, flags: u8) {
        let (topic, payload) = (self.topic, self.sent.to_string());
        self.wire.publish_with(topic, &payload, flags, 1, &[]).await;
    }

    async fn resume(&mut self, door: &Door) {
        self.wire = Wire::join(door.port, Connect::v5("sender").lasting()).await;
        assert!(self.wire.session_present());
        match (self.sent > self.done, self.released) {
            (true, true) => self.wire.ack(PUBREL, 1).await,
            (true, false) => self.publish(0x0C).await,
            (false, _) => {}
        }
    }

    /// Answers everything that has come.
    async fn pump(&mut self) {
        if self.sent == self.done && self.done < MESSAGES {
            self.sent += 1;
            self.publish(0x04).await;
        }
        self.wire.send(&[0xC0, 0]).await;
        loop {
            match self.wire.packet().await.expect("open").0 {
                0xD0 => return,
                PUBREC => {
                    self.released = true;
                    self.wire.ack(PUBREL, 1).await;
                }
                PUBCOMP => (self.done, self.released) = (self.sent, false),
                other => panic!("{other:#x}"),
            }
        }
    }
}

/// Receives as the specification asks: what it has under an identifier it has until PUBREL.
struct Receiver {
    wire: Wire,
    held: HashSet<u16>,
    got: Vec<String>,
}

impl Receiver {
    async fn new(door: &Door) -> Self {
        let wire = Wire::join(door.port, Connect::v5("receiver").lasting()).await;
        assert!(wire.session_present());
        Self {
            wire,
            held: HashSet::new(),
            got: Vec::new(),
        }
    }

    async fn pump(&mut self) {
        self.wire.send(&[0xC0, 0]).await;
        loop {
            let (first, body) = self.wire.packet().await.expect("open");
            match first {
                0xD0 => return,
                PUBREL => {
                    let pkid = u16::from_be_bytes([body[0], body[1]]);
                    self.held.remove(&pkid);
                    self.wire.ack(PUBCOMP, pkid).await;
                }
                _ if first & 0xF6 == 0x34 => {
                    let at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                    let pkid = u16::from_be_bytes([body[at], body[at + 1]]);
                    if self.held.insert(pkid) {
                        let payload = &body[at + 3..];
                        self.got.push(String::from_utf8_lossy(payload).into_owned());
                    }
                    self.wire.ack(PUBREC, pkid).await;
                }
                other => panic!("{other:#x}"),
            }
        }
    }
}

/// A disk on which both sessions are, with their subscription.
async fn both_known(filter: &str) -> TestDisk {
    let door = Door::open().await;
    let mut receiver = Wire::join(door.port, Connect::v5("receiver").lasting()).await;
    receiver.subscribe(1, filter, 2).await;
    receiver.leave().await;
    let sender = Wire::join(door.port, Connect::v5("sender").lasting()).await;
    sender.leave().await;
    door.settled().await;
    TestDisk::after(&door.disk, u64::MAX)
}

/// Pumps both until `over`.
async fn pump(
    what: &str,
    sender: &mut Sender,
    receiver: &mut Receiver,
    over: impl Fn(&Sender, &Receiver) -> bool,
) {
    let deadline = Instant::now() + SOON;
    while !over(sender, receiver) {
        assert!(
            Instant::now() < deadline,
            "{what}: {} of {} done, {:?}",
            sender.done,
            sender.sent,
            receiver.got
        );
        sender.pump().await;
        receiver.pump().await;
        sleep(Duration::from_micros(500)).await;
    }
}

fn finished(sender: &Sender, receiver: &Receiver) -> bool {
    sender.done == MESSAGES && receiver.got.len() >= MESSAGES && receiver.held.is_empty()
}

fn wanted() -> Vec<String> {
    (1..=MESSAGES).map(|n| n.to_string()).collect()
}

async fn killed_after_each_write(filter: &str, topic: &'static str) {
    let known = both_known(filter).await;
    for writes in 0.. {
        let intake = TestIntake::new();
        intake.all_durable();
        let disk = Arc::new(TestDisk::after(&known, writes));
        let door = Door::over(Config::default(), disk, intake).await;
        let mut sender = Sender::new(&door, topic).await;
        let mut receiver = Receiver::new(&door).await;
        let what = format!("killed after {writes} writes");
        pump(&what, &mut sender, &mut receiver, |sender, receiver| {
            door.stats().disk_failures > 0 || finished(sender, receiver)
        })
        .await;
        // Whatever the broker has still to say, it says.
        for _ in 0..2 {
            sender.pump().await;
            receiver.pump().await;
        }
        let whole = door.stats().disk_failures == 0;
        let second = door.killed().await;
        sender.resume(&second).await;
        let Receiver { held, got, .. } = receiver;
        receiver = Receiver::new(&second).await;
        (receiver.held, receiver.got) = (held, got);
        pump(&what, &mut sender, &mut receiver, finished).await;
        sender.pump().await;
        receiver.pump().await;
        assert_eq!(receiver.got, wanted(), "{what}");
        if topic.starts_with("dt/") {
            // Durable in the log and not yet as received: the log has it once more, which the
            // twin does not mind.
            let mut taken = second.intake.payloads();
            taken.dedup();
            assert_eq!(taken, wanted(), "{what}");
        }
        if whole {
            assert!(writes > 5, "the exchange takes some writes");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_after_any_write_delivers_exactly_once_by_wildcard() {
    killed_after_each_write("x/#", "x/y").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_after_any_write_delivers_exactly_once_by_topic() {
    killed_after_each_write("x", "x").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_after_any_write_delivers_telemetry_exactly_once() {
    killed_after_each_write("dt/#", "dt/q/a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_that_the_log_lost_is_taken_again_and_not_delivered_again() {
    let known = both_known("dt/+/a").await;
    let intake = TestIntake::new();
    let disk = Arc::new(known);
    let door = Door::over(Config::default(), disk, intake).await;
    let mut sender = Sender::new(&door, "dt/q/a").await;
    let mut receiver = Receiver::new(&door).await;
    pump("delivered", &mut sender, &mut receiver, |_, receiver| {
        receiver.got.len() == 1
    })
    .await;
    door.settled().await;
    door.intake.lose();
    assert_eq!(door.intake.count(), 0);
    let second = door.killed().await;
    sender.resume(&second).await;
    second.until("taken again", |d| d.intake.count() == 1).await;
    second.intake.all_durable();
    let Receiver { held, got, .. } = receiver;
    receiver = Receiver::new(&second).await;
    (receiver.held, receiver.got) = (held, got);
    pump("all", &mut sender, &mut receiver, finished).await;
    assert_eq!(receiver.got, wanted());
    assert_eq!(second.intake.payloads(), wanted());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_not_on_disk_is_not_sent_so_that_no_other_takes_its_place() {
    let disk = Arc::new(both_known("x").await);
    let door = Door::over(Config::default(), disk, TestIntake::new()).await;
    let mut sender = Sender::new(&door, "x").await;
    let mut receiver = Receiver::new(&door).await;
    door.settled().await;
    door.disk.stop();
    sender.pump().await;
    door.until("it is not written", |d| d.stats().disk_failures > 0)
        .await;
    receiver.pump().await;
    let second = door.killed().await;
    let mut other = second.v3("other").await;
    other.publish("x", "other", 2, 1).await;
    other.expect(PUBREC, &[0, 1]).await;
    sender.resume(&second).await;
    let Receiver { held, got, .. } = receiver;
    receiver = Receiver::new(&second).await;
    (receiver.held, receiver.got) = (held, got);
    pump("both", &mut sender, &mut receiver, |sender, receiver| {
        sender.done >= 1 && receiver.got.len() >= 2 && receiver.held.is_empty()
    })
    .await;
    let got = &receiver.got;
    let count = |payload: &str| got.iter().filter(|one| *one == payload).count();
    assert_eq!((count("other"), count("1")), (1, 1), "{got:?}");
}
