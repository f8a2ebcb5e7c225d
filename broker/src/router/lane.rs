//! The one link that publishes to the router, for all clients.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};
use rumqttd::local::LinkTx;
use rumqttd::protocol::{Packet, Publish};
use tokio::sync::watch;

use super::Command;
use crate::envelope::{Draft, Envelope};

/// Topic of the markers, outside the prefix of all messages.
pub(super) const MARKER: &str = "c";
/// Most that may be under way, in bytes; a message weighs its size and [`OVERHEAD`].
pub(super) const WINDOW: u64 = 1 << 20;
const OVERHEAD: u64 = 512;
/// A marker after this much.
const STRIDE: u64 = WINDOW / 8;
/// What is kept to be published again, beyond what is under way: feeds may lag behind markers.
const KEPT: u64 = 2 * WINDOW;
/// Longest wait of a publisher on a thread of its own. Then it goes on: waiting can be in vain
/// only while the router is being replaced.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The lane. `pushed` and `confirmed` are weights since the start.
#[derive(Debug)]
pub(super) struct Lane {
    inner: Mutex<Inner>,
    pushed: AtomicU64,
    /// The router has appended everything up to here.
    confirmed: watch::Sender<u64>,
    blocked: (Mutex<()>, Condvar),
    commands: mpsc::Sender<Command>,
}

struct Inner {
    /// `None` while the router is being replaced.
    link: Option<LinkTx>,
    /// Of the last message.
    sequence: u64,
    weight: u64,
    marked: u64,
    /// The last messages, each with the weight up to and with it.
    recent: VecDeque<(u64, Envelope)>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}

impl Lane {
    /// A lane without a link: what is pushed waits for one.
    pub(super) fn new(commands: mpsc::Sender<Command>) -> Self {
        let inner = Inner {
            link: None,
            sequence: 0,
            weight: 0,
            marked: 0,
            recent: VecDeque::new(),
        };
        Self {
            inner: Mutex::new(inner),
            pushed: AtomicU64::new(0),
            confirmed: watch::Sender::new(0),
            blocked: (Mutex::new(()), Condvar::new()),
            commands,
        }
    }

    /// Whether more than [`WINDOW`] is under way.
    pub(super) fn congested(&self) -> bool {
        self.pushed
            .load(Relaxed)
            .saturating_sub(*self.confirmed.borrow())
            > WINDOW
    }

    /// See [`super::Router::progress`].
    pub(super) fn progress(&self) -> watch::Receiver<u64> {
        self.confirmed.subscribe()
    }

    /// See [`super::Router::wait`].
    pub(super) fn wait(&self) {
        let deadline = Instant::now() + LONGEST_WAIT;
        let mut guard = self.blocked.0.lock();
        while self.congested() {
            if self.blocked.1.wait_until(&mut guard, deadline).timed_out() {
                return;
            }
        }
    }

    /// The router has appended everything up to `weight`.
    pub(super) fn confirm(&self, weight: u64) {
        self.confirmed
            .send_modify(|confirmed| *confirmed = weight.max(*confirmed));
        drop(self.blocked.0.lock());
        self.blocked.1.notify_all();
    }

