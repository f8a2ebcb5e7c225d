//! Who calls: the bearer token of a request, checked, and what it lets its holder do.

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};

use super::Api;
use super::mqtt_ws::{Remote, is_allowed};
use super::problem::Problem;
use crate::access::{Principal, Right};

/// A caller whose token, where there is one, is good.
#[derive(Debug, Clone)]
pub(super) struct Caller(pub(super) Principal);

impl Caller {
    /// # Errors
    /// 401 where nobody is logged in, 403 where the caller has no such right there.
    pub(super) fn must(&self, right: Right, quarter: &str) -> Result<(), Problem> {
        let Self(principal) = self;
        if principal.may(right, quarter) {
            return Ok(());
        }
        let needed = format!(
            "this needs the role {} for quarter {quarter}",
            right.roles()
        );
        match &principal.user {
            None => Err(Problem::unauthorized(format!(
                "{needed}: send a bearer token (quartier token issue)"
            ))),
            Some(user) => Err(Problem::forbidden(format!(
                "{needed}, which {user} does not have"
            ))),
        }
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Ok(ConnectInfo(Remote(peer))) =
            ConnectInfo::<Remote>::from_request_parts(parts, api).await
        else {
            return Err(Problem::internal(&"a connection without an address"));
        };
        let token = bearer(&parts.headers)?;
        // A page that somebody looks at must not act for them through their browser.
        let changes = !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if changes && token.is_none() && !is_allowed(&parts.headers, &api.websockets.allow_origins)
        {
            return Err(Problem::forbidden(
                "pages of this origin are not in [http] allow_origins",
            ));
        }
        let principal = api.access.principal(token, peer.address.ip());
        principal
            .map(Self)
            .map_err(|denied| Problem::unauthorized(denied.to_string()))
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let text = value.to_str().ok();
    let token = text.and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    });
    let wrong = || Problem::unauthorized("Authorization must be `Bearer qt_..`");
    token.map(Some).ok_or_else(wrong)
}
