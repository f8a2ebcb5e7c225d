//! Derives sound levels of day, evening, night, Lden and of single days and nights, and holds those
//! of a place with a category against TA Laerm (installations) or 16. BImSchV (traffic).
//!
//! What is compared is the level measured: without the surcharges of TA Laerm 6.5 and A.2.5 for
//! quiet hours, tones and impulses, without its deduction for measured levels, and where
//! 16. BImSchV calculates. So every text calls it an indicator.

use quartier_sdk::prelude::*;

use crate::clock::Zone;
use crate::noise::{Closed, Noise, Year, lden};

/// A rule on one period: topic, attribute of the category, what it is called.
struct Period {
    topic: &'static str,
    attribute: &'static str,
    categories: &'static [&'static str],
    what: &'static str,
}

/// TA Laerm 6.1; the codes in the manifest count from 1.
const TA_LAERM: &[&str] = &[
    "industrial",
    "commercial",
    "urban",
    "mixed",
    "residential",
    "pure_residential",
    "hospital",
];
/// 16. BImSchV section 2.
const TRAFFIC: &[&str] = &["hospital", "residential", "mixed", "commercial"];

/// In the order of the state.
const PERIODS: [Period; 4] = [
    Period {
        topic: "ta_laerm_day",
        attribute: "ta_laerm",
        categories: TA_LAERM,
        what: "LAeq 06-22 h",
    },
    Period {
        topic: "ta_laerm_night",
        attribute: "ta_laerm",
        categories: TA_LAERM,
        what: "LAeq of the loudest hour of the night",
    },
    Period {
        topic: "traffic_noise_day",
        attribute: "traffic_noise",
        categories: TRAFFIC,
        what: "LAeq 06-22 h",
    },
    Period {
        topic: "traffic_noise_night",
        attribute: "traffic_noise",
        categories: TRAFFIC,
        what: "LAeq 22-06 h",
    },
];

/// State of one place.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Place {
    noise: Noise,
    /// As [`PERIODS`].
    alarms: [Alarm; 4],
}

/// A period's topic, and its limits by category.
#[derive(Debug)]
struct Judge {
    topic: Topic,
    limits: Vec<Limit>,
}

/// What is derived and raised.
#[derive(Debug)]
pub struct Sound {
    zone: Zone,
    lday: Metric,
    levening: Metric,
    lnight: Metric,
    lden: Metric,
    days: Metric,
    daytime: Metric,
    night: Metric,
    loudest: Metric,
    judges: Vec<Judge>,
}

impl Sound {
    /// Names, limits and the time zone from the manifest.
    pub fn new(setup: &Setup) -> Result<Self, SetupError> {
        let zone = setup.text("zone")?;
        let zone = Zone::named(zone).ok_or_else(|| {
            let message = format!("{zone:?} is none of Europe/Berlin, UTC");
            SetupError::new("config zone", message)
        })?;
        let level = |name| setup.metric(name, "dB(A)");
        let judges = PERIODS.iter().map(|period| Judge::new(setup, period));
        Ok(Self {
            zone,
            lday: level("lday")?,
            levening: level("levening")?,
            lnight: level("lnight")?,
            lden: level("lden")?,
            days: setup.metric("noise_days", "1")?,
            daytime: level("laeq_day_16h")?,
            night: level("laeq_night_8h")?,
            loudest: level("laeq_night_hour")?,
            judges: judges.collect::<Result<_, _>>()?,
        })
    }

    /// Takes the level of an hour, `None`: insufficient data.
    pub fn hour(
        &self,
        place: &mut Place,
        level: Option<f64>,
        row: &Window<'_>,
        cx: &mut Context<'_>,
    ) {
        let Place { noise, alarms } = place;
        let asset = row.asset;
        noise.hour(
            self.zone,
            row.end_ms,
            level,
            |end_ms, closed| match closed {
                Closed::Year(year) => self.year(asset, &year, end_ms, cx),
                Closed::Daytime(level) => {
                    derive(asset, self.daytime, level, end_ms, cx);
                    self.judge(0, alarms, asset, level, cx);
                    self.judge(2, alarms, asset, level, cx);
                }
                Closed::Night {
                    level,
                    loudest,
                    whole,
                } => {
                    let known = loudest.filter(|_| whole);
                    derive(asset, self.night, level, end_ms, cx);
                    derive(asset, self.loudest, known, end_ms, cx);
                    let enough = |limit: &Limit| known.or(loudest.filter(|&l| limit.is_past(l)));
                    self.judge_by(1, alarms, asset, enough, cx);
                    self.judge(3, alarms, asset, level, cx);
                }
            },
        );
    }

