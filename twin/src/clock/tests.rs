//! The clock against a wall clock that jumps: what is stamped, and what the journal says of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::{Clock, Report};
use crate::event::{ClockSet, Entry, Event, TimeSource};
use crate::journal::{Journal, Options, SegmentJournal};
use crate::model::Millis;
use crate::uplink::Echo;

/// 2026-06-01.
const START: i64 = 1_780_272_000_000;
const HOUR: i64 = 3_600_000;

/// A clock whose wall and monotonic clock are set by hand, milliseconds.
struct Rig {
    folder: TempDir,
    journal: Arc<dyn Journal>,
    wall: Arc<AtomicI64>,
    mono: Arc<AtomicI64>,
    clock: Clock,
}

impl Rig {
    fn new(edge: bool, wall: i64, newest: i64) -> Self {
        let folder = TempDir::new().unwrap();
        let journal = SegmentJournal::open(folder.path().join("journal"), Options::default());
        let journal: Arc<dyn Journal> = Arc::new(journal.unwrap());
        let wall = Arc::new(AtomicI64::new(wall));
        let mono = Arc::new(AtomicI64::new(0));
        let ticks = |of: &Arc<AtomicI64>| {
            let of = Arc::clone(of);
            Box::new(move || of.load(Ordering::Relaxed) * 1000)
        };
        let file = folder.path().join("synchronized");
        let file: Option<&Path> = edge.then_some(&file);
        let clock = Clock::with(file, Arc::clone(&journal), ticks(&mono), ticks(&wall));
        clock.begin(Millis(newest));
        Self {
            folder,
            journal,
            wall,
            mono,
            clock,
        }
    }

    /// Time passes, on both clocks.
    fn pass(&self, ms: i64) {
        self.mono.fetch_add(ms, Ordering::Relaxed);
        self.wall.fetch_add(ms, Ordering::Relaxed);
    }

    /// The wall clock is set, and the clock looks at it.
    fn jump(&self, ms: i64) {
        self.wall.fetch_add(ms, Ordering::Relaxed);
        self.clock.look();
    }

    /// NTP says that the wall clock is right.
    fn synchronise(&self) {
        std::fs::write(self.folder.path().join("synchronized"), "").unwrap();
        self.clock.look();
    }

    /// What the journal says, with the times of the entries.
    fn said(&self) -> Vec<(i64, ClockSet)> {
        let last = self.journal.stats().last;
        let mut said = Vec::new();
        if last == 0 {
            return said;
        }
        self.journal.wait_past(last - 1, Duration::from_secs(10));
        let mut reader = self.journal.reader(1).unwrap();
        while let Some(frame) = reader.next().unwrap() {
            for (_, bytes) in frame.entries() {
                let entry: Entry<'_> = postcard::from_bytes(bytes).unwrap();
                if let Event::ClockSet(set) = entry.event {
                    said.push((entry.at.0, set));
                }
            }
        }
        said
    }

    fn stamps(&self) -> (i64, i64, bool) {
        let moment = self.clock.moment();
        (moment.at.0 - START, moment.time.0 - START, moment.guessed)
    }
}

fn set(time: i64, offset_ms: i64, source: TimeSource) -> ClockSet {
    ClockSet {
        time: Millis(START + time),
        offset_ms,
        source,
    }
}

#[test]
fn a_box_does_not_follow_its_wall_clock_and_says_that_it_guesses() {
    let rig = Rig::new(true, START, 0);
    assert_eq!(rig.stamps(), (0, 0, true));
    for jump in [3 * HOUR, -48 * HOUR, HOUR] {
        rig.pass(1000);
        rig.jump(jump);
    }
    assert_eq!(rig.stamps(), (3000, 3000, true));
    assert_eq!(rig.clock.report().jumps, 3);
    assert_eq!(rig.said(), [(START, set(0, 0, TimeSource::Guess))]);
}

#[test]
fn a_box_begins_behind_its_newest_entry_however_far_back_its_wall_clock_is() {
    let rig = Rig::new(true, START - 400 * 24 * HOUR, START + 5);
    assert_eq!(rig.stamps(), (5, 5, true));
}

