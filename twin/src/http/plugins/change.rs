//! Promotion, rollback and removal.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::access::Right;
use crate::event::Stage;
use crate::http::Api;
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::plugins::{Done, Request};

/// How far, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Promotion {
    /// Version; absent: the shadow, or the version that runs where there is no shadow.
    version: Option<String>,
    /// The stage that is expected to come next.
    to: Option<Stage>,
    /// At stage labs: which other quarters; absent: those of all labs.
    #[serde(default)]
    quarters: Vec<String>,
    /// Reason, kept in the journal.
    why: String,
}

/// Takes a version one stage further: shadow, quarter, labs, city.
#[utoipa::path(post, path = "/api/v1/plugins/{quarter}/{plugin}/promote", request_body = Promotion,
    params(("quarter" = String, Path), ("plugin" = String, Path)),
    responses(
        (status = 200, body = Done), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
    ))]
pub(in crate::http) async fn promote(
    State(api): State<Api>,
    Path((quarter, plugin)): Path<(String, String)>,
    caller: Caller,
    body: Result<Json<Promotion>, JsonRejection>,
) -> Result<Json<Done>, Problem> {
    let Json(wanted) = body?;
    // Whoever may not even deploy here learns nothing of what runs.
    caller.must(Right::Deploy, &quarter)?;
    let deployer = &api.deployer;
    let version = wanted.version.as_deref();
    let next = deployer.next_stage(&quarter, &plugin, version)?;
    if next > Stage::Quarter {
        for place in deployer.places(&quarter, next, wanted.quarters.clone()) {
            caller.must(Right::Spread, &place)?;
        }
    }
    let request = request(quarter, &caller, wanted.why)?;
    let to = wanted.to.or(Some(next));
    let done = deployer
        .promote(&plugin, version, to, wanted.quarters, request)
        .await?;
    Ok(Json(done))
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Reason {
    /// Reason, kept in the journal.
    why: String,
}

/// Brings back the version that acted before.
#[utoipa::path(post, path = "/api/v1/plugins/{quarter}/{plugin}/rollback", request_body = Reason,
    params(("quarter" = String, Path), ("plugin" = String, Path)),
    responses(
        (status = 200, body = Done), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
    ))]
pub(in crate::http) async fn rollback(
    State(api): State<Api>,
    Path((quarter, plugin)): Path<(String, String)>,
    caller: Caller,
    body: Result<Json<Reason>, JsonRejection>,
) -> Result<Json<Done>, Problem> {
    let Json(Reason { why }) = body?;
    caller.must(Right::Deploy, &quarter)?;
    let request = request(quarter, &caller, why)?;
    Ok(Json(api.deployer.rollback(&plugin, request).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct Removal {
    /// Only this version.
    version: Option<String>,
    /// Reason, kept in the journal.
    why: String,
}

/// Ends a plugin, or one version of it. Its alerts are cleared.
#[utoipa::path(delete, path = "/api/v1/plugins/{quarter}/{plugin}",
    params(("quarter" = String, Path), ("plugin" = String, Path), Removal),
    responses(
        (status = 200, body = Done), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem),
    ))]
pub(in crate::http) async fn remove(
    State(api): State<Api>,
    Path((quarter, plugin)): Path<(String, String)>,
    caller: Caller,
    query: Result<Query<Removal>, QueryRejection>,
) -> Result<Json<Done>, Problem> {
    let Query(Removal { version, why }) = query?;
    caller.must(Right::Deploy, &quarter)?;
    let request = request(quarter, &caller, why)?;
    let done = api.deployer.remove(&plugin, version.as_deref(), request);
    Ok(Json(done.await?))
}

fn request(quarter: String, caller: &Caller, why: String) -> Result<Request, Problem> {
    if why.trim().is_empty() {
        return Err(Problem::bad_request(
            "say why: the reason is kept in the journal",
        ));
    }
    Ok(Request {
        quarter,
        by: caller.0.name().to_owned(),
        why,
    })
}
