//! Frames and the two headers, as bytes and as values. The layout is in the module's root.

use bytes::Bytes;

use super::batch::ENTRY_HEADER;

/// Bytes of a segment's header: two copies of 32 bytes, so that one bit flip costs nothing.
pub(super) const SEGMENT_HEADER: usize = 64;
/// Bytes of a frame's header.
pub(super) const FRAME_HEADER: usize = 24;
/// No frame's body is longer; what claims to be is damage.
pub(super) const MAX_BODY: usize = 64 << 20;

const MAGIC: [u8; 8] = *b"QTRJRNL1";
const HEADER_COPY: usize = SEGMENT_HEADER / 2;

/// A run of consecutive entries that became durable together. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Frame {
    first: u64,
    count: u32,
    body: Bytes,
}

impl Frame {
    /// A frame of `count` entries, at least one, in the form of [`super::Batch`].
    pub(super) fn new(first: u64, count: u32, body: Bytes) -> Self {
        Self { first, count, body }
    }

    /// Position of the first entry.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Position of the last entry.
    pub fn last(&self) -> u64 {
        last_position(self.first, self.count)
    }

    /// Bytes of all entries with their lengths.
    pub fn size(&self) -> usize {
        self.body.len()
    }

    /// The entries with their positions.
    pub fn entries(&self) -> Entries<'_> {
        Entries {
            next: self.first,
            rest: &self.body,
        }
    }

    /// The same frame without the entries before `position`; `None` when none is left.
    pub(super) fn starting_at(mut self, position: u64) -> Option<Self> {
        if position <= self.first {
            return Some(self);
        }
        if position > self.last() {
            return None;
        }
        let skipped = position - self.first;
        let mut entries = self.entries();
        for _ in 0..skipped {
            entries.next()?;
        }
        let offset = self.body.len() - entries.rest.len();
        self.body = self.body.slice(offset..);
        self.first = position;
        self.count -= u32::try_from(skipped).ok()?;
        Some(self)
    }
}

impl<'a> IntoIterator for &'a Frame {
    type Item = (u64, &'a [u8]);
    type IntoIter = Entries<'a>;

    fn into_iter(self) -> Entries<'a> {
        self.entries()
    }
}

/// The entries of a [`Frame`] with their positions, in order.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    next: u64,
    rest: &'a [u8],
}

impl<'a> Iterator for Entries<'a> {
    type Item = (u64, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.rest.split_first_chunk::<ENTRY_HEADER>()?;
        let (entry, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let position = self.next;
        self.next += 1;
        self.rest = rest;
        Some((position, entry))
    }
}

/// Position of the last of `count` entries.
fn last_position(first: u64, count: u32) -> u64 {
    first.saturating_add(u64::from(count)).saturating_sub(1)
}

/// What a frame says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) body_len: u32,
    pub(super) count: u32,
    pub(super) first: u64,
    pub(super) body_crc: u32,
}

impl FrameHeader {
    pub(super) fn encode(&self, salt: u64) -> [u8; FRAME_HEADER] {
        let mut bytes = [0; FRAME_HEADER];
        bytes[0..4].copy_from_slice(&self.body_len.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.count.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.first.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = header_crc(salt, &bytes[..20]);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `None` where the bytes are no frame header of the segment with this salt.
    pub(super) fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        let header = Self {
            body_len: u32_at(bytes, 0)?,
            count: u32_at(bytes, 4)?,
            first: u64_at(bytes, 8)?,
            body_crc: u32_at(bytes, 16)?,
        };
        let plausible = header.count > 0
            && header.first > 0
            && header.body_len as usize <= MAX_BODY
            && u64::from(header.body_len) >= u64::from(header.count) * ENTRY_HEADER as u64;
        (plausible && header_crc(salt, bytes.get(..20)?) == u32_at(bytes, 20)?).then_some(header)
    }

    pub(super) fn last(&self) -> u64 {
        last_position(self.first, self.count)
    }
}

fn header_crc(salt: u64, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt.to_le_bytes());
    crc.update(bytes);
    crc.finalize()
}

/// A segment's header for its first position.
pub(super) fn encode_segment_header(first: u64, salt: u64) -> [u8; SEGMENT_HEADER] {
    let mut copy = [0; HEADER_COPY];
    copy[0..8].copy_from_slice(&MAGIC);
    copy[8..16].copy_from_slice(&salt.to_le_bytes());
    copy[16..24].copy_from_slice(&first.to_le_bytes());
    let crc = crc32fast::hash(&copy[..28]);
    copy[28..32].copy_from_slice(&crc.to_le_bytes());
    let mut bytes = [0; SEGMENT_HEADER];
    bytes[..HEADER_COPY].copy_from_slice(&copy);
    bytes[HEADER_COPY..].copy_from_slice(&copy);
    bytes
}

/// The salt of a segment, where one copy of its header is whole and says `first`.
pub(super) fn decode_segment_header(bytes: &[u8], first: u64) -> Option<u64> {
    bytes
        .get(..SEGMENT_HEADER)?
        .chunks_exact(HEADER_COPY)
        .find_map(|copy| {
            let whole = copy.starts_with(&MAGIC)
                && u64_at(copy, 16)? == first
                && crc32fast::hash(copy.get(..28)?) == u32_at(copy, 28)?;
            whole.then(|| u64_at(copy, 8)).flatten()
        })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
