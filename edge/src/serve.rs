//! `quartier-edge serve`: the node, and beside it the uplink.

use std::path::Path;

use quartier_twin::config::Config;
use quartier_twin::http::Face;
use quartier_twin::node::{Node, Outfit};
use quartier_twin::process::{Signals, start_logging, start_metrics};
use tokio::runtime::Builder;

use crate::cli::Failure;

/// Threads of the runtime: connections on a small processor.
const WORKERS: usize = 2;

pub(crate) fn run(path: &Path) -> Result<(), Failure> {
    let config = Config::load(path).map_err(Failure::usage)?;
    start_logging("info");
    let figures = start_metrics().map_err(Failure::fault)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(Failure::fault)?;
    runtime.block_on(async {
        let mut signals = Signals::listen().map_err(Failure::fault)?;
        let outfit = Outfit {
            face: Face::Box,
            observer: None,
        };
        let node = Node::start(&config, figures, outfit)
            .await
            .map_err(Failure::usage)?;
        signals.serve(&node).await;
        node.stop().await;
        Ok(())
    })
}
