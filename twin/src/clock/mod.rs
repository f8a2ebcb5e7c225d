//! The node's clock: what time it is, whether that is known or guessed, and what becomes of a
//! guess when the time is known.
//!
//! It runs by the monotonic clock of the system; a wall clock that jumps does not move it. Where
//! it starts is the later one of the wall clock and the newest entry of the journal.
//! - A server believes its wall clock: it is followed, forward at once, back at half the speed.
//! - A box guesses until somebody knows: NTP, which touches a file whenever it has set the wall
//!   clock (systemd-timesyncd: `/run/systemd/timesync/synchronized`), or the city, which says when
//!   it took a message that this box has just sent. Half the way there and back is how wrong that
//!   can be. From then on the monotonic clock keeps it until the node ends.
//!
//! Invariants: [`Clock::now`], the time of entries, never goes back, over restarts too. What was
//! appended under a [`Moment`] that was guessed stands before the [`ClockSet`] that corrects it. A
//! change of a second or more, and every end of guessing, is in the journal as a [`ClockSet`].

mod line;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use parking_lot::{RwLock, RwLockReadGuard};

use crate::event::{ClockSet, Entry, Event, TimeSource};
use crate::journal::{Batch, Journal};
use crate::model::Millis;
use crate::uplink::Echo;

use line::Line;

/// Changes below this are no jumps: clocks of different machines are hardly nearer.
const JUMP_US: i64 = 1_000_000;
/// A server's clock follows the wall clock from this difference on.
const FOLLOW_US: i64 = 5_000;
/// Longest way there and back from which a time is taken.
const LONGEST_ROUND_US: i64 = 10_000_000;
/// What an echo may be wrong by beside its way: the city's own delay in taking a message.
const ECHO_US: i64 = 50_000;
/// Attempts to read both clocks at one moment.
const TRIES: usize = 5;
/// Messages to the city whose answer may tell the time.
const ASKED: usize = 64;

/// Microseconds of a clock of the system.
type Ticks = Box<dyn Fn() -> i64 + Send + Sync>;

/// See the module.
pub struct Clock {
    journal: Arc<dyn Journal>,
    /// Touched by NTP; `None`: the wall clock is believed.
    synchronised: Option<PathBuf>,
    mono: Ticks,
    wall: Ticks,
    state: RwLock<State>,
}

struct State {
    line: Line,
    known: Option<TimeSource>,
    /// Readings without a time get the line's time and not [`Clock::now`]: those before were
    /// corrected.
    apart: bool,
    /// When guessing began.
    since: Millis,
    /// Messages to the city: their times by this clock, and by the monotonic one.
    asked: VecDeque<(Millis, i64)>,
    touched: Option<SystemTime>,
    /// The wall clock's lead.
    lead: i64,
    jumps: u64,
    correction_ms: i64,
}

/// A moment of the clock. While it is held, the clock is not set: what is appended meanwhile stands
/// in the journal on the same side of a [`ClockSet`] as its times.
pub struct Moment<'a> {
    /// For the entry.
    pub at: Millis,
    /// For readings that have no time of their own.
    pub time: Millis,
    /// Nobody knows the time: such readings are to be marked.
    pub guessed: bool,
    _held: RwLockReadGuard<'a, State>,
}

/// How the clock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Who knows the time; `None`: it is guessed.
    pub known: Option<TimeSource>,
    /// When guessing began, by this clock.
    pub since: Millis,
    /// Jumps of the wall clock seen.
    pub jumps: u64,
    /// The newest correction, milliseconds.
    pub correction_ms: i64,
    /// How far entries are ahead of the time, milliseconds, until it has caught up.
    pub ahead_ms: i64,
}

impl Clock {
    /// `synchronised`: the file that NTP touches, of a box; `None`: a server.
    pub fn new(synchronised: Option<&Path>, journal: Arc<dyn Journal>) -> Self {
        let began = Instant::now();
        let mono = move || i64::try_from(began.elapsed().as_micros()).unwrap_or(i64::MAX);
        let wall = || jiff::Timestamp::now().as_microsecond();
        Self::with(synchronised, journal, Box::new(mono), Box::new(wall))
    }

    fn with(
        synchronised: Option<&Path>,
        journal: Arc<dyn Journal>,
        mono: Ticks,
        wall: Ticks,
    ) -> Self {
        let line = Line::new(mono(), wall());
        let known = match synchronised {
            Some(_) => None,
            None => Some(TimeSource::Wall),
        };
        let state = State {
            since: millis(line.time(mono())),
            line,
            known,
            apart: false,
            asked: VecDeque::new(),
            touched: None,
            lead: 0,
            jumps: 0,
            correction_ms: 0,
        };
        Self {
            journal,
            synchronised: synchronised.map(Path::to_owned),
            mono,
            wall,
            state: RwLock::new(state),
        }
    }

    /// Begins behind `newest`, the time of the newest entry there is, and says in the journal
    /// whether the time is known. To be called once, before anything else is stamped.
    pub fn begin(&self, newest: Millis) {
        let mono = (self.mono)();
        {
            let mut state = self.state.write();
            let time = state.line.time(mono).max(newest.0.saturating_mul(1000));
            state.line = Line::new(mono, time);
            state.lead = (self.wall)() - time;
            state.since = millis(time);
        }
        self.look();
        let state = self.state.write();
        if state.known.is_none() {
            let time = millis(state.line.at(mono));
            let said = ClockSet {
                time,
                offset_ms: 0,
                source: TimeSource::Guess,
            };
            // Without it the guess begins with the first marked reading all the same.
            self.append(time, said);
            tracing::warn!(%time, "the time is not known; readings without a time are marked");
        }
    }

