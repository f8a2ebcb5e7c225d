//! `/healthz`, `/readyz`, `/metrics`.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::json;

use super::Api;
use crate::status::State as PartState;

/// The process answers.
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = String)))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Each part with its state; 503 while a part that everything needs is down.
#[utoipa::path(get, path = "/readyz", responses(
    (status = 200, description = "ready", body = serde_json::Value),
    (status = 503, description = "a part is down", body = serde_json::Value),
))]
pub(super) async fn readyz(State(api): State<Api>) -> impl IntoResponse {
    let parts = api.status.parts();
    let down = parts.iter().any(|part| part.state == PartState::Down);
    let status = if down {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    (
        status,
        Json(json!({ "ready": !down, "node": api.status.node, "parts": parts })),
    )
}

/// Figures in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String)))]
pub(super) async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4")],
        api.figures.render(),
    )
}
