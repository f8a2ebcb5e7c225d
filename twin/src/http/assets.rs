//! `/api/v1/assets`: looking for assets, and one asset with all it reports.
//!
//! Personal metrics are left out: to read them needs a right, and this API knows no login yet.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use h3o::CellIndex;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;

use super::Api;
use super::caller::Caller;
use super::commands::desired;
use super::problem::Problem;
use crate::grid::BBox;
use crate::model::{Millis, Place};
use crate::state::{Asset, AssetFilter, Region, Twin};
use crate::vocabulary::Domain;

const GEO_JSON: &str = "application/geo+json";
/// Assets in one answer, unless said otherwise and at most.
const USUAL: usize = 100;
const MOST: usize = 10_000;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct AssetQuery {
    /// Id of the quarter.
    quarter: Option<String>,
    /// Kind of the asset: `car_park`, `meter`, ...
    kind: Option<String>,
    /// A domain that one of its metrics belongs to.
    domain: Option<String>,
    /// `lat,lon`; goes with `radius_m`. Nearest first.
    near: Option<String>,
    /// Metres around `near`.
    radius_m: Option<f64>,
    /// An H3 cell of any resolution.
    cell: Option<String>,
    /// `west,south,east,north`, degrees.
    bbox: Option<String>,
    /// RFC 3339: with a reading at or after this time.
    updated_since: Option<String>,
    /// How many at most; 100 unless said otherwise, 10,000 at most.
    limit: Option<usize>,
    /// `next` of the answer before.
    cursor: Option<usize>,
}

/// Assets by quarter, kind, domain and place. `Accept: application/geo+json` gives GeoJSON.
#[utoipa::path(get, path = "/api/v1/assets", params(AssetQuery), responses(
    (status = 200, body = Value),
    (status = 400, body = Problem),
))]
pub(super) async fn list(
    State(api): State<Api>,
    headers: HeaderMap,
    query: Result<Query<AssetQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let filter = filter(&query)?;
    let limit = query.limit.unwrap_or(USUAL).min(MOST);
    let after = query.cursor.unwrap_or(0);
    let twin = api.status.twin.read();
    let mut found = twin.find_assets(&filter, after, limit.saturating_add(1));
    let next = (found.len() > limit).then_some(after + limit);
    found.truncate(limit);
    let assets = found
        .iter()
        .filter_map(|&i| Some((i, twin.assets().get(i as usize)?)));
    let wants_geo = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains(GEO_JSON));
    if wants_geo {
        let features: Vec<Value> = assets.map(|(i, asset)| feature(&twin, i, asset)).collect();
        let collection = json!({ "type": "FeatureCollection", "features": features, "next": next });
        return Ok(([(header::CONTENT_TYPE, GEO_JSON)], collection.to_string()).into_response());
    }
    let assets: Vec<Value> = assets.map(|(i, asset)| view(&twin, i, asset)).collect();
    Ok(Json(json!({ "assets": assets, "next": next })).into_response())
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct OneQuery {
    /// Which quarter is meant where several have an asset of that id.
    pub(super) quarter: Option<String>,
}

/// One asset: what it reports (`metrics`) and what is wanted of it (`desired`).
#[utoipa::path(get, path = "/api/v1/assets/{id}",
    params(("id" = String, Path, description = "id of the asset"), OneQuery),
    responses(
        (status = 200, body = Value),
        (status = 404, body = Problem),
        (status = 409, description = "several quarters have one of that id", body = Problem),
    ))]
pub(super) async fn one(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    query: Result<Query<OneQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let twin = api.status.twin.read();
    let (index, asset) = find(&twin, &id, query.quarter.as_deref())?;
    let mut view = view(&twin, index, asset);
    let quarter = twin
        .quarter_of(asset)
        .map_or("", |quarter| &quarter.record.id);
    view["desired"] = json!(desired(&twin, &caller.0, quarter, &id));
    Ok(Json(view))
}

/// The asset of that id, in `quarter` or in the only one that has it.
pub(super) fn find<'a>(
    twin: &'a Twin,
    id: &str,
    quarter: Option<&str>,
) -> Result<(u32, &'a Asset), Problem> {
    let in_quarter = |quarter: &str| {
        let index = twin
            .quarter_index(quarter)
            .and_then(|q| twin.asset_index(q, id))?;
        Some((index, twin.assets().get(index as usize)?))
    };
    let found: Vec<(u32, &Asset)> = match quarter {
        Some(quarter) => in_quarter(quarter).into_iter().collect(),
        None => twin
            .quarters()
            .iter()
            .filter_map(|q| in_quarter(&q.record.id))
            .collect(),
    };
    match found.as_slice() {
        [] => Err(Problem::not_found(format!("there is no asset {id:?}"))),
        [one] => Ok(*one),
        several => {
            let quarters = several
                .iter()
                .filter_map(|(_, a)| Some(&*twin.quarter_of(a)?.record.id));
            let quarters = quarters.collect::<Vec<_>>().join(", ");
            Err(Problem::ambiguous(format!(
                "asset {id:?} is in {quarters}: add ?quarter="
            )))
        }
    }
}

