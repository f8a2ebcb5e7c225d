//! A decision in plain words: which readings, which threshold, which source, which version.

use std::collections::HashSet;

use quartier_plugin_host::{Manifest, Source};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::{AlertChange, Cause, CommandIntent, Decision, DerivedReading, How};
use crate::model::Millis;
use crate::state::PluginChange;
use crate::vocabulary::Vocabulary;

/// Outputs that are put into words; the record has all of them.
const MOST: usize = 100;

/// A decision in plain words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// Journal position of the decision.
    pub id: u64,
    /// When it was recorded, RFC 3339, where the journal still has it.
    #[schema(required)]
    pub recorded: Option<String>,
    /// Who decided: plugin, version, lab, quarter.
    pub decided_by: String,
    /// Who brought this version, when and why, where that is still known.
    #[schema(required)]
    pub deployed: Option<String>,
    /// What was decided and because of what, a sentence an output.
    pub outputs: Vec<String>,
    /// Where the thresholds come from: title and address.
    pub sources: Vec<(String, String)>,
    /// How to check it.
    pub check: String,
}

/// A decision in plain words, and as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Explained {
    /// In plain words.
    pub explanation: Explanation,
    /// As recorded; without values that the reader must not see.
    pub record: Decision,
}

impl Explanation {
    /// For a terminal.
    pub fn text(&self) -> String {
        let mut lines = vec![format!("Decision {}: {}", self.id, self.decided_by)];
        lines.extend(self.recorded.iter().map(|at| format!("Recorded at {at}")));
        lines.extend(
            self.deployed
                .iter()
                .map(|how| format!("This version was {how}")),
        );
        lines.extend(self.outputs.iter().map(|output| format!("- {output}")));
        if !self.sources.is_empty() {
            lines.push("Thresholds come from:".to_owned());
        }
        let sources = self.sources.iter();
        lines.extend(sources.map(|(title, url)| format!("  {title} <{url}>")));
        lines.push(format!("Compute it again: {}", self.check));
        lines.join("\n")
    }
}

/// What a sentence needs to know beside the decision.
struct Words<'a> {
    decision: &'a Decision,
    manifest: Option<&'a Manifest>,
    /// Metrics whose values are not told.
    hidden: &'a HashSet<String>,
}

/// Puts a decision into words. `recorded`: when, where that is known; `manifest`: of the version that decided; `changes`: what was done
/// with the plugin in its quarter; `hidden`: metrics whose values the reader must not see.
pub fn explain(
    id: u64,
    recorded: Option<Millis>,
    decision: &Decision,
    manifest: Option<&Manifest>,
    changes: &[PluginChange],
    hidden: &HashSet<String>,
) -> Explanation {
    let words = Words {
        decision,
        manifest,
        hidden,
    };
    let lab = manifest.map_or_else(String::new, |manifest| format!(" of lab {}", manifest.lab));
    let stage = decision.stage.as_str();
    let sources = manifest.map(|manifest| manifest.sources.as_slice());
    Explanation {
        id,
        recorded: recorded.map(|at| at.to_string()),
        decided_by: format!(
            "plugin {} {}{lab} in quarter {}, at stage {stage}, for batch {} (journal entries {} \
             to {})",
            decision.plugin,
            decision.version,
            decision.quarter,
            decision.batch,
            decision.from,
            decision.to
        ),
        deployed: deployed(decision, changes),
        outputs: words.outputs(),
        sources: sources
            .unwrap_or_default()
            .iter()
            .map(|Source { title, url }| (title.clone(), url.clone()))
            .collect(),
        check: format!("quartier decision verify {id}"),
    }
}

/// The latest deployment of this version before the batch ended.
fn deployed(decision: &Decision, changes: &[PluginChange]) -> Option<String> {
    let before = |change: &&PluginChange| {
        change.position <= decision.to && change.version == decision.version
    };
    let change = changes.iter().rev().find(before)?;
    let what = match change.how? {
        How::Deploy => "deployed",
        How::Promote => "promoted",
        How::Rollback => "brought back",
    };
    let by = if change.by.is_empty() {
        "the configuration".to_owned()
    } else {
        change.by.clone()
    };
    let why = if change.why.is_empty() {
        String::new()
    } else {
        format!(": {}", change.why)
    };
    Some(format!("{what} by {by} on {}{why}", change.at))
}

