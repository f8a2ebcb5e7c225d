//! The thread that builds, watches and replaces the router.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rumqttd::Notification;
use rumqttd::local::{LinkRx, LinkTx};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tracing::{error, warn};

use super::Command;
use super::feed::{Begin, Delivery, Link, Reader};
use super::lane::{Lane, MARKER};
use super::link::{Built, LinkFailed, PATIENCE, Subscribed, close, spawn, until_probe};
use crate::envelope::PREFIX;
use crate::subscriptions::Feed;

/// How often a marker asks whether the router lives.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How soon a full channel is tried again.
const RETRY: Duration = Duration::from_millis(2);

/// A feed with its link.
struct Served {
    feed: Arc<Feed>,
    reader: tokio::sync::mpsc::UnboundedSender<Link>,
}

/// State of the thread.
pub(super) struct Supervisor {
    lane: Arc<Lane>,
    commands: mpsc::Sender<Command>,
    delivery: Delivery,
    /// Of the thread that reads all links, which ends with its sender.
    runtime: Handle,
    _readers: oneshot::Sender<()>,
    router: Built,
    number: u64,
    /// Of the link that the markers come back on.
    markers: Option<LinkTx>,
    served: Vec<Served>,
    /// Links to be closed, and since when.
    closing: Vec<(LinkTx, Instant)>,
    /// The lane has told nobody of its last messages.
    untold: bool,
    /// When the last unanswered marker was sent, and what the router had confirmed by then.
    asked: Option<(Instant, u64)>,
}

impl Supervisor {
    /// Starts the first router, with the lane on it.
    pub(super) fn new(
        lane: Arc<Lane>,
        commands: mpsc::Sender<Command>,
        delivery: Delivery,
    ) -> Result<Self, LinkFailed> {
        let (readers, ended) = oneshot::channel();
        let runtime = start_readers(ended)?;
        let mut supervisor = Self {
            lane,
            commands,
            delivery,
            runtime,
            _readers: readers,
            router: spawn(0),
            number: 0,
            markers: None,
            served: Vec::new(),
            closing: Vec::new(),
            untold: false,
            asked: None,
        };
        supervisor.connect()?;
        Ok(supervisor)
    }

