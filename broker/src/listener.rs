//! Accepting connections.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tracing::warn;

use crate::connection;
use crate::hub::Hub;

/// After an accept failed (no file descriptors left, most often).
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `shutdown` or the end of the broker. Handshakes run in their own tasks, so that a
/// silent client delays nobody.
pub(crate) async fn accept(
    hub: &Arc<Hub>,
    listener: TcpListener,
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
        let place = Place::take(hub);
        if hub.counters.connections.get() > hub.config.max_connections as u64 {
            hub.counters.refused.add(1);
            continue;
        }
        // Acknowledgements are small and waited for; without it they are merely later.
        let _ = stream.set_nodelay(true);
        let hub = hub.clone();
        tokio::spawn(async move {
            let _place = place;
            connection::serve(hub, stream, address).await;
        });
    }
}

/// One of the open connections, until it is dropped.
struct Place(Arc<Hub>);

impl Place {
    fn take(hub: &Arc<Hub>) -> Self {
        hub.counters.connections.add(1);
        Self(hub.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.counters.connections.sub(1);
        self.0.gone.notify_waiters();
    }
}
