//! How fast a client may publish: a bucket that holds one second's worth of messages and fills
//! evenly.

use std::time::Duration;

use tokio::time::Instant;

const BURST: Duration = Duration::from_secs(1);

/// The pace of one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// From one message to the next; zero where there is no limit.
    interval: Duration,
    /// When the bucket is full again, if nothing more comes.
    full_at: Instant,
}

impl Pace {
    /// At most `rate` messages a second; 0 is any number.
    pub(super) fn new(rate: u32) -> Self {
        Self {
            interval: BURST.checked_div(rate).unwrap_or_default(),
            full_at: Instant::now(),
        }
    }

    /// One message was taken.
    pub(super) fn spend(&mut self) {
        if !self.interval.is_zero() {
            self.full_at = self.full_at.max(Instant::now()) + self.interval;
        }
    }

    /// When the next message may be taken; `None`: now.
    pub(super) fn wait(&self) -> Option<Instant> {
        if self.interval.is_zero() {
            return None;
        }
        let next = self.full_at.checked_sub(BURST - self.interval)?;
        (next > Instant::now()).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_of_messages_goes_at_once_and_the_next_waits_for_its_turn() {
        let mut pace = Pace::new(10);
        let mut taken = 0;
        while pace.wait().is_none() {
            pace.spend();
            taken += 1;
        }
        assert!((10..=11).contains(&taken), "{taken}");
        let wait = pace.wait().map(|at| at - Instant::now());
        assert!(wait.is_some_and(|wait| wait <= Duration::from_millis(100)));
    }

    #[test]
    fn without_a_rate_nobody_waits() {
        let mut pace = Pace::new(0);
        for _ in 0..1_000_000 {
            pace.spend();
        }
        assert!(pace.wait().is_none());
    }
}
