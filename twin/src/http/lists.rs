//! `/api/v1/quarters`, `/alerts`, `/dead-letters`.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use utoipa::IntoParams;

use super::Api;
use super::problem::Problem;

/// Dead letters in one answer at most.
const MOST: usize = 1000;

/// All quarters with what runs in them.
#[utoipa::path(get, path = "/api/v1/quarters", responses((status = 200, body = Value)))]
pub(super) async fn quarters(State(api): State<Api>) -> Json<Value> {
    let twin = api.status.twin.read();
    let quarter = |quarter: &crate::state::Quarter| {
        let record = &quarter.record;
        let plugins: Vec<Value> = twin
            .deployments()
            .filter(|deployment| deployment.record.quarter == record.id)
            .map(|d| json!({ "id": d.record.plugin, "version": d.record.version, "digest": d.record.digest }))
            .collect();
        json!({
            "id": record.id,
            "name": record.name,
            "timezone": record.timezone,
            "cells": record.cells.len(),
            "assets": quarter.assets,
            "plugins": plugins,
        })
    };
    Json(json!({ "quarters": twin.quarters().iter().map(quarter).collect::<Vec<_>>() }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AlertQuery {
    /// Id of the quarter.
    quarter: Option<String>,
}

/// Active alerts.
#[utoipa::path(get, path = "/api/v1/alerts", params(AlertQuery), responses(
    (status = 200, body = Value),
    (status = 400, body = Problem),
))]
pub(super) async fn alerts(
    State(api): State<Api>,
    query: Result<Query<AlertQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let twin = api.status.twin.read();
    let wanted = twin
        .alerts()
        .iter()
        .filter(|(key, _)| query.quarter.as_ref().is_none_or(|q| *q == key.quarter));
    let alert = |(key, alert): (&crate::state::AlertKey, &crate::state::Alert)| {
        json!({
            "quarter": key.quarter,
            "rule": key.rule,
            "asset": key.asset,
            "severity": alert.severity,
            "since": alert.since.to_string(),
            "value": alert.value,
            "limit": alert.limit,
            "text": alert.text,
            "plugin": alert.plugin,
            "decision": alert.decision,
            "node": alert.node,
        })
    };
    Ok(Json(
        json!({ "alerts": wanted.map(alert).collect::<Vec<_>>() }),
    ))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LetterQuery {
    /// How many at most; 100 unless said otherwise, 1000 at most.
    limit: Option<usize>,
    /// Only those before this id.
    before: Option<u64>,
    /// Only those of this reason.
    reason: Option<String>,
}

/// What was set aside, newest first, with the reason.
#[utoipa::path(get, path = "/api/v1/dead-letters", params(LetterQuery), responses(
    (status = 200, body = Value),
    (status = 400, body = Problem),
))]
pub(super) async fn dead_letters(
    State(api): State<Api>,
    query: Result<Query<LetterQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let limit = query.limit.unwrap_or(100).min(MOST);
    let count = api.store.dead_letter_count();
    let read = move || {
        api.store
            .dead_letters(limit, query.before, query.reason.as_deref())
    };
    let letters = spawn_blocking(read)
        .await
        .map_err(|error| Problem::internal(&error))?;
    let letters: Vec<Value> = letters
        .map_err(|error| Problem::internal(&error))?
        .into_iter()
        .map(|stored| {
            let letter = stored.letter;
            json!({
                "id": stored.id,
                "at": letter.at.to_string(),
                "source": letter.source,
                "topic": letter.topic,
                "reason": letter.reason,
                "detail": letter.detail,
                "payload": String::from_utf8_lossy(&letter.payload),
                "payload_size": stored.payload_size,
            })
        })
        .collect();
    Ok(Json(json!({ "count": count, "dead_letters": letters })))
}
