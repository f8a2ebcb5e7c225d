//! The broker as its host sees it.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time;

use crate::codec::valid_topic;
use crate::config::{Config, Hooks};
use crate::hub::{Hub, limit_of};
use crate::listener::{self, Place};
use crate::publisher::{Publisher, draft};
use crate::router::Router;
use crate::stats::{Counters, Stats};
use crate::sys;
use crate::{Message, Peer, Tls};

/// How often sessions are looked at for their expiry and metrics are told.
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
}

/// An MQTT 3.1.1 and 5 broker.
pub struct Broker {
    hub: Arc<Hub>,
    housekeeping: AbortHandle,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Broker {
    /// Starts the broker without a listener: [`Broker::serve`] gives it one. `retained_kept` are
    /// the retained messages of an earlier life ([`Broker::retained_kept`]). Logs of rumqttd are
    /// costly below the level `warn`; filter them out.
    ///
    /// # Errors
    /// No tokio runtime, or no threads.
    pub fn start(
        config: Config,
        hooks: Hooks,
        retained_kept: Vec<Message>,
    ) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let counters = Arc::new(Counters::default());
        let router =
            Router::start(limit_of(&config), counters.clone()).map_err(|_| StartError::Router)?;
        let hub = Arc::new(Hub::new(config, hooks, router, counters));
        for message in retained_kept
            .iter()
            .filter(|message| valid_topic(&message.topic))
        {
            if !hub.hooks.retained.owns(&message.topic)
                && !hub.retained.keep(&draft(message).seal(0))
            {
                hub.counters.dropped_retained_full.add(1);
            }
        }
        let (house, figures) = (keep_house(hub.clone()), sys::tell(hub.clone()));
        let housekeeping = runtime
            .spawn(async { tokio::join!(house, figures) })
            .abort_handle();
        Ok(Self { hub, housekeeping })
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

    /// The retained messages that the broker keeps itself, in the order of their topics. Properties
    /// of MQTT 5 are not among them.
    pub fn retained_kept(&self) -> Vec<Message> {
        let message = |envelope: crate::envelope::Envelope| Message {
            topic: envelope.topic().to_owned(),
            payload: envelope.payload_bytes(),
            retain: true,
        };
        self.hub.retained_kept().into_iter().map(message).collect()
    }

    /// Kills the router as a publish to a topic beyond ASCII would.
    #[cfg(test)]
    pub(crate) fn kill_router(&self) {
        self.hub.router.kill();
    }

    /// Shuts down: accepts and reads nothing more, acknowledges what becomes durable within
    /// `deadline`, publishes wills (their retained messages are kept), tells MQTT 5 clients 0x8B
    /// and closes. Returns when all connections are closed, shortly after the deadline at the
    /// latest.
    pub async fn shutdown(&self, deadline: Duration) {
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
        self.housekeeping.abort();
        self.hub.stats().export();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.housekeeping.abort();
        let now = time::Instant::now();
        self.hub
            .closing
            .send_if_modified(|closing| closing.replace(now).is_none());
    }
}

/// Ends expired sessions, tells the metrics, and tells the connections that rights changed.
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
        for session in hub.sessions.expire(Instant::now()) {
            hub.bury(&session);
            hub.counters.sessions_expired.add(1);
        }
        hub.stats().export();
    }
}
