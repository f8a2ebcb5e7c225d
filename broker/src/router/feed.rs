//! The task of a wildcard filter: from its link to its subscribers.

use std::sync::Arc;
use std::time::Instant;

use rumqttd::local::{LinkError, LinkRx};
use rumqttd::{Forward, Notification};
use tokio::sync::mpsc;
use tracing::warn;

use crate::envelope::Envelope;
use crate::session::QueueLimit;
use crate::stats::Counters;
use crate::subscriptions::Feed;

/// How messages get from a feed to sessions.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) limit: QueueLimit,
    pub(super) counters: Arc<Counters>,
}

/// A feed that the router serves.
pub(super) struct Reader {
    feed: Arc<Feed>,
    delivery: Delivery,
    /// Links of this feed, one after the other; the task ends with their sender.
    links: mpsc::UnboundedReceiver<LinkRx>,
    /// Sequence number of the last message; a new router sends some again.
    seen: u64,
    /// Offset of the last message in the log of this router.
    offset: Option<u64>,
    batch: Vec<Envelope>,
}

impl Reader {
    /// A reader of what follows message `seen`.
    pub(super) fn new(
        feed: Arc<Feed>,
        delivery: Delivery,
        links: mpsc::UnboundedReceiver<LinkRx>,
        seen: u64,
    ) -> Self {
        Self {
            feed,
            delivery,
            links,
            seen,
            offset: None,
            batch: Vec::new(),
        }
    }

    /// Delivers until the feed is detached.
    pub(super) async fn run(mut self) {
        let mut next_link = self.links.recv().await;
        while let Some(mut link) = next_link.take() {
            self.offset = None;
            next_link = loop {
                tokio::select! {
                    // What the old link still holds comes before the new link.
                    biased;
                    first = link.next() => {
                        let Ok(first) = first else { break self.links.recv().await };
                        let paused = self.drain(&mut link, first);
                        self.deliver();
                        if paused && link.wake().await.is_err() {
                            break self.links.recv().await;
                        }
                        tokio::task::yield_now().await;
                    }
                    next = self.links.recv() => break next,
                }
            };
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
            if self.offset.is_some_and(|last| offset != last + 1) {
                self.lost();
            }
            self.offset = Some(offset);
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
        let Delivery { limit, counters } = &self.delivery;
        for subscriber in self.feed.subscribers.read().iter() {
            subscriber
                .session
                .deliver(self.batch.iter(), &subscriber.terms, *limit, counters);
        }
        self.batch.clear();
    }
}