impl Words<'_> {
    fn outputs(&self) -> Vec<String> {
        let decision = self.decision;
        let failure = decision.failure.iter();
        let failed = failure.map(|why| format!("The batch was set aside: {why}."));
        let alerts = decision.alerts.iter().map(|alert| self.alert(alert));
        let commands = decision
            .commands
            .iter()
            .map(|command| self.command(command));
        let values = decision.derived.iter().map(|derived| self.value(derived));
        let dropped = decision.dropped.iter().map(|(reason, rows)| {
            format!(
                "{rows} outputs were dropped, because the manifest does not allow them: {reason}."
            )
        });
        let all = failed
            .chain(alerts)
            .chain(commands)
            .chain(dropped)
            .chain(values);
        let mut sentences: Vec<String> = all.collect();
        let more = sentences.len().saturating_sub(MOST);
        if more > 0 {
            sentences.truncate(MOST);
            sentences.push(format!("And {more} outputs more; the record has them."));
        }
        sentences
    }

    fn alert(&self, alert: &AlertChange) -> String {
        let what = if alert.raise { "raised" } else { "cleared" };
        let limit = self
            .manifest
            .and_then(|manifest| manifest.limit(&alert.rule, alert.code));
        let limit = match (limit, alert.limit) {
            (Some(limit), _) => format!(
                " Limit {} {} ({}).",
                number(limit.limit),
                limit.unit,
                limit.source
            ),
            (None, Some(limit)) => format!(" Limit {}.", number(limit)),
            (None, None) => String::new(),
        };
        let text = if alert.text.is_empty() {
            String::new()
        } else {
            format!(": {}", alert.text)
        };
        format!(
            "Alert {} on {} was {what} ({:?}){text}.{}{limit}",
            alert.rule,
            alert.asset,
            alert.severity,
            self.because(alert.cause)
        )
    }

    fn command(&self, command: &CommandIntent) -> String {
        let rule = self.manifest.and_then(|manifest| {
            let mut rules = manifest.commands.iter();
            rules.find(|rule| rule.name == command.command)
        });
        let (property, approval) = rule.map_or(("", ""), |rule| {
            let approval = if rule.requires_approval {
                " A person has to approve it."
            } else {
                ""
            };
            (rule.property.as_str(), approval)
        });
        format!(
            "Command {}: {} of {} is to be {} until {}.{}{approval}",
            command.command,
            property,
            command.asset,
            number(command.value),
            command.expires,
            self.because(command.cause)
        )
    }

    fn value(&self, derived: &DerivedReading) -> String {
        let (name, unit) = named(&derived.metric);
        format!(
            "{name} of {} at {} is {}{unit}.{}",
            derived.asset,
            derived.time,
            self.told(&derived.metric, derived.value),
            self.because_of(&derived.causes)
        )
    }

    fn because(&self, cause: Option<u32>) -> String {
        self.because_of(cause.as_slice())
    }

    fn because_of(&self, causes: &[u32]) -> String {
        let known = |cause: &u32| self.decision.causes.get(*cause as usize);
        let causes: Vec<String> = causes
            .iter()
            .filter_map(known)
            .map(|cause| self.cause(cause))
            .collect();
        match causes.is_empty() {
            true => " Cause: time passed, or what was known before.".to_owned(),
            false => format!(" Cause: {}.", causes.join("; ")),
        }
    }

    fn cause(&self, cause: &Cause) -> String {
        let Cause {
            asset,
            metric,
            value,
            time,
            span_s,
            coverage,
        } = cause;
        let (name, unit) = named(metric);
        let value = self.told(metric, *value);
        if *span_s == 0 {
            return format!("{name} of {asset} was {value}{unit} at {time}");
        }
        let from = time.plus(i64::from(*span_s) * -1000);
        format!(
            "the mean of {name} of {asset} from {from} to {time} was {value}{unit}, with readings \
             for {:.0} % of that time",
            coverage * 100.0
        )
    }

    fn told(&self, metric: &str, value: f64) -> String {
        if self.hidden.contains(metric) {
            "(not shown: it speaks of a household)".to_owned()
        } else {
            number(value)
        }
    }
}

/// Name and unit of a metric, for people.
fn named(metric: &str) -> (&str, String) {
    let known = Vocabulary::builtin().get(metric);
    let unit = known.map_or("", |metric| metric.unit.as_str());
    let unit = match unit {
        "" | "1" => String::new(),
        unit => format!(" {unit}"),
    };
    (metric, unit)
}

/// At most three decimals.
fn number(value: f64) -> String {
    let rounded = (value * 1000.0).round() / 1000.0;
    if rounded.is_finite() {
        rounded.to_string()
    } else {
        value.to_string()
    }
}

/// Leaves out the values of `hidden` metrics, so that a record can be shown to everybody.
pub fn without_values(decision: &mut Decision, hidden: &HashSet<String>) {
    decision
        .derived
        .retain(|derived| !hidden.contains(&derived.metric));
    for cause in &mut decision.causes {
        if hidden.contains(&cause.metric) {
            cause.value = f64::NAN;
        }
    }
    let causes = &decision.causes;
    let speaks = |cause: Option<u32>| {
        let cause = cause.and_then(|cause| causes.get(cause as usize));
        cause.is_some_and(|cause| hidden.contains(&cause.metric))
    };
    for alert in &mut decision.alerts {
        if speaks(alert.cause) {
            alert.value = f64::NAN;
            alert.text.clear();
        }
    }
}

/// Whether the decision says something of the asset.
pub fn is_about(decision: &Decision, asset: &str) -> bool {
    let derived = decision.derived.iter().map(|derived| &derived.asset);
    let alerts = decision.alerts.iter().map(|alert| &alert.asset);
    let commands = decision.commands.iter().map(|command| &command.asset);
    derived.chain(alerts).chain(commands).any(|id| id == asset)
}

/// Event time of the latest output; of a batch that was set aside, nothing.
pub fn event_time(decision: &Decision) -> Option<Millis> {
    let derived = decision.derived.iter().map(|derived| derived.time);
    let alerts = decision.alerts.iter().map(|alert| alert.time);
    let causes = decision.causes.iter().map(|cause| cause.time);
    derived.chain(alerts).chain(causes).max()
}
