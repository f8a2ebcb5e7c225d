//! A node as a process: logging, figures, signals. Both programs are made of it.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, interval};
use tracing_subscriber::EnvFilter;

use crate::node::Node;
use crate::status::Status;

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

    /// Says that the node is ready, to the log and to systemd, and waits for SIGTERM or SIGINT;
    /// SIGHUP takes changed users and certificates. Meanwhile systemd hears that the node lives, as
    /// long as it does.
    pub async fn serve(&mut self, node: &Node) {
        tracing::info!(
            mqtt = %node.mqtt_name(),
            mqtts = node.mqtts_address().map(tracing::field::display),
            http = %node.http_address(),
            https = node.https_address().map(tracing::field::display),
            "ready"
        );
        tell(&[NotifyState::Ready]);
        let mut beat = Beat::new(node.status());
        loop {
            tokio::select! {
                _ = self.terminated.recv() => break,
                _ = self.interrupted.recv() => break,
                _ = self.hung_up.recv() => node.reload(),
                () = beat.due() => beat.beat(),
            }
        }
        tell(&[NotifyState::Stopping]);
        tracing::info!("ending");
    }
}

/// Does nothing where there is no systemd.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, state) {
        tracing::warn!(%error, "systemd does not hear");
    }
}

/// Tells systemd's watchdog that the node lives: that its journal and store take what is written and
/// that its twin folds. A node of which one failed is restarted, which is what mends it.
struct Beat {
    status: Arc<Status>,
    timer: Option<Interval>,
    folded: u64,
}

impl Beat {
    fn new(status: Arc<Status>) -> Self {
        let mut usec = 0;
        let watched = sd_notify::watchdog_enabled(false, &mut usec);
        let half = Duration::from_micros(usec / 2).max(Duration::from_millis(100));
        Self {
            status,
            timer: watched.then(|| interval(half)),
            folded: 0,
        }
    }

    async fn due(&mut self) {
        match &mut self.timer {
            Some(timer) => {
                timer.tick().await;
            }
            None => std::future::pending().await,
        }
    }

    fn beat(&mut self) {
        let journal = self.status.journal.stats();
        let folded = *self.status.folded.borrow();
        let moves = folded > self.folded || folded >= journal.durable;
        self.folded = folded;
        let store_failed = self.status.store.is_poisoned();
        if journal.failed.is_none() && !store_failed && moves {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::error!(
                failed = journal.failed,
                store_failed,
                folded,
                "the node makes no progress"
            );
        }
    }
}
