//! `/mqtt`: MQTT 3.1.1 and 5 over WebSocket, for browsers and for networks that let nothing else
//! through.
//!
//! The bytes of the binary messages are the stream; where messages begin and end means nothing
//! [MQTT-6.0.0-2]. From the upgrade on it is a connection like any other: it counts among them, and
//! its CONNECT has to be there in time.
//!
//! A browser names the page that connects (`Origin`). It may be one of this node's own or of
//! `[http] allow_origins`; otherwise any page somebody looks at could use what their browser can
//! reach, and be whoever the node takes a client without login for. Other clients send no origin.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::connect_info::Connected;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use bytes::{Buf, Bytes};
use futures_util::{Sink, Stream};
use quartier_broker::Peer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Api;
use super::plain::PlainListener;
use super::problem::Problem;
use super::tls::TlsListener;
use crate::mqtt::Mqtt;

/// The name of MQTT among WebSocket's subprotocols [MQTT-6.0.0-3], [MQTT-6.0.0-4].
const PROTOCOL: &str = "mqtt";
/// A buffer that an idle connection keeps, bytes.
const READ_BUFFER: usize = 4096;
/// A message may be larger than a packet, because it may hold several.
const PACKETS: usize = 2;

/// What a WebSocket connection may do.
#[derive(Debug, Clone)]
pub struct WebSockets {
    /// Bytes of the largest packet.
    pub max_packet: usize,
    /// Origins beside the node's own, as in `https://map.city.example`; `*` is all.
    pub allow_origins: Arc<[String]>,
}

/// The far end of an HTTP connection.
#[derive(Debug, Clone)]
pub(super) struct Remote(pub(super) Peer);

impl Connected<IncomingStream<'_, PlainListener>> for Remote {
    fn connect_info(stream: IncomingStream<'_, PlainListener>) -> Self {
        Self(stream.remote_addr().clone())
    }
}

impl Connected<IncomingStream<'_, TlsListener>> for Remote {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(stream.remote_addr().clone())
    }
}

/// MQTT over WebSocket, subprotocol `mqtt`.
#[utoipa::path(get, path = "/mqtt", responses(
    (status = 101, description = "MQTT 3.1.1 or 5 in binary messages"),
    (status = 400, description = "no WebSocket, or not for MQTT", body = Problem),
    (status = 403, description = "a page of another origin", body = Problem),
    (status = 404, description = "the node's broker is elsewhere", body = Problem),
))]
pub(super) async fn mqtt(
    State(api): State<Api>,
    ConnectInfo(Remote(peer)): ConnectInfo<Remote>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Mqtt::Embedded(broker) = api.status.mqtt.clone() else {
        return Problem::not_found("this node's broker is elsewhere; see /asyncapi.json")
            .into_response();
    };
    let Ok(upgrade) = upgrade else {
        return Problem::bad_request("here is MQTT over WebSocket; no upgrade was asked for")
            .into_response();
    };
    if !is_allowed(&headers, &api.websockets.allow_origins) {
        return Problem::forbidden("pages of this origin are not in [http] allow_origins")
            .into_response();
    }
    let largest = api.websockets.max_packet.saturating_mul(PACKETS);
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_frame_size(largest)
        .max_message_size(largest);
    if upgrade.selected_protocol().is_none() {
        return Problem::bad_request("the subprotocol must be mqtt").into_response();
    }
    upgrade.on_upgrade(async move |socket| broker.connect(Bytestream::new(socket), peer).await)
}

/// Same origin: the page came from where it connects to. The scheme is left out, because a proxy
/// that ends TLS changes it.
pub(super) fn is_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let of_page = origin.split_once("://").map(|(_, host)| host);
    (of_page.is_some() && of_page == host)
        || allowed
            .iter()
            .any(|allowed| allowed == "*" || allowed == origin)
}

/// A WebSocket as a stream of bytes.
struct Bytestream {
    socket: WebSocket,
    unread: Bytes,
}

impl Bytestream {
    fn new(socket: WebSocket) -> Self {
        let unread = Bytes::new();
        Self { socket, unread }
    }
}

impl AsyncRead for Bytestream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.unread = bytes,
                // The library answers pings.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Poll::Ready(Ok(())),
                Some(Ok(Message::Text(_))) => {
                    // [MQTT-6.0.0-1]
                    let text = "a text message; MQTT is in binary ones";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
                }
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
            }
        }
        let count = self.unread.len().min(buf.remaining());
        buf.put_slice(self.unread.get(..count).unwrap_or_default());
        self.unread.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bytestream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(io::Error::other)?;
        let message = Message::Binary(Bytes::copy_from_slice(bytes));
        let sent = Pin::new(&mut self.socket).start_send(message);
        Poll::Ready(sent.map(|()| bytes.len()).map_err(io::Error::other))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket)
            .poll_flush(cx)
            .map_err(io::Error::other)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket)
            .poll_close(cx)
            .map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::is_allowed;

    fn allowed(origin: Option<&'static str>, list: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("node.city:8080"));
        if let Some(origin) = origin {
            headers.insert("origin", HeaderValue::from_static(origin));
        }
        let list: Vec<_> = list.iter().map(|origin| (*origin).to_owned()).collect();
        is_allowed(&headers, &list)
    }

    #[test]
    fn pages_of_the_node_and_of_the_list_may_connect_and_no_others() {
        assert!(allowed(None, &[]), "no browser");
        assert!(allowed(Some("http://node.city:8080"), &[]));
        assert!(
            allowed(Some("https://node.city:8080"), &[]),
            "behind a proxy"
        );
        assert!(allowed(Some("https://map.city"), &["https://map.city"]));
        assert!(allowed(Some("https://map.city"), &["*"]));
        for origin in [
            "http://node.city",
            "http://evil:8080",
            "null",
            "node.city:8080",
            "",
        ] {
            assert!(!allowed(Some(origin), &["https://map.city"]), "{origin}");
        }
    }
}
