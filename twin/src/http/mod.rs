//! HTTP: health, figures and the API. It reads the twin; what it changes, it changes by events in
//! the journal.
//!
//! Errors are RFC 9457 problem details; what a client sends wrong is named, internals never are.

mod assets;
mod asyncapi;
mod box_page;
mod caller;
mod cells;
mod commands;
mod decisions;
mod edges;
mod health;
mod lists;
mod mqtt_ws;
mod page;
mod plain;
mod plugins;
mod problem;
mod rules;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::connect_info::Connected;
use axum::routing::{get, post};
use axum::serve::{IncomingStream, Listener};
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use quartier_broker::Peer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use utoipa::OpenApi;

use crate::access::Access;
use crate::declared::Declared;
use crate::edges::Invitations;
use crate::plugins::{Deployer, Logs};
use crate::recorder::Recorder;
use crate::status::Status;
use crate::store::Store;
use mqtt_ws::Remote;
use problem::Problem;

pub use asyncapi::Entrances;
pub use mqtt_ws::WebSockets;
pub use tls::TlsListener;

/// The paths of a node beside health and figures: [`city_routes`] or [`box_routes`]. Which of both
/// is known when the program is built, so that a box has nothing of a city in it.
pub type Routes = fn() -> Router<Api>;

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    /// Which paths there are.
    pub routes: Routes,
    /// The node and its twin.
    pub status: Arc<Status>,
    /// Dead letters.
    pub store: Arc<Store>,
    /// Changes what plugins run.
    pub deployer: Arc<Deployer>,
    /// What plugins say.
    pub logs: Arc<Logs>,
    /// Records what is asked for.
    pub recorder: Recorder,
    /// Who may do what.
    pub access: Arc<Access>,
    /// What the configuration wants of boxes.
    pub declared: Arc<Declared>,
    /// Boxes that are invited.
    pub invitations: Arc<Invitations>,
    /// Folder of the authority that signs the certificates of boxes.
    pub authority: Option<PathBuf>,
    /// Figures in Prometheus' text format.
    pub figures: PrometheusHandle,
    /// Where MQTT clients connect.
    pub entrances: Entrances,
    /// What they may do over WebSocket.
    pub websockets: WebSockets,
    /// Becomes true when the node ends: streams end then.
    pub ended: watch::Receiver<bool>,
}

impl Api {
    /// Metrics that speak of a household or a person.
    fn personal_metrics(&self) -> HashSet<String> {
        let twin = self.status.twin.read();
        let personal = twin.metrics().iter().filter(|metric| metric.personal);
        personal.map(|metric| metric.name.to_string()).collect()
    }
}

/// Serves until `ended` is true and requests under way are answered.
pub async fn serve(listener: TcpListener, api: Api, ended: watch::Receiver<bool>) {
    serve_any(plain::PlainListener(listener), api, ended).await;
}

/// The same over TLS.
pub async fn serve_tls(listener: TlsListener, api: Api, ended: watch::Receiver<bool>) {
    serve_any(listener, api, ended).await;
}

async fn serve_any<L>(listener: L, api: Api, mut ended: watch::Receiver<bool>)
where
    L: Listener<Addr = Peer>,
    Remote: for<'a> Connected<IncomingStream<'a, L>>,
{
    let end = async move {
        let _ = ended.wait_for(|ended| *ended).await;
    };
    let service = router(api).into_make_service_with_connect_info::<Remote>();
    if let Err(error) = axum::serve(listener, service)
        .with_graceful_shutdown(end)
        .await
    {
        tracing::error!(%error, "HTTP ended");
    }
}

fn router(api: Api) -> Router {
    (api.routes)()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .fallback(async || Problem::not_found("there is nothing at this path; see /openapi.json"))
        .layer(CompressionLayer::new())
        .layer(CorsLayer::permissive())
        .layer(CatchPanicLayer::custom(problem::panicked))
        .with_state(api)
}

/// What a box shows to whoever stands in front of it.
/// And who stands there may command, when the city is away.
pub fn box_routes() -> Router<Api> {
    Router::new()
        .route("/", get(box_page::index))
        .merge(command_routes())
}

fn command_routes() -> Router<Api> {
    Router::new()
        .route(
            "/api/v1/assets/{id}/desired",
            get(commands::get_desired).put(commands::put_desired),
        )
        .route("/api/v1/commands", get(commands::list).post(commands::ask))
        .route(
            "/api/v1/commands/{id}/approve",
            post(commands::judge::approve),
        )
        .route(
            "/api/v1/commands/{id}/reject",
            post(commands::judge::reject),
        )
        .route(
            "/api/v1/commands/{id}/withdraw",
            post(commands::judge::withdraw),
        )
}

/// The whole API.
pub fn city_routes() -> Router<Api> {
    Router::new()
        .route("/openapi.json", get(openapi))
        .route("/asyncapi.json", get(asyncapi::asyncapi))
        .route("/mqtt", get(mqtt_ws::mqtt))
        .route("/api/v1/quarters", get(lists::quarters))
        .route("/api/v1/assets", get(assets::list))
        .route("/api/v1/assets/{id}", get(assets::one))
        .merge(command_routes())
        .route("/api/v1/cells", get(cells::list))
        .route("/api/v1/cells/{h3}", get(cells::one))
        .route("/api/v1/alerts", get(lists::alerts))
        .route("/api/v1/dead-letters", get(lists::dead_letters))
        .route("/api/v1/decisions", get(decisions::list))
        .route("/api/v1/decisions/{id}", get(decisions::one))
        .route("/rules", get(rules::index))
        .route("/rules/{plugin}", get(rules::one))
        .merge(plugins::routes())
        .merge(edges::routes())
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Quartier",
        description = "Digital twins of city quarters",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        health::healthz,
        health::readyz,
        health::metrics,
        asyncapi::asyncapi,
        mqtt_ws::mqtt,
        lists::quarters,
        lists::alerts,
        lists::dead_letters,
        decisions::list,
        decisions::one,
        rules::index,
        rules::one,
        edges::list,
        edges::one,
        edges::enrol::invite,
        edges::enrol::enrol,
        edges::settings::put_settings,
        edges::judge::drain,
        edges::judge::resume,
        edges::judge::retire,
        plugins::list,
        plugins::one,
        plugins::deploy,
        plugins::promote,
        plugins::rollback,
        plugins::remove,
        plugins::logs,
        plugins::comparison,
        assets::list,
        assets::one,
        cells::list,
        cells::one,
        commands::list,
        commands::ask,
        commands::judge::approve,
        commands::judge::reject,
        commands::judge::withdraw,
        commands::get_desired,
        commands::put_desired,
    )
)]
struct Description;

async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}
