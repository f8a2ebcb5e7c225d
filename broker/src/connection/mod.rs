//! One client: a task with a socket, its part of a session, and what it owes.
//!
//! The task waits for one thing at a time to change (socket, session, durable position, progress
//! of the router, time), does everything that can be done, and waits again. Reading stops, and
//! with it the client, while it has too much pending, while it does not read what it is sent, and
//! while the router is behind.

mod acks;
mod handshake;
mod inbound;
mod outbound;
mod subscribe;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use hashbrown::HashMap;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::debug;

use self::acks::{Acks, Due};
use crate::Client;
use crate::buffers::SIZE;
use crate::codec::{ReasonCode, Version, encode_disconnect};
use crate::hub::Hub;
use crate::session::Session;
use crate::sessions::Opened;

/// Written bytes that the client has not read, above which it is not read either.
const MAX_UNREAD: usize = 256 << 10;
/// How long a connection that ends may take to send its last bytes.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// At shutdown: time for messages on their way through the router to reach their sessions, which
/// takes them a millisecond or so.
const LINGER: Duration = Duration::from_millis(100);
/// Between looks at the clock where there is no keep-alive.
const NEVER: Duration = Duration::from_secs(24 * 3600);

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
    /// Topic aliases that the client takes.
    max_topic_alias: u16,
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
    session: Arc<Session>,
    generation: u64,
    wake: Arc<Notify>,
    terms: Terms,
    read: BytesMut,
    /// Whether `read` may hold a whole packet that was not looked at.
    unlooked: bool,
    write: BytesMut,
    acks: Acks,
    durable: watch::Receiver<u64>,
    /// The keeper's rounds.
    written: watch::Receiver<u64>,
    /// A message for the client waits for one.
    held_back: bool,
    /// Topic aliases that the client has set.
    aliases: HashMap<u16, Arc<str>>,
    /// Those that were given to it.
    given_aliases: HashMap<Box<str>, u16>,
    last_packet: Instant,
}

/// Serves one accepted socket until its end.
pub(crate) async fn serve(hub: Arc<Hub>, mut stream: TcpStream, address: SocketAddr) {
    // Boxed: what a handshake needs is not kept for the life of the connection.
    match Box::pin(handshake::shake_hands(&hub, &mut stream, address)).await {
        Some(mut connection) => {
            let end = connection.serve(&stream).await;
            connection.finish(&stream, end).await;
        }
        None => hub.counters.refused.add(1),
    }
}

impl Connection {
    fn new(hub: Arc<Hub>, client: Client, opened: Opened, terms: Terms, connack: BytesMut) -> Self {
        let Opened {
            session,
            generation,
            wake,
            ..
        } = opened;
        let mut connection = Self {
            durable: hub.hooks.intake.durable(),
            written: hub.keeper.written(),
            held_back: false,
            hub,
            client,
            session,
            generation,
            wake,
            terms,
            read: BytesMut::new(),
            unlooked: true,
            write: connack,
            acks: Acks::default(),
            aliases: HashMap::new(),
            given_aliases: HashMap::new(),
            last_packet: Instant::now(),
        };
        connection.resume();
        connection
    }

    async fn serve(&mut self, stream: &TcpStream) -> End {
        let mut closing = self.hub.closing.subscribe();
        let mut progress = self.hub.router.progress();
        let timer = sleep_until(self.next_check());
        tokio::pin!(timer);
        loop {
            if let Err(end) = self.work(stream).await {
                return end;
            }
            // Asked once: whoever finds the router behind has to wait for its progress.
            let congested = self.hub.router.congested();
            let reading = !congested && self.has_room();
            if reading && self.unlooked {
                continue;
            }
            tokio::select! {
                ready = stream.ready(self.interest(reading)), if reading || !self.write.is_empty() => {
                    match ready {
                        Ok(ready) if ready.is_readable() && reading => {
                            if let Err(end) = self.receive(stream) {
                                return end;
                            }
                        }
                        Ok(_) => {}
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
        }
        self.drain(stream).await;
        End::Reason(ReasonCode::ServerShuttingDown, "")
    }

    /// Does everything that can be done without waiting for somebody else.
    async fn work(&mut self, stream: &TcpStream) -> Result<(), End> {
        loop {
            if self.unlooked && self.may_read() {
                self.look().await?;
            }
            let disk = self.on_disk();
            self.acks.write(disk, self.terms.version, &mut self.write);
            let more = self.fill(disk.round)?;
            self.flush(stream)?;
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

    fn interest(&self, reading: bool) -> Interest {
        match (reading, self.write.is_empty()) {
            (true, true) => Interest::READABLE,
            (true, false) => Interest::READABLE | Interest::WRITABLE,
            (false, _) => Interest::WRITABLE,
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
    }

    /// Reads what there is, once.
    fn receive(&mut self, stream: &TcpStream) -> Result<(), End> {
        if self.read.is_empty() {
            self.read = self.hub.buffers.lend();
        } else {
            self.read.reserve(SIZE);
        }
        match stream.try_read_buf(&mut self.read) {
            Ok(0) => Err(End::Lost),
            Ok(_) => {
                self.unlooked = true;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(End::Lost),
        }
    }

    /// Writes as much as the socket takes.
    fn flush(&mut self, stream: &TcpStream) -> Result<(), End> {
        while !self.write.is_empty() {
            match stream.try_write(&self.write) {
                Ok(0) => return Err(End::Lost),
                Ok(written) => self.write.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(End::Lost),
            }
        }
        Ok(())
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
    async fn drain(&mut self, stream: &TcpStream) {
        let deadline = (*self.hub.closing.borrow()).unwrap_or_else(Instant::now);
        let linger = Instant::now() + LINGER;
        // Late is as good as never: the process ends.
        let _ = timeout_at(deadline, async {
            loop {
                let disk = self.on_disk();
                self.acks.write(disk, self.terms.version, &mut self.write);
                if self.fill(disk.round).is_err() || self.flush(stream).is_err() {
                    return;
                }
                tokio::select! {
                    changed = self.durable.changed(), if !self.acks.is_empty() => {
                        if changed.is_err() {
                            return;
                        }
                    }
                    ready = stream.writable(), if !self.write.is_empty() => {
                        if ready.is_err() {
                            return;
                        }
                    }
                    _ = self.written.changed(), if self.held_back || self.acks.wait_for_keeper() => {}
                    () = self.wake.notified() => {}
                    () = sleep_until(linger), if self.acks.is_empty() && self.write.is_empty() => {
                        return;
                    }
                }
            }
        })
        .await;
    }

    /// Gives the session back, publishes the will, tells the client.
    async fn finish(mut self, stream: &TcpStream, end: End) {
        debug!(id = %self.client.id, ?end, "disconnected");
        let with_will = end != End::Left;
        let left = (self.session).leave(self.generation, self.terms.expiry, with_will);
        if left.over {
            self.hub.bury(&self.session);
        }
        if let Some(will) = left.will {
            will.publish(&self.hub, self.session.number);
        }
        if let End::Reason(reason, text) = end {
            if self.terms.version == Version::V5 {
                encode_disconnect(reason, text, &mut self.write);
            }
            let _ = timeout(LAST_WORDS, async {
                while self.flush(stream).is_ok() && !self.write.is_empty() {
                    if stream.writable().await.is_err() {
                        return;
                    }
                }
            })
            .await;
        }
    }
}
