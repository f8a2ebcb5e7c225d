//! `/api/v1/decisions`: the audit, and each decision in plain words.
//!
//! What is automated and why is public; the values of metrics that speak of a household are left
//! out for everybody but the operator.

use std::collections::HashSet;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use utoipa::IntoParams;

use super::Api;
use super::caller::Caller;
use super::problem::Problem;
use crate::access::Right;
use crate::event::{Decision, Entry, PluginRecord, Stage};
use crate::explain::{Explained, event_time, explain, is_about, without_values};
use crate::model::Millis;
use crate::store::StoreError;

/// Decisions in one answer at most.
const MOST: usize = 1000;
/// Decisions looked at for one answer.
const LOOKED_AT: usize = 200_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DecisionQuery {
    /// The box whose decisions are asked for; absent: this node's own.
    #[serde(default)]
    node: String,
    /// Id of the quarter.
    quarter: Option<String>,
    /// Id of the plugin.
    plugin: Option<String>,
    /// Version that decided.
    version: Option<String>,
    /// Stage of the version.
    stage: Option<Stage>,
    /// Id of an asset that something was decided of.
    asset: Option<String>,
    /// Only batches that were set aside.
    #[serde(default)]
    failed: bool,
    /// How many at most; 100 unless said otherwise, 1000 at most.
    limit: Option<usize>,
    /// Only those before this id: the `next` of the answer before.
    before: Option<u64>,
}

/// The audit, newest first, without the values; the newest 200,000 before `before` are looked at.
#[utoipa::path(get, path = "/api/v1/decisions", params(DecisionQuery), responses(
    (status = 200, body = Value),
    (status = 400, body = Problem),
))]
pub(super) async fn list(
    State(api): State<Api>,
    query: Result<Query<DecisionQuery>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(query) = query?;
    let limit = query.limit.unwrap_or(100).min(MOST);
    let before = query.before;
    let read = move || {
        let wanted = |_, decision: &Decision| query.takes(decision);
        let node = query.node.as_str();
        let found = api
            .store
            .decisions(node, before, LOOKED_AT, limit, wanted)?;
        Ok::<_, StoreError>((found, query.node))
    };
    let (found, node) = spawn_blocking(read)
        .await
        .map_err(|error| Problem::internal(&error))?
        .map_err(|error| Problem::internal(&error))?;
    let next = (found.len() == limit).then(|| found.last().map(|(id, _)| *id));
    let decisions: Vec<Value> = found
        .iter()
        .map(|(id, decision)| line(&node, *id, decision))
        .collect();
    Ok(Json(
        json!({ "decisions": decisions, "next": next.flatten() }),
    ))
}

impl DecisionQuery {
    fn takes(&self, decision: &Decision) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|w| w == found);
        is(&self.quarter, &decision.quarter)
            && is(&self.plugin, &decision.plugin)
            && is(&self.version, &decision.version)
            && self.stage.is_none_or(|stage| stage == decision.stage)
            && (!self.failed || decision.failure.is_some())
            && self
                .asset
                .as_ref()
                .is_none_or(|asset| is_about(decision, asset))
    }
}

fn line(node: &str, id: u64, decision: &Decision) -> Value {
    json!({
        "id": id,
        "node": Some(node).filter(|node| !node.is_empty()),
        "quarter": decision.quarter,
        "plugin": decision.plugin,
        "version": decision.version,
        "stage": decision.stage,
        "batch": decision.batch,
        "time": event_time(decision).map(|time| time.to_string()),
        "values": decision.derived.len(),
        "alerts": decision.alerts.len(),
        "commands": decision.commands.len(),
        "dropped": decision.dropped.iter().map(|(_, rows)| u64::from(*rows)).sum::<u64>(),
        "failure": decision.failure,
        "output_hash": decision.output_hash,
    })
}

/// One decision: in plain words, and as recorded.
#[utoipa::path(get, path = "/api/v1/decisions/{id}",
    params(("id" = String, Path, description = "Journal position of the decision; of a box's, \
        the name of its node, a colon and the position there")),
    responses(
        (status = 200, body = Explained), (status = 400, body = Problem), (status = 401, body = Problem),
        (status = 404, body = Problem),
    ))]
pub(super) async fn one(
    State(api): State<Api>,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<Json<Explained>, Problem> {
    let (node, position) = id.rsplit_once(':').unwrap_or(("", &id));
    let position: u64 = position.parse().map_err(|_| {
        Problem::bad_request(format!(
            "{id:?} is not the id of a decision: a number, of a box's decision NODE:NUMBER"
        ))
    })?;
    let node = node.to_owned();
    let told = spawn_blocking(move || tell(&api, &node, position, &caller));
    told.await
        .map_err(|error| Problem::internal(&error))?
        .map(Json)
}

fn tell(api: &Api, node: &str, id: u64, caller: &Caller) -> Result<Explained, Problem> {
    let found = api
        .store
        .decision(node, id)
        .map_err(|error| Problem::internal(&error))?;
    let missing = || {
        Problem::not_found(format!(
            "no decision has the id {id}; /api/v1/decisions lists the newest"
        ))
    };
    let mut record = found.ok_or_else(missing)?;
    let hidden = match caller.0.may(Right::Personal, &record.quarter) {
        true => HashSet::new(),
        false => api.personal_metrics(),
    };
    let version = PluginRecord {
        digest: record.digest,
        manifest: record.manifest,
        ..PluginRecord::default()
    };
    let program = api.deployer.artifacts().get(&version).ok();
    let manifest = program.as_ref().map(|program| program.manifest());
    let changes = {
        let twin = api.status.twin.read();
        let home = twin.edges().get(node).map(|edge| edge.replica());
        let past = home.unwrap_or(&twin).past(&record.quarter, &record.plugin);
        past.map(|past| past.changes.clone()).unwrap_or_default()
    };
    without_values(&mut record, &hidden);
    // A box's journal is not here.
    let recorded = node.is_empty().then(|| recorded_at(api, id)).flatten();
    let explanation = explain(id, recorded, &record, manifest, &changes, &hidden);
    Ok(Explained {
        explanation,
        record,
    })
}

/// When the decision at `id` was recorded, where the journal still has the entry. Reads a file.
fn recorded_at(api: &Api, id: u64) -> Option<Millis> {
    let frame = api.status.journal.reader(id).ok()?.next().ok()??;
    let (_, bytes) = frame.entries().find(|(position, _)| *position == id)?;
    Some(postcard::from_bytes::<Entry<'_>>(bytes).ok()?.at)
}
