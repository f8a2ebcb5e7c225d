//! Fan-out by rumqttd's router, kept to the part of it that is sound.
//!
//! - One link ([`lane::Lane`]) publishes for everybody; one link for each distinct wildcard filter
//!   ([`feed`]) receives for all its subscribers. A link never carries a QoS above 0, a will, a
//!   `$` topic, a topic alias, and its session is clean.
//! - Links are built and closed by one thread ([`supervisor`]), because building and subscribing
//!   block. Publishing does not: the packets go into the link's buffer, and the router's channel
//!   holds at most one event for all of them. Feeds are tasks, because receiving is asynchronous
//!   in rumqttd already, and all of them run on one more thread.
//! - The router's logs are short. Markers through the lane tell how far the router has come, and
//!   who publishes waits while more than [`lane::WINDOW`] is under way. The markers are read by a
//!   task among the feeds: one thread runs its tasks in turn, so no feed is left behind while
//!   markers are confirmed. On the workers one was, as soon as all of them had work. A feed that
//!   still loses messages sees it by the gap in their offsets, and its subscribers are
//!   disconnected.
//! - The lane keeps what is under way, so that a router that died is replaced without a loss: all
//!   of it is published again, and each feed skips what it has seen.

mod feed;
mod lane;
mod link;
mod supervisor;

use std::sync::{Arc, mpsc};
use std::thread;

use rumqttd::local::LinkTx;
use tokio::sync::{oneshot, watch};

use crate::envelope::{Draft, Envelope};
use crate::session::QueueLimit;
use crate::stats::Counters;
use crate::subscriptions::Feed;

pub(crate) use link::LinkFailed;

/// Markers that must come back until all feeds have had their turn.
const TURNS: usize = 3;

/// What the supervisor is asked to do.
enum Command {
    /// Have the router serve a feed; answered once it does.
    Attach(Arc<Feed>, oneshot::Sender<Result<(), LinkFailed>>),
    /// The feed has no subscribers any more.
    Detach(Arc<Feed>),
    /// A feed has ended and nothing will be said on its link any more.
    Close(LinkTx),
    /// The router built as the given number is gone.
    Dead(u64),
    /// The lane could not tell the router of new messages: its channel was full.
    Nudge,
    /// End.
    Stop,
}

/// A handle to the router.
#[derive(Debug)]
pub(crate) struct Router {
    lane: Arc<lane::Lane>,
    commands: mpsc::Sender<Command>,
}

impl Router {
    /// Starts router and supervisor; feeds run as tasks of the current tokio runtime.
    ///
    /// # Errors
    /// No thread could be started or the router did not answer.
    pub(crate) fn start(limit: QueueLimit, counters: Arc<Counters>) -> Result<Self, LinkFailed> {
        let (commands, inbox) = mpsc::channel();
        let lane = Arc::new(lane::Lane::new(commands.clone()));
        let delivery = feed::Delivery {
            limit,
            counters,
            commands: commands.clone(),
        };
        let supervisor = supervisor::Supervisor::new(lane.clone(), commands.clone(), delivery)?;
        thread::Builder::new()
            .name("mqtt-router-watch".into())
            .spawn(move || supervisor.run(&inbox))
            .map_err(|_| LinkFailed)?;
        Ok(Self { lane, commands })
    }

    /// A guard for publishing several messages in a row.
    pub(crate) fn publish(&self) -> Batch<'_> {
        Batch(self.lane.batch())
    }

    /// Whether too much is under way; wait on [`Router::progress`] before publishing more.
    pub(crate) fn congested(&self) -> bool {
        self.lane.congested()
    }

    /// Changes whenever the router has come further.
    pub(crate) fn progress(&self) -> watch::Receiver<u64> {
        self.lane.progress()
    }

    /// Returns when everything published before has been handed to its feeds' subscribers. Each
    /// marker that comes back is a turn of all feeds; one may have been on its way already.
    pub(crate) async fn settled(&self) {
        for _ in 0..TURNS {
            let mut progress = self.lane.progress();
            progress.mark_unchanged();
            let upto = self.lane.mark();
            while progress.changed().await.is_ok() && *progress.borrow_and_update() < upto {}
        }
    }

    /// Blocks while too much is under way, at most a few seconds.
    pub(crate) fn wait(&self) {
        self.lane.wait();
    }

    /// Asks for a feed to be served, in the order of the calls. Wait for the answer before SUBACK.
    pub(crate) fn attach(&self, feed: Arc<Feed>) -> oneshot::Receiver<Result<(), LinkFailed>> {
        let (answer, answered) = oneshot::channel();
        // Without a supervisor the answer's sender is dropped, which the receiver sees.
        let _ = self.commands.send(Command::Attach(feed, answer));
        answered
    }

    /// Asks for a feed to be served no more, in the order of the calls.
    pub(crate) fn detach(&self, feed: Arc<Feed>) {
        let _ = self.commands.send(Command::Detach(feed));
    }

    /// Kills the router as a publish to a topic beyond ASCII would.
    #[cfg(test)]
    pub(crate) fn kill(&self) {
        self.lane.poison();
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Stop);
    }
}

/// Publishes in the order of the calls; the router is told at the end.
pub(crate) struct Batch<'a>(lane::Batch<'a>);

impl Batch<'_> {
    /// Gives the message its place in the router's sequence and hands it over.
    pub(crate) fn push(&mut self, draft: Draft) -> Envelope {
        self.0.push(draft)
    }
}

#[cfg(test)]
mod tests;
