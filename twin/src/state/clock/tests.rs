//! A guess and its end, in the fold: what closes and expires does so at the same moments as if the
//! time had been known all along, and streams go on at right times.

use proptest::prelude::*;

use crate::event::{
    ClockSet, CommandAsked, Deployed, Entry, Event, PluginRecord, Priority, Stamp, TimeSource,
};
use crate::model::{AssetRecord, Millis, Observed, Quality, QuarterRecord, Reading};
use crate::state::{CommandState, Effects, PluginJob, Twin};

/// 2026-06-01.
const START: i64 = 1_780_272_000_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// Span, end, mean, coverage of a closed window.
type Row = (u32, i64, f64, f64);

/// A node whose clock is `lead` ahead until the time is known.
struct Node {
    twin: Twin,
    effects: Effects,
    rows: Vec<Row>,
    position: u64,
    lead: i64,
    /// When the time became known, and how far entries were ahead then.
    known: Option<(i64, i64)>,
}

impl Node {
    fn new(lead: i64) -> Self {
        let mut node = Self {
            twin: Twin::new(),
            effects: Effects::default(),
            rows: Vec::new(),
            position: 0,
            lead,
            known: None,
        };
        node.take(
            0,
            Event::QuarterPut(QuarterRecord {
                id: "a".to_owned(),
                name: "A".to_owned(),
                cells: Vec::new(),
                timezone: "UTC".to_owned(),
            }),
        );
        node.take(
            0,
            Event::PluginDeployed(Deployed {
                record: PluginRecord {
                    quarter: "a".to_owned(),
                    plugin: "p".to_owned(),
                    version: "1.0.0".to_owned(),
                    windows: vec![("pm10".to_owned(), 3600), ("pm10".to_owned(), 600)],
                    batch: 1000,
                    ..PluginRecord::default()
                },
                ..Deployed::default()
            }),
        );
        node.take(
            0,
            Event::AssetPut(AssetRecord {
                quarter: "a".to_owned(),
                id: "x".to_owned(),
                attributes: vec![("interval_s".to_owned(), "60".to_owned())],
                ..AssetRecord::default()
            }),
        );
        node.guess();
        node
    }

    /// The time of an entry that is made at `time`.
    fn at(&self, time: i64) -> i64 {
        match self.known {
            None => time + self.lead,
            Some((since, ahead)) => time + (ahead - (time - since) / 2).max(0),
        }
    }

    fn take(&mut self, time: i64, event: Event<'_>) {
        self.position += 1;
        let at = Millis(START + self.at(time));
        self.twin
            .fold(self.position, &Entry { at, event }, &mut self.effects);
        for job in self.effects.jobs.drain(..) {
            if let PluginJob::Batch(batch) = job {
                let windows = &batch.batch.windows;
                for row in 0..windows.asset.len() {
                    self.rows.push((
                        windows.span_s[row],
                        windows.end_ms[row] as i64 - START,
                        windows.mean[row],
                        windows.coverage[row],
                    ));
                }
            }
        }
    }

    fn guess(&mut self) {
        let said = ClockSet {
            time: Millis(START + self.at(0)),
            offset_ms: 0,
            source: TimeSource::Guess,
        };
        self.take(0, Event::ClockSet(said));
    }

    fn known(&mut self, time: i64) {
        let said = ClockSet {
            time: Millis(START + time),
            offset_ms: -self.lead,
            source: TimeSource::City,
        };
        self.take(time, Event::ClockSet(said));
        self.known = Some((time, self.lead.max(0)));
    }

    fn tick(&mut self, time: i64) {
        self.take(time, Event::Ticked);
    }

    /// A device that knows the time.
    fn timed(&mut self, time: i64, value: f64) {
        let observed = observed("x", START + time, value, Quality::Good);
        self.take(time, Event::Observed(observed));
    }

    /// A device that leaves it to the node.
    fn untimed(&mut self, time: i64, value: f64) {
        let event = match self.known {
            None => Event::Untimed(observed(
                "x",
                START + self.at(time),
                value,
                Quality::Uncertain,
            )),
            Some(_) => Event::Observed(observed("x", START + time, value, Quality::Good)),
        };
        self.take(time, event);
    }

    /// Time, since the start, and quality of the stream.
    fn newest(&self) -> (i64, Quality) {
        let stream = self.twin.streams()[0];
        (stream.time.0 - START, stream.quality)
    }
}

