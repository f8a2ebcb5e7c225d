//! What the callers, the writer and the readers share: the pending entries, the recent frames and
//! the list of segments.
//!
//! Two locks, never held together: `pending` for appends, `head` for what is durable.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::frame::Frame;
use super::segment::{self, Scan, Segment};
use super::{JournalStats, Options};

/// Book-keeping bytes counted for each frame in memory.
const FRAME_OVERHEAD: usize = 128;

pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) options: Options,
    pub(super) pending: Mutex<Pending>,
    /// The writer waits here.
    pub(super) wake: Condvar,
    head: Mutex<Head>,
    /// [`Shared::wait_past`] waits here.
    advanced: Condvar,
    /// One salvage at a time, so that one damage is repaired once.
    salvage: Mutex<()>,
}

/// What waits for the writer.
#[derive(Default)]
pub(super) struct Pending {
    /// Room for a frame header and the entries; empty when nothing waits.
    pub(super) buffer: Vec<u8>,
    /// Entries in the buffer.
    pub(super) count: u32,
    /// The next position to hand out.
    pub(super) next: u64,
    /// Bytes on disk and on their way there, without the buffer.
    pub(super) used: u64,
    /// What the writer waits for.
    pub(super) waits: Waits,
    /// No more entries are taken; the writer ends when the buffer is empty.
    pub(super) closing: bool,
    /// The disk is full.
    pub(super) no_space: bool,
    /// Why no more entries are taken.
    pub(super) failed: Option<String>,
}

/// What the writer waits for.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// Nothing, it works.
    #[default]
    Nothing,
    /// The end of the commit window, or a large buffer.
    Window,
    /// Any entry.
    Entry,
}

/// What is durable.
pub(super) struct Head {
    durable: u64,
    released: u64,
    frames: VecDeque<Frame>,
    frames_bytes: usize,
    /// Oldest first, never empty; the last one is written to.
    segments: VecDeque<Segment>,
    /// Entries lost in each damaged segment.
    damaged: BTreeMap<u64, u64>,
    counts: JournalStats,
}

impl Head {
    /// The head of a journal as it was found on disk.
    pub(super) fn new(
        segments: VecDeque<Segment>,
        durable: u64,
        damaged: BTreeMap<u64, u64>,
        counts: JournalStats,
    ) -> Self {
        let frames = VecDeque::new();
        Self {
            durable,
            released: 0,
            frames,
            frames_bytes: 0,
            segments,
            damaged,
            counts,
        }
    }

    fn forget_frames(&mut self, mut done: impl FnMut(&Frame, usize) -> bool) {
        while let Some(frame) = self.frames.front()
            && done(frame, self.frames_bytes)
        {
            self.frames_bytes -= frame.size() + FRAME_OVERHEAD;
            self.frames.pop_front();
        }
    }

    /// The segment that holds `position` and its last position.
    fn segment_of(&self, position: u64) -> Option<(Segment, u64)> {
        let after = self
            .segments
            .partition_point(|segment| segment.first <= position);
        let segment = *self.segments.get(after.checked_sub(1)?)?;
        Some((
            segment,
            self.segments
                .get(after)
                .map_or(self.durable, |next| next.first - 1),
        ))
    }
}

/// Where a reader finds its next frame.
pub(super) enum Whereabouts {
    /// Not durable yet.
    Ahead,
    /// In memory.
    Memory(Frame),
    /// In the file of the segment that begins with `first`.
    File { first: u64 },
    /// Deleted; `oldest` is there.
    Gone { oldest: u64 },
}

/// The good part of a damaged segment.
pub(super) struct Salvaged {
    pub(super) image: Vec<u8>,
    /// The last position that the segment should hold.
    pub(super) last: u64,
}

impl Shared {
    pub(super) fn new(dir: PathBuf, options: Options, pending: Pending, head: Head) -> Self {
        Self {
            dir,
            options,
            pending: Mutex::new(pending),
            wake: Condvar::new(),
            head: Mutex::new(head),
            advanced: Condvar::new(),
            salvage: Mutex::new(()),
        }
    }

    pub(super) fn whereabouts(&self, position: u64) -> Whereabouts {
        let head = self.head.lock();
        if position > head.durable {
            return Whereabouts::Ahead;
        }
        let at = head.frames.partition_point(|frame| frame.last() < position);
        if let Some(frame) = head.frames.get(at)
            && (at > 0 || frame.first() <= position)
        {
            return Whereabouts::Memory(frame.clone());
        }
        match (head.segment_of(position), head.segments.front()) {
            (Some((segment, _)), _) => Whereabouts::File {
                first: segment.first,
            },
            (None, front) => Whereabouts::Gone {
                oldest: front.map_or(1, |front| front.first),
            },
        }
    }

    /// The oldest position and the last durable one.
    pub(super) fn bounds(&self) -> (u64, u64) {
        let head = self.head.lock();
        (
            head.segments.front().map_or(1, |segment| segment.first),
            head.durable,
        )
    }

    pub(super) fn wait_past(&self, position: u64, timeout: Duration) -> u64 {
        let deadline = Instant::now() + timeout;
        let mut head = self.head.lock();
        while head.durable <= position {
            if self.advanced.wait_until(&mut head, deadline).timed_out() {
                break;
            }
        }
        head.durable
    }

