//! Accepting connections.
//!
//! Invariant: handshakes (TLS, CONNECT) run in the connection's own task, so that a silent or slow
//! client delays nobody; and from the first moment on a connection has a place, of which there are
//! `max_connections`.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use crate::connection::{self, Stream, Tcp};
use crate::hub::Hub;
use crate::{Peer, Tls};

/// After an accept failed (no file descriptors left, most often).
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `shutdown` or the end of the broker; over TLS where `tls` is given.
pub(crate) async fn accept(
    hub: &Arc<Hub>,
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    shutdown: impl Future<Output = ()>,
) {
    let mut closing = hub.closing.subscribe();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => return,
            _ = closing.wait_for(Option::is_some) => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Some(place) = Place::take(hub) else {
            continue;
        };
        // Acknowledgements are small and waited for; without it they are merely later.
        let _ = stream.set_nodelay(true);
        match tls.clone() {
            None => {
                let peer = Peer {
                    address,
                    certificate: None,
                };
                tokio::spawn(place.serve(Tcp(stream), peer))
            }
            Some(tls) => tokio::spawn(place.serve_tls(stream, address, tls)),
        };
    }
}

/// One of the open connections, until it is dropped.
pub(crate) struct Place {
    hub: Arc<Hub>,
    /// For the CONNECT.
    deadline: Instant,
}

impl Place {
    /// A place for one more connection, unless there are too many; counted as refused then.
    pub(crate) fn take(hub: &Arc<Hub>) -> Option<Self> {
        hub.counters.connections.add(1);
        let place = Self {
            hub: hub.clone(),
            deadline: Instant::now() + hub.config.connect_timeout,
        };
        let full = hub.counters.connections.get() > hub.config.max_connections as u64;
        hub.counters.refused.add(u64::from(full));
        (!full).then_some(place)
    }

    /// Serves a stream until its end.
    pub(crate) async fn serve<S: Stream>(self, stream: S, peer: Peer) {
        connection::serve(self.hub.clone(), stream, peer, self.deadline).await;
    }

    async fn serve_tls(self, stream: TcpStream, address: SocketAddr, tls: Arc<Tls>) {
        let mut closing = self.hub.closing.subscribe();
        // Boxed like the stream: for the life of the connection one pointer stays.
        let accepted = tokio::select! {
            accepted = timeout_at(self.deadline, Box::pin(tls.accept_mqtt(stream))) => accepted,
            _ = closing.wait_for(Option::is_some) => return,
        };
        drop((tls, closing));
        match accepted {
            Ok(Ok((stream, certificate))) => {
                let peer = Peer {
                    address,
                    certificate,
                };
                self.serve(Box::new(stream), peer).await;
            }
            Ok(Err(error)) => {
                debug!(%address, %error, "TLS handshake refused");
                self.hub.counters.tls_refused.add(1);
                self.hub.counters.refused.add(1);
            }
            Err(_) => self.hub.counters.refused.add(1),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hub.counters.connections.sub(1);
        self.hub.gone.notify_waiters();
    }
}
