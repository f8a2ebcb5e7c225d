//! E3: verdicts of voltage, THD and frequency, and what is outside its band now.
//!
//! A week is judged when all its streams are past its end, or a day later without those that are
//! not; weeks of silence are passed over. A verdict "unknown" leaves an alert as it is.

use quartier_sdk::prelude::*;

use super::settings::{Quality, Settings};
use crate::quality::{Limits, Stream, Tally, Verdict};
use crate::time::{Span, TEN_MINUTES_MS, week_span, year_span};

/// How long a week waits for its last means.
const PATIENCE_MS: u64 = 86_400_000;

/// State of one measured node.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Supply {
    phases: [Stream; 3],
    thd: Stream,
    frequency: Stream,
    /// Start of the week and of the year that are collected; 0: none yet.
    week: u64,
    year: u64,
    /// Voltage too high and too low: each phase, and whether the alert stands.
    excursions: [([Alarm; 3], bool); 2],
    /// Codes that stand: voltage, THD, frequency.
    failed: [Option<u32>; 3],
}

/// One mean of 10 minutes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mean {
    pub(super) asset: AssetId,
    pub(super) end: u64,
    pub(super) value: Option<f64>,
}

impl Supply {
    /// A mean of the voltage of a phase.
    pub(super) fn voltage(&mut self, set: &Settings, phase: usize, mean: Mean, cx: &mut Context) {
        self.excursion(set, phase, mean, cx);
        let limits = &set.voltage.limits;
        self.weekly(set, mean, cx, |supply| {
            supply.phases.get_mut(phase).map(|s| (s, limits))
        });
    }

    /// A mean of THD.
    pub(super) fn thd(&mut self, set: &Settings, mean: Mean, cx: &mut Context) {
        let limits = &set.thd.limits;
        self.weekly(set, mean, cx, |supply| Some((&mut supply.thd, limits)));
    }

    /// A mean of the frequency.
    pub(super) fn frequency(&mut self, set: &Settings, mean: Mean, cx: &mut Context) {
        let period = year_span(mean.end.saturating_sub(TEN_MINUTES_MS));
        if self.year == 0 {
            self.year = period.start;
        }
        self.frequency
            .take(mean.end, mean.value, period, &set.frequency.limits);
        let year = year_span(self.year);
        if self.frequency.through >= year.end {
            let streams = [self.frequency];
            self.judge(&set.frequency, 2, &streams, (mean.asset, year), cx);
            self.year = if mean.end > year.end {
                period.start
            } else {
                year.end
            };
        }
    }

    fn weekly<'a>(
        &mut self,
        set: &Settings,
        mean: Mean,
        cx: &mut Context,
        stream: impl FnOnce(&mut Self) -> Option<(&mut Stream, &'a Limits)>,
    ) {
        let period = week_span(mean.end.saturating_sub(TEN_MINUTES_MS));
        if self.week == 0 {
            self.week = period.start;
        }
        if let Some((stream, limits)) = stream(self) {
            stream.take(mean.end, mean.value, period, limits);
        }
        let week = week_span(self.week);
        let late = mean.end >= week.end + PATIENCE_MS;
        let (phases, thd) = (self.phases, self.thd);
        let mut known = phases.iter().chain([&thd]).filter(|s| s.through > 0);
        if !late && known.any(|stream| stream.through < week.end) {
            return;
        }
        self.judge(&set.voltage, 0, &phases, (mean.asset, week), cx);
        self.judge(&set.thd, 1, &[thd], (mean.asset, week), cx);
        self.week = if late { period.start } else { week.end };
    }

    /// Says what became of a period, of the streams that ever had a mean.
    fn judge(
        &mut self,
        quality: &Quality,
        place: usize,
        streams: &[Stream],
        (asset, period): (AssetId, Span),
        cx: &mut Context,
    ) {
        let known = streams.iter().filter(|stream| stream.through > 0);
        let tallies: Vec<Tally> = known.map(|stream| stream.tally(period)).collect();
        if tallies.is_empty() {
            return;
        }
        let limits = &quality.limits;
        let verdict = Verdict::of_all(tallies.iter().map(|t| t.verdict(period, limits)));
        cx.derive(asset, quality.verdict, f64::from(verdict as u8), period.end);
        let share = tallies.iter().filter_map(Tally::share).reduce(f64::min);
        let Some(share) = share else {
            return;
        };
        cx.derive(asset, quality.within, share, period.end);
        let absolute = tallies.iter().any(|tally| tally.tolerable < tally.means);
        let code = quality
            .codes
            .get(usize::from(absolute))
            .or(quality.codes.first());
        let (Some(limit), Some(stands)) = (code, self.failed.get_mut(place)) else {
            return;
        };
        let name = quality.name;
        match (verdict, *stands) {
            (Verdict::Failed, before) if before != Some(limit.code) => {
                let text = format!("{name}: {share:.1} % of the means within the band");
                cx.raise(asset, quality.topic, limit, Severity::Major, share, text);
                *stands = Some(limit.code);
            }
            (Verdict::Held, Some(code)) => {
                let stood = quality.codes.iter().find(|limit| limit.code == code);
                let text = format!("{name}: held again, {share:.1} % of the means within the band");
                cx.clear(asset, quality.topic, stood.unwrap_or(limit), share, text);
                *stands = None;
            }
            _ => {}
        }
    }

    fn excursion(&mut self, set: &Settings, phase: usize, mean: Mean, cx: &mut Context) {
        for ((alarms, stands), excursion) in self.excursions.iter_mut().zip(&set.excursions) {
            let Some(alarm) = alarms.get_mut(phase) else {
                continue;
            };
            alarm.step(mean.value, &excursion.limit);
            let active = alarms.iter().any(Alarm::is_active);
            let Some(volts) = mean.value.filter(|_| active != *stands) else {
                continue;
            };
            *stands = active;
            let text = format!("L{}: {volts:.1} V", phase + 1);
            let (topic, limit) = (excursion.topic, &excursion.limit);
            match active {
                true => cx.raise(mean.asset, topic, limit, Severity::Warning, volts, text),
                false => cx.clear(mean.asset, topic, limit, volts, text),
            }
        }
    }
}
