//! The interval of a stream for which nobody set one: the median spacing of its last 16 readings.

use serde::{Deserialize, Serialize};

use super::LONGEST_GUESS;

/// Spacings between 16 readings.
const KEPT: usize = 15;

/// The last spacings of settled readings, milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Spacings {
    /// A ring: `next` is written next, so unwritten places are at the end.
    ring: [u32; KEPT],
    len: u8,
    next: u8,
}

impl Spacings {
    pub(super) fn new() -> Self {
        Self {
            ring: [0; KEPT],
            len: 0,
            next: 0,
        }
    }

    /// Takes in the spacing to the reading before and gives the interval from here on: the median,
    /// of an even number the mean of the two in the middle, rounded down.
    pub(super) fn learn(&mut self, spacing: i64) -> u32 {
        let place = usize::from(self.next) % KEPT;
        // Clamped to 15 min: it fits.
        self.ring[place] = spacing.clamp(0, LONGEST_GUESS) as u32;
        self.next = ((place + 1) % KEPT) as u8;
        self.len = (self.len + 1).min(KEPT as u8);
        let mut sorted = self.ring;
        let known = &mut sorted[..usize::from(self.len).min(KEPT)];
        let middle = known.len() / 2;
        let (below, &mut upper, _) = known.select_nth_unstable(middle);
        if self.len % 2 == 1 {
            return upper;
        }
        let lower = below.iter().copied().max().unwrap_or(upper);
        (lower + upper) / 2
    }
}
