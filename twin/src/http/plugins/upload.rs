//! `POST /api/v1/plugins/{quarter}`: a signed package as a form.

use axum::Json;
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::extract::{Multipart, Path, State};
use axum::http::StatusCode;
use clap::ValueEnum as _;
use quartier_plugin_host::Package;

use crate::access::Right;
use crate::event::Stage;
use crate::http::Api;
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::plugins::{Done, Request};

/// The form as it comes in.
#[derive(Default)]
struct Form {
    manifest: Option<String>,
    component: Option<Vec<u8>>,
    signature: Option<String>,
    stage: Stage,
    why: String,
    config: Vec<(String, String)>,
}

/// Deploys a signed plugin. A form (`multipart/form-data`) with the files `manifest` and
/// `component` and the fields `signature`, `stage` (shadow or quarter), `why` and any number of
/// `set` (`key=value`).
#[utoipa::path(post, path = "/api/v1/plugins/{quarter}",
    params(("quarter" = String, Path, description = "Id of the quarter")),
    responses(
        (status = 201, body = Done),
        (status = 400, description = "not a plugin that this node can run", body = Problem),
        (status = 401, body = Problem),
        (status = 403, description = "no such right, or not signed by its lab", body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "the same version with another content", body = Problem),
        (status = 413, body = Problem),
        (status = 503, body = Problem),
    ))]
pub(in crate::http) async fn deploy(
    State(api): State<Api>,
    Path(quarter): Path<String>,
    caller: Caller,
    form: Result<Multipart, MultipartRejection>,
) -> Result<(StatusCode, Json<Done>), Problem> {
    caller.must(Right::Deploy, &quarter)?;
    let form = form.map_err(|error| Problem::bad_request(error.body_text()))?;
    let form = read(form).await?;
    let part = |name: &str| Problem::bad_request(format!("the form has no part {name:?}"));
    let package = Package {
        manifest: form.manifest.ok_or_else(|| part("manifest"))?,
        component: form.component.ok_or_else(|| part("component"))?,
        signature: form.signature,
    };
    let request = Request {
        quarter,
        by: caller.0.name().to_owned(),
        why: form.why,
    };
    let deployer = &api.deployer;
    let done = deployer
        .deploy(package, form.stage, form.config, request)
        .await?;
    Ok((StatusCode::CREATED, Json(done)))
}

async fn read(mut parts: Multipart) -> Result<Form, Problem> {
    let mut form = Form::default();
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        let name = part.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "component" => form.component = Some(part.bytes().await.map_err(broken)?.into()),
            "manifest" => form.manifest = Some(text(part).await?),
            "signature" => form.signature = Some(text(part).await?.trim().to_owned()),
            "why" => form.why = text(part).await?,
            "stage" => {
                let value = text(part).await?;
                form.stage = Stage::from_str(&value, true).map_err(|_| {
                    Problem::bad_request(format!("stage {value:?} is not shadow or quarter"))
                })?;
            }
            "set" => {
                let pair = text(part).await?;
                let (key, value) = pair.split_once('=').ok_or_else(|| {
                    Problem::bad_request(format!("set {pair:?} is not key=value"))
                })?;
                form.config
                    .push((key.trim().to_owned(), value.trim().to_owned()));
            }
            other => {
                let known = "manifest, component, signature, stage, why, set";
                let detail = format!("the form has an unknown part {other:?}; there are {known}");
                return Err(Problem::bad_request(detail));
            }
        }
    }
    Ok(form)
}

async fn text(part: Field<'_>) -> Result<String, Problem> {
    part.text().await.map_err(broken)
}

fn broken(error: MultipartError) -> Problem {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(format!(
            "a component may have {} MiB",
            Package::MAX_COMPONENT >> 20
        )),
        _ => Problem::bad_request(error.body_text()),
    }
}
