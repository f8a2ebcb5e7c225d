//! Berlin time and Saxony's holidays.

use ::time::{Date, Duration};
use metering::DayBoundary;
use metering::time::calendar::to_berlin;
use metering::time::holiday::Bundesland;
use quartier_energy::holidays::is_holiday;
use quartier_energy::time::{day_of, day_span, local, month_span, week_span, year_span};

use crate::{Random, instant, ms};

/// From 1996, when summer time got its present end, to 2099.
fn some_instant(random: &mut Random) -> u64 {
    let (first, last) = (day_of(1996, 1, 1) as u64, day_of(2099, 12, 31) as u64);
    (first * 86_400 + random.below((last - first) * 86_400)) * 1000
}

#[test]
fn clock_day_week_month_and_year_of_20000_random_instants_are_the_oracles() {
    let mut random = Random(3);
    for _ in 0..20_000 {
        let at = some_instant(&mut random);
        let (found, expected) = (local(at), to_berlin(instant(at)));
        let (date, clock) = (expected.date(), expected.time());
        let midnight = day_of(
            date.year().into(),
            u8::from(date.month()).into(),
            date.day().into(),
        );
        assert_eq!(found.day, midnight, "{expected}");
        let second = i64::from(clock.hour()) * 3600 + i64::from(clock.minute()) * 60;
        assert_eq!(
            found.second,
            second + i64::from(clock.second()),
            "{expected}"
        );

        let day = DayBoundary::Strom.day(date).unwrap();
        assert_eq!(
            (ms(day.start()), ms(day.end())),
            (day_span(midnight).start, day_span(midnight).end)
        );
        let month = DayBoundary::Strom.month(date.year(), date.month()).unwrap();
        assert_eq!(
            (ms(month.start()), ms(month.end())),
            (month_span(at).start, month_span(at).end)
        );
        let year = DayBoundary::Strom.year(date.year()).unwrap();
        assert_eq!(
            (ms(year.start()), ms(year.end())),
            (year_span(at).start, year_span(at).end)
        );
        let monday = date - Duration::days(date.weekday().number_days_from_monday().into());
        let week =
            [monday, monday + Duration::days(7)].map(|day| DayBoundary::Strom.day(day).unwrap());
        assert_eq!(
            (ms(week[0].start()), ms(week[1].start())),
            (week_span(at).start, week_span(at).end)
        );
    }
}

#[test]
fn the_hours_around_every_change_of_clocks_are_the_oracles() {
    for year in 1996..2100 {
        for month in [3, 10] {
            let first = day_of(year, month, 24) as u64 * 96;
            for quarter in first..first + 9 * 96 {
                let at = quarter * 900_000;
                let clock = to_berlin(instant(at)).time();
                let second = i64::from(clock.hour()) * 3600 + i64::from(clock.minute()) * 60;
                assert_eq!(local(at).second, second, "{}", instant(at));
            }
        }
    }
}

#[test]
fn holidays_of_saxony_from_1995_to_2100_are_the_oracles() {
    let mut date = Date::from_calendar_date(1995, ::time::Month::January, 1).unwrap();
    for day in day_of(1995, 1, 1)..day_of(2101, 1, 1) {
        assert_eq!(is_holiday(day), Bundesland::Sn.is_holiday(date), "{date}");
        date = date.next_day().unwrap();
    }
}
