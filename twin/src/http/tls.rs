//! HTTP over TLS. Handshakes run in tasks of their own, so that a silent client delays nobody;
//! each has [`TIME`] and one of [`UNDER_WAY`] places, and without a place it is closed at once.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use quartier_broker::{Peer, Tls, TlsStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};

const TIME: Duration = Duration::from_secs(10);
const UNDER_WAY: usize = 1_000;
/// After an accept failed (no file descriptors left, most often).
const PAUSE: Duration = Duration::from_millis(50);

/// Connections whose handshake is done.
pub struct TlsListener {
    listener: TcpListener,
    tls: Arc<Tls>,
    places: Arc<Semaphore>,
    ready: mpsc::Sender<(TlsStream, Peer)>,
    done: mpsc::Receiver<(TlsStream, Peer)>,
}

impl TlsListener {
    /// By the certificate that `tls` has at the time of a handshake.
    pub fn new(listener: TcpListener, tls: Arc<Tls>) -> Self {
        let (ready, done) = mpsc::channel(UNDER_WAY);
        Self {
            listener,
            tls,
            places: Arc::new(Semaphore::new(UNDER_WAY)),
            ready,
            done,
        }
    }

    fn begin(&self, stream: TcpStream, address: SocketAddr) {
        let _ = stream.set_nodelay(true);
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            let (tls, ready) = (Arc::clone(&self.tls), self.ready.clone());
            tokio::spawn(handshake(tls, stream, address, ready, place));
        }
    }
}

async fn handshake(
    tls: Arc<Tls>,
    stream: TcpStream,
    address: SocketAddr,
    ready: mpsc::Sender<(TlsStream, Peer)>,
    place: OwnedSemaphorePermit,
) {
    match timeout(TIME, tls.accept(stream)).await {
        Ok(Ok((stream, certificate))) => {
            let peer = Peer {
                address,
                certificate,
            };
            // Nobody takes it any more when the server ends.
            let _ = ready.try_send((stream, peer));
        }
        Ok(Err(error)) => tracing::debug!(%address, %error, "TLS handshake refused"),
        Err(_) => tracing::debug!(%address, "TLS handshake took too long"),
    }
    drop(place);
}

impl Listener for TlsListener {
    type Io = TlsStream;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            tokio::select! {
                Some(done) = self.done.recv() => return done,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, address)) => self.begin(stream, address),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        sleep(PAUSE).await;
                    }
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        let (address, certificate) = (self.listener.local_addr()?, None);
        Ok(Peer {
            address,
            certificate,
        })
    }
}
