//! Limit values: how often a day or an hour was above one in the calendar year, the highest 8-h mean
//! of ozone of each day, and the means of years.
//!
//! A count rises at the end of the day or hour that was above, begins anew with the calendar year
//! (Central European Time) and is derived when it changes. Values are rounded half up to whole ug/m3
//! before they are held against a limit value. A day or an hour without enough data counts nothing.

use quartier_sdk::prelude::*;

use crate::clock::{DAY, HOUR, year_of_end};
use crate::span::Span;
use crate::tables::{Pollutant, UNIT, half_up};

/// Running 8-h means with which the highest of a day stands (39. BImSchV, annex 7).
const OZONE_MEANS: u32 = 18;
/// Share of a year's hours with which its mean stands (39. BImSchV, annex 11).
const YEAR_SHARE: f64 = 0.9;

/// What is above a limit value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Basis {
    /// An hourly mean.
    Hour,
    /// A daily mean.
    Day,
    /// The highest running 8-h mean of a day.
    Highest8h,
}

/// What is counted.
struct Counted {
    /// Name of the derived count.
    metric: &'static str,
    pollutant: Pollutant,
    basis: Basis,
    /// ug/m3.
    over: f64,
    /// Alert topic where a law allows a number of them.
    topic: Option<&'static str>,
    /// Codes of the allowed numbers in the manifest, the smaller number first.
    codes: &'static [(u32, Severity)],
}

const fn counted(
    metric: &'static str,
    pollutant: Pollutant,
    basis: Basis,
    over: f64,
    topic: Option<&'static str>,
    codes: &'static [(u32, Severity)],
) -> Counted {
    Counted {
        metric,
        pollutant,
        basis,
        over,
        topic,
        codes,
    }
}

/// In force only from 2030 on, so worth knowing and no more.
const FROM_2030: &[(u32, Severity)] = &[(1, Severity::Info)];
/// In force.
const IN_FORCE: &[(u32, Severity)] = &[(1, Severity::Major)];
/// A target value, to be held on the mean of three years.
const TARGET: &[(u32, Severity)] = &[(1, Severity::Warning)];
/// From 2030 on, and in force.
const BOTH: &[(u32, Severity)] = &[(1, Severity::Info), (2, Severity::Major)];

/// Limit values of single hours and days: WHO 2021 (15, 45, 25; ozone 100), directive (EU) 2024/2881
/// from 2030 (25, 45, 50; NO2 200 in an hour) and 39. BImSchV (PM10 50; NO2 200 in an hour; ozone
/// 120). The order is that of the state.
const COUNTED: [Counted; 9] = {
    use Basis::{Day, Highest8h, Hour};
    use Pollutant::{No2, O3, Pm2_5, Pm10};
    [
        counted("pm2_5_days_over_15", Pm2_5, Day, 15.0, None, &[]),
        counted(
            "pm2_5_days_over_25",
            Pm2_5,
            Day,
            25.0,
            Some("pm2_5_days_2030"),
            FROM_2030,
        ),
        counted(
            "pm10_days_over_45",
            Pm10,
            Day,
            45.0,
            Some("pm10_days_2030"),
            FROM_2030,
        ),
        counted(
            "pm10_days_over_50",
            Pm10,
            Day,
            50.0,
            Some("pm10_days"),
            IN_FORCE,
        ),
        counted("no2_days_over_25", No2, Day, 25.0, None, &[]),
        counted(
            "no2_days_over_50",
            No2,
            Day,
            50.0,
            Some("no2_days_2030"),
            FROM_2030,
        ),
        counted(
            "no2_hours_over_200",
            No2,
            Hour,
            200.0,
            Some("no2_hours"),
            BOTH,
        ),
        counted("o3_days_over_100", O3, Highest8h, 100.0, None, &[]),
        counted(
            "o3_days_over_120",
            O3,
            Highest8h,
            120.0,
            Some("o3_days"),
            TARGET,
        ),
    ]
};