    /// Runs until told to stop.
    pub(super) fn run(mut self, inbox: &mpsc::Receiver<Command>) {
        loop {
            let busy = self.untold || !self.closing.is_empty();
            let patience = if busy { RETRY } else { HEARTBEAT };
            match inbox.recv_timeout(patience) {
                Ok(Command::Attach(feed, answer)) => {
                    let _ = answer.send(self.attach(feed));
                }
                Ok(Command::Detach(feed)) => self.detach(&feed),
                Ok(Command::Close(tx)) => self.closing.push((tx, Instant::now())),
                Ok(Command::Dead(number)) if number == self.number => self.rebuild("it died"),
                Ok(Command::Dead(_)) => {}
                Ok(Command::Nudge) => self.untold = true,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                // The router is left idle: it cannot be stopped.
                Ok(Command::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            self.untold = self.untold && !self.lane.nudge();
            self.close();
            self.watch();
        }
    }

    /// Asks the router for a sign of life where the last messages have not been confirmed.
    fn watch(&mut self) {
        if self.lane.settled() {
            self.asked = None;
            return;
        }
        // Under load there is always something that is not confirmed yet: what counts is progress.
        let confirmed = self.lane.confirmed();
        match self.asked {
            Some((asked, before)) if before == confirmed => {
                if asked.elapsed() > PATIENCE {
                    self.rebuild("it does not answer");
                }
            }
            _ => {
                self.asked = Some((Instant::now(), confirmed));
                self.lane.mark();
            }
        }
    }

    fn attach(&mut self, feed: Arc<Feed>) -> Result<(), LinkFailed> {
        if self
            .served
            .iter()
            .any(|served| Arc::ptr_eq(&served.feed, &feed))
        {
            return Ok(());
        }
        let seen = self.lane.sequence();
        let link = match self.link(&feed) {
            Ok(link) => link,
            Err(_) => {
                self.rebuild("it takes no filter");
                self.link(&feed)?
            }
        };
        let (reader, links) = tokio::sync::mpsc::unbounded_channel();
        let _ = reader.send(link);
        self.runtime
            .spawn(Reader::new(feed.clone(), self.delivery.clone(), links, seen).run());
        self.served.push(Served { feed, reader });
        Ok(())
    }

    /// A link for a feed on the running router.
    fn link(&mut self, feed: &Feed) -> Result<Link, LinkFailed> {
        let filter = inner_filter(feed);
        let Subscribed { tx, mut rx, fresh } = self.router.subscribed(&filter)?;
        let begin = if fresh {
            Begin::FirstOfLog
        } else {
            self.lane.probe(&filter);
            Begin::Early(until_probe(&mut rx)?)
        };
        Ok(Link { tx, rx, begin })
    }

    /// Lets the reader of a feed end; it gives its link back.
    fn detach(&mut self, feed: &Arc<Feed>) {
        self.served
            .retain(|served| !Arc::ptr_eq(&served.feed, feed));
    }

    /// Closes links; those of a router that has no time for it are tried again for a while.
    fn close(&mut self) {
        let Self { closing, lane, .. } = self;
        closing.retain_mut(|(tx, since)| {
            let closed = close(tx);
            if closed {
                // The router may have stopped to look for work at the link that went: wake it.
                lane.mark();
            }
            !closed && since.elapsed() < PATIENCE
        });
    }

    /// Puts a new router in place of the one that is gone, with all feeds and with everything
    /// that was under way.
    fn rebuild(&mut self, why: &str) {
        warn!(
            why,
            feeds = self.served.len(),
            "the MQTT router is replaced"
        );
        self.number += 1;
        self.router = spawn(self.number);
        self.delivery.counters.router_rebuilds.add(1);
        if self.connect().is_err() {
            error!("a new MQTT router does not answer; wildcard subscriptions get nothing");
        }
        self.asked = None;
    }

    /// Connects lane, markers and feeds to the current router.
    fn connect(&mut self) -> Result<(), LinkFailed> {
        let Self {
            router,
            served,
            lane,
            ..
        } = self;
        let markers = router.subscribed(MARKER)?;
        lane.replace(|| {
            for served in served.iter_mut() {
                let Subscribed { tx, rx, .. } = router.subscribed(&inner_filter(&served.feed))?;
                let begin = Begin::FirstOfLog;
                let _ = served.reader.send(Link { tx, rx, begin });
            }
            router.link().map(|(tx, _)| tx)
        })?;
        let watch = Watch {
            lane: self.lane.clone(),
            commands: self.commands.clone(),
            number: self.number,
        };
        self.markers = Some(markers.tx);
        self.runtime.spawn(watch.run(markers.rx));
        Ok(())
    }
}

/// Starts the thread of the readers.
fn start_readers(ended: oneshot::Receiver<()>) -> Result<Handle, LinkFailed> {
    let runtime = Builder::new_current_thread()
        .build()
        .map_err(|_| LinkFailed)?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("mqtt-router-out".into())
        .spawn(move || runtime.block_on(ended))
        .map_err(|_| LinkFailed)?;
    Ok(handle)
}

/// The filter inside the router.
fn inner_filter(feed: &Feed) -> String {
    format!("{PREFIX}{}", feed.filter)
}

/// The task that reads the markers.
struct Watch {
    lane: Arc<Lane>,
    commands: mpsc::Sender<Command>,
    number: u64,
}

impl Watch {
    async fn run(self, mut link: LinkRx) {
        loop {
            match link.next().await {
                Ok(Some(Notification::Forward(forward))) => {
                    let mut weight = [0; 8];
                    if forward.publish.payload.len() == weight.len() {
                        weight.copy_from_slice(&forward.publish.payload);
                        self.lane.confirm(u64::from_le_bytes(weight));
                    }
                }
                Ok(Some(Notification::Unschedule)) => {
                    if link.wake().await.is_err() {
                        break;
                    }
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        let _ = self.commands.send(Command::Dead(self.number));
    }
}
