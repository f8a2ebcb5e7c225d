//! `/api/v1/commands` and `/api/v1/assets/{id}/desired`: what devices are to do, who says so, and
//! what became of it.
//!
//! Everybody may read what is commanded; who asked for it and why is for those who may command,
//! and values of personal properties for those who may read these.

pub(super) mod judge;
mod view;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::assets::{OneQuery, find};
use super::caller::Caller;
use super::edges::{Ordered, home, order};
use super::problem::Problem;
use crate::access::{Record, Right};
use crate::event::{CommandAsked, Event, Order, Priority};
use crate::model::is_name;
use crate::state::{Command, CommandId, CommandState, Edge, LONGEST_LIFE_MS, USUAL_LIFE_MS};
use view::{CommandView, Sight};

pub(super) use view::{DesiredView, desired};

/// Commands in one answer, unless said otherwise and at most.
const USUAL: usize = 100;
const MOST: usize = 1000;
/// Characters of a reason.
const LONGEST_REASON: usize = 1000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CommandQuery {
    /// Id of the quarter.
    quarter: Option<String>,
    /// Id of the asset.
    asset: Option<String>,
    /// A state, or `open` for waiting, held and sent.
    state: Option<String>,
    /// How many at most; 100 unless said otherwise, 1000 at most.
    limit: Option<usize>,
}

/// Commands, the newest first: all that are open, and the last that ended. `counts` has how many
/// there are of each state; of those that ended, since the journal began.
#[utoipa::path(get, path = "/api/v1/commands", params(CommandQuery), responses(
    (status = 200, body = Value),
    (status = 400, body = Problem),
))]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    query: Result<Query<CommandQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let states = states(query.state.as_deref())?;
    let twin = api.status.twin.read();
    let commands = twin.commands();
    let is = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|w| w == value);
    let wanted = |command: &Command| {
        is(&query.quarter, &command.quarter)
            && is(&query.asset, &command.asset)
            && states.contains(&command.state)
    };
    let own = commands.open().chain(commands.ended());
    let own = own.map(|command| (None, command));
    let of_boxes = twin.edges().iter().flat_map(|edge| {
        let node = Some(edge.record.node.as_str());
        edge.commands().map(move |command| (node, command))
    });
    let mut found: Vec<_> = own
        .chain(of_boxes)
        .filter(|(_, command)| wanted(command))
        .collect();
    found.sort_by_key(|(_, command)| std::cmp::Reverse((command.asked, command.id)));
    found.truncate(query.limit.unwrap_or(USUAL).min(MOST));
    let view = |(node, command): &(Option<&str>, &Command)| {
        Sight::of(&caller.0, &command.quarter).view_of(*node, command)
    };
    let views: Vec<_> = found.iter().map(view).collect();
    let counts: BTreeMap<_, _> = commands
        .counts()
        .into_iter()
        .map(|(state, count)| (state.as_str(), count))
        .collect();
    Ok(Json(
        json!({ "commands": views, "counts": counts, "repeated": commands.repeated() }),
    ))
}

fn states(wanted: Option<&str>) -> Result<Vec<CommandState>, Problem> {
    let all = CommandState::ALL.into_iter();
    let states: Vec<_> = match wanted {
        None => all.collect(),
        Some("open") => all.filter(|state| state.is_open()).collect(),
        Some(name) => all.filter(|state| state.as_str() == name).collect(),
    };
    if states.is_empty() {
        let names = CommandState::ALL.map(CommandState::as_str).join(", ");
        return Err(Problem::bad_request(format!(
            "state is one of {names}, open"
        )));
    }
    Ok(states)
}

/// What a property of an asset is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    /// Property to set: a metric that the device reports.
    property: String,
    /// In the property's unit.
    value: f64,
    /// Wanted no more after so many seconds; 900 unless said otherwise, 604,800 at most.
    expires_s: Option<u32>,
    /// Against other wishes: routine, normal (unless said otherwise), urgent, emergency.
    #[serde(default)]
    priority: Priority,
    /// Reason, for the record.
    why: String,
}

