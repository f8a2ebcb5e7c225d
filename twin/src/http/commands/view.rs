//! Commands as the API shows them, and what of them a caller may see.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{Principal, Right};
use crate::event::{Judgement, Priority, Stamp};
use crate::state::{Asker, Command, CommandState, Twin};
use crate::vocabulary::Vocabulary;

/// A command and what became of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Command)]
pub(in crate::http) struct CommandView {
    /// Id: journal position and place there; of a box's, its node and a colon before.
    id: String,
    quarter: String,
    asset: String,
    /// Property to set: a metric that the device reports.
    property: String,
    /// In `unit`; null: speaks of a household, and the caller may not read these.
    #[schema(required)]
    value: Option<f64>,
    /// UCUM code; empty where the property is not in the vocabulary.
    unit: String,
    state: CommandState,
    /// Against other persons' wishes; a plugin's is below all of them.
    priority: Priority,
    /// When a person asked, for the order among wishes: time, count, node.
    stamp: Option<Stamp>,
    /// Why it is in this state, where that does not say it.
    #[schema(required)]
    reason: Option<String>,
    /// Plugin and version, or user; null: a person, and the caller may not command.
    #[schema(required)]
    by: Option<String>,
    /// Whether a person asked for it.
    person: bool,
    /// Reason the person gave.
    #[schema(required)]
    why: Option<String>,
    /// Name of the command in the plugin's manifest.
    #[schema(required)]
    command: Option<String>,
    /// Id of the plugin's decision.
    #[schema(required)]
    decision: Option<u64>,
    /// RFC 3339, like all times here.
    asked: String,
    /// Wanted no more from then on.
    expires: String,
    /// Since when it is in this state.
    since: String,
    /// When it was sent first.
    #[schema(required)]
    sent: Option<String>,
    /// How often it was sent.
    attempts: u32,
    /// What a person said of it.
    #[schema(required)]
    judged: Option<JudgedView>,
}

/// What a person said of a command.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CommandJudged)]
pub(in crate::http) struct JudgedView {
    judgement: Judgement,
    /// User; null: the caller may not command.
    #[schema(required)]
    by: Option<String>,
    /// Reason given.
    #[schema(required)]
    why: Option<String>,
    at: String,
}

/// What an asset is to be like.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Desired)]
pub(in crate::http) struct DesiredView {
    /// Null: speaks of a household, and the caller may not read these.
    #[schema(required)]
    value: Option<f64>,
    expires: String,
    /// Id of the command.
    id: String,
    state: CommandState,
}

/// What a caller may see of the commands of a quarter.
#[derive(Clone, Copy)]
pub(in crate::http) struct Sight {
    personal: bool,
    people: bool,
}

impl Sight {
    pub(in crate::http) fn of(principal: &Principal, quarter: &str) -> Self {
        Self {
            personal: principal.may(Right::Personal, quarter),
            people: principal.may(Right::Command, quarter),
        }
    }

    fn shows(self, property: &str) -> bool {
        let metric = Vocabulary::builtin().get(property);
        self.personal || !metric.is_some_and(|metric| metric.personal)
    }

    /// The same of a command of a box.
    pub(in crate::http) fn view_of(self, node: Option<&str>, command: &Command) -> CommandView {
        let view = self.view(command);
        match node {
            None => view,
            Some(node) => CommandView {
                id: format!("{node}:{}", view.id),
                ..view
            },
        }
    }

    pub(in crate::http) fn view(self, command: &Command) -> CommandView {
        let shown = self.shows(&command.property);
        let people = |text: &String| self.people.then(|| text.clone());
        let metric = Vocabulary::builtin().get(&command.property);
        let (by, why, name) = match &command.by {
            Asker::Plugin {
                plugin,
                version,
                command,
            } => (
                Some(format!("{plugin} {version}")),
                None,
                Some(command.clone()),
            ),
            Asker::Person { user, why } => (people(user), people(why), None),
        };
        CommandView {
            id: command.id.to_string(),
            quarter: command.quarter.clone(),
            asset: command.asset.clone(),
            property: command.property.clone(),
            value: shown.then_some(command.value),
            unit: metric.map_or_else(String::new, |metric| metric.unit.clone()),
            state: command.state,
            priority: command.priority,
            stamp: command.is_persons().then(|| command.stamp.clone()),
            reason: Some(command.reason.clone()).filter(|reason| shown && !reason.is_empty()),
            by,
            person: command.is_persons(),
            why,
            command: name,
            decision: (!command.is_persons()).then(|| command.id.position()),
            asked: command.asked.to_string(),
            expires: command.expires.to_string(),
            since: command.since.to_string(),
            sent: command.sent.map(|sent| sent.to_string()),
            attempts: command.attempts,
            judged: command.judged.as_ref().map(|judged| JudgedView {
                judgement: judged.judgement,
                by: people(&judged.by),
                why: people(&judged.why),
                at: judged.at.to_string(),
            }),
        }
    }
}

/// What is wanted of an asset, as far as the caller may see it.
pub(in crate::http) fn desired(
    twin: &Twin,
    principal: &Principal,
    quarter: &str,
    asset: &str,
) -> BTreeMap<String, DesiredView> {
    let sight = Sight::of(principal, quarter);
    let wanted = twin.commands().desired(quarter, asset, twin.now());
    let view = |(property, command): (&str, &Command)| {
        let view = DesiredView {
            value: sight.shows(property).then_some(command.value),
            expires: command.expires.to_string(),
            id: command.id.to_string(),
            state: command.state,
        };
        (property.to_owned(), view)
    };
    wanted.into_iter().map(view).collect()
}
