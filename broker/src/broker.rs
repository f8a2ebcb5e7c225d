//! The broker as its host sees it.

use std::future::Future;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time;

use crate::config::{Config, Hooks};
use crate::hub::{Hub, limit_of};
use crate::kept::{Keeper, load};
use crate::listener::{self, Place};
use crate::publisher::Publisher;
use crate::router::Router;
use crate::stats::{Counters, Stats};
use crate::sys;
use crate::{DiskFailed, Peer, Tls};

/// How often the clock is looked at for what expires or is due, and metrics are told.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// For the last words of connections after the deadline of a shutdown.
const GRACE: Duration = Duration::from_millis(200);

/// The broker could not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// [`Broker::start`] was called outside of a tokio runtime.
    #[error("the MQTT broker must be started within a tokio runtime")]
    NoRuntime,
    /// The router's threads could not be started.
    #[error("the MQTT router did not start: no thread, or no answer from it")]
    Router,
    /// What must survive the process could not be read.
    #[error(transparent)]
    Disk(#[from] DiskFailed),
    /// The thread that writes it could not be started.
    #[error("the MQTT broker has no thread to write its state")]
    Keeper,
}

/// An MQTT 3.1.1 and 5 broker.
pub struct Broker {
    hub: Arc<Hub>,
    housekeeping: AbortHandle,
    /// Writes what must survive; taken when it is waited for.
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Broker {
    /// Starts the broker without a listener, with what an earlier life left on the disk:
    /// [`Broker::serve`] gives it one. Logs of rumqttd are costly below the level `warn`; filter
    /// them out. Reads the disk and blocks for it.
    ///
    /// # Errors
    /// No tokio runtime, no threads, or the disk cannot be read.
    pub fn start(config: Config, hooks: Hooks) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let counters = Arc::new(Counters::default());
        let keeper = Arc::new(Keeper::new());
        let durable = *hooks.intake.durable().borrow();
        let loaded = load(&*hooks.disk, &keeper, durable, &counters)?;
        let router =
            Router::start(limit_of(&config), counters.clone()).map_err(|_| StartError::Router)?;
        let disk = hooks.disk.clone();
        let hub = Arc::new(Hub::new(
            config,
            hooks,
            router,
            counters.clone(),
            keeper.clone(),
        ));
        hub.restore(&loaded);
        let thread = keeper
            .start(disk, counters)
            .map_err(|_| StartError::Keeper)?;
        let (house, figures) = (keep_house(hub.clone()), sys::tell(hub.clone()));
        let housekeeping = runtime
            .spawn(async { tokio::join!(house, figures) })
            .abort_handle();
        Ok(Self {
            hub,
            housekeeping,
            keeper: Mutex::new(Some(thread)),
        })
    }

    /// Accepts connections until `shutdown` is ready or the broker shuts down. Connections go on
    /// after `shutdown`. May be called for several listeners.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        listener::accept(&self.hub, listener, None, shutdown).await;
    }

    /// The same over TLS, by the certificate that `tls` has at the time of a handshake.
    pub async fn serve_tls(
        &self,
        listener: TcpListener,
        tls: Arc<Tls>,
        shutdown: impl Future<Output = ()>,
    ) {
        listener::accept(&self.hub, listener, Some(tls), shutdown).await;
    }

    /// Serves one client over any stream of bytes, WebSocket say, until it is gone or the broker
    /// shuts down. Counts among the connections; where there are too many, the stream is dropped.
    pub async fn connect<S>(&self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        if let Some(place) = Place::take(&self.hub) {
            place.serve(stream, peer).await;
        }
    }

    /// For messages of the host.
    pub fn publisher(&self) -> Publisher {
        Publisher(self.hub.clone())
    }

    /// Counters and gauges; the same are told to the `metrics` crate every second as
    /// `quartier_mqtt_*`.
    pub fn stats(&self) -> Stats {
        self.hub.stats()
    }

    /// Kills the router as a publish to a topic beyond ASCII would.
    #[cfg(test)]
    pub(crate) fn kill_router(&self) {
        self.hub.router.kill();
    }

    /// Returns when everything that was published before has reached the sessions of its
    /// subscribers and, where these are kept, the disk.
    pub async fn settled(&self) {
        self.hub.router.settled().await;
        let round = self.hub.keeper.latest();
        let mut written = self.hub.keeper.written();
        // An error is a keeper that has ended.
        let _ = written.wait_for(|written| *written >= round).await;
    }

    /// Lets all clients go: accepts and reads nothing more, acknowledges what becomes durable
    /// within `deadline`, publishes wills that are not to wait, tells MQTT 5 clients 0x8B and
    /// closes. Messages of the host are still queued for sessions that are kept. Returns when all
    /// connections are closed, shortly after the deadline at the latest.
    pub async fn let_go(&self, deadline: Duration) {
        let deadline = time::Instant::now() + deadline;
        self.hub.closing.send_replace(Some(deadline));
        // Late connections are cut by the end of the runtime.
        let _ = time::timeout_at(deadline + GRACE, async {
            loop {
                let gone = self.hub.gone.notified();
                if self.hub.counters.connections.get() == 0 {
                    return;
                }
                gone.await;
            }
        })
        .await;
    }

    /// Lets all clients go and puts on disk what must survive; both within `deadline`, shortly
    /// after it at the latest.
    pub async fn shutdown(&self, deadline: Duration) {
        let until = time::Instant::now() + deadline;
        self.let_go(deadline).await;
        self.housekeeping.abort();
        self.hub.keeper.stop((until + GRACE).into_std());
        let thread = self.keeper.lock().take();
        if let Some(thread) = thread {
            // A write that takes longer than the deadline is the process's last.
            let end = tokio::task::spawn_blocking(move || thread.join());
            let _ = time::timeout_at(until + 2 * GRACE, end).await;
        }
        self.hub.stats().export();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.housekeeping.abort();
        let now = time::Instant::now();
        self.hub.keeper.stop(now.into_std());
        self.hub
            .closing
            .send_if_modified(|closing| closing.replace(now).is_none());
    }
}

/// Ends what is over by time, tells the metrics, and tells the connections that rights changed.
async fn keep_house(hub: Arc<Hub>) {
    let mut interval = time::interval(HOUSEKEEPING);
    interval.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut rights = hub.hooks.gate.changes();
    let mut gate_open = true;
    loop {
        tokio::select! {
            changed = rights.changed(), if gate_open => {
                gate_open = changed.is_ok();
                hub.ask_for_rights();
                continue;
            }
            _ = interval.tick() => {}
        }
        hub.expire();
        hub.stats().export();
    }
}
