//! Random numbers that can be had again: the seed is printed, and `QUARTIER_SEED` sets it.

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

/// xorshift64*: enough to choose moments and to mutate bytes.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Seeded by `QUARTIER_SEED` or the clock; the seed is printed for the report of a failure.
    pub fn new() -> Self {
        let given = std::env::var("QUARTIER_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let clock = || {
            let since = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            u64::from(since.subsec_nanos()) ^ since.as_secs()
        };
        let seed: u64 = given.unwrap_or_else(clock);
        eprintln!("QUARTIER_SEED={seed}");
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number of the range; the range is not empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.bits() % (range.end - range.start).max(1)
    }

    /// An index below `len`; 0 where `len` is 0.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.bits() % (len.max(1) as u64)).unwrap_or(0)
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}
