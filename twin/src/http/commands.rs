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
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::assets::{OneQuery, find};
use super::caller::Caller;
use super::problem::Problem;
use crate::access::{Record, Right};
use crate::event::{CommandAsked, Event};
use crate::model::{Millis, is_name};
use crate::state::{Command, CommandId, CommandState, LONGEST_LIFE_MS, USUAL_LIFE_MS};
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
    let wanted = |command: &&Command| {
        is(&query.quarter, &command.quarter)
            && is(&query.asset, &command.asset)
            && states.contains(&command.state)
    };
    let mut found: Vec<_> = commands
        .open()
        .chain(commands.ended())
        .filter(wanted)
        .collect();
    found.sort_by_key(|command| std::cmp::Reverse(command.id));
    found.truncate(query.limit.unwrap_or(USUAL).min(MOST));
    let view = |command: &&Command| Sight::of(&caller.0, &command.quarter).view(command);
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
    /// Reason, for the record.
    why: String,
}

/// Asks for a command. It needs no approval, goes before commands of plugins for the same property
/// until it expires or is withdrawn, and is subject to the operator's interlocks.
#[utoipa::path(post, path = "/api/v1/commands", request_body = CommandWish, responses(
    (status = 201, body = CommandView),
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
) -> Result<(StatusCode, Json<CommandView>), Problem> {
    let Json(CommandWish {
        quarter,
        asset,
        property,
        value,
        expires_s,
        why,
    }) = body.map_err(|error| Problem::bad_request(error.body_text()))?;
    caller.must(Right::Command, &quarter)?;
    find(&api.status.twin.read(), &asset, Some(&quarter))?;
    let wish = Wish {
        property,
        value,
        expires_s,
        why,
    };
    let command = asked(&api, &caller, (quarter, asset), wish).await?;
    Ok((StatusCode::CREATED, Json(command)))
}

/// The same as a command for the asset of the path.
#[utoipa::path(put, path = "/api/v1/assets/{id}/desired",
    params(("id" = String, Path, description = "id of the asset"), OneQuery),
    request_body = Wish,
    responses(
        (status = 200, body = CommandView),
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
) -> Result<Json<CommandView>, Problem> {
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
    Ok(Json(desired(&twin, &caller.0, quarter, &asset.id)))
}

async fn asked(
    api: &Api,
    caller: &Caller,
    (quarter, asset): (String, String),
    wish: Wish,
) -> Result<CommandView, Problem> {
    let Caller(principal) = caller;
    let Wish {
        property,
        value,
        expires_s,
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
    let event = CommandAsked {
        quarter,
        asset,
        property,
        value,
        expires: Millis::now().plus(life_ms),
        by: principal.name().to_owned(),
        why,
    };
    let position = api
        .recorder
        .record(vec![Event::CommandAsked(event)])
        .await?;
    let command = now(api, CommandId::asked_at(position))?;
    let refused = command.state == CommandState::Refused;
    audit(
        api,
        caller,
        if refused { "refused" } else { "asked" },
        &command,
        &wish,
    );
    if refused {
        return Err(Problem::conflict(format!(
            "command {}: {}",
            command.id, command.reason
        )));
    }
    Ok(Sight::of(principal, &command.quarter).view(&command))
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
