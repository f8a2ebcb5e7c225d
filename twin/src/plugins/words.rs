//! A decision in plain words: which readings, which threshold, which source, which version, and who
//! had it run.

use quartier_plugin_host::{Manifest, Source};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::{AlertChange, Cause, Decision, How, Severity};
use crate::model::Millis;
use crate::state::PluginChange;
use crate::vocabulary::Vocabulary;

/// A decision and what there is to say of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// Journal position.
    pub id: u64,
    /// When it was recorded, RFC 3339.
    pub time: String,
    /// Plain words, a line each.
    pub text: Vec<String>,
    /// Where the thresholds come from.
    pub sources: Vec<SourceOf>,
    /// As recorded.
    pub decision: Decision,
}

/// A source of thresholds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SourceOf {
    /// For people.
    pub title: String,
    /// Where to read it.
    pub url: String,
}

impl From<&Source> for SourceOf {
    fn from(source: &Source) -> Self {
        Self {
            title: source.title.clone(),
            url: source.url.clone(),
        }
    }
}

/// Explains a decision recorded at `at`. `manifest`: of the version that decided; `deployed`: what
/// was done that this version runs.
pub fn explain(
    id: u64,
    at: Millis,
    decision: Decision,
    manifest: Option<&Manifest>,
    deployed: Option<&PluginChange>,
) -> Explained {
    let words = Words {
        decision: &decision,
        manifest,
    };
    let mut text = vec![words.head(id, at)];
    text.extend(deployed.map(who));
    text.extend(words.failure());
    text.extend(decision.alerts.iter().map(|alert| words.alert(alert)));
    text.extend(words.commands());
    text.extend(words.derived());
    text.extend(words.dropped());
    let sources = manifest.map(|manifest| manifest.sources.iter().map(SourceOf::from));
    Explained {
        id,
        time: at.to_string(),
        text,
        sources: sources.into_iter().flatten().collect(),
        decision,
    }
}

fn who(change: &PluginChange) -> String {
    let what = match change.how {
        Some(How::Promote) => "promoted",
        Some(How::Rollback) => "brought back",
        Some(How::Deploy) | None => "deployed",
    };
    let by = match change.by.as_str() {
        "" => "by the configuration of the node",
        user => &format!("by {user}"),
    };
    let why = match change.why.as_str() {
        "" => String::new(),
        why => format!(" ({why})"),
    };
    format!("This version was {what} {by} at {}{why}.", change.at)
}

struct Words<'a> {
    decision: &'a Decision,
    manifest: Option<&'a Manifest>,
}

impl Words<'_> {
    fn head(&self, id: u64, at: Millis) -> String {
        let Decision {
            quarter,
            plugin,
            version,
            stage,
            from,
            to,
            ..
        } = self.decision;
        let acts = match stage.acts() {
            true => "",
            false => " as a shadow, which changes nothing,",
        };
        format!(
            "Decision {id}: {plugin} {version} in {quarter} decided{acts} at {at}, from journal \
             entries {from} to {to}."
        )
    }

    fn failure(&self) -> Option<String> {
        let failure = self.decision.failure.as_ref()?;
        Some(format!(
            "The batch was set aside, nothing was decided: {failure}."
        ))
    }

    fn alert(&self, alert: &AlertChange) -> String {
        let what = if alert.raise { "raised" } else { "cleared" };
        let AlertChange {
            rule, asset, value, ..
        } = alert;
        let limit = self.manifest.and_then(|m| m.limit(rule, alert.code));
        let against = match (limit, alert.limit) {
            (Some(limit), _) => format!(
                ": {value} against the limit {}, {}",
                with_unit(limit.limit, &limit.unit),
                limit.source
            ),
            (None, Some(limit)) => format!(": {value} against the limit {limit}"),
            (None, None) => String::new(),
        };
        let text = match alert.text.as_str() {
            "" => String::new(),
            text => format!(" - {text}"),
        };
        format!(
            "Alert {rule} ({}) of {asset} {what}{against}{text}{}.",
            severity(alert.severity),
            self.because(alert.cause)
        )
    }

    fn commands(&self) -> impl Iterator<Item = String> {
        self.decision.commands.iter().map(|command| {
            let rules = self.manifest.map(|manifest| manifest.commands.as_slice());
            let mut rules = rules.unwrap_or_default().iter();
            let rule = rules.find(|rule| rule.name == command.command);
            let sets = rule.map(|rule| {
                let approval = match rule.requires_approval {
                    true => ", which a person must approve",
                    false => "",
                };
                format!(" (sets {} of a {}{approval})", rule.property, rule.kind)
            });
            format!(
                "Command {}{} to {}: {}, until {}{}.",
                command.command,
                sets.unwrap_or_default(),
                command.asset,
                command.value,
                command.expires,
                self.because(command.cause)
            )
        })
    }

    fn derived(&self) -> impl Iterator<Item = String> {
        self.decision.derived.iter().map(|derived| {
            format!(
                "Value {} of {} at {}: {}{}.",
                derived.metric,
                derived.asset,
                derived.time,
                with_unit(derived.value, unit(&derived.metric)),
                self.because(derived.cause)
            )
        })
    }

    fn dropped(&self) -> impl Iterator<Item = String> {
        let dropped = self.decision.dropped.iter();
        dropped.map(|(reason, rows)| {
            format!("{rows} rows of its answer were dropped, the manifest does not allow them: {reason}.")
        })
    }

    fn because(&self, cause: Option<u32>) -> String {
        let cause = cause.and_then(|cause| self.decision.causes.get(cause as usize));
        cause.map_or_else(|| ", because time passed".to_owned(), because)
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Major => "major",
        Severity::Critical => "critical",
    }
}

fn because(cause: &Cause) -> String {
    let Cause {
        asset,
        metric,
        time,
        ..
    } = cause;
    let value = with_unit(cause.value, unit(metric));
    match cause.span_s {
        0 => format!(", because {metric} of {asset} was {value} at {time}"),
        span => format!(
            ", because the mean of {metric} of {asset} over the {} to {time} was {value} \
             (readings cover {:.0} %)",
            length(span),
            cause.coverage * 100.0
        ),
    }
}

fn length(span_s: u32) -> String {
    match span_s {
        3600 => "hour".to_owned(),
        86_400 => "day".to_owned(),
        span if span % 3600 == 0 => format!("{} hours", span / 3600),
        span => format!("{} minutes", span / 60),
    }
}

fn unit(metric: &str) -> &'static str {
    let metric = Vocabulary::builtin().get(metric);
    metric.map_or("", |metric| metric.unit.as_str())
}

/// UCUM writes `1` for no unit.
fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "" | "1" => value.to_string(),
        unit => format!("{value} {unit}"),
    }
}
