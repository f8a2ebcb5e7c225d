//! All watched streams of the twin, found by their index, with the time each needs its next tick.

use serde::{Deserialize, Serialize};

use super::AHEAD_MS;
use super::long::is_zone;
use super::series::{Limits, Series};
use super::spans::{Closed, Outcome, Spans};
use crate::model::Millis;
use crate::vocabulary::MeanKind;

/// Zone of every stream for which none is known.
const UTC: &str = "UTC";

/// How many readings did not simply count, over all streams, since the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// [`Outcome::Late`].
    pub late: u64,
    /// [`Outcome::Duplicate`].
    pub duplicate: u64,
    /// [`Outcome::Replaced`].
    pub replaced: u64,
    /// [`Outcome::Unusable`].
    pub unusable: u64,
}

/// The windows of all streams that some plugin asked for; see the [module](super).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Windows {
    limits: Limits,
    counts: Counts,
    /// Zones in use, each known to the database; the first is UTC.
    zones: Vec<String>,
    /// For each stream its place in `series` plus 1; 0: nobody watches it.
    places: Vec<u32>,
    series: Vec<Series>,
    /// For each series [`Series::due`]: apart, so that a tick reads 8 bytes a series.
    due: Vec<i64>,
}

impl Windows {
    /// No stream yet. `lateness_ms`: how much older than the newest reading of its stream a
    /// reading may arrive and still count; negative is taken as 0.
    pub fn new(lateness_ms: i64) -> Self {
        Self {
            limits: Limits {
                lateness: lateness_ms.max(0),
                ahead: AHEAD_MS,
            },
            counts: Counts::default(),
            zones: vec![UTC.to_owned()],
            places: Vec::new(),
            series: Vec::new(),
            due: Vec::new(),
        }
    }

    /// Asks for windows of a stream; asking again adds lengths and takes over interval and zone.
    /// New lengths start with the next reading settled. The kind of mean stays that of the first
    /// time.
    ///
    /// `stream`: an index, dense from 0 (4 bytes are held for each up to the largest).
    /// `interval_ms`: how long a reading stands for, 1 ms to 25 h (others are held within);
    /// `None`: the median spacing. `timezone`: IANA name that says where a day begins; a name the
    /// database does not know counts as UTC, see [`Windows::knows_zone`].
    pub fn watch(
        &mut self,
        stream: u32,
        spans: Spans,
        mean: MeanKind,
        interval_ms: Option<i64>,
        timezone: &str,
    ) {
        let index = stream as usize;
        if self.places.len() <= index {
            self.places.resize(index + 1, 0);
        }
        if self.places[index] == 0 {
            self.series.push(Series::new(stream, mean));
            self.due.push(i64::MAX);
            self.places[index] = self.series.len() as u32;
        }
        let zone = self.zone(timezone);
        let place = self.places[index] as usize - 1;
        let series = &mut self.series[place];
        series.zone = zone;
        series.widen(spans);
        series.set_interval(interval_ms);
        self.due[place] = series.due(self.limits.lateness);
    }

    /// Forgets a stream and its open windows.
    pub fn unwatch(&mut self, stream: u32) {
        let Some(place) = self.place(stream) else {
            return;
        };
        self.places[stream as usize] = 0;
        self.series.swap_remove(place);
        self.due.swap_remove(place);
        if let Some(moved) = self.series.get(place) {
            self.places[moved.stream as usize] = place as u32 + 1;
        }
    }

    /// Says how long readings settled from now on stand for, as in [`Windows::watch`].
    pub fn set_interval(&mut self, stream: u32, interval_ms: Option<i64>) {
        if let Some(place) = self.place(stream) {
            self.series[place].set_interval(interval_ms);
            self.due[place] = self.series[place].due(self.limits.lateness);
        }
    }

    /// Takes a reading of event time `time` that arrived at `at` (wall clock of its journal
    /// entry), and appends the windows it closes to `out`.
    pub fn observe(
        &mut self,
        stream: u32,
        time: Millis,
        value: f64,
        at: Millis,
        out: &mut Vec<Closed>,
    ) -> Outcome {
        let Some(place) = self.place(stream) else {
            return Outcome::Unwatched;
        };
        let before = out.len();
        let series = &mut self.series[place];
        let zone = &self.zones[usize::from(series.zone)];
        let outcome = series.observe(self.limits, (time, value), at, zone, out);
        match outcome {
            Outcome::Accepted => self.due[place] = series.due(self.limits.lateness),
            Outcome::Replaced => self.counts.replaced += 1,
            Outcome::Duplicate => self.counts.duplicate += 1,
            Outcome::Late => self.counts.late += 1,
            Outcome::Unusable => self.counts.unusable += 1,
            Outcome::Unwatched => {}
        }
        sort(&mut out[before..]);
        outcome
    }

    /// Wall time is `at`: appends the windows that closed by passing time alone to `out`.
    pub fn tick(&mut self, at: Millis, out: &mut Vec<Closed>) {
        let before = out.len();
        for (due, series) in self.due.iter_mut().zip(&mut self.series) {
            if *due <= at.0 {
                let zone = &self.zones[usize::from(series.zone)];
                series.tick(self.limits.lateness, at, zone, out);
                *due = series.due(self.limits.lateness);
            }
        }
        sort(&mut out[before..]);
    }

    /// Event times may be ahead of their arrival by so many milliseconds; [`AHEAD_MS`] at first.
    pub fn set_ahead(&mut self, ms: i64) {
        self.limits.ahead = ms;
    }

    /// The clock of arrivals was set by so many milliseconds: see the [module](super).
    pub fn shift_arrivals(&mut self, ms: i64) {
        if ms == 0 {
            return;
        }
        for (due, series) in self.due.iter_mut().zip(&mut self.series) {
            series.shift_arrival(ms);
            *due = series.due(self.limits.lateness);
        }
    }

    /// The times of a stream's readings so far are corrected by so many milliseconds; the windows
    /// that this ends are appended to `out`: see the [module](super).
    pub fn shift(&mut self, stream: u32, ms: i64, out: &mut Vec<Closed>) {
        let Some(place) = self.place(stream).filter(|_| ms != 0) else {
            return;
        };
        let before = out.len();
        let series = &mut self.series[place];
        let zone = &self.zones[usize::from(series.zone)];
        series.shift(ms, zone, out);
        self.due[place] = series.due(self.limits.lateness);
        sort(&mut out[before..]);
    }

    /// Readings that did not simply count, so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many streams are watched.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether no stream is watched.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Whether the time zone database knows this IANA name; to be asked where it is configured.
    pub fn knows_zone(timezone: &str) -> bool {
        is_zone(timezone)
    }

    fn place(&self, stream: u32) -> Option<usize> {
        (*self.places.get(stream as usize)? as usize).checked_sub(1)
    }

    fn zone(&mut self, name: &str) -> u16 {
        if let Some(index) = self.zones.iter().position(|zone| zone == name) {
            return index as u16;
        }
        // Only names of the database are kept: some hundred, so that the index fits.
        if !is_zone(name) {
            return 0;
        }
        self.zones.push(name.to_owned());
        (self.zones.len() - 1) as u16
    }
}

fn sort(rows: &mut [Closed]) {
    if rows.len() > 1 {
        rows.sort_unstable_by_key(|row| (row.end, row.stream, row.span_s));
    }
}
