//! The writer thread: takes what waits, writes it as one frame, syncs, tells.
//!
//! A commit begins at once when the last one began longer ago than the commit window. Under load
//! commits are therefore at least a window apart, and what arrives meanwhile shares a sync; a sync
//! slower than the window makes it irrelevant.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;

use super::WhenFull;
use super::disk::{Disk, SegmentFile, is_no_space};
use super::frame::{FRAME_HEADER, Frame, FrameHeader, SEGMENT_HEADER};
use super::head::{Pending, Shared, Waits};
use super::recover::{self, Tail};
use super::segment::Segment;

/// So many bytes are worth a commit before the window ends.
pub(super) const ENOUGH: usize = 256 << 10;
/// How long to wait for room on a full disk before the next try.
const NO_SPACE_RETRY: Duration = Duration::from_millis(500);
/// Memory kept for the next buffer.
const KEEP: usize = 1 << 20;

pub(super) struct Writer {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    file: Box<dyn SegmentFile>,
    salt: u64,
    /// Length of the last segment up to its last durable frame.
    bytes: u64,
    fsyncs: u64,
    last_begin: Option<Instant>,
    spare: Vec<u8>,
    /// Dropped when the writer ends, so that waiters learn of it.
    durable: watch::Sender<u64>,
}

/// One frame to be.
struct Commit {
    first: u64,
    count: u32,
    buffer: Vec<u8>,
}

