//! The twin: state as a pure fold over the journal.
//!
//! Invariants: nothing changes a [`Twin`] but [`Twin::fold`]; the fold has no clock and does no
//! I/O; the same entries give the same bytes of [`Twin::to_bytes`]. What the fold wants done
//! outside comes back as [`Effects`]. The grid and the look-up tables are derived from the rest
//! and rebuilt when a snapshot is read, so they are not in it.

mod clock;
mod commands;
mod edges;
mod fold;
mod plugins;
mod query;
mod registry;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use h3o::{CellIndex, Resolution};
use serde::{Deserialize, Serialize};

use crate::event::{Decision, EdgeSettings, OrderTaken, Severity};
use crate::grid::{Aggregate, Aggregates, CellAggregate, Grid};
use crate::model::{Millis, Quality};
use crate::vocabulary::Vocabulary;
use crate::windows::Windows;

pub use clock::{Correction, NodeClock};
pub use commands::{
    Asker, BadCommandId, Command, CommandId, CommandState, Commands, FINISHED, Judged,
    LONGEST_LIFE_MS, MAX_OPEN, MAX_SEEN, Settlement, TURNED_AWAY, USUAL_LIFE_MS, Winner,
};
pub use edges::{Edge, Edges, Lost, MAX_ORDERS, OrdersTaken, Proof, Standing as EdgeStanding};
pub use plugins::{
    Change as PluginChange, Deployment, Faults, MAX_PLUGINS, Past, PluginBatch, PluginJob,
    QUARANTINE_RULE, Start,
};
pub use query::{AssetFilter, Region};
pub use registry::{Asset, Detail, MetricEntry, Quarter, Stream};
pub use snapshot::SnapshotError;

use registry::Lookup;

/// How far behind the newest event of a stream a reading may come and still count in its windows.
pub const LATENESS_MS: i64 = 60_000;

/// Resolutions at which cells have live aggregates: from 36 km² down to 300 m².
pub const RESOLUTIONS: [Resolution; 7] = [
    Resolution::Six,
    Resolution::Seven,
    Resolution::Eight,
    Resolution::Nine,
    Resolution::Ten,
    Resolution::Eleven,
    Resolution::Twelve,
];

/// The state of all quarters of a node.
#[derive(Debug, Serialize, Deserialize)]
pub struct Twin {
    position: u64,
    now: Millis,
    clock: NodeClock,
    metrics: Vec<MetricEntry>,
    quarters: Vec<Quarter>,
    assets: Vec<Asset>,
    streams: Vec<Stream>,
    alerts: BTreeMap<AlertKey, Alert>,
    windows: Windows,
    counts: Counts,
    commands: Commands,
    edges: Edges,
    orders_taken: OrdersTaken,
    settings: EdgeSettings,
    #[serde(skip)]
    lookup: Lookup,
    #[serde(skip)]
    grid: Grid,
    #[serde(skip)]
    aggregates: Aggregates,
}

/// What the fold counted since the journal began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Readings that came, of every kind below.
    pub readings: u64,
    /// The same stream, event time and value again.
    pub duplicates: u64,
    /// The same stream and event time with another value: the newer replaced the older.
    pub corrected: u64,
    /// Older than the stream's newest: they count in windows while these are open.
    pub out_of_order: u64,
    /// Out of order and too late for their window.
    pub late: u64,
    /// Of a quarter that the registry does not know.
    pub ignored: u64,
    /// Decisions of plugins.
    pub decisions: u64,
}

/// Which alert: one a rule and asset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AlertKey {
    /// Id of the quarter.
    pub quarter: String,
    /// Name of the rule.
    pub rule: String,
    /// Id of the asset.
    pub asset: String,
}

/// An active alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// How bad it is.
    pub severity: Severity,
    /// Event time at which it was raised.
    pub since: Millis,
    /// Value that decided last.
    pub value: f64,
    /// Limit it was held against, where the rule has one.
    pub limit: Option<f64>,
    /// For people.
    pub text: String,
    /// Plugin that raised it.
    pub plugin: String,
    /// Journal position of the decision: its id.
    pub decision: u64,
    /// The box that decided, whose journal that is; `None`: this node.
    pub node: Option<String>,
}

