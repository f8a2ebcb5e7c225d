//! How much goes up at once: batches that take about a quarter of a second on the way, and as many
//! bits a second as are allowed.

use std::time::{Duration, Instant};

/// Bytes of entries in a batch, before they are deflated.
const LEAST: usize = 2 << 10;
const MOST: usize = 512 << 10;
const FIRST: usize = 16 << 10;
/// An acknowledgement within this time: the next batch may be larger.
const QUICK: Duration = Duration::from_millis(250);
/// Later than this: it should be smaller.
const SLOW: Duration = Duration::from_secs(1);
/// Batches on their way over a quick link.
const WINDOW: usize = 4;
/// TCP, TLS and MQTT around a payload.
const OVERHEAD: usize = 100;

/// Learns from acknowledgements, and counts bits.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes: usize,
    slow: bool,
    bits_per_s: u64,
    /// When what was sent is paid for.
    free_at: Instant,
}

impl Pace {
    /// `bits_per_s`: 0 is any.
    pub(crate) fn new(bits_per_s: u64) -> Self {
        Self {
            bytes: FIRST,
            slow: false,
            bits_per_s,
            free_at: Instant::now(),
        }
    }

    /// Changes the limit.
    pub(crate) fn limit(&mut self, bits_per_s: u64) {
        self.bits_per_s = bits_per_s;
    }

    /// Bytes of entries that the next batch should have.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Batches that may be on their way.
    pub(crate) fn window(&self) -> usize {
        if self.slow { 1 } else { WINDOW }
    }

    /// A batch was acknowledged. `full`: it was as large as it may be.
    pub(crate) fn acknowledged(&mut self, after: Duration, full: bool) {
        self.slow = after > SLOW;
        if self.slow {
            self.bytes = (self.bytes / 2).max(LEAST);
        } else if after < QUICK && full {
            self.bytes = (self.bytes * 2).min(MOST);
        }
    }

    /// `payload` bytes are sent.
    pub(crate) fn sent(&mut self, payload: usize) {
        if self.bits_per_s == 0 {
            return;
        }
        let bits = (payload + OVERHEAD) as u64 * 8;
        let nanos = u128::from(bits) * 1_000_000_000 / u128::from(self.bits_per_s);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.free_at = self.free_at.max(Instant::now()) + takes;
    }

    /// When what can wait may be sent.
    pub(crate) fn free_at(&self) -> Instant {
        self.free_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_while_answers_are_quick_and_shrink_when_they_are_slow() {
        let mut pace = Pace::new(0);
        for _ in 0..20 {
            pace.acknowledged(Duration::from_millis(5), true);
        }
        assert_eq!((pace.bytes(), pace.window()), (MOST, WINDOW));
        pace.acknowledged(Duration::from_millis(5), false);
        assert_eq!(pace.bytes(), MOST);
        for _ in 0..20 {
            pace.acknowledged(Duration::from_secs(3), true);
        }
        assert_eq!((pace.bytes(), pace.window()), (LEAST, 1));
    }

    #[test]
    fn a_limit_makes_what_can_wait_wait() {
        let mut pace = Pace::new(8_000);
        let before = Instant::now();
        pace.sent(900);
        let wait = pace.free_at() - before;
        assert!(wait >= Duration::from_millis(990), "{wait:?}");
        pace.limit(0);
        pace.sent(1 << 30);
        assert!(pace.free_at() - before < Duration::from_secs(2));
    }
}
