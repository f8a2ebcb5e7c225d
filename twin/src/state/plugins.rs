//! Which readings and windows go to which plugin, and where batches are cut.
//!
//! Batches are cut by journal position only: when one is full after an entry, and at a tick. So
//! the same journal gives the same batches however fast it is read.

use quartier_plugin_host::{Asset as PluginAsset, Batch, Relation};
use serde::{Deserialize, Serialize};

use super::registry::Stream;
use super::{Effects, PluginBatch, Twin};
use crate::event::{Decision, PluginRecord};
use crate::windows::{Closed, Spans};

/// Plugins a quarter can run at once: a stream's routes are a bit each.
pub const MAX_PLUGINS: usize = 16;

/// A plugin in its slot of a quarter, with the batch that is filling up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// As deployed.
    pub record: PluginRecord,
    /// Number of the batch that is filling up.
    pub next: u64,
    /// Every batch below this number is recorded or decided nothing worth a record.
    pub decided: u64,
    /// Position of the first entry of the batch that is filling up; 0 while it is empty.
    from: u64,
    pending: Batch,
    /// Assets to hand out with the next batch, in order of change.
    changed: Vec<u32>,
}

impl Deployment {
    fn rows(&self) -> usize {
        self.pending.asset.len() + self.pending.windows.asset.len()
    }
}

impl Twin {
    /// The plugin of a quarter.
    pub fn deployment(&self, quarter: &str, plugin: &str) -> Option<&Deployment> {
        let quarter = self
            .quarters
            .get(usize::from(self.quarter_index(quarter)?))?;
        quarter
            .deployments
            .iter()
            .flatten()
            .find(|d| d.record.plugin == plugin)
    }

    /// All plugins, by quarter and slot.
    pub fn deployments(&self) -> impl Iterator<Item = &Deployment> {
        self.quarters
            .iter()
            .flat_map(|q| q.deployments.iter().flatten())
    }

    pub(super) fn deploy(&mut self, record: PluginRecord) {
        let Some(quarter) = self.quarter_index(&record.quarter) else {
            return;
        };
        let windows = record.windows.iter().map(|(metric, _)| metric);
        for metric in record.metrics.iter().chain(windows).chain(&record.derives) {
            self.intern_metric(metric, None);
        }
        let Some(slots) = self
            .quarters
            .get_mut(usize::from(quarter))
            .map(|q| &mut q.deployments)
        else {
            return;
        };
        let same = |slot: &Option<Deployment>| {
            slot.as_ref()
                .is_some_and(|d| d.record.plugin == record.plugin)
        };
        if let Some(deployment) = slots
            .iter_mut()
            .find(|slot| same(slot))
            .and_then(Option::as_mut)
        {
            deployment.record = record;
        } else {
            let fresh = Some(Deployment {
                record,
                next: 0,
                decided: 0,
                from: 0,
                pending: Batch::default(),
                changed: Vec::new(),
            });
            match slots.iter().position(Option::is_none) {
                Some(free) => slots[free] = fresh,
                None if slots.len() < MAX_PLUGINS => slots.push(fresh),
                None => return,
            }
        }
        self.reroute_quarter(quarter);
    }

    pub(super) fn undeploy(&mut self, quarter: &str, plugin: &str) {
        let Some(quarter) = self.quarter_index(quarter) else {
            return;
        };
        if let Some(found) = self.quarters.get_mut(usize::from(quarter)) {
            for slot in &mut found.deployments {
                if slot.as_ref().is_some_and(|d| d.record.plugin == plugin) {
                    *slot = None;
                }
            }
        }
        self.reroute_quarter(quarter);
    }

    fn reroute_quarter(&mut self, quarter: u16) {
        let count = u32::try_from(self.assets.len()).unwrap_or(u32::MAX);
        for asset in 0..count {
            if self
                .assets
                .get(asset as usize)
                .is_some_and(|a| a.quarter == quarter)
            {
                self.reroute_asset(asset);
            }
        }
    }

    pub(super) fn reroute_asset(&mut self, asset: u32) {
        let Some(streams) = self.assets.get(asset as usize).map(|a| a.streams.clone()) else {
            return;
        };
        let mut interested = 0u16;
        for (_, stream) in streams {
            interested |= self.route_stream(stream);
        }
        self.announce(asset, interested);
    }

