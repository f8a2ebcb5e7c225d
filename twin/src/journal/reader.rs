//! A reader: recent frames from memory, older ones from the segment files.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::frame::{FRAME_HEADER, Frame, FrameHeader, SEGMENT_HEADER, decode_segment_header};
use super::head::{Shared, Whereabouts};
use super::segment;
use super::{GapReason, ReadError, Reader};

const READ_BUFFER: usize = 128 << 10;

pub(super) struct SegmentReader {
    shared: Arc<Shared>,
    /// The position wanted next.
    next: u64,
    /// A frame behind a gap, not delivered yet.
    ahead: Option<Frame>,
    file: Option<SegmentFile>,
}

/// A segment being read from its beginning to its end.
pub(super) struct SegmentFile {
    pub(super) first: u64,
    salt: u64,
    source: Box<dyn BufRead + Send>,
    /// Set when `source` is what could be saved of a damaged segment: the last position that the
    /// segment should hold.
    pub(super) salvaged: Option<u64>,
}

/// What is next in a segment.
pub(super) enum Found {
    Frame(Frame),
    End,
    Damage,
}

impl SegmentReader {
    pub(super) fn new(shared: Arc<Shared>, from: u64) -> Self {
        Self {
            shared,
            next: from,
            ahead: None,
            file: None,
        }
    }

    /// Delivers `frame` from the wanted position on, or the gap before it.
    fn deliver(&mut self, frame: Frame) -> Result<Option<Frame>, ReadError> {
        if frame.first() > self.next {
            let last = frame.first() - 1;
            let reason = match self.shared.bounds().0 {
                oldest if oldest > self.next => GapReason::Dropped,
                _ => GapReason::Damaged,
            };
            self.ahead = Some(frame);
            return Err(self.skip(last, reason));
        }
        let last = frame.last();
        let frame = frame.starting_at(self.next);
        self.next = self.next.max(last + 1);
        Ok(frame)
    }

    /// Moves behind a gap that ends with `last`.
    fn skip(&mut self, last: u64, reason: GapReason) -> ReadError {
        let first = self.next;
        self.next = last + 1;
        ReadError::Gap {
            first,
            last,
            reason,
        }
    }

    /// The next frame from the segment that begins with `first`; `None`: look again.
    fn read(&mut self, first: u64) -> Result<Option<Frame>, ReadError> {
        let shared = self.shared.clone();
        let path = segment::path(&shared.dir, first);
        let failed = |source| ReadError::Io {
            path: path.clone(),
            source,
        };
        let mut file = match self.file.take().filter(|file| file.first == first) {
            Some(file) => file,
            None => match SegmentFile::open(&path, first).map_err(failed)? {
                Some(file) => file,
                // Deleted since the caller looked.
                None if shared.bounds().0 > first => return Ok(None),
                None => SegmentFile::salvage(&shared, first).map_err(failed)?,
            },
        };
        match (file.next(self.next).map_err(failed)?, file.salvaged) {
            (Found::Frame(frame), _) => {
                self.file = Some(file);
                self.deliver(frame)
            }
            (Found::End, None) | (Found::Damage, _) => {
                self.file = Some(SegmentFile::salvage(&shared, first).map_err(failed)?);
                Ok(None)
            }
            (Found::End, Some(end)) if end >= self.next => Err(self.skip(end, GapReason::Damaged)),
            (Found::End, Some(_)) => Ok(None),
        }
    }
}

impl Reader for SegmentReader {
    fn next(&mut self) -> Result<Option<Frame>, ReadError> {
        if let Some(frame) = self.ahead.take() {
            return self.deliver(frame);
        }
        loop {
            let frame = match self.shared.whereabouts(self.next) {
                Whereabouts::Ahead => return Ok(None),
                Whereabouts::Gone { oldest } => {
                    return Err(self.skip(oldest - 1, GapReason::Dropped));
                }
                Whereabouts::Memory(frame) => {
                    self.file = None;
                    self.deliver(frame)?
                }
                Whereabouts::File { first } => self.read(first)?,
            };
            if frame.is_some() {
                return Ok(frame);
            }
        }
    }

    fn position(&self) -> u64 {
        self.next
    }
}

impl SegmentFile {
    /// `None` where there is no file or no readable header in it.
    pub(super) fn open(path: &Path, first: u64) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => Self::on(Box::new(BufReader::with_capacity(READ_BUFFER, file)), first),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn on(mut source: Box<dyn BufRead + Send>, first: u64) -> io::Result<Option<Self>> {
        let mut header = [0; SEGMENT_HEADER];
        if !fill(&mut *source, &mut header)? {
            return Ok(None);
        }
        let salt = decode_segment_header(&header, first);
        Ok(salt.map(|salt| Self {
            first,
            salt,
            source,
            salvaged: None,
        }))
    }

    fn salvage(shared: &Shared, first: u64) -> io::Result<Self> {
        let saved = shared.salvage(first)?;
        let file = Self::on(Box::new(Cursor::new(saved.image)), first)?
            .ok_or_else(|| io::Error::other("a repaired segment has no header"))?;
        Ok(Self {
            salvaged: Some(saved.last),
            ..file
        })
    }

    /// The next frame that reaches `position`. The caller knows that it is durable, or damaged.
    pub(super) fn next(&mut self, position: u64) -> io::Result<Found> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(Found::End);
            }
            let mut header = [0; FRAME_HEADER];
            if !fill(&mut *self.source, &mut header)? {
                return Ok(Found::Damage);
            }
            let Some(header) = FrameHeader::decode(&header, self.salt) else {
                return Ok(Found::Damage);
            };
            let mut body = vec![0; header.body_len as usize];
            if !fill(&mut *self.source, &mut body)? || crc32fast::hash(&body) != header.body_crc {
                return Ok(Found::Damage);
            }
            if header.last() >= position {
                return Ok(Found::Frame(Frame::new(
                    header.first,
                    header.count,
                    Bytes::from(body),
                )));
            }
        }
    }
}

/// `false` where the source ends before `buffer` is full.
fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<bool> {
    match source.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
