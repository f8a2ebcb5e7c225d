//! The rule: hourly means in, indices and alerts out. Plain Rust, no interface types, so that it
//! is tested natively.

use std::collections::{BTreeMap, BTreeSet};

use crate::hours::{Hours, Thresholds};
use crate::index::{Index, index};
use crate::settings::Settings;
use crate::tables::{LEVELS, Level, Measure, Pollutant, TOPICS};

/// One closed window of one hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Row in the batch, given back as the cause.
    pub row: u32,
    /// Asset.
    pub asset: u32,
    /// What was measured.
    pub pollutant: Pollutant,
    /// End, milliseconds since 1970.
    pub end_ms: u64,
    /// ug/m3.
    pub mean: f64,
    /// Share of the hour that readings stand for, 0 to 1.
    pub coverage: f64,
}

/// What the rule found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Finding {
    /// The classes of an hour, possibly corrected.
    Index {
        /// Asset.
        asset: u32,
        /// End of the hour.
        end_ms: u64,
        /// Its classes.
        index: Index,
    },
    /// An alert came, changed its level or went.
    Alert {
        /// Asset.
        asset: u32,
        /// Index in [`TOPICS`].
        topic: usize,
        /// The level that is raised now; where the alert went: that was raised.
        level: Level,
        /// Raised, or cleared.
        raise: bool,
        /// Value of the latest hour; NaN never: without a value nothing changes.
        value: f64,
        /// Row of the window that caused it.
        cause: u32,
    },
}

/// The rule with its state.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// From the manifest.
    pub settings: Settings,
    /// By asset.
    pub assets: BTreeMap<u32, Hours>,
}

impl Rule {
    /// Without state.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            assets: BTreeMap::new(),
        }
    }

    /// Takes the windows of a batch, sorted by time, and says what changed by them.
    pub fn evaluate(&mut self, windows: impl IntoIterator<Item = Window>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut causes: BTreeMap<u32, u32> = BTreeMap::new();
        for window in windows {
            let hours = self.assets.entry(window.asset).or_default();
            if hours.advances(window.end_ms)
                && let Some(cause) = causes.remove(&window.asset)
            {
                settle(
                    window.asset,
                    hours,
                    cause,
                    &self.settings.thresholds,
                    &mut findings,
                );
            }
            let enough = window.coverage >= self.settings.coverage && window.mean.is_finite();
            let mean = enough.then_some(window.mean);
            hours.put(
                window.end_ms,
                window.pollutant,
                mean,
                &self.settings.thresholds,
            );
            causes.insert(window.asset, window.row);
        }
        for (asset, cause) in causes {
            if let Some(hours) = self.assets.get_mut(&asset) {
                settle(
                    asset,
                    hours,
                    cause,
                    &self.settings.thresholds,
                    &mut findings,
                );
            }
        }
        findings
    }

    /// Drops what is known of assets that are gone.
    pub fn forget(&mut self, gone: &BTreeSet<u32>) {
        self.assets.retain(|asset, _| !gone.contains(asset));
    }
}

fn settle(
    asset: u32,
    hours: &mut Hours,
    cause: u32,
    thresholds: &Thresholds,
    findings: &mut Vec<Finding>,
) {
    for hour in &mut hours.kept {
        if let Some(index) = index(&hour.means)
            && hour.told != Some(index)
        {
            hour.told = Some(index);
            findings.push(Finding::Index {
                asset,
                end_ms: hour.end_ms,
                index,
            });
        }
    }
    let active = hours
        .counts(thresholds)
        .levels
        .map(|counter| counter.active);
    for (topic, name) in TOPICS.iter().enumerate() {
        let levels = || {
            LEVELS
                .iter()
                .zip(active)
                .filter(|(level, _)| level.topic == *name)
        };
        let now = levels()
            .filter(|(_, active)| *active)
            .map(|(level, _)| *level)
            .next_back();
        let before = hours.raised[topic];
        if now.map_or(0, |level| level.code) == before {
            continue;
        }
        let was = levels()
            .map(|(level, _)| *level)
            .find(|level| level.code == before);
        if let Some(level) = now.or(was) {
            hours.raised[topic] = now.map_or(0, |level| level.code);
            let value = latest(hours, level.measure);
            findings.push(Finding::Alert {
                asset,
                topic,
                level,
                raise: now.is_some(),
                value,
                cause,
            });
        }
    }
}

/// The latest value of a measure among the kept hours. A change has one: only an hour with a value
/// moves an alert; a correction that takes the value away leaves the one before it, else 0.
fn latest(hours: &Hours, measure: Measure) -> f64 {
    let newest_first = hours.kept.iter().rev();
    newest_first
        .filter_map(|hour| hour.measure(measure))
        .next()
        .unwrap_or_default()
}
