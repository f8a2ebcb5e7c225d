//! What a plugin says: the newest lines, or those to come as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;

use crate::access::Right;
use crate::http::Api;
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::plugins::LogLine;

/// Lines in one answer at most.
const MOST: usize = 1000;
/// Pause after which a silent stream says that it lives.
const ALIVE: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct LogQuery {
    /// How many at most; 100 unless said otherwise, 1000 at most.
    lines: Option<usize>,
    /// Those to come as well, as server-sent events.
    #[serde(default)]
    follow: bool,
}

/// Lines of a plugin's log, oldest first; with `follow` as server-sent events named `line`.
#[utoipa::path(get, path = "/api/v1/plugins/{quarter}/{plugin}/logs",
    params(("quarter" = String, Path), ("plugin" = String, Path), LogQuery),
    responses(
        (status = 200, body = serde_json::Value), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 403, body = Problem),
    ))]
pub(in crate::http) async fn logs(
    State(api): State<Api>,
    Path((quarter, plugin)): Path<(String, String)>,
    caller: Caller,
    query: Result<Query<LogQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query?;
    // What a rule says may name households.
    caller.must(Right::Deploy, &quarter)?;
    let new = api.logs.follow();
    let lines = api
        .logs
        .of(&quarter, &plugin, query.lines.unwrap_or(100).min(MOST));
    if !query.follow {
        return Ok(Json(json!({ "lines": lines })).into_response());
    }
    let follower = Follower {
        old: lines.into_iter(),
        new,
        quarter,
        plugin,
        ended: api.ended.clone(),
    };
    let keep_alive = KeepAlive::new().interval(ALIVE);
    Ok(Sse::new(follower.events())
        .keep_alive(keep_alive)
        .into_response())
}

struct Follower {
    old: std::vec::IntoIter<LogLine>,
    new: Receiver<LogLine>,
    quarter: String,
    plugin: String,
    ended: tokio::sync::watch::Receiver<bool>,
}

impl Follower {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, async |mut follower| {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        })
    }

    /// `None`: the node ends.
    async fn next(&mut self) -> Option<Event> {
        if let Some(line) = self.old.next() {
            return Some(event(&line));
        }
        loop {
            let new = tokio::select! {
                new = self.new.recv() => new,
                _ = self.ended.wait_for(|ended| *ended) => return None,
            };
            match new {
                Ok(line) if line.quarter == self.quarter && line.plugin == self.plugin => {
                    return Some(event(&line));
                }
                Ok(_) => {}
                Err(RecvError::Lagged(lines)) => {
                    let text = format!("{lines} lines were missed");
                    return Some(Event::default().event("missed").data(text));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

fn event(line: &LogLine) -> Event {
    let data = serde_json::to_string(line).unwrap_or_default();
    Event::default().event("line").data(data)
}