    /// The time for entries.
    pub fn now(&self) -> Millis {
        let state = self.state.read_recursive();
        millis(state.line.at((self.mono)()))
    }

    /// The time as well as it is known, for what is compared with other machines' times.
    pub fn time(&self) -> Millis {
        self.moment().time
    }

    /// Now, and the clock is not set while it is held.
    pub fn moment(&self) -> Moment<'_> {
        let state = self.state.read_recursive();
        let mono = (self.mono)();
        let at = millis(state.line.at(mono));
        Moment {
            at,
            time: match state.apart {
                true => millis(state.line.time(mono)),
                false => at,
            },
            guessed: state.known.is_none(),
            _held: state,
        }
    }

    /// Looks at the wall clock and at the file of NTP; to be called about once a second. Asks the
    /// file system.
    pub fn look(&self) {
        let touched = self.synchronised.as_deref().map(|file| {
            let touched = fs::metadata(file).and_then(|found| found.modified());
            touched.ok()
        });
        let mut state = self.state.write();
        let Some((mono, wall)) = self.both() else {
            return;
        };
        let lead = wall - state.line.time(mono);
        if (lead - state.lead).abs() >= JUMP_US {
            state.jumps += 1;
            let (by_ms, followed) = ((lead - state.lead) / 1000, touched.is_none());
            tracing::warn!(by_ms, followed, "the wall clock jumped");
        }
        state.lead = lead;
        match touched {
            None if lead.abs() >= FOLLOW_US => {
                self.set(&mut state, TimeSource::Wall, (mono, wall), 0)
            }
            Some(touched) if touched.is_some() && touched != state.touched => {
                if self.set(&mut state, TimeSource::Ntp, (mono, wall), 0) {
                    state.touched = touched;
                }
                true
            }
            _ => true,
        };
        state.lead = wall - state.line.time(mono);
    }

    /// Both clocks of the system at one moment; `None` on a machine too busy for that.
    fn both(&self) -> Option<(i64, i64)> {
        (0..TRIES).find_map(|_| {
            let (before, wall, after) = ((self.mono)(), (self.wall)(), (self.mono)());
            (after - before < FOLLOW_US / 2).then_some((after, wall))
        })
    }

    /// The time for a message to the city, whose echo may tell the time.
    pub fn asked(&self) -> Millis {
        let mut state = self.state.write();
        let mono = (self.mono)();
        let sent = millis(state.line.time(mono));
        if state.asked.len() == ASKED {
            state.asked.pop_front();
        }
        state.asked.push_back((sent, mono));
        sent
    }

    /// The city took a message. Only one of those [`Clock::asked`] for since the clock was set last
    /// counts, so an echo that lay about tells no time. NTP knows better.
    pub fn learned(&self, echo: Echo) {
        let mut state = self.state.write();
        let asked = state.asked.iter().rposition(|(sent, _)| *sent == echo.sent);
        let Some((_, sent)) = asked.and_then(|index| state.asked.remove(index)) else {
            return;
        };
        let mono = (self.mono)();
        let round = mono - sent;
        if round > LONGEST_ROUND_US || state.known == Some(TimeSource::Ntp) {
            return;
        }
        let time = echo.taken.0.saturating_mul(1000) + round / 2;
        let before = state.line.time(mono);
        self.set(
            &mut state,
            TimeSource::City,
            (mono, time),
            round / 2 + ECHO_US,
        );
        state.lead += before - state.line.time(mono);
    }

    /// How it is.
    pub fn report(&self) -> Report {
        let state = self.state.read_recursive();
        Report {
            known: state.known,
            since: state.since,
            jumps: state.jumps,
            correction_ms: state.correction_ms,
            ahead_ms: state.line.ahead((self.mono)()) / 1000,
        }
    }

    /// At `mono` it is `time`, give or take `error` microseconds. `false`: the journal does not take it now,
    /// and the clock stays as it is.
    fn set(
        &self,
        state: &mut State,
        source: TimeSource,
        (mono, time): (i64, i64),
        error: i64,
    ) -> bool {
        let guessed = state.known.is_none();
        let own = match guessed {
            // What was stamped until now.
            true => state.line.at(mono),
            false => state.line.time(mono),
        };
        let offset = time - own;
        let (time, offset) = match offset.abs() <= error {
            true => (own, 0),
            false => (time, offset),
        };
        if guessed || offset.abs() >= JUMP_US {
            let offset_ms = millis(time).since(millis(own));
            let said = ClockSet {
                time: millis(time),
                offset_ms,
                source,
            };
            if !self.append(millis(state.line.at(mono)), said) {
                return false;
            }
            state.correction_ms = offset_ms;
            let source = source.as_str();
            tracing::info!(source, offset_ms, guessed, "the clock is set");
        }
        if offset != 0 {
            state.line.set(mono, time);
            state.asked.clear();
        }
        state.apart |= guessed;
        state.known = Some(source);
        true
    }

    /// Whether the journal took it.
    fn append(&self, at: Millis, said: ClockSet) -> bool {
        let entry = Entry {
            at,
            event: Event::ClockSet(said),
        };
        let mut batch = Batch::new();
        let encoded = batch.push_with(|writer| postcard::to_io(&entry, writer).map(|_| ()));
        encoded.is_ok() && self.journal.append(&batch).is_ok()
    }
}

fn millis(micros: i64) -> Millis {
    Millis(micros.div_euclid(1000))
}
