//! `quartier serve`: a node until SIGTERM or SIGINT; SIGHUP takes changed users and certificates.

use std::io::IsTerminal as _;
use std::path::Path;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::{Failure, Outcome};
use crate::config::Config;
use crate::node::Node;

pub(super) fn run(path: &Path) -> Outcome {
    let config = Config::load(path).map_err(Failure::usage)?;
    start_logging("info");
    let figures = start_metrics()?;
    runtime()?.block_on(async {
        let mut terminated = signal(SignalKind::terminate()).map_err(Failure::fault)?;
        let mut interrupted = signal(SignalKind::interrupt()).map_err(Failure::fault)?;
        let mut hung_up = signal(SignalKind::hangup()).map_err(Failure::fault)?;
        let node = Node::start(&config, figures)
            .await
            .map_err(Failure::usage)?;
        tracing::info!(
            mqtt = %node.mqtt_name(),
            mqtts = node.mqtts_address().map(tracing::field::display),
            http = %node.http_address(),
            https = node.https_address().map(tracing::field::display),
            "ready"
        );
        loop {
            tokio::select! {
                _ = terminated.recv() => break,
                _ = interrupted.recv() => break,
                _ = hung_up.recv() => node.reload(),
            }
        }
        tracing::info!("ending");
        node.stop().await;
        Ok(())
    })
}

/// Logs to stderr; `RUST_LOG` goes before `level`. rumqttd logs its hot path at info, which
/// doubles its cost, so it is silent unless asked for.
pub(super) fn start_logging(level: &str) {
    let default = || EnvFilter::new(format!("{level},rumqttd=off,fjall=warn,lsm_tree=warn"));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| default());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

/// The recorder of all figures; must be there before the first part is made.
pub(super) fn start_metrics() -> Result<PrometheusHandle, Failure> {
    PrometheusBuilder::new()
        .install_recorder()
        .map_err(Failure::fault)
}

pub(super) fn runtime() -> Result<Runtime, Failure> {
    Runtime::new().map_err(Failure::fault)
}
