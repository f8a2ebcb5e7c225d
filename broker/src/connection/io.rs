//! Bytes in and out of any stream.
//!
//! Invariant: a read buffer is lent only for the time of a poll, so that a connection that waits
//! holds none; and a stream that keeps what it took (TLS, WebSocket) is flushed before it is left
//! alone.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::buffers::Buffers;

/// What a connection needs of its stream: TCP, TLS or WebSocket.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// The buffers between a connection and its stream.
pub(super) struct Ends<'a> {
    /// `None` while the client is not read.
    pub(super) read: Option<&'a mut BytesMut>,
    pub(super) write: &'a mut BytesMut,
    pub(super) unflushed: &'a mut bool,
    pub(super) buffers: &'a Buffers,
}

/// What came of a poll in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) received: usize,
    pub(super) sent: usize,
}

/// Reads once and writes what waits; ready once bytes moved in one of the directions.
///
/// # Errors
/// The stream failed or has ended.
pub(super) fn poll<S: Stream>(
    cx: &mut Context<'_>,
    stream: &mut S,
    ends: Ends<'_>,
) -> Poll<io::Result<Moved>> {
    let mut moved = Moved {
        received: 0,
        sent: ends.write.len(),
    };
    if let Some(read) = ends.read
        && let Poll::Ready(received) = poll_read(cx, stream, read, ends.buffers)?
    {
        if received == 0 {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        moved.received = received;
    }
    let all_sent = poll_write(cx, stream, ends.write, ends.unflushed)?.is_ready();
    let waited = moved.sent > 0;
    moved.sent -= ends.write.len();
    match moved.received > 0 || moved.sent > 0 || (waited && all_sent) {
        true => Poll::Ready(Ok(moved)),
        false => Poll::Pending,
    }
}

/// Reads what there is, once; 0 at the end of the stream.
fn poll_read<S: Stream>(
    cx: &mut Context<'_>,
    stream: &mut S,
    read: &mut BytesMut,
    buffers: &Buffers,
) -> Poll<io::Result<usize>> {
    buffers.make_room(read);
    let received = pin!(stream.read_buf(read)).poll(cx);
    if received.is_pending() {
        buffers.give_back(read);
    }
    received
}

/// Ready when the tasks that are waiting to run have had their turn. tokio runs first what was woken
/// last, so that of two clients the later one would be served first: its publish would miss the
/// subscription that the earlier one has already sent.
pub(super) fn behind_others() -> impl Future<Output = ()> {
    let mut waited = false;
    std::future::poll_fn(move |cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        // A task that wakes itself goes to the end of the queue.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// Reads and forgets until the client closes. A socket closed with bytes unread is reset, and what
/// was sent last is lost on the way.
pub(super) async fn read_out<S: Stream>(stream: &mut S) {
    let mut sink = vec![0; 4 << 10];
    while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {}
}

/// Writes what waits; ready once the stream has all of it and keeps nothing back.
pub(super) fn poll_write<S: Stream>(
    cx: &mut Context<'_>,
    stream: &mut S,
    write: &mut BytesMut,
    unflushed: &mut bool,
) -> Poll<io::Result<()>> {
    let mut stream = Pin::new(stream);
    while !write.is_empty() {
        let sent = ready!(stream.as_mut().poll_write(cx, write))?;
        if sent == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        write.advance(sent);
        *unflushed = true;
    }
    if *unflushed {
        ready!(stream.poll_flush(cx))?;
        *unflushed = false;
    }
    Poll::Ready(Ok(()))
}
