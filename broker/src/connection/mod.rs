//! One client: a task with a stream, its part of a session, and what it owes.
//!
//! The task waits for one thing at a time to change (stream, session, durable position, progress
//! of the router, time), does everything that can be done, and waits again. Reading stops, and
//! with it the client, while it has too much pending, while it does not read what it is sent, and
//! while the router is behind.

mod acks;
mod aliases;
mod handshake;
mod inbound;
mod io;
mod outbound;
mod pace;
mod receipts;
mod rights;
mod subscribe;
mod tcp;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use hashbrown::HashMap;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::debug;

use self::acks::{Acks, Due};
use self::aliases::Aliases;
pub(crate) use self::io::Stream;
use self::pace::Pace;
use self::rights::Granted;
pub(crate) use self::tcp::Tcp;
use crate::codec::{ReasonCode, Version, encode_disconnect};
use crate::hub::Hub;
use crate::session::Session;
use crate::sessions::Opened;
use crate::{Client, Peer};

/// Written bytes that the client has not read, above which it is not read either.
const MAX_UNREAD: usize = 256 << 10;
/// How long a connection that ends may take to send its last bytes, and its client to close.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// At shutdown: time for messages on their way through the router to reach their sessions, which
/// takes them a millisecond or so.
const LINGER: Duration = Duration::from_millis(100);
/// Between looks at the clock where there is no keep-alive.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// Packet type.
const PUBLISH: u8 = 3;

/// What was agreed with the client.
#[derive(Debug, Clone, Copy)]
struct Terms {
    version: Version,
    /// Seconds, 0 for none.
    keep_alive: u16,
    /// Seconds that the session outlives the connection.
    expiry: u32,
    /// DISCONNECT may change that.
    may_extend: bool,
    /// QoS 1 and 2 messages that the client takes at a time.
    inflight: usize,
    /// Bytes of the largest packet that the client takes.
    max_packet: usize,
    /// Highest topic alias sent to the client.
    max_alias: u16,
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client said so: no will.
    Left,
    /// The client is gone, or said that it wants its will published.
    Lost,
    /// Not told to a 3.1.1 client, and published with the will.
    Reason(ReasonCode, &'static str),
}

/// A client after its CONNACK.
struct Connection {
    hub: Arc<Hub>,
    client: Client,
    granted: Granted,
    session: Arc<Session>,
    generation: u64,
    wake: Arc<Notify>,
    terms: Terms,
    read: BytesMut,
    /// Whether `read` may hold a whole packet that was not looked at.
    unlooked: bool,
    write: BytesMut,
    /// Whether the stream may keep bytes that it took.
    unflushed: bool,
    acks: Acks,
    durable: watch::Receiver<u64>,
    /// The keeper's rounds.
    written: watch::Receiver<u64>,
    /// A message for the client waits for one.
    held_back: bool,
    /// Topics by the client's aliases.
    aliases: HashMap<u16, Arc<str>>,
    /// Aliases that the client was told.
    told: Aliases,
    last_packet: Instant,
    pace: Pace,
}

/// Serves one stream until its end. Its CONNECT has to be there at `deadline`.
pub(crate) async fn serve<S: Stream>(hub: Arc<Hub>, mut stream: S, peer: Peer, deadline: Instant) {
    // Boxed: what a handshake needs is not kept for the life of the connection.
    match Box::pin(handshake::shake_hands(&hub, &mut stream, peer, deadline)).await {
        Some(mut connection) => {
            hub.counters.clients.add(1);
            let end = connection.serve(&mut stream).await;
            connection.finish(&mut stream, end).await;
            hub.counters.clients.sub(1);
        }
        None => hub.counters.refused.add(1),
    }
}

impl Connection {
    fn new(
        hub: Arc<Hub>,
        client: Client,
        granted: Granted,
        opened: Opened,
        terms: Terms,
        connack: BytesMut,
    ) -> Self {
        let Opened {
            session,
            generation,
            wake,
            present,
            ..
        } = opened;
        let mut connection = Self {
            pace: Pace::new(hub.config.max_publish_rate),
            durable: hub.hooks.intake.durable(),
            written: hub.keeper.written(),
            held_back: false,
            hub,
            client,
            granted,
            session,
            generation,
            wake,
            terms,
            read: BytesMut::new(),
            unlooked: true,
            write: connack,
            unflushed: false,
            acks: Acks::default(),
            aliases: HashMap::new(),
            told: Aliases::up_to(terms.max_alias),
            last_packet: Instant::now(),
        };
        if present {
            // An error is a take-over, which the connection finds out at once.
            let _ = connection.restrict();
            connection.resume();
        }
        connection
    }