/// Pollutants with limit values of a year: derived mean and alert topic, codes as [`BOTH`].
const YEARLY: [(Pollutant, &str, &str); 3] = [
    (Pollutant::Pm2_5, "pm2_5_year_mean", "pm2_5_year"),
    (Pollutant::Pm10, "pm10_year_mean", "pm10_year"),
    (Pollutant::No2, "no2_year_mean", "no2_year"),
];

/// A count of the year.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Tally {
    year: u16,
    count: u32,
    /// End of the last day or hour looked at.
    end_ms: u64,
    levels: Levels,
}

/// Hourly means of a year.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Mean {
    sum: f64,
    hours: u32,
}

/// The year's mean in the making, and what it raised.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Yearly {
    /// Numbered by the year.
    mean: Span<Mean>,
    levels: Levels,
}

/// Running 8-h means of a day.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Ozone {
    highest: Option<f64>,
    means: u32,
}

/// State of one place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Year {
    /// By place in [`COUNTED`].
    tallies: BTreeMap<u8, Tally>,
    /// By place in [`YEARLY`].
    yearly: BTreeMap<u8, Yearly>,
    ozone: Span<Ozone>,
}

/// A metric with the alert on it.
#[derive(Debug)]
struct Watched {
    metric: Metric,
    topic: Option<Topic>,
    levels: Vec<(Limit, Severity)>,
}

impl Watched {
    fn new(
        setup: &Setup,
        (metric, unit): (&str, &str),
        topic: Option<&str>,
        codes: &[(u32, Severity)],
    ) -> Result<Self, SetupError> {
        let name = topic.unwrap_or_default();
        let level = |&(code, severity)| Ok((setup.limit(name, code)?, severity));
        Ok(Self {
            metric: setup.metric(metric, unit)?,
            topic: topic.map(|name| setup.topic(name)).transpose()?,
            levels: codes.iter().map(level).collect::<Result<_, _>>()?,
        })
    }

    /// Steps the alert by a value; `text` says it without the limit.
    fn judge(&self, levels: &mut Levels, asset: AssetId, value: f64, text: &str, cx: &mut Context) {
        let (Some(topic), Some(change)) = (self.topic, levels.step(Some(value), &self.levels))
        else {
            return;
        };
        let limit = &change.limit;
        let text = format!("{text}, allowed {}", limit.limit);
        match change.raise {
            true => cx.raise(asset, topic, limit, change.severity, value, text),
            false => cx.clear(asset, topic, limit, value, text),
        }
    }
}

/// Limit values of hours, days and years.
#[derive(Debug)]
pub struct Limits {
    /// As [`COUNTED`].
    counted: Vec<Watched>,
    /// As [`YEARLY`].
    yearly: Vec<Watched>,
    o3_8h_max: Metric,
}

impl Limits {
    /// Names and allowed numbers from the manifest.
    pub fn new(setup: &Setup) -> Result<Self, SetupError> {
        let counted = COUNTED
            .iter()
            .map(|of| Watched::new(setup, (of.metric, "1"), of.topic, of.codes));
        let yearly = YEARLY
            .iter()
            .map(|(_, metric, topic)| Watched::new(setup, (metric, UNIT), Some(topic), BOTH));
        Ok(Self {
            counted: counted.collect::<Result<_, _>>()?,
            yearly: yearly.collect::<Result<_, _>>()?,
            o3_8h_max: setup.metric("o3_8h_max", UNIT)?,
        })
    }

    /// Takes the mean of an hour, `None`: insufficient data.
    pub fn hour(
        &self,
        year: &mut Year,
        pollutant: Pollutant,
        mean: Option<f64>,
        row: &Window<'_>,
        cx: &mut Context<'_>,
    ) {
        let place = (row.asset, row.end_ms);
        self.count(year, (pollutant, Basis::Hour), mean, place, cx);
        self.year_mean(year, pollutant, mean, place, cx);
    }

    /// Takes the mean of a day.
    pub fn day(
        &self,
        year: &mut Year,
        pollutant: Pollutant,
        mean: Option<f64>,
        row: &Window<'_>,
        cx: &mut Context<'_>,
    ) {
        let place = (row.asset, row.end_ms);
        self.count(year, (pollutant, Basis::Day), mean, place, cx);
    }

