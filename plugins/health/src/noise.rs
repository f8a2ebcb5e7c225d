//! Sound levels of a place from its hours: day, evening, night and Lden of the calendar year so far,
//! and the levels of single days and nights that TA Laerm and 16. BImSchV look at.
//!
//! Decibels are added as energies, never averaged. An hour counts once it is covered by 75 %; a day
//! enters the year with 18 such hours, a level of a period stands with 75 % of its hours.

use serde::{Deserialize, Serialize};

use crate::clock::{HOUR, Hour, Zone, year_of_end};
use crate::span::Span;

/// Valid hours with which a day counts (39. BImSchV's rule for 24 h, applied to noise).
const DAY_HOURS: u32 = 18;
/// Valid hours with which the level of 06-22 h stands: 75 % of 16.
const DAYTIME_HOURS: u32 = 12;
/// Valid hours with which the level of 22-06 h stands: 75 % of 8.
const NIGHT_HOURS: u32 = 6;

/// Sound energy of some hours.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Energy {
    sum: f64,
    hours: u32,
    loudest: f64,
}

impl Energy {
    fn add(&mut self, level: f64) {
        let energy = 10f64.powf(level / 10.0);
        self.sum += energy;
        self.loudest = self.loudest.max(energy);
        self.hours += 1;
    }

    fn add_all(&mut self, other: &Self) {
        self.sum += other.sum;
        self.loudest = self.loudest.max(other.loudest);
        self.hours += other.hours;
    }

    /// LAeq over the hours, dB(A); `None` with fewer than `hours` of them.
    fn level(&self, hours: u32) -> Option<f64> {
        let enough = self.hours >= hours.max(1);
        enough.then(|| decibel(self.sum / f64::from(self.hours)))
    }

    /// Level of the loudest hour, dB(A).
    fn loudest(&self) -> Option<f64> {
        (self.hours > 0).then(|| decibel(self.loudest))
    }
}

fn decibel(energy: f64) -> f64 {
    10.0 * energy.log10()
}

/// Day-evening-night level, dB(A): evening counts 5 dB, night 10 dB more (directive 2002/49/EC,
/// annex I).
pub fn lden(day: f64, evening: f64, night: f64) -> f64 {
    let part = |hours: f64, level: f64| hours * 10f64.powf(level / 10.0);
    decibel((part(12.0, day) + part(4.0, evening + 5.0) + part(8.0, night + 10.0)) / 24.0)
}

/// Levels over the days of a calendar year so far, dB(A); `None`: no such hour yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Year {
    /// 06-18 h.
    pub day: Option<f64>,
    /// 18-22 h.
    pub evening: Option<f64>,
    /// 22-06 h.
    pub night: Option<f64>,
    /// Days they rest on. The legal index is that of a year; of less it is indicative.
    pub days: u16,
}

/// A stretch that is over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Closed {
    /// A whole day was added to the year.
    Year(Year),
    /// 06-22 h: LAeq; `None`: insufficient data.
    Daytime(Option<f64>),
    /// 22-06 h.
    Night {
        /// LAeq; `None`: insufficient data.
        level: Option<f64>,
        /// Level of the loudest hour; `None` only without any hour.
        loudest: Option<f64>,
        /// Whether enough hours are there to say that no other was louder.
        whole: bool,
    },
}

/// Hours of one place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Noise {
    /// Day, evening, night of a calendar day.
    day: Span<[Energy; 3]>,
    daytime: Span<Energy>,
    /// Numbered by the day in which it begins.
    night: Span<Energy>,
    year: u16,
    total: [Energy; 3],
    days: u16,
}

impl Noise {
    /// Takes the level of the hour that ends at `end_ms`, dB(A), `None`: insufficient data, and
    /// tells what is over now and when it ended.
    pub fn hour(
        &mut self,
        zone: Zone,
        end_ms: u64,
        level: Option<f64>,
        mut tell: impl FnMut(u64, Closed),
    ) {
        let Hour { day, hour } = zone.hour_before(end_ms);
        let add = |energy: &mut Energy| level.into_iter().for_each(|level| energy.add(level));
        let (daytimes, nights) = match hour {
            0..6 => {
                let nights = self.night.put(day.saturating_sub(1), hour == 5, add);
                (Vec::from_iter(self.daytime.reach(day)), nights)
            }
            6..22 => {
                let daytimes = self.daytime.put(day, hour == 21, add);
                (daytimes, Vec::from_iter(self.night.reach(day)))
            }
            _ => {
                let nights = self.night.put(day, false, add);
                (Vec::from_iter(self.daytime.reach(day + 1)), nights)
            }
        };
        for (day, energy) in daytimes {
            let level = energy.level(DAYTIME_HOURS);
            tell(zone.midnight(day + 1) - 2 * HOUR, Closed::Daytime(level));
        }
        for (day, energy) in nights {
            let night = Closed::Night {
                level: energy.level(NIGHT_HOURS),
                loudest: energy.loudest(),
                whole: energy.hours >= NIGHT_HOURS,
            };
            tell(zone.midnight(day + 2) - 18 * HOUR, night);
        }
        let period = match hour {
            6..18 => 0,
            18..22 => 1,
            _ => 2,
        };
        for (day, energies) in self.day.put(day, hour == 23, |day| add(&mut day[period])) {
            let end_ms = zone.midnight(day + 1);
            if let Some(year) = self.add_day(end_ms, &energies) {
                tell(end_ms, Closed::Year(year));
            }
        }
    }

    fn add_day(&mut self, end_ms: u64, energies: &[Energy; 3]) -> Option<Year> {
        let year = year_of_end(end_ms);
        if year != self.year {
            (self.year, self.total, self.days) = (year, Default::default(), 0);
        }
        let hours: u32 = energies.iter().map(|energy| energy.hours).sum();
        if hours < DAY_HOURS {
            return None;
        }
        for (total, energy) in self.total.iter_mut().zip(energies) {
            total.add_all(energy);
        }
        self.days += 1;
        let [day, evening, night] = self.total.map(|energy| energy.level(1));
        Some(Year {
            day,
            evening,
            night,
            days: self.days,
        })
    }
}