fn filter(query: &AssetQuery) -> Result<AssetFilter, Problem> {
    let domain = query
        .domain
        .as_deref()
        .map(|name| {
            serde_json::from_value::<Domain>(Value::from(name))
                .map_err(|_| Problem::bad_request(format!("domain {name:?} is not known")))
        })
        .transpose()?;
    let updated_since = query
        .updated_since
        .as_deref()
        .map(|time| {
            let parsed: Result<jiff::Timestamp, _> = time.parse();
            parsed
                .map(|time| Millis(time.as_millisecond()))
                .map_err(|_| {
                    Problem::bad_request(format!("updated_since {time:?} is not RFC 3339"))
                })
        })
        .transpose()?;
    Ok(AssetFilter {
        quarter: query.quarter.clone(),
        kind: query.kind.clone(),
        domain,
        region: region(query)?,
        updated_since,
    })
}

fn region(query: &AssetQuery) -> Result<Option<Region>, Problem> {
    match (&query.near, &query.cell, &query.bbox) {
        (None, None, None) if query.radius_m.is_some() => {
            Err(Problem::bad_request("radius_m goes with near=lat,lon"))
        }
        (None, None, None) => Ok(None),
        (Some(near), None, None) => {
            let radius = query.radius_m.unwrap_or(500.0);
            if !(0.0..=100_000.0).contains(&radius) {
                return Err(Problem::bad_request(
                    "radius_m must be within 0 and 100,000",
                ));
            }
            let place = numbers::<2>(near).and_then(|[lat, lon]| Place::new(lat, lon));
            let place =
                place.ok_or_else(|| Problem::bad_request(format!("near={near}: write lat,lon")))?;
            Ok(Some(Region::Near(place, radius)))
        }
        (None, Some(cell), None) => {
            let cell = cell.parse::<CellIndex>();
            cell.map(|cell| Some(Region::Cell(cell)))
                .map_err(|_| Problem::bad_request("cell must be an H3 index in hexadecimal"))
        }
        (None, None, Some(text)) => bbox(text).map(|bbox| Some(Region::Box(bbox))),
        _ => Err(Problem::bad_request(
            "near, cell and bbox exclude one another",
        )),
    }
}

/// `west,south,east,north` in degrees.
pub(super) fn bbox(text: &str) -> Result<BBox, Problem> {
    numbers::<4>(text)
        .and_then(|[west, south, east, north]| BBox::new(west, south, east, north))
        .ok_or_else(|| Problem::bad_request(format!("bbox={text}: write west,south,east,north")))
}

fn numbers<const N: usize>(text: &str) -> Option<[f64; N]> {
    let numbers: Option<Vec<f64>> = text
        .split(',')
        .map(|part| part.trim().parse().ok())
        .collect();
    numbers?.try_into().ok()
}

/// An asset with its newest values.
fn view(twin: &Twin, index: u32, asset: &Asset) -> Value {
    let detail = asset.detail.as_deref();
    let pairs = |pairs: &[(String, String)]| {
        pairs
            .iter()
            .map(|(k, v)| (k.clone(), Value::from(v.as_str())))
            .collect::<Map<_, _>>()
    };
    let relations: Vec<Value> = detail
        .map(|d| d.relations.as_slice())
        .unwrap_or_default()
        .iter()
        .map(|(kind, target)| json!({ "kind": kind, "asset": target }))
        .collect();
    json!({
        "id": &*asset.id,
        "quarter": twin.quarter_of(asset).map(|quarter| quarter.record.id.as_str()),
        "kind": asset.kind(),
        "name": detail.map_or("", |d| d.name.as_str()),
        "position": asset.place.map(|place| json!({ "lat": place.lat(), "lon": place.lon() })),
        "cell": twin.grid().cell(index).map(|cell| cell.to_string()),
        "attributes": pairs(detail.map(|d| d.attributes.as_slice()).unwrap_or_default()),
        "relations": relations,
        "automatic": asset.automatic,
        "updated": (asset.updated.0 > i64::MIN).then(|| asset.updated.to_string()),
        "metrics": values(twin, asset),
    })
}

fn values(twin: &Twin, asset: &Asset) -> Map<String, Value> {
    asset
        .streams
        .iter()
        .filter_map(|(_, stream)| {
            let stream = twin
                .streams()
                .get(*stream as usize)
                .filter(|stream| stream.rev > 0)?;
            let metric = twin.metric_of(stream).filter(|metric| !metric.personal)?;
            let value = json!({
                "value": stream.value,
                "unit": metric.unit,
                "time": stream.time.to_string(),
                "quality": stream.quality,
                "rev": stream.rev,
                "domain": metric.domain,
            });
            Some((metric.name.to_string(), value))
        })
        .collect()
}

fn feature(twin: &Twin, index: u32, asset: &Asset) -> Value {
    let mut properties = view(twin, index, asset);
    if let Some(properties) = properties.as_object_mut() {
        properties.remove("position");
    }
    let point =
        |place: Place| json!({ "type": "Point", "coordinates": [place.lon(), place.lat()] });
    json!({
        "type": "Feature",
        "id": &*asset.id,
        "geometry": asset.place.map(point),
        "properties": properties,
    })
}