/// A stream took a new value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// Index of the stream.
    pub stream: u32,
    /// In the metric's unit.
    pub value: f64,
    /// Event time.
    pub time: Millis,
    /// As reported.
    pub quality: Quality,
    /// How many values the stream has taken.
    pub rev: u32,
}

/// What the fold wants done outside, in order.
#[derive(Debug, Default)]
pub struct Effects {
    /// New values, for the twin topics.
    pub changes: Vec<Change>,
    /// Cell aggregates that changed since the tick before, for the cell topics; `None` where no
    /// asset has a value any more.
    pub cells: Vec<(CellIndex, u16, Option<Aggregate>)>,
    /// Alerts raised (`Some`) or cleared.
    pub alerts: Vec<(AlertKey, Option<Alert>)>,
    /// What the plugins are to do.
    pub jobs: Vec<PluginJob>,
    /// Decisions with their journal position, for the audit; shadows' too.
    pub decisions: Vec<(u64, Decision)>,
    /// Commands to send; those that are [`CommandState::Sent`] when it comes to it.
    pub commands: Vec<CommandId>,
    /// Boxes of which something changed, by the names of their nodes.
    pub edges: Vec<String>,
    /// Orders of boxes, by node and number, that came or were taken.
    pub orders: Vec<(String, u64)>,
    /// Box: orders taken.
    pub taken: Vec<OrderTaken>,
    /// Decisions of boxes, with their node and the position in its journal, for the audit.
    pub edge_decisions: Vec<(String, u64, Decision)>,
    /// Commands that lost to another or to safety, boxes' too, for the audit.
    pub settled: Vec<Settlement>,
}

impl Effects {
    /// Forgets everything, keeps the allocations.
    pub fn clear(&mut self) {
        self.changes.clear();
        self.cells.clear();
        self.alerts.clear();
        self.jobs.clear();
        self.decisions.clear();
        self.commands.clear();
        self.edges.clear();
        self.orders.clear();
        self.taken.clear();
        self.edge_decisions.clear();
        self.settled.clear();
    }
}

impl Default for Twin {
    fn default() -> Self {
        Self::new()
    }
}

impl Twin {
    /// The state before the first entry.
    pub fn new() -> Self {
        Self {
            position: 0,
            now: Millis(0),
            clock: NodeClock::default(),
            metrics: Vec::new(),
            quarters: Vec::new(),
            assets: Vec::new(),
            streams: Vec::new(),
            alerts: BTreeMap::new(),
            windows: Windows::new(LATENESS_MS),
            counts: Counts::default(),
            commands: Commands::default(),
            edges: Edges::default(),
            orders_taken: OrdersTaken::default(),
            settings: EdgeSettings::default(),
            lookup: Lookup::default(),
            grid: Grid::default(),
            aggregates: Aggregates::default(),
        }
    }

    /// Position of the last entry folded; 0 before the first.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The time at the last entry folded, as well as the node knew it.
    pub fn now(&self) -> Millis {
        self.now
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Active alerts in order of quarter, rule, asset.
    pub fn alerts(&self) -> &BTreeMap<AlertKey, Alert> {
        &self.alerts
    }

    /// Where the assets are.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// What the assets of a cell report together; exact as of the last tick.
    pub fn aggregate(&self, cell: CellIndex, metric: u16) -> Option<Aggregate> {
        self.aggregates
            .get(cell, metric, &|stream| Self::sample(&self.streams, stream))
    }

    /// The same for all cells of a resolution with values, of one metric or of all.
    pub fn aggregates(&self, resolution: Resolution, metric: Option<u16>) -> Vec<CellAggregate> {
        self.aggregates.list(resolution, metric, &|stream| {
            Self::sample(&self.streams, stream)
        })
    }

    /// All assets; their index is what streams and the grid name them by.
    pub fn assets(&self) -> &[Asset] {
        &self.assets
    }

    /// All streams; see [`Asset::streams`].
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// All metrics seen or declared, by id.
    pub fn metrics(&self) -> &[MetricEntry] {
        &self.metrics
    }

    /// All quarters.
    pub fn quarters(&self) -> &[Quarter] {
        &self.quarters
    }

    fn vocabulary() -> &'static Vocabulary {
        Vocabulary::builtin()
    }
}
