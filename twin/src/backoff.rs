//! How long to wait before the next try: exponential with full jitter, so that many nodes do not
//! come back to a recovering server in step.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// A server may ask for no longer pause than this.
const LONGEST_WISH: Duration = Duration::from_secs(600);

/// Failures in a row, and the pause that follows from them.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Pauses of up to `first` after the first failure, twice that after each further one, and
    /// `longest` at most.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
        }
    }

    /// The server works: the next failure is a first one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure; not shorter than what the server asked for.
    pub fn next(&mut self, wish: Option<Duration>) -> Duration {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        // Every RandomState has keys of its own; that is all the randomness jitter needs.
        let draw = RandomState::new().hash_one(self.failures) as u32;
        let jitter = ceiling.mul_f64((f64::from(draw) + 1.0) / 4_294_967_296.0);
        jitter.max(wish.unwrap_or_default().min(LONGEST_WISH))
    }

    fn ceiling(&self) -> Duration {
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.first.saturating_mul(doubled).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_lie_under_a_doubling_ceiling_that_ends_at_the_longest() {
        let (first, longest) = (Duration::from_millis(250), Duration::from_secs(60));
        let mut backoff = Backoff::new(first, longest);
        for failure in 0..80_u32 {
            let ceiling = first
                .saturating_mul(2_u32.saturating_pow(failure))
                .min(longest);
            let pause = backoff.next(None);
            assert!(
                pause > Duration::ZERO && pause <= ceiling,
                "{failure}: {pause:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next(None) <= first);
    }

    #[test]
    fn pauses_are_spread_over_the_whole_range() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(1));
        let pauses: Vec<_> = (0..200).map(|_| backoff.next(None)).collect();
        assert!(pauses.iter().any(|p| *p < Duration::from_millis(200)));
        assert!(pauses.iter().any(|p| *p > Duration::from_millis(800)));
    }

    #[test]
    fn a_server_that_asks_for_a_pause_gets_it_but_not_for_hours() {
        let mut backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
        assert_eq!(
            backoff.next(Some(Duration::from_secs(7))),
            Duration::from_secs(7)
        );
        assert_eq!(
            backoff.next(Some(Duration::from_secs(86_400))),
            LONGEST_WISH
        );
    }
}
