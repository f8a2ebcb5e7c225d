//! What is done when a journal is opened: find the segments, cut the torn tail, set damage aside.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::Path;

use super::batch::ENTRY_HEADER;
use super::disk::{Disk, SegmentFile};
use super::frame::{SEGMENT_HEADER, encode_segment_header};
use super::segment::{self, Scan, Segment};
use super::{JournalStats, OpenError};
use crate::files::sync_folder;

/// The last segment, ready to be appended to.
pub(super) struct Tail {
    pub(super) file: Box<dyn SegmentFile>,
    pub(super) salt: u64,
    pub(super) bytes: u64,
}

/// A journal as found on disk; everything in it is durable.
pub(super) struct Recovered {
    pub(super) segments: VecDeque<Segment>,
    pub(super) tail: Tail,
    /// The next position to hand out.
    pub(super) next: u64,
    pub(super) damaged: BTreeMap<u64, u64>,
    pub(super) counts: JournalStats,
}

/// Opens the journal in `dir`, or begins one; positions up to `floor` are not handed out again.
pub(super) fn recover(dir: &Path, floor: u64, disk: &dyn Disk) -> Result<Recovered, OpenError> {
    let io = |source| OpenError::Io {
        path: dir.to_owned(),
        source,
    };
    fs::create_dir_all(dir).map_err(io)?;
    dir.parent().map_or(Ok(()), sync_folder).map_err(io)?;
    let mut found = Found::list(dir).map_err(io)?;
    let at_file = |first: u64| {
        move |source| OpenError::Io {
            path: segment::path(dir, first),
            source,
        }
    };
    while let Some(last) = found.segments.back().copied() {
        if found.check_last(dir, last).map_err(at_file(last.first))? {
            break;
        }
    }
    if found.next <= floor && !found.segments.is_empty() {
        let lost = floor + 1 - found.next;
        tracing::error!(lost, "the journal ends before what its readers have seen");
        found.counts.lost += lost;
    }
    let next = found.next.max(floor + 1);
    let tail = match (found.segments.back().copied(), found.salt) {
        (Some(last), Some(salt)) if found.next == next => {
            reopen(dir, last, salt, disk).map_err(at_file(last.first))?
        }
        _ => {
            let tail = begin(dir, next, disk).map_err(at_file(next))?;
            found.segments.push_back(Segment {
                first: next,
                bytes: tail.bytes,
            });
            tail
        }
    };
    let Found {
        segments,
        damaged,
        counts,
        ..
    } = found;
    Ok(Recovered {
        segments,
        tail,
        next,
        damaged,
        counts,
    })
}

/// Creates the segment that begins with `first`, on disk with its name when this returns.
pub(super) fn begin(dir: &Path, first: u64, disk: &dyn Disk) -> io::Result<Tail> {
    let path = segment::path(dir, first);
    let salt = segment::new_salt();
    let mut file = disk.create(&path)?;
    let written = file
        .append(&encode_segment_header(first, salt))
        .and_then(|()| file.sync())
        .and_then(|()| disk.sync_dir(dir));
    if let Err(error) = written {
        // Without its header it is no segment: what is left of it must not block the next try.
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    Ok(Tail {
        file,
        salt,
        bytes: SEGMENT_HEADER as u64,
    })
}

/// Bytes may be in the page cache only, when the process was killed before its sync.
fn reopen(dir: &Path, last: Segment, salt: u64, disk: &dyn Disk) -> io::Result<Tail> {
    let mut file = disk.open(&segment::path(dir, last.first))?;
    file.truncate(last.bytes)?;
    file.sync()?;
    Ok(Tail {
        file,
        salt,
        bytes: last.bytes,
    })
}

struct Found {
    segments: VecDeque<Segment>,
    next: u64,
    /// Salt of the last segment, where that can be continued.
    salt: Option<u64>,
    damaged: BTreeMap<u64, u64>,
    counts: JournalStats,
}

impl Found {
    fn list(dir: &Path) -> io::Result<Self> {
        let mut segments = Vec::new();
        let mut counts = JournalStats::default();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if let Some(first) = segment::first_of(&name).filter(|first| *first > 0) {
                segments.push(Segment {
                    first,
                    bytes: entry.metadata()?.len(),
                });
            } else if name.ends_with(".corrupt") {
                counts.corrupt += 1;
            } else if name.ends_with(".tmp") {
                fs::remove_file(entry.path())?;
            } else {
                tracing::warn!(file = %entry.path().display(), "no journal file, left alone");
            }
        }
        segments.sort_unstable_by_key(|segment| segment.first);
        let segments = segments.into();
        Ok(Self {
            segments,
            next: 1,
            salt: None,
            damaged: BTreeMap::new(),
            counts,
        })
    }

    /// Decides where the journal ends; `false` when the last segment was none and was removed.
    fn check_last(&mut self, dir: &Path, last: Segment) -> io::Result<bool> {
        let path = segment::path(dir, last.first);
        let bytes = fs::read(&path)?;
        let scan = Scan::new(&bytes, last.first, u64::MAX);
        self.next = scan.last + 1;
        if scan.salt.is_some() {
            self.cut(dir, last, &scan, &bytes)?;
            self.salt = scan.salt;
            return Ok(true);
        }
        self.segments.pop_back();
        if bytes.len() <= SEGMENT_HEADER {
            // The crash came while it was created; nothing was ever in it.
            fs::remove_file(&path)?;
            return Ok(false);
        }
        // How many positions it held is unknown: skip as many as could have been.
        let most = bytes.len() as u64 / ENTRY_HEADER as u64;
        self.next += most;
        tracing::error!(path = %path.display(), "journal segment has no readable header, set aside");
        segment::set_aside(dir, last.first)?;
        self.counts.corrupt += 1;
        self.damaged.insert(last.first, most);
        Ok(true)
    }

    fn cut(&mut self, dir: &Path, last: Segment, scan: &Scan, bytes: &[u8]) -> io::Result<()> {
        let torn = scan.tail() as u64;
        if torn > 0 {
            tracing::warn!(bytes = torn, after = scan.last, "journal: torn tail cut");
            self.counts.torn_bytes = torn;
        }
        let mut length = scan.end as u64;
        if scan.has_hole() {
            tracing::error!(
                segment = last.first,
                lost = scan.lost,
                "journal segment is damaged"
            );
            let image = scan.image(bytes);
            segment::quarantine(dir, last.first, &image)?;
            self.counts.corrupt += 1;
            self.damaged.insert(last.first, scan.lost);
            length = image.len() as u64;
        }
        if let Some(segment) = self.segments.back_mut() {
            segment.bytes = length;
        }
        Ok(())
    }
}