    /// Works out which plugins a stream goes to; returns the slots that get anything of it.
    pub(super) fn route_stream(&mut self, index: u32) -> u16 {
        let Some(&stream) = self.streams.get(index as usize) else {
            return 0;
        };
        let Some(asset) = self.assets.get(stream.asset as usize) else {
            return 0;
        };
        let Some(metric) = self.metrics.get(usize::from(stream.metric)) else {
            return 0;
        };
        let Some(quarter) = self.quarters.get(usize::from(asset.quarter)) else {
            return 0;
        };
        let (mut routes, mut interested, mut spans) = (0u16, 0u16, Spans::default());
        for (slot, deployment) in quarter.deployments.iter().enumerate() {
            let Some(record) = deployment.as_ref().map(|d| &d.record) else {
                continue;
            };
            if !record.kinds.is_empty() && !record.kinds.iter().any(|kind| kind == asset.kind()) {
                continue;
            }
            if record.metrics.iter().any(|name| **name == *metric.name) {
                routes |= 1 << slot;
                interested |= 1 << slot;
            }
            for (_, span) in record
                .windows
                .iter()
                .filter(|(name, _)| **name == *metric.name)
            {
                interested |= 1 << slot;
                spans = spans.union(Spans::from_seconds(*span).unwrap_or_default());
            }
        }
        let windowed = spans != Spans::default();
        if windowed {
            let interval = asset
                .interval_ms()
                .or(metric.interval_s.map(|s| i64::from(s) * 1000));
            self.windows.watch(
                index,
                spans,
                metric.mean,
                interval,
                &quarter.record.timezone,
            );
        } else if stream.windowed {
            self.windows.unwatch(index);
        }
        let first = stream.rev == 0;
        if let Some(stream) = self.streams.get_mut(index as usize) {
            stream.routes = routes;
            stream.windowed = windowed;
        }
        if first {
            self.announce(stream.asset, interested);
        }
        interested
    }

    /// Puts an asset among those that the plugins in `slots` hear of with their next batch.
    fn announce(&mut self, asset: u32, slots: u16) {
        if slots == 0 {
            return;
        }
        let Some(quarter) = self
            .assets
            .get(asset as usize)
            .map(|a| usize::from(a.quarter))
        else {
            return;
        };
        let Some(quarter) = self.quarters.get_mut(quarter) else {
            return;
        };
        for (slot, deployment) in quarter.deployments.iter_mut().enumerate() {
            if let Some(deployment) = deployment
                && slots & (1 << slot) != 0
                && deployment.changed.last() != Some(&asset)
            {
                deployment.changed.push(asset);
            }
        }
    }

    pub(super) fn route_reading(&mut self, stream: &Stream) {
        let position = self.position;
        let Some(quarter) = self
            .assets
            .get(stream.asset as usize)
            .map(|a| usize::from(a.quarter))
        else {
            return;
        };
        let Some(quarter) = self.quarters.get_mut(quarter) else {
            return;
        };
        for (slot, deployment) in quarter.deployments.iter_mut().enumerate() {
            let Some(deployment) = deployment.as_mut() else {
                continue;
            };
            if stream.routes & (1 << slot) == 0 {
                continue;
            }
            deployment.begin(position);
            let batch = &mut deployment.pending;
            batch.asset.push(stream.asset);
            batch.metric.push(u32::from(stream.metric));
            batch.value.push(stream.value);
            batch.ts_ms.push(unsigned(stream.time.0));
            batch.quality.push(stream.quality as u8);
        }
    }

    pub(super) fn route_windows(&mut self, closed: &[Closed]) {
        let position = self.position;
        for window in closed {
            let Some(stream) = self.streams.get(window.stream as usize) else {
                continue;
            };
            let Some(metric) = self.metrics.get(usize::from(stream.metric)) else {
                continue;
            };
            let Some(asset) = self.assets.get(stream.asset as usize) else {
                continue;
            };
            let Some(quarter) = self.quarters.get_mut(usize::from(asset.quarter)) else {
                continue;
            };
            for deployment in quarter.deployments.iter_mut().flatten() {
                let record = &deployment.record;
                let kinds = &record.kinds;
                let wanted = record
                    .windows
                    .iter()
                    .any(|(name, span)| *span == window.span_s && **name == *metric.name);
                if !wanted || !(kinds.is_empty() || kinds.iter().any(|kind| kind == asset.kind())) {
                    continue;
                }
                deployment.begin(position);
                let rows = &mut deployment.pending.windows;
                rows.asset.push(stream.asset);
                rows.metric.push(u32::from(stream.metric));
                rows.span_s.push(window.span_s);
                rows.end_ms.push(unsigned(window.end.0));
                rows.mean.push(window.mean);
                rows.minimum.push(window.min);
                rows.maximum.push(window.max);
                rows.last.push(window.last);
                rows.coverage.push(window.coverage);
            }
        }
    }