    fn year(&self, asset: AssetId, year: &Year, end_ms: u64, cx: &mut Context<'_>) {
        derive(asset, self.lday, year.day, end_ms, cx);
        derive(asset, self.levening, year.evening, end_ms, cx);
        derive(asset, self.lnight, year.night, end_ms, cx);
        if let (Some(day), Some(evening), Some(night)) = (year.day, year.evening, year.night) {
            cx.derive(asset, self.lden, lden(day, evening, night), end_ms);
        }
        cx.derive(asset, self.days, f64::from(year.days), end_ms);
    }

    fn judge(
        &self,
        period: usize,
        alarms: &mut [Alarm; 4],
        asset: AssetId,
        level: Option<f64>,
        cx: &mut Context<'_>,
    ) {
        self.judge_by(period, alarms, asset, |_| level, cx);
    }

    /// Holds a level, given the limit it is held against, against the limit of the place's category.
    fn judge_by(
        &self,
        number: usize,
        alarms: &mut [Alarm; 4],
        asset: AssetId,
        level: impl Fn(&Limit) -> Option<f64>,
        cx: &mut Context<'_>,
    ) {
        let parts = (
            PERIODS.get(number),
            self.judges.get(number),
            alarms.get_mut(number),
        );
        let (Some(period), Some(judge), Some(alarm)) = parts else {
            return;
        };
        let Some(place) = cx.assets().get(asset) else {
            return;
        };
        let category = place.attribute(period.attribute);
        let found = category.and_then(|name| period.categories.iter().position(|c| *c == name));
        let (Some(limit), Some(category)) = (found.and_then(|at| judge.limits.get(at)), category)
        else {
            if let Some(name) = category {
                cx.log(Level::Warn, period.unknown(&place.urn, name));
            }
            judge.withdraw(alarm, asset, cx);
            return;
        };
        let level = level(limit);
        let change = alarm.step(level, limit);
        let (Some(change), Some(level)) = (change, level) else {
            return;
        };
        let (what, allowed) = (period.what, limit.limit);
        let text = format!("indicator: {what} {level:.1} dB(A), {category} {allowed} dB(A)");
        match change {
            Change::Raise => cx.raise(asset, judge.topic, limit, Severity::Warning, level, text),
            Change::Clear => cx.clear(asset, judge.topic, limit, level, text),
        }
    }
}

impl Judge {
    fn new(setup: &Setup, period: &Period) -> Result<Self, SetupError> {
        let codes = (1..).zip(period.categories);
        let limits = codes.map(|(code, _)| setup.limit(period.topic, code));
        Ok(Self {
            topic: setup.topic(period.topic)?,
            limits: limits.collect::<Result<_, _>>()?,
        })
    }

    /// The place has no category any more.
    fn withdraw(&self, alarm: &mut Alarm, asset: AssetId, cx: &mut Context<'_>) {
        let before = std::mem::take(alarm);
        if let Some(limit) = self.limits.first().filter(|_| before.is_active()) {
            cx.clear(asset, self.topic, limit, 0.0, "the place has no category");
        }
    }
}

impl Period {
    fn unknown(&self, place: &str, name: &str) -> String {
        let known = self.categories.join(", ");
        format!(
            "{place}: attribute {}: {name:?} is none of {known}",
            self.attribute
        )
    }
}

fn derive(asset: AssetId, metric: Metric, level: Option<f64>, end_ms: u64, cx: &mut Context<'_>) {
    if let Some(level) = level {
        cx.derive(asset, metric, level, end_ms);
    }
}
