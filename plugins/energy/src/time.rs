//! Berlin time without a time zone database.
//!
//! Central European Time is UTC + 1 h; summer time, + 2 h, is in force from the last Sunday of
//! March, 01:00 UTC, to the last Sunday of October, 01:00 UTC (Directive 2000/84/EC). Right from
//! 1996 on; before, summer time ended in September.
//!
//! Instants are milliseconds since 1970, days are counted from 1970-01-01 (a Thursday).

const SECOND: u64 = 1000;
const DAY_S: i64 = 86_400;

/// A quarter of an hour, milliseconds.
pub const QUARTER_MS: u64 = 900 * SECOND;
/// The windows of voltage quality, milliseconds.
pub const TEN_MINUTES_MS: u64 = 600 * SECOND;

/// A span of time `[start, end)`, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Included.
    pub start: u64,
    /// Not included.
    pub end: u64,
}

/// A place on the clock of Berlin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// Days since 1970.
    pub day: i64,
    /// Seconds since local midnight by the face of the clock, 0 to 86,399.
    pub second: i64,
    /// Whether this is the second pass of the hour that October has twice.
    pub repeated: bool,
}

/// Day number of a date of the Gregorian calendar.
pub fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day of a day number.
pub fn date_of(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, date)
}

/// Monday 0 to Sunday 6.
pub fn weekday(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}

/// Second of the change of clocks in a month of 31 days: its last Sunday, 01:00 UTC.
fn change(year: i64, month: i64) -> i64 {
    let last = day_of(year, month, 31);
    (last - (weekday(last) + 1) % 7) * DAY_S + 3600
}

/// Seconds that Berlin is ahead of UTC.
fn offset(second: i64) -> i64 {
    let (year, ..) = date_of(second.div_euclid(DAY_S));
    if (change(year, 3)..change(year, 10)).contains(&second) {
        7200
    } else {
        3600
    }
}

fn seconds(ms: u64) -> i64 {
    i64::try_from(ms / SECOND).unwrap_or(i64::MAX)
}

/// What a clock in Berlin shows.
pub fn local(ms: u64) -> Local {
    let utc = seconds(ms);
    let shown = utc.saturating_add(offset(utc));
    Local {
        day: shown.div_euclid(DAY_S),
        second: shown.rem_euclid(DAY_S),
        repeated: offset(utc) == 3600 && offset(utc - 3600) == 7200,
    }
}

/// The instant of local midnight at which a day begins.
fn midnight(day: i64) -> u64 {
    // Clocks change at 01:00 UTC, so an hour before midnight UTC is on midnight's side of it.
    let utc = day * DAY_S - offset(day * DAY_S - 3600);
    u64::try_from(utc).unwrap_or(0) * SECOND
}

fn days(first: i64, next: i64) -> Span {
    Span {
        start: midnight(first),
        end: midnight(next),
    }
}

/// A day: 23, 24 or 25 h.
pub fn day_span(day: i64) -> Span {
    days(day, day + 1)
}

/// The ISO week, Monday to Sunday, that an instant lies in: 167, 168 or 169 h.
pub fn week_span(ms: u64) -> Span {
    let day = local(ms).day;
    let monday = day - weekday(day);
    days(monday, monday + 7)
}

/// The month that an instant lies in.
pub fn month_span(ms: u64) -> Span {
    let (year, month, _) = date_of(local(ms).day);
    let next = if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    };
    days(day_of(year, month, 1), day_of(next.0, next.1, 1))
}

/// The calendar year that an instant lies in.
pub fn year_span(ms: u64) -> Span {
    let (year, ..) = date_of(local(ms).day);
    days(day_of(year, 1, 1), day_of(year + 1, 1, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(year: i64, month: i64, day: i64, hour: u64, minute: u64) -> u64 {
        day_of(year, month, day) as u64 * 86_400_000 + hour * 3_600_000 + minute * 60_000
    }

    fn hours(span: Span) -> u64 {
        (span.end - span.start) / 3_600_000
    }

    #[test]
    fn dates_and_day_numbers_are_inverse_for_400_years() {
        assert_eq!(day_of(1970, 1, 1), 0);
        assert_eq!(day_of(2026, 6, 1), 20_605);
        for day in -30_000..120_000 {
            let (year, month, date) = date_of(day);
            assert_eq!(day_of(year, month, date), day);
        }
        assert_eq!(weekday(day_of(2026, 6, 1)), 0, "a Monday");
    }

    #[test]
    fn clocks_change_on_the_last_sunday_of_march_and_october_at_one_utc() {
        let shown = |ms| local(ms).second / 60;
        assert_eq!(shown(utc(2026, 3, 29, 0, 59)), 119, "01:59");
        assert_eq!(shown(utc(2026, 3, 29, 1, 0)), 180, "03:00");
        assert_eq!(shown(utc(2026, 10, 25, 0, 59)), 179, "02:59, summer");
        assert_eq!(shown(utc(2026, 10, 25, 1, 0)), 120, "02:00, again");
        let repeated = |hour, minute| local(utc(2026, 10, 25, hour, minute)).repeated;
        assert_eq!(
            [
                repeated(0, 59),
                repeated(1, 0),
                repeated(1, 59),
                repeated(2, 0)
            ],
            [false, true, true, false]
        );
        // Years whose 31st is itself a Sunday, and the day after one.
        assert_eq!(change(2024, 3), day_of(2024, 3, 31) * 86_400 + 3600);
        assert_eq!(change(2027, 10), day_of(2027, 10, 31) * 86_400 + 3600);
        assert_eq!(change(2025, 3), day_of(2025, 3, 30) * 86_400 + 3600);
    }

    #[test]
    fn days_and_weeks_with_a_change_of_clocks_are_an_hour_shorter_or_longer() {
        assert_eq!(hours(day_span(day_of(2026, 3, 29))), 23);
        assert_eq!(hours(day_span(day_of(2026, 10, 25))), 25);
        assert_eq!(hours(day_span(day_of(2026, 6, 1))), 24);
        assert_eq!(hours(week_span(utc(2026, 3, 25, 12, 0))), 167);
        assert_eq!(hours(week_span(utc(2026, 10, 25, 22, 0))), 169);
        assert_eq!(hours(week_span(utc(2026, 6, 1, 12, 0))), 168);
        assert_eq!(hours(year_span(utc(2026, 6, 1, 12, 0))), 8760);
        assert_eq!(hours(month_span(utc(2026, 3, 31, 21, 59))), 31 * 24 - 1);
    }

    #[test]
    fn a_week_begins_on_monday_at_local_midnight() {
        let monday = utc(2026, 5, 31, 22, 0);
        assert_eq!(
            week_span(monday).start,
            monday,
            "Monday 1 June, 00:00 summer time"
        );
        assert_eq!(week_span(monday - 1).end, monday);
        assert_eq!(
            year_span(utc(2026, 12, 31, 23, 0)).start,
            utc(2026, 12, 31, 23, 0)
        );
    }
}
