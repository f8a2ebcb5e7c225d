//! The task of a wildcard filter: from its link to its subscribers.

use std::sync::Arc;
use std::time::Instant;

use rumqttd::local::{LinkError, LinkRx, LinkTx};
use rumqttd::{Forward, Notification};
use tokio::sync::mpsc;
use tracing::warn;

use super::Command;
use crate::envelope::Envelope;
use crate::session::QueueLimit;
use crate::stats::Counters;
use crate::subscriptions::Feed;

/// Messages that a reader keeps room for.
const KEPT: usize = 256;

/// What all feeds share: the way to sessions, and back to the router's threads.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) limit: QueueLimit,
    pub(super) counters: Arc<Counters>,
    pub(super) commands: std::sync::mpsc::Sender<Command>,
}

/// A link of a feed. Only the reader tells the router anything on it, and gives the sending half
/// back at the end: whatever came after a link was closed would end the router.
pub(super) struct Link {
    pub(super) tx: LinkTx,
    pub(super) rx: LinkRx,
    pub(super) begin: Begin,
}

/// How a link begins, so that it is known what comes next.
pub(super) enum Begin {
    /// With the first message of a new log.
    FirstOfLog,
    /// With these messages.
    Early(Vec<Forward>),
}

/// A feed that the router serves.
pub(super) struct Reader {
    feed: Arc<Feed>,
    delivery: Delivery,
    /// Links of this feed, one after the other; the task ends with their sender.
    links: mpsc::UnboundedReceiver<Link>,
    /// Sequence number of the last message; a new router sends some again.
    seen: u64,
    /// Offset that the next message must have in the log of this router.
    next: Option<u64>,
    batch: Vec<Envelope>,
}

impl Reader {
    /// A reader of what follows message `seen`.
    pub(super) fn new(
        feed: Arc<Feed>,
        delivery: Delivery,
        links: mpsc::UnboundedReceiver<Link>,
        seen: u64,
    ) -> Self {
        Self {
            feed,
            delivery,
            links,
            seen,
            next: None,
            batch: Vec::new(),
        }
    }

    /// Delivers until the feed is detached, and asks for its link to be closed.
    pub(super) async fn run(mut self) {
        let mut next = self.links.recv().await;
        while let Some(Link { tx, mut rx, begin }) = next.take() {
            self.begin(begin);
            next = self.read(&mut rx).await;
            if next.is_none() {
                // Without a supervisor nobody uses the router any more.
                let _ = self.delivery.commands.send(Command::Close(tx));
            }
        }
    }

    /// Delivers from one link until there is another one, or none any more.
    async fn read(&mut self, rx: &mut LinkRx) -> Option<Link> {
        loop {
            tokio::select! {
                // What the old link still holds comes before the new link.
                biased;
                first = rx.next() => {
                    let Ok(first) = first else { return self.links.recv().await };
                    let paused = self.drain(rx, first);
                    self.deliver();
                    if paused && rx.wake().await.is_err() {
                        return self.links.recv().await;
                    }
                    tokio::task::yield_now().await;
                }
                next = self.links.recv() => return next,
            }
        }
    }

    fn begin(&mut self, begin: Begin) {
        match begin {
            Begin::FirstOfLog => self.next = Some(0),
            Begin::Early(early) => {
                self.next = None;
                early.into_iter().for_each(|forward| self.forward(forward));
                self.deliver();
            }
        }
    }

    /// Takes all there is without waiting; true when the router waits to be told to go on.
    fn drain(&mut self, link: &mut LinkRx, first: Option<Notification>) -> bool {
        let mut paused = self.take(first);
        loop {
            match link.recv_deadline(Instant::now()) {
                Ok(next) => paused |= self.take(next),
                Err(LinkError::RecvTimeout(_)) => return paused,
                // Seen again, and acted upon, by the next wait.
                Err(_) => return paused,
            }
        }
    }

    fn take(&mut self, notification: Option<Notification>) -> bool {
        match notification {
            Some(Notification::Forward(forward)) => {
                self.forward(forward);
                false
            }
            Some(Notification::Unschedule) => true,
            _ => false,
        }
    }

    fn forward(&mut self, forward: Forward) {
        if let Some((_, offset)) = forward.cursor {
            if self.next.is_some_and(|next| next != offset) {
                self.lost();
            }
            self.next = Some(offset + 1);
        }
        if let Some(envelope) = Envelope::from_router(forward.publish.payload)
            && envelope.sequence() > self.seen
        {
            self.seen = envelope.sequence();
            self.batch.push(envelope);
        }
    }

    /// The router has dropped messages of this feed before they were read.
    fn lost(&mut self) {
        self.deliver();
        self.delivery.counters.router_jumps.add(1);
        warn!(filter = %self.feed.filter, "the router dropped messages, subscribers disconnected");
        for subscriber in self.feed.subscribers.read().iter() {
            subscriber.session.overrun();
        }
    }

    fn deliver(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let Delivery {
            limit, counters, ..
        } = &self.delivery;
        for subscriber in self.feed.subscribers.read().iter() {
            subscriber.session.deliver(
                self.batch.iter(),
                &self.feed.filter,
                &subscriber.terms,
                *limit,
                counters,
            );
        }
        self.batch.clear();
        self.batch.shrink_to(KEPT);
    }
}
