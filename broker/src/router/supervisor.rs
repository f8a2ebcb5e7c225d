//! The thread that builds, watches and replaces the router.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rumqttd::Notification;
use rumqttd::local::{LinkRx, LinkTx};
use tokio::runtime::Handle;
use tracing::{debug, error, warn};

use super::feed::{Delivery, Reader};
use super::lane::{Lane, MARKER};
use super::link::{Built, LinkFailed, PATIENCE, close, spawn};
use super::{Command, Router};
use crate::envelope::PREFIX;
use crate::subscriptions::Feed;

/// How often a marker asks whether the router lives.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How soon a full channel is tried again.
const RETRY: Duration = Duration::from_millis(2);

/// A feed with its link.
struct Served {
    feed: Arc<Feed>,
    tx: LinkTx,
    reader: tokio::sync::mpsc::UnboundedSender<LinkRx>,
}

/// State of the thread.
pub(super) struct Supervisor {
    lane: Arc<Lane>,
    commands: mpsc::Sender<Command>,
    delivery: Delivery,
    runtime: Handle,
    router: Built,
    number: u64,
    /// Of the link that the markers come back on.
    markers: Option<LinkTx>,
    served: Vec<Served>,
    /// The lane has told nobody of its last messages.
    untold: bool,
    /// When the last unanswered marker was sent.
    asked: Option<Instant>,
}

impl Supervisor {
    /// Starts the first router, with the lane on it.
    pub(super) fn new(
        lane: Arc<Lane>,
        commands: mpsc::Sender<Command>,
        delivery: Delivery,
    ) -> Result<Self, LinkFailed> {
        let mut supervisor = Self {
            lane,
            commands,
            delivery,
            runtime: Handle::try_current().map_err(|_| LinkFailed)?,
            router: spawn(0),
            number: 0,
            markers: None,
            served: Vec::new(),
            untold: false,
            asked: None,
        };
        supervisor.connect()?;
        Ok(supervisor)
    }

    /// Runs until told to stop.
    pub(super) fn run(mut self, inbox: &mpsc::Receiver<Command>) {
        loop {
            let patience = if self.untold { RETRY } else { HEARTBEAT };
            match inbox.recv_timeout(patience) {
                Ok(Command::Attach(feed, answer)) => {
                    let _ = answer.send(self.attach(feed));
                }
                Ok(Command::Detach(feed)) => self.detach(&feed),
                Ok(Command::Dead(number)) if number == self.number => self.rebuild("it died"),
                Ok(Command::Dead(_)) => {}
                Ok(Command::Nudge) => self.untold = true,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Ok(Command::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return self.stop();
                }
            }
            self.untold = self.untold && !self.lane.nudge();
            self.watch();
        }
    }

    /// Asks the router for a sign of life where the last messages have not been confirmed.
    fn watch(&mut self) {
        if self.lane.settled() {
            self.asked = None;
            return;
        }
        match self.asked {
            None => {
                self.asked = Some(Instant::now());
                self.lane.mark();
            }
            Some(asked) if asked.elapsed() > PATIENCE => self.rebuild("it does not answer"),
            Some(_) => {}
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
        let (tx, rx) = match self.router.subscribed(&inner_filter(&feed)) {
            Ok(link) => link,
            Err(_) => {
                self.rebuild("it takes no filter");
                self.router.subscribed(&inner_filter(&feed))?
            }
        };
        let (reader, links) = tokio::sync::mpsc::unbounded_channel();
        let _ = reader.send(rx);
        self.runtime
            .spawn(Reader::new(feed.clone(), self.delivery.clone(), links, seen).run());
        self.served.push(Served { feed, tx, reader });
        Ok(())
    }

    fn detach(&mut self, feed: &Arc<Feed>) {
        if let Some(at) = self
            .served
            .iter()
            .position(|served| Arc::ptr_eq(&served.feed, feed))
        {
            let mut gone = self.served.swap_remove(at);
            close(&mut gone.tx);
            // The router may have stopped to look for work at the link that went: wake it.
            self.lane.mark();
        }
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
        let (marker_tx, marker_rx) = router.subscribed(MARKER)?;
        lane.replace(|| {
            for served in served.iter_mut() {
                let (tx, rx) = router.subscribed(&inner_filter(&served.feed))?;
                served.tx = tx;
                let _ = served.reader.send(rx);
            }
            router.link().map(|(tx, _)| tx)
        })?;
        let watch = Watch {
            lane: self.lane.clone(),
            commands: self.commands.clone(),
            number: self.number,
        };
        self.markers = Some(marker_tx);
        self.runtime.spawn(watch.run(marker_rx));
        Ok(())
    }

    fn stop(mut self) {
        self.served
            .iter_mut()
            .map(|served| &mut served.tx)
            .chain(&mut self.markers)
            .for_each(close);
        debug!("the MQTT router is left idle");
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Stop);
    }
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
