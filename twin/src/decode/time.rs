//! Event times: RFC 3339 with an offset, or Unix time in seconds or milliseconds.
//!
//! A time moves the clock of its stream, and with it closes windows: one that cannot be true is
//! rejected, since a reading from next year would hold its stream back until then.

use super::Received;
use super::json::Scalar;
use crate::model::Millis;

/// 1990-01-01T00:00:00Z: devices without a clock start in 1970, 1980 or 1984.
const EARLIEST: Millis = Millis(631_152_000_000);

/// A device's clock may be ahead by a day, as a wrong time zone makes it.
const MAX_AHEAD_MS: i64 = 24 * 3600 * 1000;

/// A box that does not know the time may be behind by what it lay in a store.
const MAX_AHEAD_OF_GUESS_MS: i64 = 366 * MAX_AHEAD_MS;

/// Numbers from here on are milliseconds; as seconds they would lie beyond the year 5000.
const FIRST_MILLIS: f64 = 1e11;

/// The time that was sent, checked against `received`; the error says what is wrong.
pub(super) fn read(sent: &Scalar<'_>, received: Received) -> Result<Millis, String> {
    let time = match sent {
        Scalar::Number(number) => unix(*number),
        Scalar::Text(text) => match rfc3339(text) {
            Some(time) => time,
            None => sent.number().map(unix).map_err(|_| unreadable(text))?,
        },
        _ => return Err("the time is neither a text nor a number".to_owned()),
    };
    plausible(time, received)
}

/// `time`, if it can be true of something received at `received`.
pub(super) fn plausible(time: Millis, received: Received) -> Result<Millis, String> {
    if time < EARLIEST {
        Err(format!(
            "time {time} is before 1990: the device's clock is not set"
        ))
    } else if received.guessed && time > received.time.plus(MAX_AHEAD_OF_GUESS_MS) {
        Err(format!(
            "time {time} is more than a year ahead of {}",
            received.time
        ))
    } else if !received.guessed && time > received.time.plus(MAX_AHEAD_MS) {
        Err(format!(
            "time {time} is more than a day ahead of {}",
            received.time
        ))
    } else {
        Ok(time)
    }
}

fn unix(number: f64) -> Millis {
    let ms = if number < FIRST_MILLIS {
        number * 1000.0
    } else {
        number
    };
    Millis(ms.round() as i64)
}

fn rfc3339(text: &str) -> Option<Millis> {
    common_form(text)
        .or_else(|| {
            text.parse::<jiff::Timestamp>()
                .ok()
                .map(jiff::Timestamp::as_millisecond)
        })
        .map(Millis)
}

fn unreadable(text: &str) -> String {
    if text.parse::<jiff::civil::DateTime>().is_ok() {
        format!("{text:?} is a local time without offset; send UTC (Z) or an offset like +02:00")
    } else {
        format!("{text:?} is not a time of RFC 3339")
    }
}

/// `YYYY-MM-DDTHH:MM:SS(.f+)?(Z|±HH:MM)` within the calendar and without leap seconds; jiff
/// reads the rest. Digits beyond the milliseconds are cut off, as jiff does after 1970.
fn common_form(text: &str) -> Option<i64> {
    let (start, rest) = text.as_bytes().split_at_checked(19)?;
    let &[
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T',
        h1,
        h2,
        b':',
        n1,
        n2,
        b':',
        s1,
        s2,
    ] = start
    else {
        return None;
    };
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let (month, day) = (two(m1, m2)?, two(d1, d2)?);
    let (hour, minute, second) = (two(h1, h2)?, two(n1, n2)?, two(s1, s2)?);
    let in_calendar = (1970..=9998).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day);
    if !in_calendar || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (ms, zone) = fraction(rest)?;
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((seconds - offset_seconds(zone)?) * 1000 + ms)
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

/// Milliseconds of an optional `.f+`, and what follows it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let count = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let (digits, zone) = digits.split_at_checked(count)?;
    let padded = digits.iter().chain([b'0', b'0'].iter()).take(3);
    Some((
        padded.fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0')),
        zone,
    ))
}

