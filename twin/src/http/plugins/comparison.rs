//! `/comparison`: what a shadow would have done otherwise.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use tokio::task::spawn_blocking;
use utoipa::IntoParams;

use crate::http::Api;
use crate::http::problem::Problem;
use crate::plugins::{Comparison, compare};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ComparisonQuery {
    /// Version of the shadow; absent: the only one.
    shadow: Option<String>,
}

/// A shadow's decisions beside those of the version that runs, over the same readings.
#[utoipa::path(get, path = "/api/v1/plugins/{quarter}/{plugin}/comparison",
    params(("quarter" = String, Path), ("plugin" = String, Path), ComparisonQuery),
    responses(
        (status = 200, body = Comparison), (status = 400, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem),
    ))]
pub(in crate::http) async fn comparison(
    State(api): State<Api>,
    Path((quarter, plugin)): Path<(String, String)>,
    query: Result<Query<ComparisonQuery>, QueryRejection>,
) -> Result<Json<Comparison>, Problem> {
    let Query(query) = query?;
    let (shadow, running) = {
        let twin = api.status.twin.read();
        let running = twin.deployment(&quarter, &plugin).cloned();
        let shadows: Vec<_> = twin
            .deployments_of(&quarter, &plugin)
            .filter(|d| !d.record.stage.acts())
            .filter(|d| query.shadow.as_ref().is_none_or(|v| *v == d.record.version))
            .cloned()
            .collect();
        match (<[_; 1]>::try_from(shadows), running) {
            (Ok([shadow]), Some(running)) => (shadow, running),
            (Ok(_), None) => {
                let detail = format!("no version of {plugin} acts in {quarter}");
                return Err(Problem::conflict(detail));
            }
            (Err(shadows), _) if shadows.is_empty() => {
                let detail = format!("{plugin} has no such shadow in {quarter}");
                return Err(Problem::not_found(detail));
            }
            (Err(_), _) => {
                let detail = format!("{plugin} has several shadows in {quarter}: ?shadow=VERSION");
                return Err(Problem::conflict(detail));
            }
        }
    };
    let personal = api.personal_metrics();
    let compared = spawn_blocking(move || compare(&api.store, &running, &shadow, &personal));
    let compared = compared.await.map_err(|error| Problem::internal(&error))?;
    compared
        .map(Json)
        .map_err(|error| Problem::internal(&error))
}
