//! Times of recorded files: local or with an offset, `24:00` for the midnight that ends a day.

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan as _};

use crate::model::Millis;

/// How the time of a row is read.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    format: Format,
    zone: Option<TimeZone>,
}

#[derive(Debug, Clone)]
enum Format {
    Iso,
    Unix,
    Strptime(String),
}

/// Why a row has no time; the text is the same for all rows with the same fault.
pub(super) type TimeFault = &'static str;

pub(super) const UNREADABLE: TimeFault = "the time does not fit the format";
pub(super) const NO_ZONE: TimeFault = "the time has no offset; the mapping needs a timezone";
pub(super) const IN_GAP: TimeFault = "the local time does not exist: the clock was put forward";

impl Clock {
    /// `zone`: an IANA name or an offset such as `+01:00`.
    pub(super) fn new(format: &str, zone: Option<&str>) -> Result<Self, String> {
        let format = match format {
            "iso" => Format::Iso,
            "unix" => Format::Unix,
            other => Format::Strptime(other.to_owned()),
        };
        Ok(Self {
            format,
            zone: zone.map(time_zone).transpose()?,
        })
    }

    /// The time that `text` says. A local time that comes twice, when the clock is put back, is
    /// the first of the two that is later than `previous`, the asset's last time.
    pub(super) fn read(&self, text: &str, previous: Option<Millis>) -> Result<Millis, TimeFault> {
        let (text, midnight) = without_24(text);
        let local = match &self.format {
            Format::Unix => return unix(&text).ok_or(UNREADABLE),
            Format::Iso => match text.parse::<Timestamp>() {
                Ok(time) => return Ok(after(time, midnight)),
                Err(_) => text.parse::<DateTime>().map_err(|_| UNREADABLE)?,
            },
            Format::Strptime(format) => {
                let read = strtime::parse(format, text.as_ref()).map_err(|_| UNREADABLE)?;
                if let Ok(time) = read.to_timestamp() {
                    return Ok(after(time, midnight));
                }
                read.to_datetime()
                    .or_else(|_| read.to_date().map(DateTime::from))
                    .map_err(|_| UNREADABLE)?
            }
        };
        let local = if midnight {
            local.saturating_add(1.day())
        } else {
            local
        };
        let zone = self.zone.as_ref().ok_or(NO_ZONE)?;
        let ambiguous = zone.to_ambiguous_zoned(local);
        let first = ambiguous
            .clone()
            .earlier()
            .map_err(|_| UNREADABLE)?
            .timestamp();
        let last = ambiguous
            .clone()
            .later()
            .map_err(|_| UNREADABLE)?
            .timestamp();
        match ambiguous.offset() {
            jiff::tz::AmbiguousOffset::Gap { .. } => Err(IN_GAP),
            jiff::tz::AmbiguousOffset::Fold { .. }
                if previous.is_some_and(|time| time.0 >= first.as_millisecond()) =>
            {
                Ok(Millis(last.as_millisecond()))
            }
            _ => Ok(Millis(first.as_millisecond())),
        }
    }
}

fn time_zone(name: &str) -> Result<TimeZone, String> {
    let offset = || strtime::parse("%:z", name).ok()?.offset();
    match offset().map(Offset::to_time_zone) {
        Some(zone) => Ok(zone),
        None => TimeZone::get(name)
            .map_err(|_| format!("timezone {name:?} is neither an IANA name nor like +01:00")),
    }
}

fn after(time: Timestamp, midnight: bool) -> Millis {
    Millis(time.as_millisecond()).plus(if midnight { 24 * 3600 * 1000 } else { 0 })
}

/// The text with `24:00` as `00:00`, and whether that was so: the day that begins then is the next.
fn without_24(text: &str) -> (std::borrow::Cow<'_, str>, bool) {
    let start = text.find([' ', 'T']).map_or(0, |at| at + 1);
    match text.get(start..) {
        Some(clock) if clock == "24:00" || clock.starts_with("24:00:00") => {
            let (day, clock) = text.split_at(start);
            (
                format!("{day}00{}", clock.get(2..).unwrap_or_default()).into(),
                true,
            )
        }
        _ => (text.into(), false),
    }
}

/// Seconds since 1970, with or without a fraction.
fn unix(text: &str) -> Option<Millis> {
    let seconds: f64 = text.parse().ok()?;
    let range = 0.0..1e11;
    #[expect(clippy::cast_possible_truncation, reason = "in range, just checked")]
    range
        .contains(&seconds)
        .then(|| Millis((seconds * 1000.0).round() as i64))
}

#[cfg(test)]
mod tests {
    use super::{Clock, IN_GAP, NO_ZONE, UNREADABLE};
    use crate::model::Millis;

    fn read(format: &str, zone: Option<&str>, text: &str) -> Result<String, &'static str> {
        Clock::new(format, zone)
            .unwrap()
            .read(text, None)
            .map(|time| time.to_string())
    }

    #[test]
    fn twenty_four_is_the_following_midnight() {
        let dresden = |text| read("%Y-%m-%d %H:%M", Some("+01:00"), text);
        assert_eq!(dresden("2018-12-31 24:00").unwrap(), "2018-12-31T23:00:00Z");
        assert_eq!(dresden("2018-12-31 24:00"), dresden("2019-01-01 00:00"));
        assert_eq!(dresden("2018-12-31 24:01"), Err(UNREADABLE));
        let iso = |text| read("iso", None, text).unwrap();
        assert_eq!(iso("2018-02-28T24:00:00Z"), "2018-03-01T00:00:00Z");
    }

    #[test]
    fn a_fixed_offset_knows_no_summer_and_a_zone_does() {
        let at = |zone| read("%Y-%m-%d %H:%M", Some(zone), "2018-07-01 12:00").unwrap();
        assert_eq!(at("+01:00"), "2018-07-01T11:00:00Z");
        assert_eq!(at("Europe/Berlin"), "2018-07-01T10:00:00Z");
        assert!(Clock::new("iso", Some("Mars")).is_err());
    }

    #[test]
    fn an_hour_that_the_clock_skips_is_refused_and_one_that_comes_twice_is_both() {
        let clock = Clock::new("iso", Some("Europe/Berlin")).unwrap();
        assert_eq!(clock.read("2018-03-25T02:30:00", None), Err(IN_GAP));
        let first = clock.read("2018-10-28T02:00:00", None).unwrap();
        assert_eq!(first.to_string(), "2018-10-28T00:00:00Z");
        let second = clock.read("2018-10-28T02:00:00", Some(first)).unwrap();
        assert_eq!(second.to_string(), "2018-10-28T01:00:00Z");
        let earlier = Some(Millis(first.0 - 3_600_000));
        assert_eq!(clock.read("2018-10-28T02:00:00", earlier), Ok(first));
    }

    #[test]
    fn iso_unix_and_times_without_a_zone() {
        assert_eq!(
            read("iso", None, "2026-06-01T00:00:01+02:00").unwrap(),
            "2026-05-31T22:00:01Z"
        );
        assert_eq!(read("iso", None, "2026-06-01 00:00:01"), Err(NO_ZONE));
        assert_eq!(
            read("unix", None, "1780272001.5").unwrap(),
            "2026-06-01T00:00:01.5Z"
        );
        assert_eq!(read("unix", None, "nan"), Err(UNREADABLE));
        assert_eq!(read("iso", Some("UTC"), ""), Err(UNREADABLE));
        assert_eq!(
            read("%d.%m.%Y", Some("UTC"), "01.06.2026").unwrap(),
            "2026-06-01T00:00:00Z"
        );
    }
}