    pub(super) fn cut_full_batches(&mut self, effects: &mut Effects) {
        self.cut(effects, false);
    }

    pub(super) fn cut_at_tick(&mut self, effects: &mut Effects) {
        self.cut(effects, true);
    }

    fn cut(&mut self, effects: &mut Effects, tick: bool) {
        let (now, position) = (unsigned(self.now.0), self.position);
        let mut heard = Vec::new();
        for deployment in self
            .quarters
            .iter_mut()
            .flat_map(|q| q.deployments.iter_mut().flatten())
        {
            let rows = deployment.rows();
            if rows == 0 || (!tick && rows < deployment.record.batch as usize) {
                continue;
            }
            let mut batch = std::mem::take(&mut deployment.pending);
            batch.seq = deployment.from;
            batch.now_ms = now;
            batch.tick = tick;
            sort_readings(&mut batch);
            heard.push(std::mem::take(&mut deployment.changed));
            effects.batches.push(PluginBatch {
                quarter: deployment.record.quarter.clone(),
                plugin: deployment.record.plugin.clone(),
                number: deployment.next,
                from: std::mem::take(&mut deployment.from),
                to: position,
                batch,
            });
            deployment.next += 1;
        }
        let first = effects.batches.len() - heard.len();
        for (cut, changed) in effects.batches.iter_mut().skip(first).zip(heard) {
            cut.batch.changed = changed
                .into_iter()
                .filter_map(|i| self.plugin_asset(i))
                .collect();
        }
    }

    /// What a plugin hears of an asset; relations to assets nobody has seen are left out.
    fn plugin_asset(&self, index: u32) -> Option<PluginAsset> {
        let asset = self.assets.get(index as usize)?;
        let detail = asset.detail.as_deref();
        let relations = detail.map(|d| d.relations.as_slice()).unwrap_or_default();
        Some(PluginAsset {
            id: index,
            urn: asset.id.to_string(),
            kind: asset.kind().to_owned(),
            cell: self.grid.cell(index).map_or(0, u64::from),
            attributes: detail.map(|d| d.attributes.clone()).unwrap_or_default(),
            relations: relations
                .iter()
                .filter_map(|(kind, target)| {
                    let target = self.asset_index(asset.quarter, target)?;
                    Some(Relation {
                        kind: kind.clone(),
                        target,
                    })
                })
                .collect(),
        })
    }

    /// Marks the decision's batch as recorded; `false` where it is known already.
    pub(super) fn record_decision(&mut self, decision: &Decision) -> bool {
        let quarter = self.quarter_index(&decision.quarter);
        let Some(quarter) = quarter.and_then(|q| self.quarters.get_mut(usize::from(q))) else {
            return false;
        };
        let deployment = quarter.deployments.iter_mut().flatten();
        let Some(deployment) = deployment
            .into_iter()
            .find(|d| d.record.plugin == decision.plugin)
        else {
            return false;
        };
        let fresh = decision.batch >= deployment.decided;
        if fresh {
            deployment.decided = decision.batch + 1;
        }
        fresh
    }
}

impl Deployment {
    fn begin(&mut self, position: u64) {
        if self.from == 0 {
            self.from = position;
        }
    }
}

/// The interface has unsigned times; a reading before 1970 cannot be decoded into the journal.
fn unsigned(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

/// Rows by event time, then by arrival, as the interface promises.
fn sort_readings(batch: &mut Batch) {
    if batch.ts_ms.is_sorted() {
        return;
    }
    let mut order: Vec<usize> = (0..batch.ts_ms.len()).collect();
    order.sort_by_key(|&row| batch.ts_ms.get(row).copied());
    fn pick<T: Copy>(order: &[usize], column: &[T]) -> Vec<T> {
        order
            .iter()
            .filter_map(|&row| column.get(row).copied())
            .collect()
    }
    batch.asset = pick(&order, &batch.asset);
    batch.metric = pick(&order, &batch.metric);
    batch.value = pick(&order, &batch.value);
    batch.quality = pick(&order, &batch.quality);
    batch.ts_ms = pick(&order, &batch.ts_ms);
}
