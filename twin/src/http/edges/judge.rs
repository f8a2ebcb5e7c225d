//! Drain, resume, retire.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::missing;
use super::view::EdgeView;
use crate::access::{Record, Right};
use crate::event::{EdgeJudged, EdgeJudgement, EdgeOrdered, EdgeSettings, Event, Order};
use crate::http::Api;
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::state::EdgeStanding;

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EdgeReason)]
pub(in crate::http) struct Reason {
    /// Reason, kept in the journal.
    why: String,
}

/// The box is to send all it has and take nothing new.
#[utoipa::path(post, path = "/api/v1/edges/{node}/drain", request_body = Reason,
    params(("node" = String, Path)), responses(
        (status = 200, body = EdgeView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem),
    ))]
pub(in crate::http) async fn drain(
    State(api): State<Api>,
    Path(node): Path<String>,
    caller: Caller,
    body: Result<Json<Reason>, JsonRejection>,
) -> Result<Json<EdgeView>, Problem> {
    judge(&api, &node, &caller, body?.0.why, EdgeJudgement::Drain).await
}

/// It may take readings again.
#[utoipa::path(post, path = "/api/v1/edges/{node}/resume", request_body = Reason,
    params(("node" = String, Path)), responses(
        (status = 200, body = EdgeView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem),
    ))]
pub(in crate::http) async fn resume(
    State(api): State<Api>,
    Path(node): Path<String>,
    caller: Caller,
    body: Result<Json<Reason>, JsonRejection>,
) -> Result<Json<EdgeView>, Problem> {
    judge(&api, &node, &caller, body?.0.why, EdgeJudgement::Resume).await
}

/// It is sent away now and refused for ever: stolen, broken, replaced.
#[utoipa::path(post, path = "/api/v1/edges/{node}/retire", request_body = Reason,
    params(("node" = String, Path)), responses(
        (status = 200, body = EdgeView), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem),
    ))]
pub(in crate::http) async fn retire(
    State(api): State<Api>,
    Path(node): Path<String>,
    caller: Caller,
    body: Result<Json<Reason>, JsonRejection>,
) -> Result<Json<EdgeView>, Problem> {
    judge(&api, &node, &caller, body?.0.why, EdgeJudgement::Retire).await
}

async fn judge(
    api: &Api,
    node: &str,
    caller: &Caller,
    why: String,
    judgement: EdgeJudgement,
) -> Result<Json<EdgeView>, Problem> {
    let (quarter, standing) = {
        let twin = api.status.twin.read();
        let edge = twin.edges().get(node).ok_or_else(|| missing(node))?;
        (edge.record.quarter.clone(), edge.standing)
    };
    caller.must(Right::Fleet, &quarter)?;
    if standing == EdgeStanding::Retired {
        return Err(Problem::conflict(format!(
            "{node} is retired, and stays it: invite it anew to let it in again"
        )));
    }
    let by = caller.0.name().to_owned();
    let order = match judgement {
        EdgeJudgement::Drain => Some(true),
        EdgeJudgement::Resume => Some(false),
        EdgeJudgement::Retire => None,
    };
    let order = order.map(|draining| {
        Order::Settings(EdgeSettings {
            draining: Some(draining),
            ..EdgeSettings::default()
        })
    });
    let judged = Event::EdgeJudged(EdgeJudged {
        node: node.to_owned(),
        judgement,
        by: by.clone(),
        why: why.clone(),
    });
    let ordered = order.map(|order| {
        Event::EdgeOrdered(EdgeOrdered {
            node: node.to_owned(),
            order,
            stamp: api.recorder.stamp(),
            by: by.clone(),
            why,
        })
    });
    api.recorder
        .record(std::iter::once(judged).chain(ordered).collect())
        .await?;
    api.access.did(Record {
        what: "edge",
        result: match judgement {
            EdgeJudgement::Drain => "drain",
            EdgeJudgement::Resume => "resume",
            EdgeJudgement::Retire => "retire",
        },
        user: Some(&by),
        detail: Some(node),
        ..Record::default()
    });
    let twin = api.status.twin.read();
    let edge = twin.edges().get(node).ok_or_else(|| missing(node))?;
    Ok(Json(EdgeView::of(edge)))
}
