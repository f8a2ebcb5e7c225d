//! Segment files: their names, and what is good and what is damaged in one.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::frame::{
    FRAME_HEADER, FrameHeader, SEGMENT_HEADER, decode_segment_header, encode_segment_header, u64_at,
};
use crate::files;

/// One segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// Position of its first entry, and its name.
    pub(super) first: u64,
    /// Length of the file.
    pub(super) bytes: u64,
}

/// The file of the segment that begins with `first`.
pub(super) fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.seg"))
}

/// Where the damaged form of a segment is kept.
pub(super) fn corrupt_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.seg.corrupt"))
}

/// The first position that a file name says, `None` for names that are no segment's.
pub(super) fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// A number that nobody outside can know.
pub(super) fn new_salt() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// What is good in the bytes of a segment.
#[derive(Debug)]
pub(super) struct Scan {
    first: u64,
    /// `None` where the header cannot be read; then nothing else can.
    pub(super) salt: Option<u64>,
    /// Whole frames, neighbours merged.
    good: Vec<Range<usize>>,
    /// Last position of the last whole frame; `first - 1` where there is none.
    pub(super) last: u64,
    /// Positions missing before `last`.
    pub(super) lost: u64,
    /// End of the last whole frame.
    pub(super) end: usize,
    /// Bytes in all.
    len: usize,
}

impl Scan {
    /// Looks at every byte of the segment that begins with `first`; frames that reach behind
    /// position `limit` are left out.
    pub(super) fn new(bytes: &[u8], first: u64, limit: u64) -> Self {
        let salt = decode_segment_header(bytes, first);
        let mut scan = Self {
            first,
            salt,
            good: Vec::new(),
            last: first - 1,
            lost: 0,
            end: SEGMENT_HEADER.min(bytes.len()),
            len: bytes.len(),
        };
        let Some(salt) = salt else { return scan };
        let mut at = SEGMENT_HEADER;
        while let Some((start, header)) = find_header(bytes, at, salt, scan.last) {
            let body = start + FRAME_HEADER;
            let end = body + header.body_len as usize;
            let Some(body) = bytes.get(body..end) else {
                at = start + 1;
                continue;
            };
            if header.last() > limit {
                break;
            }
            if crc32fast::hash(body) == header.body_crc {
                scan.accept(start..end, &header);
            }
            at = end;
        }
        scan
    }

    fn accept(&mut self, frame: Range<usize>, header: &FrameHeader) {
        self.lost += header.first - self.last - 1;
        self.last = header.last();
        self.end = frame.end;
        match self.good.last_mut() {
            Some(run) if run.end == frame.start => run.end = frame.end,
            _ => self.good.push(frame),
        }
    }

    /// Bytes behind the last whole frame.
    pub(super) fn tail(&self) -> usize {
        self.len - self.end
    }

    /// Whether there is damage before the last whole frame.
    pub(super) fn has_hole(&self) -> bool {
        self.salt.is_none()
            || self
                .good
                .first()
                .is_some_and(|run| *run != (SEGMENT_HEADER..self.end))
    }

    /// A whole segment of the good frames.
    pub(super) fn image(&self, bytes: &[u8]) -> Vec<u8> {
        let salt = self.salt.unwrap_or_else(new_salt);
        let mut image = encode_segment_header(self.first, salt).to_vec();
        for run in &self.good {
            image.extend_from_slice(bytes.get(run.clone()).unwrap_or_default());
        }
        image
    }
}

/// The first frame header at or behind `from` that continues after position `last`.
fn find_header(bytes: &[u8], from: usize, salt: u64, last: u64) -> Option<(usize, FrameHeader)> {
    let limit = last.saturating_add(bytes.len() as u64);
    (from..bytes.len().saturating_sub(FRAME_HEADER - 1)).find_map(|at| {
        let first = u64_at(bytes, at + 8)?;
        // Cheap and nearly always false behind damage; the checksum decides.
        if first <= last || first > limit {
            return None;
        }
        Some((at, FrameHeader::decode(bytes.get(at..)?, salt)?))
    })
}

/// Puts `image` in the place of a damaged segment and keeps the damaged file as `.corrupt`.
/// A crash leaves one of the two under the segment's name.
pub(super) fn quarantine(dir: &Path, first: u64, image: &[u8]) -> io::Result<()> {
    let damaged = path(dir, first);
    let kept = corrupt_path(dir, first);
    if !kept.exists() && fs::hard_link(&damaged, &kept).is_err() {
        fs::copy(&damaged, &kept)?;
    }
    files::replace(&damaged, image, files::READABLE)
}

/// Keeps a file that holds nothing readable as `.corrupt`, under no segment's name.
pub(super) fn set_aside(dir: &Path, first: u64) -> io::Result<()> {
    fs::rename(path(dir, first), corrupt_path(dir, first))?;
    files::sync_folder(dir)
}
