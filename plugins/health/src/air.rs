//! Hourly means of pollutants to the EAQI and LQI of each hour, and to the alerts on poor air and on
//! the legal thresholds of single hours.

use std::collections::BTreeMap;

use quartier_sdk::prelude::*;

use crate::hours::{Hours, TopicRule, Topics};
use crate::tables::{LEVELS, Measure, Pollutant, TOPICS, UNIT};

/// What is derived and raised, and when.
#[derive(Debug)]
pub struct Air {
    eaqi: Metric,
    lqi: Metric,
    topics: Topics,
}

impl Air {
    /// Limits and patience from the manifest.
    pub fn new(setup: &Setup) -> Result<Self, SetupError> {
        let mut topics = Vec::with_capacity(TOPICS.len());
        for name in TOPICS {
            topics.push(topic(setup, name)?);
        }
        let topics = topics.try_into();
        Ok(Self {
            eaqi: setup.metric("eaqi", "1")?,
            lqi: setup.metric("lqi", "1")?,
            topics: topics.map_err(|_| SetupError::new("topics", "not all are there"))?,
        })
    }

    /// Takes the mean of an hour, `None`: insufficient data.
    pub fn hour(
        &self,
        places: &mut BTreeMap<AssetId, Hours>,
        pollutant: Pollutant,
        mean: Option<f64>,
        row: &Window<'_>,
        cx: &mut Context<'_>,
    ) {
        let hours = places.entry(row.asset).or_default();
        let Some(hour) = hours.put(row.end_ms, pollutant, mean, &self.topics) else {
            return;
        };
        if let Some(index) = hour.index()
            && hour.told != Some(index)
        {
            hour.told = Some(index);
            cx.derive(row.asset, self.eaqi, f64::from(index.eaqi), row.end_ms);
            cx.derive(row.asset, self.lqi, f64::from(index.lqi), row.end_ms);
        }
        self.alerts(row.asset, hours, cx);
    }

    fn alerts(&self, asset: AssetId, hours: &mut Hours, cx: &mut Context<'_>) {
        let codes = hours.codes(&self.topics);
        let before = std::mem::replace(&mut hours.raised, codes);
        for ((rule, now), before) in self.topics.iter().zip(codes).zip(before) {
            let Some(code) = now.or(before).filter(|_| now != before) else {
                continue;
            };
            let Some((limit, severity)) = rule.levels.iter().find(|(l, _)| l.code == code) else {
                continue;
            };
            let value = hours.latest(rule.measure);
            let text = text(rule.measure, limit, now.is_some(), value);
            match now {
                Some(_) => cx.raise(asset, rule.topic, limit, *severity, value, text),
                None => cx.clear(asset, rule.topic, limit, value, text),
            }
        }
    }
}

fn topic(setup: &Setup, name: &'static str) -> Result<TopicRule, SetupError> {
    let mut levels = Vec::new();
    let mut measure = Measure::Eaqi;
    for level in LEVELS.iter().filter(|level| level.topic == name) {
        let limit = setup.limit(name, level.code)?;
        measure = level.measure;
        let limit = match measure {
            Measure::Eaqi => limit.inclusive(),
            Measure::Mean(_) => limit,
        };
        levels.push((limit, level.severity));
    }
    Ok(TopicRule {
        topic: setup.topic(name)?,
        measure,
        levels,
    })
}

fn text(measure: Measure, limit: &Limit, raise: bool, value: f64) -> String {
    let past = if raise { "since" } else { "no longer" };
    let (hours, limit) = (limit.raise_after, limit.limit);
    match measure {
        Measure::Eaqi => format!("EAQI class {value}, {past} {hours} h at {limit} or worse"),
        Measure::Mean(pollutant) => {
            let label = pollutant.label();
            format!("{label} {value:.0} {UNIT}, {past} {hours} h above {limit} {UNIT}")
        }
    }
}
