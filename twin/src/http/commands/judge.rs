//! What persons say of commands: approve, reject, withdraw.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::view::{CommandView, Sight};
use super::{audit, audit_order, check_reason, now};
use crate::access::Right;
use crate::event::{CommandJudged, Event, Judgement, Order};
use crate::http::Api;
use crate::http::caller::Caller;
use crate::http::edges::order;
use crate::http::problem::Problem;
use crate::state::{Command, CommandId, CommandState};

/// Why a person says what is said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Why {
    /// Reason, for the record.
    why: String,
}

/// Lets a command that waits be sent.
#[utoipa::path(post, path = "/api/v1/commands/{id}/approve", request_body = Why,
    params(("id" = String, Path, description = "id of the command")),
    responses(
        (status = 200, body = CommandView),
        (status = 400, body = Problem),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "it does not wait for approval", body = Problem),
        (status = 503, body = Problem),
    ))]
pub(in crate::http) async fn approve(
    state: State<Api>,
    caller: Caller,
    id: Path<String>,
    body: Result<Json<Why>, JsonRejection>,
) -> Result<Json<CommandView>, Problem> {
    judge(state, caller, id, body, Judgement::Approve).await
}

/// Ends a command that waits: it is not sent.
#[utoipa::path(post, path = "/api/v1/commands/{id}/reject", request_body = Why,
    params(("id" = String, Path, description = "id of the command")),
    responses(
        (status = 200, body = CommandView),
        (status = 400, body = Problem),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "it does not wait for approval", body = Problem),
        (status = 503, body = Problem),
    ))]
pub(in crate::http) async fn reject(
    state: State<Api>,
    caller: Caller,
    id: Path<String>,
    body: Result<Json<Why>, JsonRejection>,
) -> Result<Json<CommandView>, Problem> {
    judge(state, caller, id, body, Judgement::Reject).await
}

/// Ends a command that is wanted no more, sent or not. Where it is a person's, plugins may command
/// the property again. A device that was told is not told otherwise: ask for another value.
#[utoipa::path(post, path = "/api/v1/commands/{id}/withdraw", request_body = Why,
    params(("id" = String, Path, description = "id of the command")),
    responses(
        (status = 200, body = CommandView),
        (status = 400, body = Problem),
        (status = 401, body = Problem),
        (status = 403, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "it has ended", body = Problem),
        (status = 503, body = Problem),
    ))]
pub(in crate::http) async fn withdraw(
    state: State<Api>,
    caller: Caller,
    id: Path<String>,
    body: Result<Json<Why>, JsonRejection>,
) -> Result<Json<CommandView>, Problem> {
    judge(state, caller, id, body, Judgement::Withdraw).await
}

async fn judge(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    body: Result<Json<Why>, JsonRejection>,
    judgement: Judgement,
) -> Result<Json<CommandView>, Problem> {
    let Json(Why { why }) = body.map_err(|error| Problem::bad_request(error.body_text()))?;
    let unknown = || Problem::not_found(format!("there is no command {id:?}"));
    if let Some((node, id)) = id.split_once(':') {
        return judge_on_box(&api, &caller, node, id, judgement, why).await;
    }
    let id: CommandId = id.parse().map_err(|_| unknown())?;
    let before = api
        .status
        .twin
        .read()
        .commands()
        .get(id)
        .cloned()
        .ok_or_else(unknown)?;
    caller.must(Right::Command, &before.quarter)?;
    check_reason(&why)?;
    let done_by_person = before.state == CommandState::Done && before.is_persons();
    let fits = match judgement {
        Judgement::Approve | Judgement::Reject => before.state == CommandState::Waiting,
        Judgement::Withdraw => before.state.is_open() || done_by_person,
    };
    if !fits {
        return Err(is_already(&before));
    }
    let Caller(principal) = &caller;
    let event = CommandJudged {
        id: id.to_string(),
        judgement,
        by: principal.name().to_owned(),
        why: why.clone(),
    };
    let position = api
        .recorder
        .record(vec![Event::CommandJudged(event)])
        .await?;
    let command = now(&api, id)?;
    // Somebody else may have been faster, or time.
    let counted = command
        .judged
        .as_ref()
        .is_some_and(|judged| judged.position == position);
    if !counted || command.state == CommandState::Expired {
        return Err(is_already(&command));
    }
    let result = match judgement {
        Judgement::Approve => "approved",
        Judgement::Reject => "rejected",
        Judgement::Withdraw => "withdrawn",
    };
    audit(&api, &caller, result, &command, &why);
    Ok(Json(Sight::of(&caller.0, &command.quarter).view(&command)))
}

/// A word on a command of a box is an order to the box; the answer shows the command as it is now.
async fn judge_on_box(
    api: &Api,
    caller: &Caller,
    node: &str,
    id: &str,
    judgement: Judgement,
    why: String,
) -> Result<Json<CommandView>, Problem> {
    let command = {
        let twin = api.status.twin.read();
        let edge = twin.edges().get(node);
        let found = edge.and_then(|edge| edge.commands().find(|c| c.id.to_string() == id));
        found.cloned()
    };
    let unknown = || Problem::not_found(format!("box {node} has no command {id:?}"));
    let command = command.ok_or_else(unknown)?;
    caller.must(Right::Command, &command.quarter)?;
    check_reason(&why)?;
    let by = caller.0.name().to_owned();
    let judged = CommandJudged {
        id: id.to_owned(),
        judgement,
        by: by.clone(),
        why: why.clone(),
    };
    let ordered = order(api, node, Order::Judge(judged), by, why.clone()).await?;
    audit_order(api, caller, &ordered, &why);
    let sight = Sight::of(&caller.0, &command.quarter);
    Ok(Json(sight.view_of(Some(node), &command)))
}

fn is_already(command: &Command) -> Problem {
    Problem::conflict(format!(
        "command {} is {}",
        command.id,
        command.state.as_str()
    ))
}
