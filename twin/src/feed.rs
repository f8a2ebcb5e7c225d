//! What the InfluxDB sink reads: the journal as points, at the sink's own cursor.
//!
//! The sink never reads ahead of the fold: a point's cell comes from the twin, so that the same
//! entry gives the same tags when it is sent again.
//!
//! Readings whose time a box had to guess get the corrected time where the correction is folded
//! when they are read: where the sink was behind, or the box sends a backlog in one go. A point that
//! was written before keeps the guessed time; there is nothing in a database to move it by.

use std::sync::Arc;

use h3o::Resolution;
use parking_lot::RwLock;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::event::{Decision, Entry, Event, Uplinked};
use crate::influx::{DeadLetter, Ledger, Lines, Point, Source, StoreError};
use crate::journal::{Frame, Journal, ReadError, Reader};
use crate::model::{Millis, Observed};
use crate::state::{Asset, EdgeStanding, Twin};
use crate::store::{self, Store};
use crate::uplink::Batch;
use crate::vocabulary::{Domain, Vocabulary};

/// Name of the sink's cursor.
pub const CURSOR: &str = "influx";

/// Reads the journal for the sink.
pub struct JournalFeed {
    reader: Box<dyn Reader>,
    frame: Option<Frame>,
    position: u64,
    folded: watch::Receiver<u64>,
    twin: Arc<RwLock<Twin>>,
}

impl JournalFeed {
    /// From behind `cursor`, or from the oldest entry there is.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn new(
        journal: &Arc<dyn Journal>,
        cursor: u64,
        folded: watch::Receiver<u64>,
        twin: Arc<RwLock<Twin>>,
    ) -> Result<Self, ReadError> {
        let cursor = cursor.max(journal.stats().first.saturating_sub(1));
        let reader = journal.reader(cursor + 1)?;
        Ok(Self {
            reader,
            frame: None,
            position: cursor,
            folded,
            twin,
        })
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, StoreError> {
        if let Some(frame) = self.frame.take() {
            return Ok(Some(frame));
        }
        if self.position >= *self.folded.borrow() {
            return Ok(None);
        }
        loop {
            match self.reader.next() {
                Err(error @ ReadError::Gap { .. }) => {
                    tracing::error!(%error, "the journal has a gap; the sink goes on behind it");
                }
                other => return other.map_err(|error| StoreError(error.to_string())),
            }
        }
    }
}

impl Source for JournalFeed {
    fn position(&self) -> u64 {
        self.position
    }

    fn fill(&mut self, out: &mut Lines, max_lines: usize) -> Result<(), StoreError> {
        while out.len() < max_lines {
            let Some(frame) = self.next_frame()? else {
                return Ok(());
            };
            let folded = *self.folded.borrow();
            let twin = self.twin.read();
            for (position, bytes) in frame.entries() {
                if position <= self.position {
                    continue;
                }
                if position > folded || out.len() >= max_lines {
                    break;
                }
                self.position = position;
                // The engine logs and counts an entry that cannot be decoded.
                if let Ok(entry) = postcard::from_bytes::<Entry<'_>>(bytes) {
                    let correction = || twin.clock().correction(position);
                    points(&twin, correction, &entry.event, out);
                }
            }
            drop(twin);
            let unfinished = self.position < frame.last();
            self.frame = unfinished.then_some(frame);
            if unfinished && self.position >= folded {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// `correction`: what is to be added to guessed times of the event's entry.
fn points(twin: &Twin, correction: impl Fn() -> Option<i64>, event: &Event<'_>, out: &mut Lines) {
    match event {
        Event::Observed(observed) => observed_points(twin, observed, 0, out),
        Event::Untimed(observed) => {
            observed_points(twin, observed, correction().unwrap_or(0), out);
        }
        Event::Decided(decision) if decision.stage.acts() => derived_points(twin, decision, out),
        Event::Uplinked(uplinked) => uplinked_points(twin, uplinked, out),
        _ => {}
    }
}

/// A batch that came twice gives the same points twice, which changes nothing.
fn uplinked_points(twin: &Twin, uplinked: &Uplinked<'_>, out: &mut Lines) {
    let edge = twin.edges().get(uplinked.node);
    let Some(edge) = edge.filter(|edge| edge.standing != EdgeStanding::Retired) else {
        return;
    };
    // The fold counts and refuses what cannot be decoded.
    let Ok(batch) = Batch::decode(uplinked.batch) else {
        return;
    };
    let quarter = edge.record.quarter.as_str();
    for (position, bytes) in batch.entries() {
        let Ok(entry) = postcard::from_bytes::<Entry<'_>>(bytes) else {
            continue;
        };
        let own = match &entry.event {
            Event::Observed(observed) | Event::Untimed(observed) => observed.quarter == quarter,
            Event::Decided(decision) => decision.quarter == quarter,
            _ => false,
        };
        if own {
            points(twin, || edge.correction(position), &entry.event, out);
        }
    }
}

fn observed_points(twin: &Twin, observed: &Observed<'_>, add_ms: i64, out: &mut Lines) {
    let cell = cell_tag(twin, observed.quarter, observed.asset);
    let tags = (observed.quarter, cell.as_deref(), observed.asset);
    for reading in &observed.readings {
        point(
            tags,
            reading.metric,
            reading.value,
            reading.time.plus(add_ms),
            out,
        );
    }
}

fn derived_points(twin: &Twin, decision: &Decision, out: &mut Lines) {
    for derived in &decision.derived {
        let cell = cell_tag(twin, &decision.quarter, &derived.asset);
        let tags = (
            decision.quarter.as_str(),
            cell.as_deref(),
            derived.asset.as_str(),
        );
        point(tags, &derived.metric, derived.value, derived.time, out);
    }
}

fn point(
    (area, cell, device): (&str, Option<&str>, &str),
    field: &str,
    value: f64,
    time: Millis,
    out: &mut Lines,
) {
    let domain = Vocabulary::builtin()
        .get(field)
        .map_or(Domain::Device, |metric| metric.domain);
    let measurement = domain.as_str();
    out.push(&Point {
        measurement,
        area,
        cell,
        device,
        field,
        value,
        time: time.0,
    });
}

/// The cell of a fixed asset at resolution 9, of a mobile one at 7: each new value of a tag is a
/// new series.
fn cell_tag(twin: &Twin, quarter: &str, asset: &str) -> Option<String> {
    let index = twin.asset_index(twin.quarter_index(quarter)?, asset)?;
    let mobile = twin
        .assets()
        .get(index as usize)
        .is_some_and(Asset::is_mobile);
    let resolution = if mobile {
        Resolution::Seven
    } else {
        Resolution::Nine
    };
    Some(twin.grid().cell(index)?.parent(resolution)?.to_string())
}

/// Keeps the sink's cursor and its dead letters.
pub struct StoreLedger {
    store: Arc<Store>,
    clock: Arc<Clock>,
}

impl StoreLedger {
    /// In the node's store.
    pub fn new(store: Arc<Store>, clock: Arc<Clock>) -> Self {
        Self { store, clock }
    }
}

impl Ledger for StoreLedger {
    fn settle(&self, position: u64, dead: &[DeadLetter]) -> Result<(), StoreError> {
        for letter in dead {
            self.store.put_dead_letter(store::DeadLetter {
                at: self.clock.now(),
                source: CURSOR.to_owned(),
                topic: String::new(),
                reason: "influx".to_owned(),
                detail: letter.reason.clone(),
                payload: letter.line.clone().into_bytes(),
            });
        }
        let moved = self.store.set_cursor(CURSOR, position);
        moved.map_err(|error| StoreError(error.to_string()))
    }
}
