//! Settings of a box.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Ordered, missing, order};
use crate::access::Right;
use crate::event::{EdgeSettings, Order};
use crate::http::Api;
use crate::http::caller::Caller;
use crate::http::problem::Problem;

/// What is to be otherwise; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Settings {
    /// Bits a second that the uplink may send; 0 is any.
    bits_per_s: Option<u64>,
    /// Seconds between two reports of health, 1 to 3600.
    health_s: Option<u32>,
    /// Reason, kept in the journal.
    why: String,
}

/// Sets what a box may send and how often it reports. They go before its configuration.
#[utoipa::path(put, path = "/api/v1/edges/{node}/settings", request_body = Settings,
    params(("node" = String, Path)), responses(
        (status = 202, body = Ordered), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
    ))]
pub(in crate::http) async fn put_settings(
    State(api): State<Api>,
    Path(node): Path<String>,
    caller: Caller,
    body: Result<Json<Settings>, JsonRejection>,
) -> Result<(StatusCode, Json<Ordered>), Problem> {
    let Json(Settings {
        bits_per_s,
        health_s,
        why,
    }) = body?;
    let quarter = {
        let twin = api.status.twin.read();
        let edge = twin.edges().get(&node).ok_or_else(|| missing(&node))?;
        edge.record.quarter.clone()
    };
    caller.must(Right::Fleet, &quarter)?;
    if health_s.is_some_and(|seconds| !(1..=3600).contains(&seconds)) {
        return Err(Problem::bad_request("health_s is 1 to 3600"));
    }
    let settings = Order::Settings(EdgeSettings {
        bits_per_s,
        health_s,
        draining: None,
    });
    let by = caller.0.name().to_owned();
    let ordered = order(&api, &node, settings, by, why).await?;
    Ok((StatusCode::ACCEPTED, Json(ordered)))
}