    /// Takes a running 8-h mean of ozone. It belongs to the day in which it ends, in Central
    /// European Time (39. BImSchV, annex 7).
    pub fn ozone(
        &self,
        year: &mut Year,
        mean: Option<f64>,
        row: &Window<'_>,
        cx: &mut Context<'_>,
    ) {
        let end = row.end_ms + HOUR;
        let over = year.ozone.put(
            end.saturating_sub(1) / DAY,
            end.is_multiple_of(DAY),
            |day| {
                if let Some(mean) = mean {
                    day.highest = Some(day.highest.map_or(mean, |highest| highest.max(mean)));
                    day.means += 1;
                }
            },
        );
        for (day, ozone) in over {
            let highest = ozone.highest.filter(|_| ozone.means >= OZONE_MEANS);
            let end_ms = (day + 1) * DAY - HOUR;
            if let Some(highest) = highest {
                cx.derive(row.asset, self.o3_8h_max, highest, end_ms);
            }
            let what = (Pollutant::O3, Basis::Highest8h);
            self.count(year, what, highest, (row.asset, end_ms), cx);
        }
    }

    fn count(
        &self,
        state: &mut Year,
        what: (Pollutant, Basis),
        value: Option<f64>,
        (asset, end_ms): (AssetId, u64),
        cx: &mut Context<'_>,
    ) {
        let Some(value) = value.map(half_up) else {
            return;
        };
        for ((number, of), watched) in (0..).zip(&COUNTED).zip(&self.counted) {
            if (of.pollutant, of.basis) != what {
                continue;
            }
            let tally = state.tallies.entry(number).or_default();
            if end_ms <= tally.end_ms {
                continue;
            }
            tally.end_ms = end_ms;
            let year = year_of_end(end_ms);
            let begins = year != tally.year;
            if begins {
                (tally.year, tally.count) = (year, 0);
            }
            let over = value > of.over;
            tally.count += u32::from(over);
            let count = f64::from(tally.count);
            if begins || over {
                cx.derive(asset, watched.metric, count, end_ms);
            }
            let text = of.text(count, year);
            watched.judge(&mut tally.levels, asset, count, &text, cx);
        }
    }

    fn year_mean(
        &self,
        state: &mut Year,
        pollutant: Pollutant,
        mean: Option<f64>,
        (asset, end_ms): (AssetId, u64),
        cx: &mut Context<'_>,
    ) {
        let rules = (0..).zip(&YEARLY).zip(&self.yearly);
        let Some(((number, _), watched)) = rules.into_iter().find(|((_, of), _)| of.0 == pollutant)
        else {
            return;
        };
        let yearly = state.yearly.entry(number).or_default();
        let year = year_of_end(end_ms);
        let last = year_of_end(end_ms + HOUR) != year;
        let over = yearly.mean.put(u64::from(year), last, |of| {
            if let Some(mean) = mean {
                of.sum += mean;
                of.hours += 1;
            }
        });
        for (year, of) in over {
            let end_ms = end_of_year(year);
            let hours = (end_ms - end_of_year(year.saturating_sub(1))) / HOUR;
            if f64::from(of.hours) < YEAR_SHARE * hours as f64 {
                continue;
            }
            let mean = of.sum / f64::from(of.hours);
            cx.derive(asset, watched.metric, mean, end_ms);
            let (label, value) = (pollutant.label(), half_up(mean));
            let text = format!("{label}: mean of {year} {value} {UNIT}");
            watched.judge(&mut yearly.levels, asset, value, &text, cx);
        }
    }
}

impl Counted {
    fn text(&self, count: f64, year: u16) -> String {
        let (label, over) = (self.pollutant.label(), self.over);
        let what = match self.basis {
            Basis::Hour => "hours",
            Basis::Day => "days",
            Basis::Highest8h => "days with an 8-h mean",
        };
        format!("{label}: {count} {what} above {over} {UNIT} in {year}")
    }
}

fn end_of_year(year: u64) -> u64 {
    crate::clock::days(year + 1, 1, 1) * DAY - HOUR
}
