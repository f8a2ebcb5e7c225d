//! A shadow beside the version that acts: what both said of the same readings.
//!
//! Outputs are matched by what they are about and the event time; a value that was corrected
//! counts as it was last said. A batch that only one of them has answered yet shows as a
//! difference until the other has.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;
use utoipa::ToSchema;

use crate::event::Decision;
use crate::model::Millis;
use crate::state::Deployment;
use crate::store::{Store, StoreError};

/// Decisions looked at, the newest; of both versions together.
const LOOKED_AT: usize = 200_000;
/// Examples of differences.
const EXAMPLES: usize = 20;
/// Steps of the plot.
const STEPS: i64 = 60;

/// A shadow and the version that acts.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Comparison {
    /// Id of the quarter.
    pub quarter: String,
    /// Id of the plugin.
    pub plugin: String,
    /// Version that acts.
    pub running: String,
    /// Version of the shadow.
    pub shadow: String,
    /// Journal position from which on both see the same readings.
    pub since: u64,
    /// Decisions of the version that acts.
    pub running_decisions: u64,
    /// Decisions of the shadow.
    pub shadow_decisions: u64,
    /// All outputs.
    pub total: Tally,
    /// By output: `alert eaqi_poor`, `value eaqi`, `command set_fan`.
    pub outputs: BTreeMap<String, Tally>,
    /// Some differences, newest first.
    pub examples: Vec<Example>,
    /// How the differences lie in event time: at most 60 steps of equal length.
    pub timeline: Vec<Step>,
}

/// How often both said the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Tally {
    /// Both said the same.
    pub same: u64,
    /// Both spoke, with another value.
    pub different: u64,
    /// Only the version that acts spoke.
    pub only_running: u64,
    /// Only the shadow spoke.
    pub only_shadow: u64,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Example {
    /// As in `outputs`.
    pub output: String,
    /// Id of the asset.
    pub asset: String,
    /// Event time, RFC 3339.
    #[schema(format = DateTime)]
    pub time: String,
    /// What the version that acts said; absent: nothing.
    #[schema(required)]
    pub running: Option<f64>,
    /// What the shadow said; absent: nothing.
    #[schema(required)]
    pub shadow: Option<f64>,
}

/// A step of the plot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Step {
    /// Event time at which it begins, RFC 3339.
    #[schema(format = DateTime)]
    pub from: String,
    /// Outputs that both said alike.
    pub same: u64,
    /// Outputs that differ or that one of them did not say.
    pub differ: u64,
}

/// What an output is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct About {
    time: Millis,
    output: String,
    asset: String,
}

/// What both said of it; an alert that is cleared has no value of its own but is another output.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Said {
    running: Option<f64>,
    shadow: Option<f64>,
}

/// Compares what the audit has of both since the shadow began. Values of the metrics in
/// `personal` are counted and not shown. Reads files.
///
/// # Errors
/// The store could not be read.
pub fn compare(
    store: &Store,
    running: &Deployment,
    shadow: &Deployment,
    personal: &HashSet<String>,
) -> Result<Comparison, StoreError> {
    let since = shadow.run;
    let wanted = |_, decision: &Decision| {
        decision.from > since && (decision.run == running.run || decision.run == shadow.run)
    };
    let mut found = store.decisions("", None, LOOKED_AT, LOOKED_AT, wanted)?;
    found.reverse();
    let decisions = found.iter().map(|(_, decision)| decision);
    Ok(tally(decisions, running, shadow, personal))
}

fn tally<'a>(
    decisions: impl Iterator<Item = &'a Decision>,
    running: &Deployment,
    shadow: &Deployment,
    personal: &HashSet<String>,
) -> Comparison {
    let (mut said, mut count): (BTreeMap<About, Said>, _) = (BTreeMap::new(), [0u64; 2]);
    let mut hidden = BTreeSet::new();
    for decision in decisions {
        let of_shadow = decision.run == shadow.run;
        count[usize::from(of_shadow)] += 1;
        for (about, value, metric) in outputs(decision) {
            if metric.is_some_and(|metric| personal.contains(metric)) {
                hidden.insert(about.output.clone());
            }
            let both = said.entry(about).or_default();
            match of_shadow {
                true => both.shadow = Some(value),
                false => both.running = Some(value),
            }
        }
    }
    let mut outputs: BTreeMap<String, Tally> = BTreeMap::new();
    let mut total = Tally::default();
    for (about, said) in &said {
        total.add(*said);
        outputs.entry(about.output.clone()).or_default().add(*said);
    }
    let differ = |(about, said): &(&About, &Said)| {
        said.running != said.shadow && !hidden.contains(&about.output)
    };
    let examples = said.iter().rev().filter(differ).take(EXAMPLES);
    Comparison {
        quarter: shadow.record.quarter.clone(),
        plugin: shadow.record.plugin.clone(),
        running: running.record.version.clone(),
        shadow: shadow.record.version.clone(),
        since: shadow.run,
        running_decisions: count[0],
        shadow_decisions: count[1],
        total,
        outputs,
        examples: examples
            .map(|(about, said)| Example {
                output: about.output.clone(),
                asset: about.asset.clone(),
                time: about.time.to_string(),
                running: said.running,
                shadow: said.shadow,
            })
            .collect(),
        timeline: timeline(&said),
    }
}

fn outputs(decision: &Decision) -> Vec<(About, f64, Option<&str>)> {
    let about = |output: String, asset: &str, time: Millis| About {
        time,
        output,
        asset: asset.to_owned(),
    };
    let values = decision.derived.iter().map(|derived| {
        let output = format!("value {}", derived.metric);
        let about = about(output, &derived.asset, derived.time);
        (about, derived.value, Some(derived.metric.as_str()))
    });
    let alerts = decision.alerts.iter().map(|alert| {
        let what = if alert.raise { "alert" } else { "end of alert" };
        let about = about(format!("{what} {}", alert.rule), &alert.asset, alert.time);
        (about, f64::from(alert.code), None)
    });
    let commands = decision.commands.iter().map(|command| {
        let cause = command.cause.and_then(|c| decision.causes.get(c as usize));
        let time = cause.map_or(command.expires, |cause| cause.time);
        let about = about(format!("command {}", command.command), &command.asset, time);
        (about, command.value, None)
    });
    values.chain(alerts).chain(commands).collect()
}

impl Tally {
    fn add(&mut self, said: Said) {
        let count = match (said.running, said.shadow) {
            (Some(running), Some(shadow)) if running == shadow => &mut self.same,
            (Some(_), Some(_)) => &mut self.different,
            (Some(_), None) => &mut self.only_running,
            (None, _) => &mut self.only_shadow,
        };
        *count += 1;
    }
}

fn timeline(said: &BTreeMap<About, Said>) -> Vec<Step> {
    let ends = said.keys().next().zip(said.keys().next_back());
    let Some((first, last)) = ends.map(|(first, last)| (first.time, last.time)) else {
        return Vec::new();
    };
    let length = (last.since(first) / STEPS + 1).max(1);
    let mut steps: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    for (about, said) in said {
        let step = steps.entry(about.time.since(first) / length).or_default();
        match said.running == said.shadow {
            true => step.0 += 1,
            false => step.1 += 1,
        }
    }
    let step = |(step, (same, differ)): (i64, (u64, u64))| Step {
        from: first.plus(step * length).to_string(),
        same,
        differ,
    };
    steps.into_iter().map(step).collect()
}