    async fn serve<S: Stream>(&mut self, stream: &mut S) -> End {
        let mut closing = self.hub.closing.subscribe();
        let mut progress = self.hub.router.progress();
        let timer = sleep_until(self.next_check());
        tokio::pin!(timer);
        loop {
            if let Err(end) = self.turn(stream).await {
                return end;
            }
            // Asked once: whoever finds the router behind has to wait for its progress.
            let congested = self.hub.router.congested();
            let reading = !congested && self.has_room();
            if reading && self.unlooked {
                continue;
            }
            if let Some(turn) = self.pace.wait() {
                timer.as_mut().reset(turn.min(self.next_check()));
            }
            let mut publishes = false;
            tokio::select! {
                moved = poll_fn(|cx| io::poll(cx, stream, io::Ends {
                    read: reading.then_some(&mut self.read),
                    write: &mut self.write,
                    unflushed: &mut self.unflushed,
                    buffers: &self.hub.buffers,
                })), if reading || self.unflushed || !self.write.is_empty() => {
                    match moved {
                        Ok(moved) => {
                            self.unlooked |= moved.received > 0;
                            let counters = &self.hub.counters;
                            counters.bytes_received.add(moved.received as u64);
                            counters.bytes_sent.add(moved.sent as u64);
                            publishes = moved.received > 0 && self.begins_with_publish();
                        }
                        Err(_) => return End::Lost,
                    }
                }
                () = self.wake.notified() => {}
                changed = self.durable.changed(), if !self.acks.is_empty() => {
                    if changed.is_err() {
                        return End::Reason(ReasonCode::UnspecifiedError, "the log is closed");
                    }
                }
                _ = self.written.changed(), if self.held_back || self.acks.wait_for_keeper() => {}
                _ = progress.changed(), if congested => {}
                () = &mut timer => {
                    if !reading {
                        self.last_packet = Instant::now();
                    } else if self.silent() {
                        self.hub.counters.keep_alive_timeouts.add(1);
                        return End::Reason(ReasonCode::KeepAliveTimeout, "");
                    }
                    timer.as_mut().reset(self.next_check());
                }
                _ = closing.wait_for(Option::is_some) => break,
            }
            if publishes {
                io::behind_others().await;
            }
        }
        self.drain(stream).await;
        End::Reason(ReasonCode::ServerShuttingDown, "")
    }

    async fn turn<S: Stream>(&mut self, stream: &mut S) -> Result<(), End> {
        self.recheck()?;
        self.work(stream).await
    }

    fn begins_with_publish(&self) -> bool {
        self.read.first().is_some_and(|first| first >> 4 == PUBLISH)
    }

    /// Does everything that can be done without waiting for somebody else.
    async fn work<S: Stream>(&mut self, stream: &mut S) -> Result<(), End> {
        loop {
            if self.unlooked && self.may_read() {
                self.look().await?;
            }
            let disk = self.on_disk();
            self.acks.write(disk, self.terms.version, &mut self.write);
            let more = self.fill(disk.round)?;
            self.send(stream).await?;
            let more_to_read = self.unlooked && self.may_read();
            let more_to_write = more && self.write.is_empty();
            if !more_to_read && !more_to_write {
                break;
            }
            tokio::task::yield_now().await;
        }
        self.hub.buffers.give_back(&mut self.read);
        self.hub.buffers.give_back(&mut self.write);
        Ok(())
    }

    /// How far the disks are.
    fn on_disk(&mut self) -> Due {
        let keeper_matters = self.session.kept.is_some() || self.acks.wait_for_keeper();
        Due {
            position: *self.durable.borrow_and_update(),
            round: match keeper_matters {
                true => *self.written.borrow_and_update(),
                false => 0,
            },
        }
    }

    /// Whether the client may send more.
    fn may_read(&self) -> bool {
        self.has_room() && !self.hub.router.congested()
    }