#[test]
fn ntp_sets_the_clock_forward_at_once_and_says_by_how_much() {
    let rig = Rig::new(true, START, 0);
    rig.pass(1000);
    rig.jump(3 * HOUR);
    rig.synchronise();
    let now = 3 * HOUR + 1000;
    assert_eq!(rig.stamps(), (now, now, false));
    let said = rig.said();
    assert_eq!(
        said[1..],
        [(START + 1000, set(now, 3 * HOUR, TimeSource::Ntp))]
    );
    // The file is there, and the wall clock jumps all the same: nobody said that it is right.
    rig.jump(-HOUR);
    assert_eq!(rig.stamps(), (now, now, false));
}

#[test]
fn set_back_entries_run_at_half_the_speed_and_readings_get_the_time() {
    let rig = Rig::new(true, START + HOUR, 0);
    rig.jump(-HOUR);
    rig.synchronise();
    assert_eq!(rig.stamps(), (HOUR, 0, false));
    rig.pass(HOUR);
    assert_eq!(rig.stamps(), (HOUR + HOUR / 2, HOUR, false));
    rig.pass(HOUR);
    assert_eq!(rig.stamps(), (2 * HOUR, 2 * HOUR, false));
    let said = (START + HOUR, set(0, -HOUR, TimeSource::Ntp));
    assert_eq!(rig.said()[1..], [said]);
}

#[test]
fn the_city_tells_the_time_by_a_message_that_was_just_sent() {
    let rig = Rig::new(true, START, 0);
    let sent = rig.clock.asked();
    rig.pass(400);
    let taken = Millis(START + HOUR);
    rig.clock.learned(Echo { sent, taken });
    // Half the way is behind the city's word.
    assert_eq!(rig.stamps(), (HOUR + 200, HOUR + 200, false));
    let said = rig.said();
    assert_eq!(
        said[1..],
        [(START + 400, set(HOUR + 200, HOUR - 200, TimeSource::City))]
    );
}

#[test]
fn an_echo_of_another_start_or_of_long_ago_tells_no_time() {
    let rig = Rig::new(true, START, 0);
    let taken = Millis(START + HOUR);
    rig.pass(10);
    let sent = rig.clock.asked();
    // Within seconds of now by this clock, and not one of this start.
    let foreign = Echo {
        sent: Millis(START),
        taken,
    };
    rig.clock.learned(foreign);
    assert_eq!(rig.stamps(), (10, 10, true));
    rig.pass(11_000);
    rig.clock.learned(Echo { sent, taken });
    assert_eq!(rig.stamps(), (11_010, 11_010, true));
}

#[test]
fn an_echo_that_agrees_within_its_way_moves_nothing() {
    let rig = Rig::new(true, START, 0);
    let sent = rig.clock.asked();
    rig.pass(400);
    let taken = Millis(START + 380);
    rig.clock.learned(Echo { sent, taken });
    assert_eq!(rig.stamps(), (400, 400, false));
    assert_eq!(rig.said()[1].1, set(400, 0, TimeSource::City));
}

#[test]
fn a_server_follows_its_wall_clock_and_never_goes_back() {
    let rig = Rig::new(false, START, 0);
    assert_eq!(rig.said(), []);
    rig.jump(HOUR);
    assert_eq!(rig.stamps(), (HOUR, HOUR, false));
    rig.jump(-HOUR);
    assert_eq!(rig.stamps(), (HOUR, HOUR, false));
    rig.pass(HOUR);
    assert_eq!(rig.stamps().0, HOUR + HOUR / 2);
    rig.pass(2 * HOUR);
    assert_eq!(rig.stamps().0, 3 * HOUR);
    let report = rig.clock.report();
    assert_eq!(
        report,
        Report {
            known: Some(TimeSource::Wall),
            jumps: 2,
            ..report
        }
    );
    assert_eq!(rig.said().len(), 2, "both are in the journal");
}
