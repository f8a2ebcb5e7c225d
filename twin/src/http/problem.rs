//! Problem details (RFC 9457).

use std::any::Any;
use std::fmt::Display;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::recorder::RecordError;

/// Why a request was not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Problem {
    /// HTTP status.
    status: u16,
    /// What kind of problem.
    title: &'static str,
    /// What is wrong with this request and what to do.
    detail: String,
}

impl Problem {
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self {
            status: 400,
            title: "Bad request",
            detail: detail.into(),
        }
    }

    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self {
            status: 401,
            title: "Unauthorized",
            detail: detail.into(),
        }
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self {
            status: 403,
            title: "Forbidden",
            detail: detail.into(),
        }
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self {
            status: 404,
            title: "Not found",
            detail: detail.into(),
        }
    }

    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self {
            status: 409,
            title: "Conflict",
            detail: detail.into(),
        }
    }

    pub(super) fn too_large(detail: impl Into<String>) -> Self {
        Self {
            status: 413,
            title: "Too large",
            detail: detail.into(),
        }
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self {
            status: 503,
            title: "Unavailable",
            detail: detail.into(),
        }
    }

    pub(super) fn ambiguous(detail: impl Into<String>) -> Self {
        Self {
            status: 409,
            title: "Ambiguous",
            detail: detail.into(),
        }
    }

    /// The log gets the error, the client learns nothing of the inside.
    pub(super) fn internal(error: &dyn Display) -> Self {
        tracing::error!(%error, "an HTTP request failed");
        let detail = "the node's log says more".to_owned();
        Self {
            status: 500,
            title: "Internal error",
            detail,
        }
    }
}

impl From<RecordError> for Problem {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Encode(error) => Self::bad_request(error.to_string()),
            RecordError::Journal(error) if error.is_passing() => {
                Self::unavailable(error.to_string())
            }
            RecordError::Journal(error) => Self::internal(&error),
            error @ RecordError::TimedOut => Self::unavailable(error.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response
    }
}

/// The answer of a handler that panicked; the panic's own message is on stderr.
pub(super) fn panicked(_panic: Box<dyn Any + Send + 'static>) -> Response {
    Problem::internal(&"a handler panicked").into_response()
}
