//! Read and write buffers, lent to connections only while they have bytes to hold: an idle
//! connection has none.

use bytes::BytesMut;
use parking_lot::Mutex;

/// Bytes of a lent buffer.
pub(crate) const SIZE: usize = 64 << 10;
/// Buffers kept for later.
const KEPT: usize = 64;

/// Buffers of the connections of one broker.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<BytesMut>>);

impl Buffers {
    /// An empty buffer of at least [`SIZE`].
    pub(crate) fn lend(&self) -> BytesMut {
        self.0
            .lock()
            .pop()
            .unwrap_or_else(|| BytesMut::with_capacity(SIZE))
    }

    /// Room for a read behind what little a buffer holds.
    pub(crate) fn make_room(&self, buffer: &mut BytesMut) {
        if buffer.len() > SIZE / 4 {
            buffer.reserve(SIZE);
            return;
        }
        let mut lent = self.lend();
        lent.extend_from_slice(buffer);
        *buffer = lent;
    }

    /// Takes a buffer back, leaving what little is in it in one of its own size.
    pub(crate) fn give_back(&self, buffer: &mut BytesMut) {
        let own_size = !buffer.is_empty() && buffer.capacity() < SIZE / 2;
        if own_size || buffer.len() > SIZE / 4 {
            return;
        }
        let rest = if buffer.is_empty() {
            BytesMut::new()
        } else {
            BytesMut::from(&buffer[..])
        };
        let mut lent = std::mem::replace(buffer, rest);
        lent.clear();
        // After bytes were taken from its front, only this shows the capacity that is left.
        if lent.try_reclaim(SIZE) {
            let mut kept = self.0.lock();
            if kept.len() < KEPT {
                kept.push(lent);
            }
        }
    }
}