fn observed(asset: &str, time: i64, value: f64, quality: Quality) -> Observed<'_> {
    Observed {
        quarter: "a",
        asset,
        place: None,
        readings: vec![Reading {
            metric: "pm10",
            value,
            time: Millis(time),
            quality,
            unit: None,
        }],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Entries are some minutes apart. Even numbers: half the speed is exact then.
    #[test]
    fn windows_of_devices_that_know_the_time_are_the_same_whatever_the_node_guesses(
        lead in (-20 * DAY / 2..20 * HOUR / 2).prop_map(|half| half * 2),
        steps in prop::collection::vec((1i64..300, 0u8..4, 0i32..50), 5..80),
        known in 0.0..1.0f64,
    ) {
        let when = (steps.len() as f64 * known) as usize;
        let (mut right, mut wrong) = (Node::new(0), Node::new(lead));
        let mut time = 0;
        for (index, (seconds, kind, value)) in steps.into_iter().enumerate() {
            time += seconds * 2000;
            for node in [&mut right, &mut wrong] {
                if index == when {
                    node.known(time);
                }
                match kind {
                    0 => node.tick(time),
                    _ => node.timed(time, f64::from(value)),
                }
            }
        }
        for node in [&mut right, &mut wrong] {
            for hour in 1..5 {
                node.tick(time + hour * HOUR);
            }
        }
        prop_assert_eq!(&wrong.rows, &right.rows);
        prop_assert_eq!(wrong.newest(), right.newest());
        prop_assert!(!wrong.rows.is_empty() || wrong.twin.streams().is_empty() || wrong.twin.counts().readings < 3);
    }

    #[test]
    fn windows_of_a_guess_are_those_of_the_right_time_shifted(
        hours in -50i64..50,
        steps in prop::collection::vec((1i64..300, 0u8..4, 0i32..50), 5..80),
    ) {
        let lead = hours * HOUR;
        let (mut right, mut wrong) = (Node::new(0), Node::new(lead));
        let mut time = 0;
        for (seconds, kind, value) in steps {
            time += seconds * 2000;
            for node in [&mut right, &mut wrong] {
                match kind {
                    0 => node.tick(time),
                    _ => node.untimed(time, f64::from(value)),
                }
            }
        }
        let shifted: Vec<Row> = wrong.rows.iter().map(|&(span, end, mean, coverage)| (span, end - lead, mean, coverage)).collect();
        prop_assert_eq!(shifted, right.rows);
    }

    #[test]
    fn when_the_time_is_known_streams_stand_at_it_marked_and_go_on(
        lead in -30 * DAY..30 * DAY,
        minutes in 1i64..300,
    ) {
        let mut node = Node::new(lead);
        for minute in 1..=minutes {
            node.untimed(minute * MINUTE, 1.0);
        }
        let last = minutes * MINUTE;
        prop_assert_eq!(node.newest(), (last + lead, Quality::Uncertain));
        let taken = node.position;
        node.effects.clear();
        node.known(last + MINUTE);
        prop_assert_eq!(node.newest(), (last, Quality::Uncertain));
        prop_assert_eq!(node.effects.changes.len(), usize::from(lead != 0));
        prop_assert_eq!(node.twin.clock().correction(taken), Some(-lead));
        prop_assert_eq!(node.twin.clock().correction(taken + 2), None);
        prop_assert_eq!(node.twin.now(), Millis(START + last + MINUTE));
        let rows = node.rows.len();
        for minute in 2..=180 {
            node.untimed(last + minute * MINUTE, 2.0);
            node.tick(last + minute * MINUTE);
        }
        prop_assert_eq!(node.newest(), (last + 180 * MINUTE, Quality::Good));
        prop_assert_eq!(node.twin.counts().out_of_order, 0);
        prop_assert_eq!(node.twin.counts().late, 0);
        // Whole windows follow, also where the guess was far ahead.
        let whole = node.rows[rows..].iter().filter(|row| row.0 == 3600 && row.3 == 1.0);
        prop_assert!(whole.count() >= 1, "{:?}", &node.rows[rows..]);
        let bytes = node.twin.to_bytes().unwrap();
        prop_assert_eq!(Twin::from_bytes(&bytes).unwrap().to_bytes().unwrap(), bytes);
    }
}

#[test]
fn a_device_that_knows_the_time_is_not_moved_with_the_guess() {
    let mut node = Node::new(3 * HOUR);
    node.untimed(MINUTE, 1.0);
    // Its clock is ahead of the node's: what it says of itself counts.
    node.timed(4 * HOUR, 2.0);
    node.known(2 * MINUTE);
    assert_eq!(node.newest(), (4 * HOUR, Quality::Good));
}

#[test]
fn a_restart_while_the_time_is_not_known_goes_on_with_the_same_guess() {
    let mut node = Node::new(-HOUR);
    node.untimed(MINUTE, 1.0);
    let since = node.twin.clock().guessed_since();
    assert_eq!(since, Some(4));
    node.guess();
    assert_eq!(node.twin.clock().guessed_since(), since);
    node.known(2 * MINUTE);
    assert_eq!(node.newest(), (MINUTE, Quality::Uncertain));
    assert_eq!(node.twin.clock().correction(5), Some(HOUR));
}

#[test]
fn a_command_lives_until_what_was_said_and_is_sent_again_in_time() {
    for lead in [-5 * HOUR, 5 * HOUR] {
        let mut node = Node::new(lead);
        node.timed(MINUTE, 1.0);
        let asked = CommandAsked {
            quarter: "a".to_owned(),
            asset: "x".to_owned(),
            property: "pm10".to_owned(),
            value: 7.0,
            // Where the guess is ahead, as somebody at the box means it.
            expires: Millis(START + 10 * MINUTE + lead.max(0)),
            priority: Priority::default(),
            stamp: Stamp::default(),
            by: "ada".to_owned(),
            why: "test".to_owned(),
        };
        node.take(MINUTE, Event::CommandAsked(asked));
        node.known(MINUTE + 2000);
        let open = |node: &Node| node.twin.commands().open().count();
        node.tick(9 * MINUTE);
        assert_eq!(open(&node), 1, "lead {lead}");
        let sent = node.twin.commands().open().next().unwrap();
        assert!(sent.attempts >= 2, "lead {lead}: {sent:?}");
        node.tick(10 * MINUTE + lead.max(0) + 2);
        assert_eq!(open(&node), 0, "lead {lead}");
        let ended = node.twin.commands().ended().next().unwrap();
        assert_eq!(ended.state, CommandState::Expired);
    }
}
