//! Calendar and clock of the rules, from milliseconds since 1970. No clock is read: every time comes
//! from the end of a window.
//!
//! Noise is judged by the clock on the wall (summer time), ozone and calendar years by Central
//! European Time all year, the tropical night by UTC.

use serde::{Deserialize, Serialize};

/// Milliseconds of an hour.
pub const HOUR: u64 = 3_600_000;
/// Milliseconds of a day.
pub const DAY: u64 = 24 * HOUR;

/// Whose clock on the wall divides day, evening and night.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Zone {
    /// No summer time.
    Utc,
    /// Central European Time; an hour ahead of it in summer.
    Berlin,
}

/// An hour by the clock on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hour {
    /// Days since 1 January 1970.
    pub day: u64,
    /// 0 to 23: the hour that begins then.
    pub hour: u8,
}

impl Zone {
    /// Of the configuration's `zone`.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "UTC" => Some(Self::Utc),
            "Europe/Berlin" => Some(Self::Berlin),
            _ => None,
        }
    }

    /// What the clock shows when the hour that ends at `end_ms` begins.
    pub fn hour_before(self, end_ms: u64) -> Hour {
        let start = end_ms.saturating_sub(HOUR);
        let local = start + self.ahead(start);
        Hour {
            day: local / DAY,
            hour: (local % DAY / HOUR) as u8,
        }
    }

    /// Midnight with which a local day begins; the clocks never change at midnight.
    pub fn midnight(self, day: u64) -> u64 {
        let local = day * DAY;
        local.saturating_sub(self.ahead(local.saturating_sub(2 * HOUR)))
    }

    /// Milliseconds ahead of UTC.
    fn ahead(self, ms: u64) -> u64 {
        match self {
            Self::Utc => 0,
            Self::Berlin if is_summer_time(ms) => 2 * HOUR,
            Self::Berlin => HOUR,
        }
    }
}

/// Summer time of the European Union (directive 2000/84/EC, articles 2 and 3): from the last
/// Sunday of March to the last Sunday of October, 01:00 UTC each.
fn is_summer_time(ms: u64) -> bool {
    let day = ms / DAY;
    let (year, ..) = civil(day);
    let change = |month| last_sunday(year, month) * DAY + HOUR;
    (change(3)..change(10)).contains(&ms)
}

/// Last Sunday of a month of 31 days. 1 January 1970 was a Thursday.
fn last_sunday(year: u64, month: u64) -> u64 {
    let last = days(year, month, 31);
    last - (last + 4) % 7
}

/// Calendar year, in Central European Time, of the day or hour that ends then.
pub fn year_of_end(end_ms: u64) -> u16 {
    let (year, ..) = civil((end_ms.saturating_sub(1) + HOUR) / DAY);
    u16::try_from(year).unwrap_or(u16::MAX)
}

/// Year, month and day of a day since 1970.
pub fn civil(day: u64) -> (u64, u64, u64) {
    let from_march = day + 719_468;
    let (era, of_era) = (from_march / 146_097, from_march % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year + era * 400 + u64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

/// Days since 1970 of a date of the Gregorian calendar.
pub fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// UTC.
    fn at(year: u64, month: u64, day: u64, hour: u64) -> u64 {
        days(year, month, day) * DAY + hour * HOUR
    }

    fn shown(ms: u64) -> u8 {
        Zone::Berlin.hour_before(ms + HOUR).hour
    }

    #[test]
    fn dates_and_days_are_each_others_inverse_for_four_centuries() {
        let mut last = 0;
        for day in 0..146_097 {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
            let order = year * 400 + month * 31 + of_month;
            assert!(order > last, "{year}-{month}-{of_month}");
            last = order;
        }
        assert_eq!(civil(days(2024, 2, 28) + 1), (2024, 2, 29));
        assert_eq!(civil(17_531), (2017, 12, 31));
    }

    #[test]
    fn clocks_go_forward_on_the_last_sunday_of_march_and_back_on_that_of_october() {
        for (year, march, october) in [
            (2018, 25, 28),
            (2024, 31, 27),
            (2025, 30, 26),
            (2026, 29, 25),
        ] {
            assert_eq!(shown(at(year, 3, march, 0)), 1, "{year}");
            assert_eq!(shown(at(year, 3, march, 1)), 3, "{year}");
            assert_eq!(shown(at(year, 10, october, 0)), 2, "{year}");
            assert_eq!(shown(at(year, 10, october, 1)), 2, "{year}");
            assert_eq!(shown(at(year, 10, october, 2)), 3, "{year}");
        }
    }

    #[test]
    fn a_local_day_of_23_24_or_25_hours_lies_between_its_midnights() {
        for (month, day, hours) in [
            (1, 1, 24),
            (3, 29, 24),
            (3, 30, 23),
            (7, 1, 24),
            (10, 26, 25),
        ] {
            let day = days(2025, month, day);
            let (begin, end) = (Zone::Berlin.midnight(day), Zone::Berlin.midnight(day + 1));
            assert_eq!((end - begin) / HOUR, hours);
            for hour in 1..=hours {
                assert_eq!(Zone::Berlin.hour_before(begin + hour * HOUR).day, day);
            }
            assert_eq!(Zone::Berlin.hour_before(end + HOUR).day, day + 1);
        }
    }

    #[test]
    fn a_year_ends_at_its_midnight_in_central_europe() {
        let midnight = at(2025, 12, 31, 23);
        assert_eq!(year_of_end(midnight), 2025);
        assert_eq!(year_of_end(midnight + 1), 2026);
        assert_eq!(Zone::Berlin.midnight(days(2026, 1, 1)), midnight);
    }

    #[test]
    fn a_zone_is_known_by_its_name_only() {
        assert_eq!(Zone::named("Europe/Berlin"), Some(Zone::Berlin));
        assert_eq!(Zone::named("UTC"), Some(Zone::Utc));
        assert_eq!(Zone::named("CET"), None);
    }
}
