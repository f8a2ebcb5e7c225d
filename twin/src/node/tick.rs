//! What happens once a second: a look at the clock, a tick into the journal, the status topic, figures, and the
//! release of journal segments that nobody needs any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio::time::{MissedTickBehavior, interval};

use super::publish_status;
use crate::clock::Report;
use crate::engine::SNAPSHOT_CURSOR;
use crate::event::{Entry, Event};
use crate::feed;
use crate::journal::Batch;
use crate::status::Status;
use crate::store::{Store, StoreError};
use crate::uplink::UPLINK_CURSOR;

const EVERY: Duration = Duration::from_secs(1);
/// A node without input ticks this many times more rarely: windows still close, and an SD card
/// is spared.
const IDLE: u32 = 10;
/// Seconds between two messages on the status topic.
const STATUS: u32 = 5;

/// What the ticks work with.
pub(super) struct Ticker {
    pub(super) status: Arc<Status>,
    pub(super) store: Arc<Store>,
    /// Topic of the node's status.
    pub(super) topic: String,
    /// The journal goes to a city, too.
    pub(super) uplink: bool,
}

impl Ticker {
    /// Runs until `closed` is true.
    pub(super) async fn run(self, mut closed: watch::Receiver<bool>) {
        let mut timer = interval(EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut count, mut last) = (0u32, 0);
        loop {
            tokio::select! {
                _ = timer.tick() => {}
                _ = closed.wait_for(|closed| *closed) => return,
            }
            self.status.clock.look();
            let stats = self.status.journal.stats();
            // Commands are sent again, held and expired at ticks.
            let due = self.status.twin.read().commands().is_waiting();
            if stats.last != last || due || count.is_multiple_of(IDLE) {
                last = tick(&self.status).unwrap_or(stats.last);
            }
            if count.is_multiple_of(STATUS) {
                self.keep_house();
            }
            gauges(&self.status);
            of_edges(&self.status);
            count = count.wrapping_add(1);
        }
    }

    /// What may wait for the router or the disk. It is little, so it is worth a worker's time but
    /// not a task.
    fn keep_house(&self) {
        let released = block_in_place(|| {
            publish_status(&self.status.mqtt, &self.topic, &self.status.online());
            release(&self.status, &self.store, self.uplink)
        });
        if let Err(error) = released {
            tracing::error!(%error, "the store cannot be used; segments wait");
        }
    }
}

/// Appends a tick; its position. A journal that is full or failed does without.
fn tick(status: &Status) -> Option<u64> {
    let entry = Entry {
        at: status.clock.now(),
        event: Event::Ticked,
    };
    let mut batch = Batch::new();
    batch
        .push_with(|writer| postcard::to_io(&entry, writer).map(|_| ()))
        .ok()?;
    status.journal.append(&batch).ok()
}

/// Every segment may go that recovery and all outputs are past; the journal keeps some of them, as
/// configured, to run again what was decided.
fn release(status: &Status, store: &Store, uplink: bool) -> Result<(), StoreError> {
    let mut upto = store.cursor(SNAPSHOT_CURSOR)?;
    if status.influx.is_some() {
        upto = upto.min(store.cursor(feed::CURSOR)?);
    }
    if uplink {
        upto = upto.min(store.cursor(UPLINK_CURSOR)?);
    }
    if upto > 0 {
        status.journal.release(upto);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point")]
fn of_clock(clock: &Report) {
    let known = u8::from(clock.known.is_some());
    metrics::gauge!("quartier_clock_known").set(f64::from(known));
    metrics::gauge!("quartier_clock_jumps_total").set(clock.jumps as f64);
    metrics::gauge!("quartier_clock_correction_seconds").set(clock.correction_ms as f64 / 1000.0);
    metrics::gauge!("quartier_clock_ahead_seconds").set(clock.ahead_ms as f64 / 1000.0);
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point")]
fn gauges(status: &Status) {
    let journal = status.journal.stats();
    let counts = status.counts();
    let lag = status.lag();
    let (assets, streams, alerts) = {
        let twin = status.twin.read();
        (
            twin.assets().len(),
            twin.streams().len(),
            twin.alerts().len(),
        )
    };
    let figures = [
        ("quartier_journal_position", journal.durable),
        ("quartier_journal_bytes", journal.bytes),
        ("quartier_journal_quota_bytes", journal.quota),
        ("quartier_journal_fsyncs", journal.fsyncs),
        ("quartier_journal_lost_entries", journal.lost),
        ("quartier_journal_dropped_entries", journal.dropped),
        ("quartier_twin_lag_entries", lag.twin),
        ("quartier_twin_assets", assets as u64),
        ("quartier_twin_streams", streams as u64),
        ("quartier_twin_alerts", alerts as u64),
        ("quartier_twin_readings", counts.readings),
        ("quartier_twin_duplicates", counts.duplicates),
        ("quartier_twin_corrected", counts.corrected),
        ("quartier_twin_out_of_order", counts.out_of_order),
        ("quartier_twin_late", counts.late),
        ("quartier_twin_ignored", counts.ignored),
        ("quartier_twin_decisions", counts.decisions),
    ];
    for (name, value) in figures {
        metrics::gauge!(name).set(value as f64);
    }
    of_clock(&status.clock.report());
    let (commands, repeated) = {
        let twin = status.twin.read();
        (twin.commands().counts(), twin.commands().repeated())
    };
    for (state, count) in commands {
        metrics::gauge!("quartier_commands_total", "state" => state.as_str()).set(count as f64);
    }
    metrics::gauge!("quartier_commands_repeated_total").set(repeated as f64);
    if let Some(lag) = lag.influx {
        metrics::gauge!("quartier_influx_lag_entries").set(lag as f64);
    }
}

/// Figures of a city's boxes.
#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point")]
fn of_edges(status: &Status) {
    let twin = status.twin.read();
    for edge in twin.edges().iter() {
        let node = edge.record.node.clone();
        let gauge = |name: &'static str, value: f64| {
            metrics::gauge!(name, "node" => node.clone()).set(value);
        };
        gauge("quartier_edge_behind_entries", edge.behind() as f64);
        gauge("quartier_edge_position", edge.received() as f64);
        let differs = edge.proof().0.is_some_and(|proof| !proof.equal);
        gauge("quartier_edge_differs", f64::from(u8::from(differs)));
        if let Some(heard) = edge.heard() {
            let silent = status.clock.time().since(heard.taken).max(0);
            gauge("quartier_edge_silent_seconds", silent as f64 / 1000.0);
        }
        if let Some(health) = edge.health() {
            gauge("quartier_edge_journal_bytes", health.journal_bytes as f64);
            gauge(
                "quartier_edge_disk_free_bytes",
                health.disk_free_bytes as f64,
            );
        }
    }
}