/// The same with its asset.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandWish {
    /// Id of the quarter.
    quarter: String,
    /// Id of the asset.
    asset: String,
    /// See `Wish`.
    property: String,
    /// In the property's unit.
    value: f64,
    /// Wanted no more after so many seconds; 900 unless said otherwise, 604,800 at most.
    expires_s: Option<u32>,
    /// Against other wishes: routine, normal (unless said otherwise), urgent, emergency.
    #[serde(default)]
    priority: Priority,
    /// Reason, for the record.
    why: String,
}

/// Asks for a command. It needs no approval, goes before commands of plugins for the same property
/// until it expires or is withdrawn, and is subject to the operator's interlocks.
#[utoipa::path(post, path = "/api/v1/commands", request_body = CommandWish, responses(
    (status = 201, body = CommandView),
    (status = 202, description = "an order to the quarter's box", body = Ordered),
    (status = 400, body = Problem),
    (status = 401, body = Problem),
    (status = 403, body = Problem),
    (status = 404, description = "no such asset", body = Problem),
    (status = 409, description = "a limit of the operator forbids it", body = Problem),
    (status = 503, body = Problem),
))]
pub(super) async fn ask(
    State(api): State<Api>,
    caller: Caller,
    body: Result<Json<CommandWish>, JsonRejection>,
) -> Result<(StatusCode, Json<Asked>), Problem> {
    let Json(CommandWish {
        quarter,
        asset,
        property,
        value,
        expires_s,
        priority,
        why,
    }) = body.map_err(|error| Problem::bad_request(error.body_text()))?;
    caller.must(Right::Command, &quarter)?;
    find(&api.status.twin.read(), &asset, Some(&quarter))?;
    let wish = Wish {
        property,
        value,
        expires_s,
        priority,
        why,
    };
    let command = asked(&api, &caller, (quarter, asset), wish).await?;
    let status = match &command {
        Asked::Here(_) => StatusCode::CREATED,
        Asked::Ordered(_) => StatusCode::ACCEPTED,
    };
    Ok((status, Json(command)))
}

/// The same as a command for the asset of the path.
#[utoipa::path(put, path = "/api/v1/assets/{id}/desired",
    params(("id" = String, Path, description = "id of the asset"), OneQuery),
    request_body = Wish,
    responses(
        (status = 200, body = Asked),
        (status = 400, body = Problem),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, description = "no such asset", body = Problem),
        (status = 409, description = "several assets of that id, or a limit of the operator forbids it", body = Problem),
        (status = 503, body = Problem),
    ))]
pub(super) async fn put_desired(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    query: Result<Query<OneQuery>, QueryRejection>,
    body: Result<Json<Wish>, JsonRejection>,
) -> Result<Json<Asked>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let Json(wish) = body.map_err(|error| Problem::bad_request(error.body_text()))?;
    let quarter = {
        let twin = api.status.twin.read();
        let (_, asset) = find(&twin, &id, query.quarter.as_deref())?;
        twin.quarter_of(asset)
            .map(|quarter| quarter.record.id.clone())
    };
    let quarter = quarter.unwrap_or_default();
    caller.must(Right::Command, &quarter)?;
    asked(&api, &caller, (quarter, id), wish).await.map(Json)
}

/// What is wanted of an asset, by property; what it reports is in `metrics` of the asset.
#[utoipa::path(get, path = "/api/v1/assets/{id}/desired",
    params(("id" = String, Path, description = "id of the asset"), OneQuery),
    responses(
        (status = 200, body = BTreeMap<String, DesiredView>),
        (status = 400, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "several quarters have one of that id", body = Problem),
    ))]
pub(super) async fn get_desired(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    query: Result<Query<OneQuery>, QueryRejection>,
) -> Result<Json<BTreeMap<String, DesiredView>>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let twin = api.status.twin.read();
    let (_, asset) = find(&twin, &id, query.quarter.as_deref())?;
    let quarter = twin
        .quarter_of(asset)
        .map_or("", |quarter| &quarter.record.id);
    Ok(Json(desired(
        twin.home(quarter),
        &caller.0,
        quarter,
        &asset.id,
    )))
}

