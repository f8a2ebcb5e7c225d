//! rumqttd behind a closure: the type of its events has no public name.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rumqttd::local::{LinkBuilder, LinkRx, LinkTx};
use rumqttd::protocol::{Disconnect, DisconnectReasonCode, Packet};
use rumqttd::{Forward, Notification, RouterConfig};

/// The router did not take a link or a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the router does not answer or has no room")]
pub(crate) struct LinkFailed;

type Build = dyn Fn(&str) -> Result<(LinkTx, LinkRx, Notification), LinkFailed> + Send;

/// Most feeds that the router serves at a time.
const MAX_LINKS: usize = 8_192;
/// The log of a filter: what a feed may lag behind. Each segment holds one message at least.
const SEGMENT_BYTES: usize = 256 << 10;
const SEGMENTS: usize = 16;
/// Messages a feed gets at once: all there are, so that it catches up however late it comes.
const READ_MESSAGES: u64 = 1 << 16;
/// How long the router may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A running router.
pub(super) struct Built {
    build: Box<Build>,
    links: u64,
    /// Filters that have a log: the router keeps it when their link goes.
    logs: HashSet<String>,
}

/// A link with a subscription.
pub(super) struct Subscribed {
    pub(super) tx: LinkTx,
    pub(super) rx: LinkRx,
    /// The first message will be the first one of its log; else its offset is not known.
    pub(super) fresh: bool,
}

/// Starts a router on a thread of its own. It has no way to be stopped: it waits, idle, when its
/// links are gone.
pub(super) fn spawn(number: u64) -> Built {
    let config = RouterConfig {
        max_connections: MAX_LINKS,
        max_outgoing_packet_count: READ_MESSAGES,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: SEGMENTS,
        ..RouterConfig::default()
    };
    let id = usize::try_from(number).unwrap_or_default();
    let sender = rumqttd::Router::new(id, config).spawn();
    let build = move |id: &str| {
        LinkBuilder::new(id, sender.clone())
            .build()
            .map_err(|_| LinkFailed)
    };
    Built {
        build: Box::new(build),
        links: 0,
        logs: HashSet::new(),
    }
}

impl Built {
    /// A link under an identifier that no other one of this router ever had.
    pub(super) fn link(&mut self) -> Result<(LinkTx, LinkRx), LinkFailed> {
        self.links += 1;
        let id = format!("link-{}", self.links);
        let (tx, rx, _) = (self.build)(&id)?;
        Ok((tx, rx))
    }

    /// A link that receives what matches `filter`, once the router serves it.
    pub(super) fn subscribed(&mut self, filter: &str) -> Result<Subscribed, LinkFailed> {
        let (mut tx, mut rx) = self.link()?;
        tx.subscribe(filter).map_err(|_| LinkFailed)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match rx.recv_deadline(deadline) {
                Ok(Some(Notification::DeviceAck(_))) => {
                    let fresh = self.logs.insert(filter.to_owned());
                    return Ok(Subscribed { tx, rx, fresh });
                }
                Ok(_) => {}
                Err(_) => return Err(LinkFailed),
            }
        }
    }
}

/// What comes on a link up to and with a probe, an empty payload: from there on offsets tell what
/// is missing.
pub(super) fn until_probe(rx: &mut LinkRx) -> Result<Vec<Forward>, LinkFailed> {
    let deadline = Instant::now() + PATIENCE;
    let mut early = Vec::new();
    loop {
        match rx.recv_deadline(deadline) {
            Ok(Some(Notification::Forward(forward))) => {
                let probe = forward.publish.payload.is_empty();
                early.push(forward);
                if probe {
                    return Ok(early);
                }
            }
            Ok(Some(Notification::Unschedule)) => rx.ready().map_err(|_| LinkFailed)?,
            Ok(_) => {}
            Err(_) => return Err(LinkFailed),
        }
    }
}

/// Tells the router that a link goes; without this its place in the router is never freed. Nothing
/// may be said on the link any more, by its receiver neither. False when the router has to be told
/// again: its channel is full.
pub(super) fn close(tx: &mut LinkTx) -> bool {
    let reason_code = DisconnectReasonCode::NormalDisconnection;
    tx.buffer()
        .push_back(Packet::Disconnect(Disconnect { reason_code }, None));
    // An empty message carries the event; the router ends the link before it comes to it.
    tx.try_publish(super::lane::MARKER, Vec::new()).is_ok()
}
