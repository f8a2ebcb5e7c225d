//! `quartier serve`: a node until SIGTERM or SIGINT; SIGHUP takes changed users and certificates.

use std::path::Path;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::runtime::Runtime;

use super::{Failure, Outcome};
use crate::config::Config;
use crate::node::{Node, Outfit};
use crate::process::{self, Signals};

pub(super) use crate::process::start_logging;

pub(super) fn run(path: &Path) -> Outcome {
    let config = Config::load(path).map_err(Failure::usage)?;
    start_logging("info");
    let figures = start_metrics()?;
    runtime()?.block_on(async {
        let mut signals = Signals::listen().map_err(Failure::fault)?;
        let node = Node::start(&config, figures, Outfit::city())
            .await
            .map_err(Failure::usage)?;
        signals.serve(&node).await;
        node.stop().await;
        Ok(())
    })
}

pub(super) fn start_metrics() -> Result<PrometheusHandle, Failure> {
    process::start_metrics().map_err(Failure::fault)
}

pub(super) fn runtime() -> Result<Runtime, Failure> {
    Runtime::new().map_err(Failure::fault)
}
