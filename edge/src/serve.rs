//! `quartier-edge serve`: the node, and beside it the uplink.

use std::path::Path;
use std::sync::Arc;

use quartier_twin::config::Config;
use quartier_twin::engine::Observer;
use quartier_twin::http::box_routes;
use quartier_twin::node::{Node, Outfit};
use quartier_twin::process::{Signals, start_logging, start_metrics};
use quartier_twin::status::PartOf;
use tokio::runtime::Builder;

use crate::cli::Failure;
use crate::uplink::{Tap, Uplink, UplinkState};

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
        let tap = Arc::new(Tap::default());
        let state = config.uplink.as_ref();
        let state = state.map(|uplink| Arc::new(UplinkState::new(uplink.city.to_string())));
        let tapped = state
            .is_some()
            .then(|| Arc::clone(&tap) as Arc<dyn Observer>);
        let outfit = Outfit {
            routes: box_routes,
            observers: tapped.into_iter().collect(),
            beside: state.iter().map(part_of).collect(),
        };
        let node = Node::start(&config, figures, outfit)
            .await
            .map_err(Failure::usage)?;
        let uplink = state.and_then(|state| {
            let uplink = Uplink::new(&config, node.handles(), tap, Arc::clone(&state));
            // The quarter is served without its city.
            uplink.unwrap_or_else(|error| {
                state.lost(format!("{error}; see to it, then restart"));
                None
            })
        });
        let uplink = uplink.map(|uplink| tokio::spawn(uplink.run()));
        signals.serve(&node).await;
        node.stop().await;
        if let Some(uplink) = uplink {
            uplink.await.map_err(Failure::fault)?;
        }
        Ok(())
    })
}

fn part_of(state: &Arc<UplinkState>) -> PartOf {
    let state = Arc::clone(state);
    Arc::new(move || state.part())
}
