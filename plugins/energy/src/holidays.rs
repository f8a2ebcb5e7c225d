//! Saxony's public holidays and the three classes of days.
//!
//! SächsSFG § 1 (1): New Year, Good Friday, Easter Monday, 1 May, Ascension, Whit Monday, 3 October,
//! Reformationsfest (31 October), Buß- und Bettag, 25 and 26 December. Fronleichnam is a holiday
//! only in places that an ordinance names; none of them is in Dresden, so it is none here.

use crate::time::{date_of, day_of, weekday};

/// Days that are alike in load. A holiday counts as a Sunday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayClass {
    /// Monday to Friday.
    Workday,
    /// Saturday.
    Saturday,
    /// Sunday and holiday.
    Sunday,
}

impl DayClass {
    /// The class of a day.
    pub fn of(day: i64) -> Self {
        match weekday(day) {
            6 => Self::Sunday,
            _ if is_holiday(day) => Self::Sunday,
            5 => Self::Saturday,
            _ => Self::Workday,
        }
    }
}

/// Easter Sunday of the Gregorian calendar (Meeus, Jones, Butcher).
pub fn easter(year: i64) -> i64 {
    let (a, b, c) = (year % 19, year / 100, year % 100);
    let (d, e) = (b / 4, b % 4);
    let g = (8 * b + 13) / 25;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 19 * l) / 433;
    let month = (h + l - 7 * m + 90) / 25;
    day_of(year, month, (h + l - 7 * m + 33 * month + 19) % 32)
}

/// Buß- und Bettag: the Wednesday before 23 November.
fn repentance(year: i64) -> i64 {
    let eve = day_of(year, 11, 22);
    eve - (weekday(eve) - 2).rem_euclid(7)
}

/// Whether a day is a public holiday in Dresden.
pub fn is_holiday(day: i64) -> bool {
    let (year, month, date) = date_of(day);
    let fixed = [(1, 1), (5, 1), (10, 3), (10, 31), (12, 25), (12, 26)];
    fixed.contains(&(month, date))
        || [-2, 1, 39, 50].contains(&(day - easter(year)))
        || day == repentance(year)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holidays(year: i64) -> Vec<(i64, i64)> {
        let days = day_of(year, 1, 1)..day_of(year + 1, 1, 1);
        let dates = days.filter(|&day| is_holiday(day)).map(date_of);
        dates.map(|(_, month, date)| (month, date)).collect()
    }

    #[test]
    fn saxony_has_eleven_holidays_and_these_dates_in_2026() {
        let expected = [
            (1, 1),
            (4, 3),
            (4, 6),
            (5, 1),
            (5, 14),
            (5, 25),
            (10, 3),
            (10, 31),
            (11, 18),
            (12, 25),
            (12, 26),
        ];
        assert_eq!(holidays(2026), expected);
    }

    #[test]
    fn repentance_is_the_wednesday_before_23_november_also_when_that_is_one() {
        let found: Vec<_> = [2022, 2023, 2024, 2025, 2027]
            .map(|y| date_of(repentance(y)).2)
            .into();
        assert_eq!(found, [16, 22, 20, 19, 17]);
    }

    #[test]
    fn a_holiday_on_a_workday_or_saturday_counts_as_sunday() {
        assert_eq!(
            DayClass::of(day_of(2026, 11, 18)),
            DayClass::Sunday,
            "Buß- und Bettag"
        );
        assert_eq!(
            DayClass::of(day_of(2026, 10, 31)),
            DayClass::Sunday,
            "a Saturday"
        );
        assert_eq!(
            DayClass::of(day_of(2026, 6, 4)),
            DayClass::Workday,
            "Fronleichnam"
        );
        assert_eq!(DayClass::of(day_of(2026, 6, 6)), DayClass::Saturday);
        assert_eq!(DayClass::of(day_of(2026, 6, 7)), DayClass::Sunday);
    }
}
