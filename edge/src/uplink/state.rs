//! How the uplink is: for `/readyz`, the status page and the figures.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::gauge;
use parking_lot::Mutex;
use quartier_twin::status::{Part, State};

/// Shared between the uplink and whoever asks.
pub(crate) struct UplinkState {
    city: String,
    /// Why there is no connection; `None` with one.
    trouble: Mutex<Option<String>>,
    /// Entries that the city has not.
    behind: AtomicU64,
}

impl UplinkState {
    /// `city`: for people.
    pub(crate) fn new(city: String) -> Self {
        Self {
            city,
            trouble: Mutex::new(Some("not connected yet".to_owned())),
            behind: AtomicU64::new(0),
        }
    }

    /// There is a connection.
    pub(crate) fn connected(&self) {
        *self.trouble.lock() = None;
        gauge!("quartier_uplink_connected").set(1.0);
        tracing::info!(city = self.city, "connected to the city");
    }

    /// There is none.
    pub(crate) fn lost(&self, why: String) {
        gauge!("quartier_uplink_connected").set(0.0);
        let mut trouble = self.trouble.lock();
        if trouble.as_ref() != Some(&why) {
            tracing::warn!(city = self.city, why, "no connection to the city");
        }
        *trouble = Some(why);
    }

    /// So many entries wait.
    #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point")]
    pub(crate) fn behind(&self, entries: u64) {
        self.behind.store(entries, Ordering::Relaxed);
        gauge!("quartier_uplink_lag_entries").set(entries as f64);
    }

    /// For `/readyz`. A box without its city works, so it is never down.
    pub(crate) fn part(&self) -> Part {
        let behind = self.behind.load(Ordering::Relaxed);
        let (city, trouble) = (&self.city, self.trouble.lock());
        let (state, detail) = match &*trouble {
            None => (
                State::Ok,
                format!("connected to {city}, {behind} entries behind"),
            ),
            Some(why) => (
                State::Degraded,
                format!("no connection to {city}: {why}; {behind} entries wait"),
            ),
        };
        Part {
            name: "uplink",
            state,
            detail,
        }
    }
}
