//! A node as a process: logging, figures, signals. Both programs are made of it.

use std::io::{self, IsTerminal as _};

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::node::Node;

/// Logs to stderr; `RUST_LOG` goes before `level`. rumqttd logs its hot path at info, which
/// doubles its cost, so it is silent unless asked for.
pub fn start_logging(level: &str) {
    let default = || EnvFilter::new(format!("{level},rumqttd=off,fjall=warn,lsm_tree=warn"));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| default());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
}

/// The recorder of all figures; must be there before the first part is made.
///
/// # Errors
/// There is one already.
pub fn start_metrics() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new().install_recorder()
}

/// The signals that a node understands, from before it starts.
pub struct Signals {
    terminated: Signal,
    interrupted: Signal,
    hung_up: Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// The operating system does not allow it.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminated: signal(SignalKind::terminate())?,
            interrupted: signal(SignalKind::interrupt())?,
            hung_up: signal(SignalKind::hangup())?,
        })
    }

    /// Says that the node is ready, and waits for SIGTERM or SIGINT; SIGHUP takes changed users
    /// and certificates.
    pub async fn serve(&mut self, node: &Node) {
        tracing::info!(
            mqtt = %node.mqtt_name(),
            mqtts = node.mqtts_address().map(tracing::field::display),
            http = %node.http_address(),
            https = node.https_address().map(tracing::field::display),
            "ready"
        );
        loop {
            tokio::select! {
                _ = self.terminated.recv() => break,
                _ = self.interrupted.recv() => break,
                _ = self.hung_up.recv() => node.reload(),
            }
        }
        tracing::info!("ending");
    }
}
