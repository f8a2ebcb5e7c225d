//! `/api/v1/cells`: what the cells' assets report together, as of the last tick.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use h3o::{CellIndex, LatLng, Resolution};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;

use super::Api;
use super::assets::bbox;
use super::problem::Problem;
use crate::grid::Aggregate;
use crate::model::Place;
use crate::state::{RESOLUTIONS, Twin};
use crate::topics::may_show;

/// Cells in one answer at most.
const MOST: usize = 50_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CellQuery {
    /// 6 to 12; 9 unless said otherwise.
    resolution: Option<u8>,
    /// Only this metric.
    metric: Option<String>,
    /// `west,south,east,north`: cells whose centre is in it.
    bbox: Option<String>,
}

/// Aggregates of all cells of a resolution.
#[utoipa::path(get, path = "/api/v1/cells", params(CellQuery), responses(
    (status = 200, body = Value),
    (status = 400, body = Problem),
))]
pub(super) async fn list(
    State(api): State<Api>,
    query: Result<Query<CellQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let resolution = Resolution::try_from(query.resolution.unwrap_or(9))
        .ok()
        .filter(|resolution| RESOLUTIONS.contains(resolution))
        .ok_or_else(|| Problem::bad_request("resolution must be 6 to 12"))?;
    let within = query.bbox.as_deref().map(bbox).transpose()?;
    let twin = api.status.twin.read();
    let metric = match &query.metric {
        None => None,
        Some(name) => match twin.metric_index(name) {
            Some(metric) => Some(metric),
            None => {
                return Ok(Json(
                    json!({ "resolution": u8::from(resolution), "cells": [] }),
                ));
            }
        },
    };
    let mut cells: Vec<Value> = Vec::new();
    for found in twin.aggregates(resolution, metric) {
        if within.is_some_and(|bbox| !centre(found.cell).is_some_and(|place| bbox.contains(place)))
        {
            continue;
        }
        if let Some((name, value)) = shown(&twin, found.metric, &found.aggregate) {
            let cell = found.cell.to_string();
            cells.push(json!({ "cell": cell, "metric": name, "aggregate": value }));
        }
        if cells.len() == MOST {
            break;
        }
    }
    Ok(Json(
        json!({ "resolution": u8::from(resolution), "cells": cells }),
    ))
}

/// All metrics of one cell.
#[utoipa::path(get, path = "/api/v1/cells/{h3}",
    params(("h3" = String, Path, description = "H3 index in hexadecimal, resolution 6 to 12")),
    responses((status = 200, body = Value), (status = 400, body = Problem)))]
pub(super) async fn one(
    State(api): State<Api>,
    Path(h3): Path<String>,
) -> Result<Json<Value>, Problem> {
    let cell = h3
        .parse::<CellIndex>()
        .ok()
        .filter(|cell| RESOLUTIONS.contains(&cell.resolution()))
        .ok_or_else(|| {
            Problem::bad_request(format!("{h3:?} is not an H3 cell of resolution 6 to 12"))
        })?;
    let twin = api.status.twin.read();
    let assets = twin.grid().in_cell(cell).count();
    let metrics: Map<String, Value> = (0u16..)
        .zip(twin.metrics())
        .filter_map(|(metric, _)| {
            let aggregate = twin.aggregate(cell, metric)?;
            shown(&twin, metric, &aggregate)
        })
        .collect();
    Ok(Json(
        json!({ "cell": h3, "assets": assets, "metrics": metrics }),
    ))
}

fn centre(cell: CellIndex) -> Option<Place> {
    let centre = LatLng::from(cell);
    Place::new(centre.lat(), centre.lng())
}

/// Name and aggregate, unless it would tell of too few people.
fn shown(twin: &Twin, metric: u16, aggregate: &Aggregate) -> Option<(String, Value)> {
    if !may_show(twin, metric, aggregate) {
        return None;
    }
    let metric = twin.metrics().get(usize::from(metric))?;
    let value = json!({
        "count": aggregate.count,
        "mean": aggregate.mean,
        "min": aggregate.min,
        "max": aggregate.max,
        "sum": aggregate.sum,
        "assets": aggregate.assets,
        "time": aggregate.time.to_string(),
        "unit": metric.unit,
        "domain": metric.domain,
    });
    Some((metric.name.to_string(), value))
}
