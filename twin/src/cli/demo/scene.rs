//! What the live view shows, read from the node at one moment.

use std::time::Instant;

use h3o::Resolution;

use crate::status::{Part, State, Status};
use crate::topics::may_show;

/// Metrics of which the hottest cell is shown.
const HOT: [&str; 4] = ["no2", "pm2_5", "laeq", "load_factor"];
/// Hottest cells of each metric.
const CELLS: usize = 2;
/// Alerts that are listed.
const ALERTS: usize = 8;

/// Figures of one moment.
pub(super) struct Scene {
    pub(super) readings: u64,
    /// Since the last scene.
    pub(super) per_second: f64,
    pub(super) quarters: Vec<QuarterLine>,
    pub(super) cells: Vec<CellLine>,
    /// How many there are, and the first few.
    pub(super) alerts: (usize, Vec<String>),
    pub(super) plugins: Vec<PluginLine>,
    pub(super) parts: Vec<Part>,
}

pub(super) struct QuarterLine {
    pub(super) name: String,
    pub(super) assets: u32,
    pub(super) streams: u64,
    /// Values that its streams took.
    pub(super) values: u64,
}

pub(super) struct CellLine {
    pub(super) metric: String,
    pub(super) cell: String,
    pub(super) mean: f64,
    pub(super) unit: String,
    pub(super) assets: u32,
}

pub(super) struct PluginLine {
    pub(super) name: String,
    pub(super) rows: u64,
    /// Nanoseconds; none before the first row.
    pub(super) ns_a_row: Option<u64>,
    pub(super) quarantined: bool,
}

/// Takes scenes; remembers what the rate is reckoned from.
pub(super) struct Camera {
    before: Option<(Instant, u64)>,
}

impl Camera {
    pub(super) fn new() -> Self {
        Self { before: None }
    }

    pub(super) fn take(&mut self, status: &Status) -> Scene {
        let readings = status.counts().readings;
        let (at, seen) = self
            .before
            .replace((Instant::now(), readings))
            .unwrap_or((status.started, readings));
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let per_second =
            readings.saturating_sub(seen) as f64 / at.elapsed().as_secs_f64().max(0.001);
        Scene {
            readings,
            per_second,
            quarters: quarters(status),
            cells: cells(status),
            alerts: alerts(status),
            plugins: plugins(status),
            parts: status.parts(),
        }
    }
}

impl Scene {
    /// The whole scene in one line.
    pub(super) fn line(&self) -> String {
        let assets: u32 = self.quarters.iter().map(|quarter| quarter.assets).sum();
        let mut line = format!(
            "{:.0} readings/s, {} readings, {assets} assets, {} alerts",
            self.per_second, self.readings, self.alerts.0
        );
        for plugin in &self.plugins {
            if let Some(ns) = plugin.ns_a_row {
                line.push_str(&format!(", {} {ns} ns a row", plugin.name));
            }
        }
        for part in self.parts.iter().filter(|part| part.state != State::Ok) {
            line.push_str(&format!("; {}: {}", part.name, part.detail));
        }
        line
    }
}

fn quarters(status: &Status) -> Vec<QuarterLine> {
    let twin = status.twin.read();
    let mut lines: Vec<_> = twin
        .quarters()
        .iter()
        .map(|quarter| QuarterLine {
            name: quarter.record.name.clone(),
            assets: quarter.assets,
            streams: 0,
            values: 0,
        })
        .collect();
    for stream in twin.streams() {
        let asset = twin.assets().get(stream.asset as usize);
        if let Some(line) = asset.and_then(|asset| lines.get_mut(usize::from(asset.quarter))) {
            line.streams += 1;
            line.values += u64::from(stream.rev);
        }
    }
    lines
}

fn cells(status: &Status) -> Vec<CellLine> {
    let twin = status.twin.read();
    let mut lines = Vec::new();
    for name in HOT {
        let Some(metric) = twin.metric_index(name) else {
            continue;
        };
        let Some(entry) = twin.metrics().get(usize::from(metric)) else {
            continue;
        };
        let mut cells = twin.aggregates(Resolution::Nine, Some(metric));
        cells.retain(|cell| may_show(&twin, metric, &cell.aggregate));
        cells.sort_by(|a, b| b.aggregate.mean.total_cmp(&a.aggregate.mean));
        lines.extend(cells.into_iter().take(CELLS).map(|cell| CellLine {
            metric: name.to_owned(),
            cell: cell.cell.to_string(),
            mean: cell.aggregate.mean,
            unit: entry.unit.clone(),
            assets: cell.aggregate.assets,
        }));
    }
    lines
}

fn alerts(status: &Status) -> (usize, Vec<String>) {
    let twin = status.twin.read();
    let alerts = twin.alerts();
    let line = |(key, alert): (&crate::state::AlertKey, &crate::state::Alert)| {
        format!(
            "{} {}: {} ({})",
            key.quarter, key.asset, alert.text, key.rule
        )
    };
    (alerts.len(), alerts.iter().take(ALERTS).map(line).collect())
}

fn plugins(status: &Status) -> Vec<PluginLine> {
    let mut lines: Vec<_> = (status.plugins)()
        .into_iter()
        .map(|plugin| PluginLine {
            name: format!("{} in {}", plugin.plugin, plugin.quarter),
            rows: plugin.rows,
            ns_a_row: plugin.busy_ns.checked_div(plugin.rows),
            quarantined: plugin.quarantined,
        })
        .collect();
    lines.sort_by(|a, b| a.name.cmp(&b.name));
    lines
}
