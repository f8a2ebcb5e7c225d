//! HTTP without TLS.

use std::io;

use axum::serve::Listener;
use quartier_broker::Peer;
use tokio::net::{TcpListener, TcpStream};

/// Connections as they come.
pub(super) struct PlainListener(pub(super) TcpListener);

impl Listener for PlainListener {
    type Io = TcpStream;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Packets on `/mqtt` are small and waited for; without it they are merely later.
        let _ = stream.set_nodelay(true);
        let certificate = None;
        (
            stream,
            Peer {
                address,
                certificate,
            },
        )
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        let (address, certificate) = (self.0.local_addr()?, None);
        Ok(Peer {
            address,
            certificate,
        })
    }
}
