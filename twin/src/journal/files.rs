//! A journal read as files: of a node that runs, of one that does not, of a copy.
//!
//! Nothing is written, repaired or locked. What follows the last whole frame of the last segment
//! is being written or torn, and is the end; damage before it is a gap that the reader tells.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};

use super::frame::Frame;
use super::reader::{Found, SegmentFile};
use super::segment::{self, Scan};
use super::{GapReason, ReadError, Reader};

/// The segment files of a folder, as they were listed.
#[derive(Debug, Clone)]
pub struct JournalFiles {
    dir: PathBuf,
    /// First position of each segment, oldest first.
    firsts: Vec<u64>,
}

impl JournalFiles {
    /// Lists the segments in `dir`.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let mut firsts = Vec::new();
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            firsts.extend(segment::first_of(&name.to_string_lossy()).filter(|first| *first > 0));
        }
        firsts.sort_unstable();
        Ok(Self {
            dir: dir.to_owned(),
            firsts,
        })
    }

    /// The oldest position there may be; 1 where there is no segment.
    pub fn first(&self) -> u64 {
        self.firsts.first().copied().unwrap_or(1)
    }

    /// First position of each segment, oldest first.
    pub fn segments(&self) -> &[u64] {
        &self.firsts
    }

    /// A reader whose first entry is the one at `from`; it ends with the last whole frame.
    ///
    /// # Errors
    /// [`ReadError::Gone`] names the oldest position there is.
    pub fn reader(&self, from: u64) -> Result<FileReader, ReadError> {
        let (from, oldest) = (from.max(1), self.first());
        if from < oldest {
            return Err(ReadError::Gone { from, oldest });
        }
        let begin = self.firsts.partition_point(|first| *first <= from);
        let begin = begin.saturating_sub(1);
        Ok(FileReader {
            dir: self.dir.clone(),
            segments: self.firsts.iter().skip(begin).copied().collect(),
            next: from,
            ahead: None,
            file: None,
        })
    }
}

/// Reads the segments of [`JournalFiles`] in order.
pub struct FileReader {
    dir: PathBuf,
    /// Not opened yet.
    segments: VecDeque<u64>,
    /// The position wanted next.
    next: u64,
    /// A frame behind a gap, not delivered yet.
    ahead: Option<Frame>,
    file: Option<SegmentFile>,
}

impl FileReader {
    /// Delivers `frame` from the wanted position on, or the gap before it.
    fn deliver(&mut self, frame: Frame) -> Result<Option<Frame>, ReadError> {
        if frame.first() > self.next {
            let last = frame.first() - 1;
            self.ahead = Some(frame);
            return Err(self.skip(last));
        }
        let last = frame.last();
        let frame = frame.starting_at(self.next);
        self.next = self.next.max(last + 1);
        Ok(frame)
    }

    fn skip(&mut self, last: u64) -> ReadError {
        let first = self.next;
        self.next = last + 1;
        ReadError::Gap {
            first,
            last,
            reason: GapReason::Damaged,
        }
    }

    /// Goes on with the next segment; `false`: there is none.
    fn open_next(&mut self) -> Result<bool, ReadError> {
        let Some(first) = self.segments.pop_front() else {
            return Ok(false);
        };
        let path = segment::path(&self.dir, first);
        let failed = |source| ReadError::Io {
            path: path.clone(),
            source,
        };
        self.file = match SegmentFile::open(&path, first).map_err(failed)? {
            Some(file) => Some(file),
            // Deleted since it was listed: a node gives up the oldest segments first.
            None if !path.exists() => {
                let oldest = self.segments.front().copied().unwrap_or(first);
                return Err(ReadError::Gone {
                    from: self.next,
                    oldest,
                });
            }
            None => None,
        };
        Ok(true)
    }

    /// What is good behind damage in the segment that is being read.
    fn salvage(&mut self, first: u64) -> Result<(), ReadError> {
        let path = segment::path(&self.dir, first);
        let failed = |source| ReadError::Io {
            path: path.clone(),
            source,
        };
        let bytes = fs::read(&path).map_err(failed)?;
        let scan = Scan::new(&bytes, first, u64::MAX);
        let image = Box::new(Cursor::new(scan.image(&bytes)));
        self.file = SegmentFile::on(image, first).map_err(failed)?;
        if let Some(file) = &mut self.file {
            file.salvaged = Some(scan.last);
        }
        Ok(())
    }

    /// The next frame of the open segment; `None`: look again.
    fn read(&mut self, mut file: SegmentFile) -> Result<Option<Frame>, ReadError> {
        let found = file.next(self.next).map_err(|source| ReadError::Io {
            path: segment::path(&self.dir, file.first),
            source,
        })?;
        match found {
            Found::Frame(frame) => {
                self.file = Some(file);
                self.deliver(frame)
            }
            Found::Damage if file.salvaged.is_none() => {
                self.salvage(file.first)?;
                Ok(None)
            }
            Found::End | Found::Damage => Ok(None),
        }
    }
}

impl Reader for FileReader {
    fn next(&mut self) -> Result<Option<Frame>, ReadError> {
        if let Some(frame) = self.ahead.take() {
            return self.deliver(frame);
        }
        loop {
            let frame = match self.file.take() {
                Some(file) => self.read(file)?,
                None if self.open_next()? => None,
                None => return Ok(None),
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
