//! `/api/v1/plugins`: what runs where, and how versions come, are promoted, go back and go.
//!
//! Reading needs no login: what is automated is public. Changing needs the role lab of the quarter
//! or operator; beyond the quarter, operator.

mod change;
mod comparison;
mod logs;
mod show;
mod upload;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::routing::{get, post};
use quartier_plugin_host::Package;

use super::Api;
use super::problem::Problem;
use crate::plugins::DeployError;

pub(super) use change::{
    __path_promote, __path_remove, __path_rollback, promote, remove, rollback,
};
pub(super) use comparison::{__path_comparison, comparison};
pub(super) use logs::{__path_logs, logs};
pub(super) use show::{__path_list, __path_one, list, one};
pub(super) use upload::{__path_deploy, deploy};

/// Beside component, manifest and signature: names and boundaries of a form.
const FORM: usize = 64 << 10;

/// The paths of this module.
pub(super) fn routes() -> Router<Api> {
    let largest = Package::MAX_COMPONENT + Package::MAX_MANIFEST + FORM;
    let upload = post(deploy).layer(DefaultBodyLimit::max(largest));
    Router::new()
        .route("/api/v1/plugins", get(list))
        .route("/api/v1/plugins/{quarter}", upload)
        .route(
            "/api/v1/plugins/{quarter}/{plugin}",
            get(one).delete(remove),
        )
        .route("/api/v1/plugins/{quarter}/{plugin}/promote", post(promote))
        .route(
            "/api/v1/plugins/{quarter}/{plugin}/rollback",
            post(rollback),
        )
        .route("/api/v1/plugins/{quarter}/{plugin}/logs", get(logs))
        .route(
            "/api/v1/plugins/{quarter}/{plugin}/comparison",
            get(comparison),
        )
}

impl From<DeployError> for Problem {
    fn from(error: DeployError) -> Self {
        let text = error.to_string();
        match error {
            DeployError::Rejected(_) => Self::bad_request(text),
            DeployError::Signature(_) => Self::forbidden(text),
            DeployError::NotFound(_) => Self::not_found(text),
            DeployError::Conflict(_) => Self::conflict(text),
            DeployError::Record(error) => error.into(),
            DeployError::Artifact(error) => Self::internal(&error),
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(error: JsonRejection) -> Self {
        Self::bad_request(error.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(error: QueryRejection) -> Self {
        Self::bad_request(error.body_text())
    }
}
