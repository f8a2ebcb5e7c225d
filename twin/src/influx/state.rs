//! How the sink fares, for `/readyz`, `/metrics` and the node's status.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{counter, gauge};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

/// Whether lines go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SinkStatus {
    /// The last request was taken, or none was needed yet.
    #[default]
    Ok,
    /// The server cannot be reached or cannot serve; nobody has to do anything yet.
    Retrying,
    /// The server refuses login, path, organization, bucket or database: someone has to act.
    Misconfigured,
}

/// Shared by the sink and those who watch it.
#[derive(Debug)]
pub struct SinkState {
    pub(super) head: watch::Receiver<u64>,
    health: Mutex<Health>,
    delivered: AtomicU64,
    lines: AtomicU64,
    bytes: AtomicU64,
    requests: AtomicU64,
    retries: AtomicU64,
    dead_letters: AtomicU64,
    skipped: AtomicU64,
}

#[derive(Debug, Default, Clone)]
struct Health {
    status: SinkStatus,
    last_error: Option<String>,
}

/// The sink at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SinkReport {
    /// Whether lines go out.
    pub status: SinkStatus,
    /// What went wrong last, even where it is well again.
    pub last_error: Option<String>,
    /// Position of the journal up to which everything is delivered or dead.
    pub delivered: u64,
    /// Positions from there to the end of the journal.
    pub lag: u64,
    /// Lines the server has acknowledged.
    pub lines: u64,
    /// Compressed bytes sent, tries that failed included.
    pub bytes: u64,
    /// Requests sent.
    pub requests: u64,
    /// Tries that have to be repeated with the same lines.
    pub retries: u64,
    /// Lines set aside.
    pub dead_letters: u64,
    /// Points that no server could store, such as NaN.
    pub skipped: u64,
}

impl SinkState {
    /// `head` follows the position after the last entry of the journal that can be read; it wakes
    /// the sink, and when its sender is gone the sink empties the journal and ends.
    pub fn new(head: watch::Receiver<u64>) -> Self {
        Self {
            head,
            health: Mutex::default(),
            delivered: AtomicU64::new(0),
            lines: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            dead_letters: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        }
    }

    /// The sink now. It also sets the gauges `quartier_influx_lag` and `quartier_influx_status`
    /// (0 ok, 1 retrying, 2 misconfigured), so ask before metrics are rendered.
    pub fn report(&self) -> SinkReport {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Health { status, last_error } = self.health.lock().clone();
        let delivered = get(&self.delivered);
        let lag = self.head.borrow().saturating_sub(delivered);
        gauge!("quartier_influx_lag").set(lag as f64);
        gauge!("quartier_influx_status").set(f64::from(status as u8));
        SinkReport {
            status,
            last_error,
            delivered,
            lag,
            lines: get(&self.lines),
            bytes: get(&self.bytes),
            requests: get(&self.requests),
            retries: get(&self.retries),
            dead_letters: get(&self.dead_letters),
            skipped: get(&self.skipped),
        }
    }

    pub(super) fn well(&self) {
        let before = std::mem::take(&mut self.health.lock().status);
        if before != SinkStatus::Ok {
            tracing::info!(lag = self.report().lag, "the InfluxDB sink goes on");
        }
    }

    /// Says so in the log once, when the status changes, and not at every try.
    pub(super) fn unwell(&self, status: SinkStatus, error: &str) {
        let mut health = self.health.lock();
        let changed = health.status != status;
        *health = Health {
            status,
            last_error: Some(error.to_owned()),
        };
        drop(health);
        if !changed {
            return;
        }
        match status {
            SinkStatus::Ok => {}
            SinkStatus::Retrying => {
                tracing::warn!(error, "the InfluxDB sink waits; lines stay in the journal");
            }
            SinkStatus::Misconfigured => tracing::error!(
                error,
                "InfluxDB refuses [influx] as configured; lines wait in the journal: check url, \
                 login and the bucket or database"
            ),
        }
    }

    /// Notes an error that leaves the status as it is.
    pub(super) fn note(&self, error: String) {
        self.health.lock().last_error = Some(error);
    }

    pub(super) fn set_delivered(&self, position: u64) {
        self.delivered.store(position, Ordering::Relaxed);
    }

    pub(super) fn count_request(&self, bytes: usize) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        counter!("quartier_influx_requests_total").increment(1);
        counter!("quartier_influx_bytes_total").increment(bytes as u64);
    }

    pub(super) fn count_lines(&self, lines: usize) {
        self.lines.fetch_add(lines as u64, Ordering::Relaxed);
        counter!("quartier_influx_lines_total").increment(lines as u64);
    }

    pub(super) fn count_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        counter!("quartier_influx_retries_total").increment(1);
    }

    pub(super) fn count_dead(&self, lines: usize) {
        self.dead_letters.fetch_add(lines as u64, Ordering::Relaxed);
        counter!("quartier_influx_dead_letters_total").increment(lines as u64);
    }

    pub(super) fn count_skipped(&self, points: u64) {
        self.skipped.fetch_add(points, Ordering::Relaxed);
        counter!("quartier_influx_skipped_points_total").increment(points);
    }
}
