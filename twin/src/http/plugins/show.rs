//! What runs where, since when and by whose word.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use crate::engine::WorkerStats;
use crate::event::Stage;
use crate::http::Api;
use crate::http::problem::Problem;
use crate::state::{Deployment, Past, PluginChange, Twin};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct PluginQuery {
    /// Id of the quarter.
    quarter: Option<String>,
    /// How far it has come.
    stage: Option<Stage>,
}

/// Every version of every plugin that runs, shadows included, with its figures.
#[utoipa::path(get, path = "/api/v1/plugins", params(PluginQuery), responses(
    (status = 200, body = Value),
    (status = 400, body = Problem),
))]
pub(in crate::http) async fn list(
    State(api): State<Api>,
    query: Result<Query<PluginQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query?;
    let stats = (api.status.plugins)();
    let twin = api.status.twin.read();
    let all = twin.homes().flat_map(Twin::deployments);
    let wanted = all.filter(|d| {
        let quarter = query.quarter.as_ref();
        quarter.is_none_or(|quarter| *quarter == d.record.quarter)
            && query.stage.is_none_or(|stage| stage == d.record.stage)
    });
    let plugins: Vec<Value> = wanted.map(|d| version(d, &stats)).collect();
    Ok(Json(json!({ "plugins": plugins })))
}

/// One plugin of a quarter: the versions that run, those before, who did what and why, and its
/// manifest.
#[utoipa::path(get, path = "/api/v1/plugins/{quarter}/{plugin}",
    params(("quarter" = String, Path), ("plugin" = String, Path)),
    responses((status = 200, body = Value), (status = 404, body = Problem)))]
pub(in crate::http) async fn one(
    State(api): State<Api>,
    Path((quarter, plugin)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let stats = (api.status.plugins)();
    let twin = api.status.twin.read();
    let home = twin.home(&quarter);
    let running: Vec<&Deployment> = home.deployments_of(&quarter, &plugin).collect();
    let past = home.past(&quarter, &plugin);
    if running.is_empty() && past.is_none() {
        let detail = format!("{plugin} never ran in {quarter}");
        return Err(Problem::not_found(detail));
    }
    // The manifest of the version that acts, else of a shadow.
    let shown = running.iter().max_by_key(|d| d.record.stage);
    let program = shown.and_then(|d| api.deployer.artifacts().get(&d.record).ok());
    let empty = Past::default();
    let past = past.unwrap_or(&empty);
    let before = past.history.iter().rev();
    Ok(Json(json!({
        "quarter": quarter,
        "plugin": plugin,
        "versions": running.iter().map(|d| version(d, &stats)).collect::<Vec<_>>(),
        "before": before.map(|record| json!({
            "version": record.version,
            "digest": record.digest,
            "stage": record.stage,
        })).collect::<Vec<_>>(),
        "changes": past.changes.iter().rev().map(change).collect::<Vec<_>>(),
        "manifest": program.as_ref().map(|program| program.manifest()),
    })))
}

fn version(deployment: &Deployment, stats: &[WorkerStats]) -> Value {
    let record = &deployment.record;
    let figures = stats.iter().find(|stats| stats.run == deployment.run);
    let state = match figures {
        _ if deployment.parked => "parked",
        None => "not running",
        Some(figures) if figures.quarantined => "quarantined",
        Some(_) => "running",
    };
    let mut value = json!({
        "quarter": record.quarter,
        "plugin": record.plugin,
        "version": record.version,
        "stage": record.stage,
        "state": state,
        "origin": record.origin,
        "digest": record.digest,
        "manifest_digest": record.manifest,
        "config": record.config.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "since": deployment.since,
        "run": deployment.run,
    });
    if let (Some(figures), Some(map)) = (figures, value.as_object_mut()) {
        map.insert("batches".to_owned(), figures.batches.into());
        map.insert("rows".to_owned(), figures.rows.into());
        let ns = figures.busy_ns.checked_div(figures.rows);
        map.insert("ns_a_row".to_owned(), ns.into());
        map.insert("failures".to_owned(), figures.failures.into());
        map.insert("dropped_rows".to_owned(), figures.dropped.into());
        map.insert("waiting_rows".to_owned(), figures.waiting.into());
        map.insert("note".to_owned(), figures.note.clone().into());
    }
    value
}

fn change(change: &PluginChange) -> Value {
    json!({
        "position": change.position,
        "at": change.at.to_string(),
        "what": change.how.map_or_else(|| json!("remove"), |how| json!(how)),
        "version": change.version,
        "stage": change.stage,
        "by": change.by,
        "why": change.why,
    })
}