/// Seconds that local time is ahead of UTC.
fn offset_seconds(zone: &[u8]) -> Option<i64> {
    match *zone {
        [b'Z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (two(h1, h2)?, two(m1, m2)?);
            let seconds = hours * 3600 + minutes * 60;
            (hours < 24 && minutes < 60).then_some(if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days of the proleptic Gregorian calendar; years are counted from March, so that the leap day
/// is a year's last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Millis = Millis(1_780_272_000_000);

    fn text(text: &str) -> Result<i64, String> {
        read(&Scalar::Text(text.into()), NOW.into()).map(|time| time.0)
    }

    fn number(number: f64) -> Result<i64, String> {
        read(&Scalar::Number(number), NOW.into()).map(|time| time.0)
    }

    #[test]
    fn rfc_3339_with_any_offset_and_fraction_is_read() {
        assert_eq!(text("2026-06-01T00:00:01Z"), Ok(1_780_272_001_000));
        assert_eq!(text("2026-06-01T00:00:01.5Z"), Ok(1_780_272_001_500));
        assert_eq!(
            text("2026-06-01T02:00:01.123456789+02:00"),
            Ok(1_780_272_001_123)
        );
        assert_eq!(text("2026-05-31 18:30:01-05:30"), Ok(1_780_272_001_000));
        assert_eq!(text("2016-12-31T23:59:60Z"), text("2016-12-31T23:59:59Z"));
        assert_eq!(text("2000-02-29T00:00:00Z"), Ok(951_782_400_000));
    }

    #[test]
    fn unix_time_is_read_in_seconds_and_milliseconds() {
        assert_eq!(number(1_780_272_001.0), Ok(1_780_272_001_000));
        assert_eq!(number(1_780_272_001_250.0), Ok(1_780_272_001_250));
        assert_eq!(number(1_276_020_076.001), Ok(1_276_020_076_001));
        assert_eq!(text("1780272001"), Ok(1_780_272_001_000));
    }

    #[test]
    fn a_local_time_without_offset_is_rejected_and_told_so() {
        assert!(
            text("2018-02-15T17:37:10")
                .unwrap_err()
                .contains("without offset")
        );
        assert!(
            text("2018-02-30T17:37:10Z")
                .unwrap_err()
                .contains("RFC 3339")
        );
        assert!(text("yesterday").unwrap_err().contains("RFC 3339"));
        assert!(text("").is_err());
    }

    #[test]
    fn a_time_before_1990_or_more_than_a_day_ahead_is_rejected() {
        assert!(text("1990-01-01T00:00:00Z").is_ok());
        assert!(
            text("1989-12-31T23:59:59.999Z")
                .unwrap_err()
                .contains("1990")
        );
        assert!(number(0.0).is_err());
        assert!(number(-1.0).is_err());
        assert_eq!(
            number((NOW.0 + MAX_AHEAD_MS) as f64),
            Ok(NOW.0 + MAX_AHEAD_MS)
        );
        assert!(
            number((NOW.0 + MAX_AHEAD_MS + 1) as f64)
                .unwrap_err()
                .contains("ahead")
        );
        assert!(number(f64::NAN).is_err() && number(1e300).is_err() && number(-1e300).is_err());
    }

    proptest! {
        #[test]
        fn the_short_way_agrees_with_jiff(ms in 0..253_000_000_000_000i64, offset in -1439..1439i64) {
            let stamp = jiff::Timestamp::from_millisecond(ms).unwrap();
            let utc = format!("{stamp:.3}");
            prop_assert_eq!(common_form(&utc), Some(ms), "{}", utc);
            let zone = jiff::tz::Offset::from_seconds(offset as i32 * 60).unwrap();
            let local = format!("{:.6}", stamp.display_with_offset(zone));
            let year = local.get(..4).unwrap();
            prop_assume!(year != "1969");
            prop_assert_eq!(common_form(&local), Some(ms), "{}", local);
        }

        #[test]
        fn what_the_short_way_reads_jiff_reads_alike(
            text in "[12][09][0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,10})?(Z|[+-][0-2][0-9]:[0-6][0-9])"
        ) {
            if let Some(ms) = common_form(&text) {
                let stamp: jiff::Timestamp = text.parse().unwrap();
                prop_assert_eq!(stamp.as_millisecond(), ms);
            }
        }
    }
}