    /// Takes a durable frame; `bytes` is the length of the last segment with it.
    pub(super) fn publish(&self, frame: Frame, bytes: u64, fsyncs: u64) {
        let mut head = self.head.lock();
        head.durable = frame.last();
        head.counts.commits += 1;
        head.counts.fsyncs = fsyncs;
        if let Some(segment) = head.segments.back_mut() {
            segment.bytes = bytes;
        }
        head.frames_bytes += frame.size() + FRAME_OVERHEAD;
        head.frames.push_back(frame);
        let limit = self.options.memory_bytes;
        head.forget_frames(|_, bytes| bytes > limit);
        drop(head);
        self.advanced.notify_all();
    }

    /// Takes a new last segment.
    pub(super) fn begin_segment(&self, segment: Segment) {
        self.head.lock().segments.push_back(segment);
        self.pending.lock().used += segment.bytes;
    }

    pub(super) fn release(&self, upto: u64) {
        self.give_up(upto, self.options.keep_bytes);
    }

    /// Deletes what is released while all segments together take more than `keep_bytes`; whether
    /// there was anything.
    pub(super) fn give_up(&self, upto: u64, keep_bytes: u64) -> bool {
        let mut gone = Vec::new();
        {
            let mut head = self.head.lock();
            let upto = upto.min(head.durable).max(head.released);
            if upto > head.released {
                head.released = upto;
                head.forget_frames(|frame, _| frame.last() <= upto);
            }
            let mut bytes: u64 = head.segments.iter().map(|segment| segment.bytes).sum();
            while bytes > keep_bytes
                && head
                    .segments
                    .get(1)
                    .is_some_and(|next| next.first <= upto + 1)
            {
                let segment = head.segments.pop_front();
                bytes -= segment.map_or(0, |segment| segment.bytes);
                gone.extend(segment);
            }
        }
        let any = !gone.is_empty();
        for segment in gone {
            self.delete(segment);
        }
        any
    }

    /// Deletes the oldest segment whoever still wants it; `false` when only the last is left.
    pub(super) fn drop_oldest(&self) -> bool {
        let segment = {
            let mut head = self.head.lock();
            let Some(next) = head.segments.get(1).map(|next| next.first) else {
                return false;
            };
            let Some(segment) = head.segments.pop_front() else {
                return false;
            };
            let unread = next - next.min(segment.first.max(head.released + 1));
            head.counts.dropped += unread;
            tracing::warn!(
                first = segment.first,
                last = next - 1,
                unread,
                "journal over its quota: oldest segment dropped"
            );
            segment
        };
        self.delete(segment);
        true
    }

    fn delete(&self, segment: Segment) {
        let path = segment::path(&self.dir, segment.first);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot delete a journal segment");
            return;
        }
        let mut pending = self.pending.lock();
        pending.used = pending.used.saturating_sub(segment.bytes);
        if pending.no_space {
            self.wake.notify_one();
        }
    }

    /// The good frames of a segment that a reader found damaged. A finished segment is repaired on
    /// disk too; the last one when it is opened next or read again after it is finished.
    pub(super) fn salvage(&self, first: u64) -> io::Result<Salvaged> {
        let _one_at_a_time = self.salvage.lock();
        let (last, finished) = {
            let head = self.head.lock();
            let found = head
                .segment_of(first)
                .filter(|(segment, _)| segment.first == first);
            let last = found.map_or(first, |(_, last)| last);
            (
                last,
                head.segments
                    .back()
                    .is_some_and(|segment| segment.first != first),
            )
        };
        let bytes = match fs::read(segment::path(&self.dir, first)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let scan = Scan::new(&bytes, first, last);
        let image = scan.image(&bytes);
        let lost = scan.lost + (last - scan.last.min(last));
        if self.head.lock().damaged.insert(first, lost) != Some(lost) {
            tracing::error!(segment = first, lost, "journal segment is damaged");
        }
        if finished && (scan.has_hole() || scan.tail() > 0) {
            match segment::quarantine(&self.dir, first, &image) {
                Ok(()) => self.repaired(first, image.len() as u64),
                Err(error) => tracing::warn!(segment = first, %error, "cannot repair it on disk"),
            }
        }
        Ok(Salvaged { image, last })
    }

    fn repaired(&self, first: u64, bytes: u64) {
        let mut freed = 0;
        let mut head = self.head.lock();
        head.counts.corrupt += 1;
        if let Some(segment) = head
            .segments
            .iter_mut()
            .find(|segment| segment.first == first)
        {
            freed = segment.bytes.saturating_sub(bytes);
            segment.bytes = bytes;
        }
        drop(head);
        let mut pending = self.pending.lock();
        pending.used = pending.used.saturating_sub(freed);
    }

    pub(super) fn stats(&self) -> JournalStats {
        let head = self.head.lock();
        let mut stats = head.counts.clone();
        stats.first = head.segments.front().map_or(1, |segment| segment.first);
        stats.durable = head.durable;
        stats.segments = head.segments.len() as u64;
        stats.lost += head.damaged.values().sum::<u64>();
        drop(head);
        let pending = self.pending.lock();
        stats.last = pending.next - 1;
        stats.pending = pending.buffer.len() as u64;
        stats.bytes = pending.used + stats.pending;
        stats.quota = self.options.quota_bytes;
        stats.no_space = pending.no_space;
        stats.failed.clone_from(&pending.failed);
        stats
    }
}