async fn asked(
    api: &Api,
    caller: &Caller,
    (quarter, asset): (String, String),
    wish: Wish,
) -> Result<Asked, Problem> {
    let Caller(principal) = caller;
    let Wish {
        property,
        value,
        expires_s,
        priority,
        why,
    } = wish;
    let usual = u32::try_from(USUAL_LIFE_MS / 1000).unwrap_or(u32::MAX);
    let life_ms = i64::from(expires_s.unwrap_or(usual)) * 1000;
    if !(1..=LONGEST_LIFE_MS).contains(&life_ms) {
        let most = LONGEST_LIFE_MS / 1000;
        return Err(Problem::bad_request(format!(
            "expires_s must be within 1 and {most}"
        )));
    }
    if !is_name(&property) {
        return Err(Problem::bad_request("property must be one topic level"));
    }
    check_reason(&why)?;
    let wish = format!("{quarter}/{asset} {property} = {value}: {why}");
    know_of_others(api, &quarter);
    let event = CommandAsked {
        quarter,
        asset,
        property,
        value,
        expires: api.recorder.time().plus(life_ms),
        priority,
        stamp: api.recorder.stamp(),
        by: principal.name().to_owned(),
        why,
    };
    if let Some(node) = home(api, &event.quarter) {
        let (by, why) = (event.by.clone(), event.why.clone());
        let ordered = order(api, &node, Order::Command(event), by, why).await?;
        audit_order(api, caller, &ordered, &wish);
        return Ok(Asked::Ordered(ordered));
    }
    let position = api
        .recorder
        .record(vec![Event::CommandAsked(event)])
        .await?;
    let command = now(api, CommandId::asked_at(position))?;
    let refused = command.state == CommandState::Refused;
    let result = match command.state {
        CommandState::Refused => "refused",
        CommandState::Superseded => "superseded",
        _ => "asked",
    };
    audit(
        api,
        caller,
        result,
        &command,
        &format!("{wish}; {}", command.reason),
    );
    if refused {
        return Err(Problem::conflict(format!(
            "command {}: {}",
            command.id, command.reason
        )));
    }
    let view = Sight::of(principal, &command.quarter).view(&command);
    Ok(Asked::Here(Box::new(view)))
}

/// Whoever asks here may have seen what others wanted: the stamp is later than all of that.
fn know_of_others(api: &Api, quarter: &str) {
    let twin = api.status.twin.read();
    let of_box = twin.edges().of_quarter(quarter);
    for stamp in of_box.into_iter().flat_map(Edge::stamps) {
        api.recorder.seen(stamp);
    }
}

/// What became of a wish at once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Asked {
    /// A command of this node.
    Here(Box<CommandView>),
    /// An order to the box that is the quarter's home: what comes of it is in `outcomes` of
    /// `/api/v1/edges/{node}`, and the command among its commands.
    Ordered(Ordered),
}

fn audit_order(api: &Api, caller: &Caller, ordered: &Ordered, wish: &str) {
    let detail = format!("order {} to {}: {wish}", ordered.order, ordered.node);
    api.access.did(Record {
        what: "command",
        result: "ordered",
        user: Some(caller.0.name()),
        detail: Some(&detail),
        ..Record::default()
    });
}

fn check_reason(why: &str) -> Result<(), Problem> {
    match why.chars().count() {
        0 => Err(Problem::bad_request("why must say the reason")),
        1..=LONGEST_REASON => Ok(()),
        _ => Err(Problem::bad_request(format!(
            "why must not be longer than {LONGEST_REASON} characters"
        ))),
    }
}

fn now(api: &Api, id: CommandId) -> Result<Command, Problem> {
    let command = api.status.twin.read().commands().get(id).cloned();
    command.ok_or_else(|| Problem::internal(&format!("command {id} is not in the twin")))
}

fn audit(api: &Api, caller: &Caller, result: &str, command: &Command, detail: &str) {
    let Caller(principal) = caller;
    let detail = format!("{} {detail}", command.id);
    api.access.did(Record {
        what: "command",
        result,
        user: Some(principal.name()),
        detail: Some(&detail),
        ..Record::default()
    });
}