    /// Publishes in the order of the calls until it is dropped.
    pub(super) fn batch(&self) -> Batch<'_> {
        Batch {
            lane: self,
            inner: self.inner.lock(),
            held: None,
            tell: false,
        }
    }

    /// The sequence number of the last message.
    pub(super) fn sequence(&self) -> u64 {
        self.inner.lock().sequence
    }

    /// Sends a marker, so that progress is told even when nothing is published; the weight that it
    /// will confirm.
    pub(super) fn mark(&self) -> u64 {
        let mut batch = self.batch();
        batch.mark();
        batch.inner.weight
    }

    /// Sends an empty message that `filter` matches, a filter inside the router.
    pub(super) fn probe(&self, filter: &str) {
        let topic = filter.replace(['+', '#'], "~");
        self.batch().packet(topic.into(), Bytes::new());
    }

    /// Tells the router again of the messages in the buffer. False when its channel is still full
    /// or it is gone.
    pub(super) fn nudge(&self) -> bool {
        let mut inner = self.inner.lock();
        let marker = inner.marker();
        inner
            .link
            .as_mut()
            .is_some_and(|link| link.try_publish(MARKER, marker).is_ok())
    }

    /// Weight that the router has appended.
    pub(super) fn confirmed(&self) -> u64 {
        *self.confirmed.borrow()
    }

    /// Whether the router has appended everything.
    pub(super) fn settled(&self) -> bool {
        let inner = self.inner.lock();
        inner.weight <= *self.confirmed.borrow()
    }

    /// Exchanges the link. `connect` is called with the lane held, to connect all feeds and
    /// return the new link; then everything that may be lost is published again.
    pub(super) fn replace<E>(&self, connect: impl FnOnce() -> Result<LinkTx, E>) -> Result<(), E> {
        let mut batch = self.batch();
        batch.inner.link = None;
        batch.inner.link = Some(connect()?);
        let recent: Vec<Envelope> = batch.inner.recent.iter().map(|(_, e)| e.clone()).collect();
        for envelope in &recent {
            batch.hand_over(envelope);
        }
        batch.mark();
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn poison(&self) {
        if let Some(link) = self.inner.lock().link.as_mut() {
            link.publish("ä", Vec::new()).unwrap();
        }
    }
}

impl Inner {
    fn marker(&self) -> Vec<u8> {
        self.weight.to_le_bytes().to_vec()
    }
}

/// A held lane. Whoever puts a packet into the empty buffer has to tell the router; for those that
/// follow, that event is still on its way. The last packet is kept back, because rumqttd tells the
/// router only together with a packet.
pub(super) struct Batch<'a> {
    lane: &'a Lane,
    inner: MutexGuard<'a, Inner>,
    held: Option<(Bytes, Bytes)>,
    tell: bool,
}

impl Batch<'_> {
    /// See [`super::Batch::push`].
    pub(super) fn push(&mut self, draft: Draft) -> Envelope {
        let inner = &mut *self.inner;
        inner.sequence += 1;
        let envelope = draft.seal(inner.sequence);
        inner.weight += envelope.size() as u64 + OVERHEAD;
        inner.recent.push_back((inner.weight, envelope.clone()));
        self.hand_over(&envelope);
        if self.inner.weight - self.inner.marked >= STRIDE {
            self.mark();
        }
        envelope
    }

    fn mark(&mut self) {
        let inner = &mut *self.inner;
        inner.marked = inner.weight;
        let needed = self.lane.confirmed.borrow().saturating_sub(KEPT);
        while inner
            .recent
            .front()
            .is_some_and(|(weight, _)| *weight < needed)
        {
            inner.recent.pop_front();
        }
        let marker = inner.marker();
        self.packet(Bytes::from_static(MARKER.as_bytes()), marker.into());
    }

    fn hand_over(&mut self, envelope: &Envelope) {
        self.packet(envelope.router_topic(), envelope.router_payload());
    }

    fn packet(&mut self, topic: Bytes, payload: Bytes) {
        let Some(link) = &self.inner.link else { return };
        if let Some((topic, payload)) = self.held.replace((topic, payload)) {
            let mut buffer = link.buffer();
            self.tell |= buffer.is_empty();
            buffer.push_back(Packet::Publish(Publish::new(topic, payload, false), None));
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.lane.pushed.store(self.inner.weight, Relaxed);
        let Some((topic, payload)) = self.held.take() else {
            return;
        };
        let Some(link) = &mut self.inner.link else {
            return;
        };
        if !self.tell {
            let mut buffer = link.buffer();
            if !buffer.is_empty() {
                buffer.push_back(Packet::Publish(Publish::new(topic, payload, false), None));
                return;
            }
        }
        if link.try_publish(topic, payload).is_err() {
            let _ = self.lane.commands.send(Command::Nudge);
        }
    }
}
