//! Waiting for something to become true, with a deadline, never for luck.

use std::thread;
use std::time::{Duration, Instant};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Lets `time` pass, where passing time is the point: the length of a life, the pace of a load.
pub fn pause(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end
        .checked_duration_since(Instant::now())
        .filter(|l| !l.is_zero())
    {
        thread::park_timeout(left);
    }
}

/// Returns what `look` finds, as soon as it finds something; panics at the deadline, with `what`.
pub fn eventually_some<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        pause(LOOK);
    }
}

/// Returns as soon as `look` says `Ok`; panics at the deadline, with `what` and what it said last.
pub fn eventually(what: &str, within: Duration, mut look: impl FnMut() -> Result<(), String>) {
    let end = Instant::now() + within;
    loop {
        match look() {
            Ok(()) => return,
            Err(last) => assert!(
                Instant::now() < end,
                "not within {within:?}: {what}: {last}"
            ),
        }
        pause(LOOK);
    }
}