/// What went wrong with a store.
enum Fault {
    /// Before anything could have been half-way on disk: the file was cut back, a later try may do.
    NoSpace,
    /// What is on disk is unknown.
    Fatal(String),
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        disk: Arc<dyn Disk>,
        tail: Tail,
        durable: watch::Sender<u64>,
    ) -> Self {
        let Tail { file, salt, bytes } = tail;
        let spare = Vec::new();
        Self {
            shared,
            disk,
            file,
            salt,
            bytes,
            fsyncs: 0,
            last_begin: None,
            spare,
            durable,
        }
    }

    /// Works until the journal is closed or fails.
    pub(super) fn run(mut self) {
        while let Some(commit) = self.take() {
            if let Err(reason) = self.commit(commit) {
                tracing::error!(reason, "the journal failed and takes no more entries");
                // Bytes that a failed sync left in the page cache would look durable to a reopen.
                let _ = self.file.truncate(self.bytes);
                self.shared.pending.lock().failed = Some(reason);
                return;
            }
        }
    }

    /// Waits for entries and the commit window; `None` when the journal is closed and drained.
    fn take(&mut self) -> Option<Commit> {
        let shared = self.shared.clone();
        let mut pending = shared.pending.lock();
        if let Some(open) = self
            .last_begin
            .map(|begin| begin + shared.options.commit_window)
        {
            pending.waits = Waits::Window;
            while !pending.closing && pending.buffer.len() < ENOUGH {
                if shared.wake.wait_until(&mut pending, open).timed_out() {
                    break;
                }
            }
        }
        pending.waits = Waits::Entry;
        while pending.buffer.is_empty() {
            if pending.closing {
                return None;
            }
            shared.wake.wait(&mut pending);
        }
        pending.waits = Waits::Nothing;
        self.last_begin = Some(Instant::now());
        Some(self.swap(&mut pending))
    }

    fn swap(&mut self, pending: &mut Pending) -> Commit {
        let buffer = std::mem::replace(&mut pending.buffer, std::mem::take(&mut self.spare));
        let count = std::mem::take(&mut pending.count);
        pending.used += buffer.len() as u64;
        Commit {
            first: pending.next - u64::from(count),
            count,
            buffer,
        }
    }

    fn commit(&mut self, commit: Commit) -> Result<(), String> {
        let Commit {
            first,
            count,
            mut buffer,
        } = commit;
        let mut tries_without_room = 0;
        loop {
            match self.store(first, count, &mut buffer) {
                Ok(()) => break,
                Err(Fault::Fatal(reason)) => return Err(reason),
                Err(Fault::NoSpace) => {
                    self.wait_for_room(tries_without_room == 0)?;
                    tries_without_room += 1;
                }
            }
        }
        if tries_without_room > 0 {
            tracing::info!("the journal has room again");
            self.shared.pending.lock().no_space = false;
        }
        let body = Bytes::copy_from_slice(buffer.get(FRAME_HEADER..).unwrap_or_default());
        let frame = Frame::new(first, count, body);
        let last = frame.last();
        self.shared.publish(frame, self.bytes, self.fsyncs);
        self.durable.send_replace(last);
        buffer.clear();
        buffer.shrink_to(KEEP);
        self.spare = buffer;
        Ok(())
    }

    /// Writes one frame and makes it durable.
    fn store(&mut self, first: u64, count: u32, buffer: &mut [u8]) -> Result<(), Fault> {
        let len = buffer.len() as u64;
        self.make_room();
        let needed = self.shared.options.reserve_bytes + len + SEGMENT_HEADER as u64;
        if self.disk.free(&self.shared.dir) < needed {
            return Err(Fault::NoSpace);
        }
        let full = self.bytes + len > self.shared.options.segment_bytes;
        if full && self.bytes > SEGMENT_HEADER as u64 {
            self.begin_segment(first)?;
        }
        if let Some((place, body)) = buffer.split_first_chunk_mut::<FRAME_HEADER>() {
            let header = FrameHeader {
                body_len: u32::try_from(body.len()).unwrap_or(u32::MAX),
                count,
                first,
                body_crc: crc32fast::hash(body),
            };
            *place = header.encode(self.salt);
        }
        if let Err(error) = self.file.append(buffer) {
            if is_no_space(&error) && self.file.truncate(self.bytes).is_ok() {
                return Err(Fault::NoSpace);
            }
            return Err(Fault::Fatal(format!(
                "write of entries from {first}: {error}"
            )));
        }
        self.fsyncs += 1;
        self.file
            .sync()
            .map_err(|error| Fault::Fatal(format!("sync of entries from {first}: {error}")))?;
        self.bytes += len;
        Ok(())
    }

    fn begin_segment(&mut self, first: u64) -> Result<(), Fault> {
        self.fsyncs += 2;
        match recover::begin(&self.shared.dir, first, &*self.disk) {
            Ok(tail) => {
                (self.file, self.salt, self.bytes) = (tail.file, tail.salt, tail.bytes);
                self.shared.begin_segment(Segment {
                    first,
                    bytes: tail.bytes,
                });
                Ok(())
            }
            Err(error) if is_no_space(&error) => Err(Fault::NoSpace),
            Err(error) => Err(Fault::Fatal(format!("new segment from {first}: {error}"))),
        }
    }

    /// Keeps the quota where appends are not refused for it.
    fn make_room(&self) {
        let options = &self.shared.options;
        if options.when_full == WhenFull::Refuse {
            return;
        }
        let reserve = SEGMENT_HEADER as u64;
        while self.shared.pending.lock().used + reserve > options.quota_bytes
            && self.shared.drop_oldest()
        {}
    }

    /// Waits until there may be room on the disk again.
    fn wait_for_room(&self, first_time: bool) -> Result<(), String> {
        if first_time {
            tracing::error!("the disk under the journal is full; no entries are taken");
        }
        // First what is kept though nobody needs it.
        let dropped = self.shared.give_up(0, 0)
            || (self.shared.options.when_full == WhenFull::DropOldest && self.shared.drop_oldest());
        if dropped {
            return Ok(());
        }
        let mut pending = self.shared.pending.lock();
        pending.no_space = true;
        if pending.closing {
            return Err("closed while the disk was full".to_owned());
        }
        self.shared.wake.wait_for(&mut pending, NO_SPACE_RETRY);
        Ok(())
    }
}