    /// Whether the client may send more, the router aside.
    fn has_room(&self) -> bool {
        let config = &self.hub.config;
        self.acks.len() < usize::from(config.max_pending.max(1))
            && self.acks.bytes() < config.max_pending_bytes.max(1)
            && self.write.len() < MAX_UNREAD
            && self.pace.wait().is_none()
    }

    /// Writes as much as the stream takes now.
    async fn send<S: Stream>(&mut self, stream: &mut S) -> Result<(), End> {
        let waiting = self.write.len();
        let sent = poll_fn(|cx| {
            let sent = io::poll_write(cx, stream, &mut self.write, &mut self.unflushed);
            Poll::Ready(sent)
        });
        let sent = sent.await;
        let bytes = waiting - self.write.len();
        self.hub.counters.bytes_sent.add(bytes as u64);
        match sent {
            Poll::Ready(Err(_)) => Err(End::Lost),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// Writes everything.
    async fn send_all<S: Stream>(&mut self, stream: &mut S) -> std::io::Result<()> {
        poll_fn(|cx| io::poll_write(cx, stream, &mut self.write, &mut self.unflushed)).await
    }

    /// 1.5 times the keep-alive.
    fn patience(&self) -> Duration {
        Duration::from_millis(u64::from(self.terms.keep_alive) * 1_500)
    }

    fn silent(&self) -> bool {
        self.terms.keep_alive > 0 && self.last_packet.elapsed() >= self.patience()
    }

    fn next_check(&self) -> Instant {
        match self.terms.keep_alive {
            0 => Instant::now() + NEVER,
            _ => self.last_packet + self.patience(),
        }
    }

    /// At shutdown: nothing is read any more, what is durable in time is acknowledged, and what is
    /// on its way to the client is sent.
    async fn drain<S: Stream>(&mut self, stream: &mut S) {
        let deadline = (*self.hub.closing.borrow()).unwrap_or_else(Instant::now);
        let linger = Instant::now() + LINGER;
        // Late is as good as never: the process ends.
        let _ = timeout_at(deadline, async {
            loop {
                let disk = self.on_disk();
                self.acks.write(disk, self.terms.version, &mut self.write);
                if self.fill(disk.round).is_err() || self.send(stream).await.is_err() {
                    return;
                }
                let waiting = self.unflushed || !self.write.is_empty();
                tokio::select! {
                    changed = self.durable.changed(), if !self.acks.is_empty() => {
                        if changed.is_err() {
                            return;
                        }
                    }
                    sent = poll_fn(|cx| {
                        io::poll_write(cx, stream, &mut self.write, &mut self.unflushed)
                    }), if waiting => {
                        if sent.is_err() {
                            return;
                        }
                    }
                    _ = self.written.changed(), if self.held_back || self.acks.wait_for_keeper() => {}
                    () = self.wake.notified() => {}
                    () = sleep_until(linger), if self.acks.is_empty() && !waiting => {
                        return;
                    }
                }
            }
        })
        .await;
    }

    /// Gives the session back, publishes the will, tells the client.
    async fn finish<S: Stream>(mut self, stream: &mut S, end: End) {
        debug!(id = %self.client.id, ?end, "disconnected");
        let with_will = end != End::Left && self.may_leave_will();
        let left = (self.session).leave(self.generation, self.terms.expiry, with_will);
        if left.over {
            self.hub.bury(&self.session);
        }
        if let Some(will) = left.will {
            will.publish(&self.hub, self.session.number);
        }
        if end == End::Lost {
            return;
        }
        let disk = self.on_disk();
        let (version, max_packet) = (self.terms.version, self.terms.max_packet);
        self.acks.write(disk, version, &mut self.write);
        let mut patience = Duration::ZERO;
        if let End::Reason(reason, text) = end {
            if version == Version::V5 {
                encode_disconnect(reason, text, max_packet, &mut self.write);
            }
            patience = match reason {
                ReasonCode::ServerShuttingDown => LINGER,
                _ => LAST_WORDS,
            };
        }
        let sent = timeout(LAST_WORDS, async {
            self.send_all(stream).await?;
            stream.shutdown().await
        });
        if matches!(sent.await, Ok(Ok(()))) {
            drop(self);
            let _ = timeout(patience, io::read_out(stream)).await;
        }
    }
}
