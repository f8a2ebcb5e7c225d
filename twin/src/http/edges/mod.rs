//! `/api/v1/edges`: the boxes of a city, how far the city has what they wrote, and who may be one.
//!
//! Everybody may see how boxes are; only an operator invites, drains and retires them.

pub(super) mod enrol;
pub(super) mod judge;
mod order;
pub(super) mod settings;
mod view;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use serde_json::{Value, json};

use super::Api;
use super::problem::Problem;
use view::EdgeView;

pub(super) use order::{Ordered, home, order};

/// Paths of this module.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/edges", get(list).post(enrol::invite))
        .route("/api/v1/edges/enrol", post(enrol::enrol))
        .route("/api/v1/edges/{node}", get(one))
        .route("/api/v1/edges/{node}/settings", put(settings::put_settings))
        .route("/api/v1/edges/{node}/drain", post(judge::drain))
        .route("/api/v1/edges/{node}/resume", post(judge::resume))
        .route("/api/v1/edges/{node}/retire", post(judge::retire))
}

/// All boxes, in order of their names.
#[utoipa::path(get, path = "/api/v1/edges", responses((status = 200, body = Value)))]
pub(super) async fn list(State(api): State<Api>) -> Json<Value> {
    let twin = api.status.twin.read();
    let views: Vec<_> = twin.edges().iter().map(EdgeView::of).collect();
    Json(json!({ "edges": views }))
}

/// One box.
#[utoipa::path(get, path = "/api/v1/edges/{node}", params(("node" = String, Path)), responses(
    (status = 200, body = EdgeView), (status = 404, body = Problem),
))]
pub(super) async fn one(
    State(api): State<Api>,
    Path(node): Path<String>,
) -> Result<Json<EdgeView>, Problem> {
    let twin = api.status.twin.read();
    let edge = twin.edges().get(&node).ok_or_else(|| missing(&node))?;
    Ok(Json(EdgeView::of(edge)))
}

fn missing(node: &str) -> Problem {
    Problem::not_found(format!(
        "there is no box {node:?}; /api/v1/edges lists them"
    ))
}
