//! Where batches are cut: when one is full after an entry, at a tick, and before another version
//! takes over. Journal positions decide, never a clock or the load, so the same journal gives the
//! same batches however fast it is read.

use quartier_plugin_host::{Asset as PluginAsset, Batch, Relation};

use super::{Deployment, PluginBatch, PluginJob};
use crate::model::Millis;
use crate::state::{Effects, Twin};

/// Why a batch may end here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    Full,
    Tick,
}

impl Twin {
    pub(in crate::state) fn cut_full_batches(&mut self, effects: &mut Effects) {
        self.cut(effects, Cut::Full);
    }

    pub(in crate::state) fn cut_at_tick(&mut self, effects: &mut Effects) {
        self.cut(effects, Cut::Tick);
    }

    /// The clock was set: ticks come as long after one another as before.
    pub(in crate::state) fn shift_ticks(&mut self, ms: i64) {
        let quarters = self.quarters.iter_mut();
        for deployment in quarters.flat_map(|q| q.deployments.iter_mut().flatten()) {
            deployment.ticked = deployment.ticked.plus(ms);
        }
    }

    fn cut(&mut self, effects: &mut Effects, cut: Cut) {
        for quarter in 0..self.quarters.len() {
            let slots = self
                .quarters
                .get(quarter)
                .map_or(0, |q| q.deployments.len());
            for slot in 0..slots {
                let Some(deployment) = self.deployment_mut(quarter, slot) else {
                    continue;
                };
                let rows = deployment.rows();
                let wanted = match cut {
                    Cut::Full => rows > 0 && rows >= deployment.record.batch as usize,
                    Cut::Tick => rows > 0,
                };
                let now = self.now;
                let due = cut == Cut::Tick
                    && self
                        .deployment_mut(quarter, slot)
                        .is_some_and(|deployment| deployment.tick_is_due(now));
                if wanted || due {
                    self.cut_one(quarter, slot, due, effects);
                }
            }
        }
    }

    /// Ends the batch of one plugin here, also an empty one where a tick is due.
    pub(super) fn cut_one(
        &mut self,
        quarter: usize,
        slot: usize,
        tick: bool,
        effects: &mut Effects,
    ) {
        let (now, position) = (self.now, self.position);
        let Some(deployment) = self.deployment_mut(quarter, slot) else {
            return;
        };
        if deployment.rows() == 0 && !tick {
            return;
        }
        let mut batch = std::mem::take(&mut deployment.pending);
        let from = match std::mem::take(&mut deployment.from) {
            0 => position,
            from => from,
        };
        batch.seq = from;
        batch.now_ms = unsigned(now.0);
        batch.tick = tick;
        let columns = deployment.record.properties.len();
        sort_readings(&mut batch, &mut deployment.seen.readings, columns);
        batch.props = std::mem::take(&mut deployment.seen.readings);
        batch.props.append(&mut deployment.seen.windows);
        if tick {
            deployment.ticked = now;
        }
        let number = deployment.next;
        deployment.next += 1;
        let changed = std::mem::take(&mut deployment.changed);
        let record = &deployment.record;
        let mut cut = PluginBatch {
            quarter: record.quarter.clone(),
            plugin: record.plugin.clone(),
            version: record.version.clone(),
            stage: record.stage,
            run: deployment.run,
            number,
            from,
            to: position,
            batch,
        };
        cut.batch.changed = changed
            .into_iter()
            .filter_map(|index| self.plugin_asset(index))
            .collect();
        effects.jobs.push(PluginJob::Batch(Box::new(cut)));
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
}

impl Deployment {
    fn rows(&self) -> usize {
        self.pending.asset.len() + self.pending.windows.asset.len()
    }

    fn tick_is_due(&self, now: Millis) -> bool {
        let every = self.record.tick_s.map(|s| i64::from(s) * 1000);
        !self.parked && every.is_some_and(|every| now.since(self.ticked) >= every)
    }
}

/// The interface has unsigned times; a reading before 1970 cannot be decoded into the journal.
pub(super) fn unsigned(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}

/// Rows by event time, then by arrival, as the interface promises; `seen` has `columns` values a
/// row.
fn sort_readings(batch: &mut Batch, seen: &mut Vec<f64>, columns: usize) {
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
    if columns > 0 {
        let rows: Vec<&[f64]> = seen.chunks(columns).collect();
        *seen = order
            .iter()
            .filter_map(|&row| rows.get(row))
            .flat_map(|row| row.iter().copied())
            .collect();
    }
}
