//! Closed windows by event time: mean, minimum, maximum, last value and coverage of a stream over
//! 10 min, 15 min, 1 h, 8 h and a local day.
//!
//! Pure state of the fold: no clock and no I/O, the same calls give the same rows and the same
//! serialized bytes. The only outside fact is the time zone database, asked once a day and series.
//!
//! # What a reading stands for
//! Readings are used in the order of event time. A reading (t, v) covers `(max(t - i, p), t]`: `p`
//! is the time of the reading before it, `i` the stream's interval. `i` is the one set, else the
//! median spacing of the 16 readings *before* this one, no spacing counting for more than 15 min;
//! where there are not two readings before it, 15 min. Nothing is known before the first reading
//! of a stream without a set interval, so that one covers nothing. A set interval is held between
//! 1 ms and 25 h, the longest local day.
//!
//! # Order and lateness
//! A stream's watermark is its newest event time minus the lateness. Readings newer than the
//! watermark wait, sorted; when it reaches them they are *settled*, in order. Of two waiting
//! readings of one time the one that came last counts ([`Outcome::Replaced`]). A reading at or
//! before the last settled one changes nothing ([`Outcome::Late`], or [`Outcome::Duplicate`] when
//! it repeats it). At most [`MAX_WAITING`] readings of a stream wait; then the oldest is settled
//! early. So within the lateness the order of arrival does not matter.
//!
//! A tick moves the watermark on by the wall time passed since the newest reading *arrived*. So a
//! file of 2018 replayed today gives the windows it would have given live, and a stream that falls
//! silent still has its windows closed.
//!
//! # When a window is closed
//! A window `(s, e]` is closed when a reading with `t >= e` is settled (with its part before `e`)
//! or when the watermark is at least `e + i`: no reading to come reaches back into it. It is
//! closed once. Readings that a device held back during an outage, longer than the lateness but
//! newer than all settled ones, are still taken: they count for every window not closed yet.
//!
//! **A window nothing covers has no row.** A stream silent for a year would else yield 52,560 rows
//! that say the same. A rule to which silence matters sees it in its own logical time (`on-tick`,
//! `now-ms`) against the `end-ms` of the last row it got.
//!
//! # Rows
//! - 600, 900, 3600 s, aligned to UTC: the mean is weighted by covered time (energetic: of
//!   10^(v/10)); coverage = covered time / length; minimum, maximum and last are over the readings
//!   that cover a part of the window. A mean never lies outside minimum and maximum.
//! - Longer windows are made of *valid hours*: 3600 s windows of coverage >= 0.75. Their mean is
//!   that of the hourly means (energetic as above), minimum and maximum are over the readings in
//!   those hours, last is the last value of the latest one. Without a valid hour: no row.
//! - 28800 s: closed at every full hour, over the 8 hours that end there; coverage = valid / 8.
//! - 86400 s: the day of the stream's time zone, 23 or 25 h long when the clocks change;
//!   coverage = min(1, valid / 24). An hour that lies in two local days, in zones half an hour off
//!   UTC, belongs to the day in which it ends; such a day is closed with the next full hour.
//!
//! The rows of one call are sorted by end, stream, span.
//!
//! # Times that were wrong
//! When the clock is set, the moments of arrival move with it ([`Windows::shift_arrivals`]), so
//! that no window closes for it. When the times of a stream's readings are corrected
//! ([`Windows::shift`]), what waits and the newest settled time move. Forward, its open windows are
//! closed by what comes, as behind a gap. Back, those that begin behind the corrected time are
//! closed with what they have and come again with what follows.

mod acc;
mod long;
mod series;
mod set;
mod spacing;
mod spans;
#[cfg(test)]
mod tests;

pub use series::MAX_WAITING;
pub use set::{Counts, Windows};
pub use spans::{Closed, Outcome, Spans};

/// The longest a reading without a set interval stands for, milliseconds.
const LONGEST_GUESS: i64 = 15 * 60 * 1000;
/// One hour, milliseconds.
const HOUR: i64 = 3_600_000;
/// An hour counts in longer windows from this coverage on (39. BImSchV: 45 min).
const VALID_HOUR: f64 = 0.75;
/// How far event time may be ahead of arrival, milliseconds: one wrong clock must not make a stream
/// deaf.
pub const AHEAD_MS: i64 = 24 * HOUR;
/// The same while arrival is by a clock that is guessed, as after months without power.
pub const AHEAD_OF_GUESS_MS: i64 = 366 * AHEAD_MS;
/// No reading was settled yet; also an index before every window.
const NEVER: i64 = i64::MIN;
