//! The window of one length that is open now, and how readings fill it.
//!
//! Invariant: every window that ends at or before `start` is closed; `start` never goes back.

use serde::{Deserialize, Serialize};

use crate::vocabulary::MeanKind;

/// What a closed window holds, without its stream.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Summary {
    pub(super) mean: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) last: f64,
}

/// A settled reading: it covers `(from, to]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) value: f64,
    /// The value in the scale in which the mean is taken: see [`scale`].
    pub(super) scaled: f64,
}

/// Scaled values are held within this, so that no sum of them overflows.
const LARGEST: f64 = 1e290;

/// The scale in which means of this kind are sums: 10^(v/10) for sound levels.
pub(super) fn scale(kind: MeanKind, value: f64) -> f64 {
    let scaled = match kind {
        MeanKind::Arithmetic => value,
        MeanKind::Energetic => (value * (std::f64::consts::LN_10 / 10.0)).exp(),
    };
    scaled.clamp(-LARGEST, LARGEST)
}

/// Back from [`scale`], held within what was measured, because sums round.
pub(super) fn unscale(kind: MeanKind, mean: f64, min: f64, max: f64) -> f64 {
    let mean = match kind {
        MeanKind::Arithmetic => mean,
        MeanKind::Energetic => 10.0 * mean.log10(),
    };
    mean.max(min).min(max)
}

/// One open window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Acc {
    /// Start of the window in units of its length since 1970.
    start: i32,
    /// Milliseconds covered.
    covered: u32,
    /// Sum of scaled value times milliseconds covered.
    sum: f64,
    min: f64,
    max: f64,
    last: f64,
}

impl Acc {
    pub(super) fn new() -> Self {
        Self {
            start: i32::MIN,
            covered: 0,
            sum: 0.0,
            min: 0.0,
            max: 0.0,
            last: 0.0,
        }
    }

    /// End of the open window of length `len` ms.
    pub(super) fn end(&self, len: i64) -> i64 {
        (i64::from(self.start) + 1) * len
    }

    /// End of the open window, where something covers it.
    pub(super) fn pending(&self, len: i64) -> Option<i64> {
        (self.covered > 0).then(|| self.end(len))
    }

    /// Adds a reading and closes every window that ends at or before it, oldest first.
    pub(super) fn add(
        &mut self,
        len: i64,
        kind: MeanKind,
        piece: Piece,
        mut closed: impl FnMut(i64, f64, Summary),
    ) {
        loop {
            let end = self.end(len);
            let part = piece.to.min(end) - piece.from.max(end - len);
            if part > 0 {
                self.cover(part, piece);
            }
            if piece.to < end {
                return;
            }
            self.close(len, kind, &mut closed);
            self.start = index(end.max(piece.from), len);
        }
    }

    /// Closes the open window; one that nothing covers leaves no trace.
    pub(super) fn close(
        &mut self,
        len: i64,
        kind: MeanKind,
        mut closed: impl FnMut(i64, f64, Summary),
    ) {
        if self.covered > 0 {
            let covered = f64::from(self.covered);
            // More than all of it only where times were corrected back by less than a window.
            let coverage = (covered / len as f64).min(1.0);
            let mean = unscale(kind, self.sum / covered, self.min, self.max);
            closed(
                self.end(len),
                coverage,
                Summary {
                    mean,
                    min: self.min,
                    max: self.max,
                    last: self.last,
                },
            );
        }
        *self = Self {
            start: self.start.saturating_add(1),
            ..Self::new()
        };
    }

    fn cover(&mut self, part: i64, piece: Piece) {
        let first = self.covered == 0;
        // A part is at most one window long, an hour: it fits.
        self.covered += part as u32;
        self.sum += piece.scaled * part as f64;
        self.min = if first {
            piece.value
        } else {
            self.min.min(piece.value)
        };
        self.max = if first {
            piece.value
        } else {
            self.max.max(piece.value)
        };
        self.last = piece.value;
    }
}

/// The window of length `len` that starts at or before `time` and ends after it.
fn index(time: i64, len: i64) -> i32 {
    // Times are held within the calendar (see `series`): year 9999 in units of 600 s fits.
    time.div_euclid(len) as i32
}
