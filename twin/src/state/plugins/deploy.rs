//! Versions come, are promoted, go back and are taken away, each at a journal position: what was
//! read before it is answered by the version before, what follows by the next.

use std::collections::BTreeMap;

use quartier_plugin_host::Batch;

use super::{CHANGES, Change, Deployment, HISTORY, MAX_PLUGINS, Past, PluginJob, RETIRED, Retired};
use super::{Seen, Start};
use crate::event::{Deployed, Digest, How, Origin, Parked, PluginRecord, Removed, Started};
use crate::model::Millis;
use crate::state::{AlertKey, Effects, Twin};

/// Rule under which a plugin that is called no more is alerted; the asset is the plugin.
pub const QUARANTINE_RULE: &str = "plugin_quarantined";

impl Twin {
    pub(in crate::state) fn deploy(&mut self, deployed: &Deployed, effects: &mut Effects) {
        let record = &deployed.record;
        let Some(quarter) = self.quarter_index(&record.quarter).map(usize::from) else {
            return;
        };
        let windows = record.windows.iter().map(|(metric, _)| metric);
        let commanded = record.commands.iter().map(|command| &command.property);
        let named = record.metrics.iter().chain(windows).chain(&record.derives);
        for metric in named.chain(&record.properties).chain(commanded) {
            self.intern_metric(metric, None);
        }
        let acting = self.slot(quarter, |d| {
            d.record.plugin == record.plugin && d.record.stage.acts()
        });
        let same = self.slot(quarter, |d| {
            d.record.plugin == record.plugin && d.record.version == record.version
        });
        let placed = match (record.stage.acts(), acting, same) {
            (true, Some(slot), Some(shadow)) if slot != shadow => {
                self.promote(quarter, slot, shadow, deployed, effects)
            }
            // A shadow of a plugin that nobody runs, or the version that runs comes a stage further.
            (true, _, Some(slot)) | (false, _, Some(slot)) | (true, Some(slot), None) => {
                self.replace(quarter, slot, deployed, effects)
            }
            (_, acting, None) => self.add(quarter, acting, deployed, effects),
        };
        if placed {
            self.remember(quarter, deployed);
            self.clear_alerts(&record.quarter, effects, |key, _| {
                key.rule == QUARANTINE_RULE && key.asset == record.plugin
            });
            self.reroute_quarter(u16::try_from(quarter).unwrap_or(u16::MAX));
        }
    }

    /// Takes over the run of what is in the slot.
    fn replace(
        &mut self,
        quarter: usize,
        slot: usize,
        deployed: &Deployed,
        effects: &mut Effects,
    ) -> bool {
        self.cut_one(quarter, slot, false, effects);
        let position = self.position;
        let Some(deployment) = self.deployment_mut(quarter, slot) else {
            return false;
        };
        let before = std::mem::replace(&mut deployment.record, deployed.record.clone());
        let run = deployment.run;
        let acted = !before.stage.acts() && deployed.record.stage.acts();
        let alerts = if acted {
            std::mem::take(&mut deployment.shadow_alerts)
        } else {
            BTreeMap::new()
        };
        let continues = before.same_program(&deployed.record) && !deployment.parked;
        deployment.parked = false;
        deployment.since = position;
        if continues {
            deployment.started = position;
        } else {
            effects.jobs.push(PluginJob::Start(Box::new(Start {
                record: deployed.record.clone(),
                run,
                from: Some(run),
                position,
            })));
        }
        self.raise_all(alerts, effects);
        if deployed.how != How::Rollback && before.stage.acts() && !continues {
            self.push_history(quarter, before);
        }
        true
    }

    /// The shadow goes on as the acting version; the version before ends.
    fn promote(
        &mut self,
        quarter: usize,
        slot: usize,
        shadow: usize,
        deployed: &Deployed,
        effects: &mut Effects,
    ) -> bool {
        self.cut_one(quarter, slot, false, effects);
        let Some(before) = self.retire(quarter, slot, true, effects) else {
            return false;
        };
        let plugin = before.plugin.clone();
        let kept = self
            .deployment_mut(quarter, shadow)
            .map(|deployment| deployment.shadow_alerts.clone())
            .unwrap_or_default();
        self.clear_alerts(&before.quarter, effects, |key, alert| {
            alert.plugin == plugin && !kept.contains_key(key)
        });
        self.push_history(quarter, before);
        self.replace(quarter, shadow, deployed, effects)
    }

    fn add(
        &mut self,
        quarter: usize,
        acting: Option<usize>,
        deployed: &Deployed,
        effects: &mut Effects,
    ) -> bool {
        if let Some(slot) = acting {
            self.cut_one(quarter, slot, false, effects);
        }
        let (position, now) = (self.position, self.now);
        let from = acting
            .and_then(|slot| self.deployment_mut(quarter, slot))
            .map(|deployment| deployment.run);
        let Some(slots) = self.quarters.get_mut(quarter).map(|q| &mut q.deployments) else {
            return false;
        };
        let fresh = Some(Deployment::new(deployed.record.clone(), position, now));
        match slots.iter().position(Option::is_none) {
            Some(free) => slots[free] = fresh,
            None if slots.len() < MAX_PLUGINS => slots.push(fresh),
            None => return false,
        }
        effects.jobs.push(PluginJob::Start(Box::new(Start {
            record: deployed.record.clone(),
            run: position,
            from,
            position,
        })));
        true
    }

    pub(in crate::state) fn undeploy(&mut self, removed: &Removed, effects: &mut Effects) {
        let Some(quarter) = self.quarter_index(&removed.quarter).map(usize::from) else {
            return;
        };
        let wanted = |deployment: &Deployment| {
            let version = &deployment.record.version;
            deployment.record.plugin == removed.plugin
                && removed
                    .version
                    .as_ref()
                    .is_none_or(|wanted| wanted == version)
        };
        while let Some(slot) = self.slot(quarter, wanted) {
            self.cut_one(quarter, slot, false, effects);
            let Some(record) = self.retire(quarter, slot, false, effects) else {
                return;
            };
            if record.stage.acts() {
                self.clear_alerts(&record.quarter, effects, |key, alert| {
                    alert.plugin == record.plugin
                        || (key.rule == QUARANTINE_RULE && key.asset == record.plugin)
                });
            }
            let change = Change {
                position: self.position,
                at: self.now,
                how: None,
                version: record.version.clone(),
                stage: record.stage,
                by: removed.by.clone(),
                why: removed.why.clone(),
            };
            self.note(quarter, &record, change);
        }
        self.reroute_quarter(u16::try_from(quarter).unwrap_or(u16::MAX));
    }

    /// What came of a hand-over.
    pub(in crate::state) fn started(&mut self, started: &Started, effects: &mut Effects) {
        let found = self.find_run(started.run);
        let Some((quarter, slot)) = found else { return };
        let position = self.position;
        let Some(deployment) = self.deployment_mut(quarter, slot) else {
            return;
        };
        deployment.started = position;
        let record = deployment.record.clone();
        if started.fresh.is_some() && record.stage.acts() {
            // Its state knows nothing of the alerts of the version before, so it would never
            // clear them.
            self.clear_alerts(&record.quarter, effects, |_, alert| {
                alert.plugin == record.plugin
            });
        }
        if started.failed.is_some()
            && let Some(before) = self.past_mut(quarter, &record.plugin).history.pop()
        {
            if let Some(deployment) = self.deployment_mut(quarter, slot) {
                deployment.record = before;
            }
            self.reroute_quarter(u16::try_from(quarter).unwrap_or(u16::MAX));
        }
    }

    pub(in crate::state) fn park(&mut self, parked: &Parked) {
        let Some((quarter, slot)) = self.find_run(parked.run) else {
            return;
        };
        if let Some(deployment) = self.deployment_mut(quarter, slot) {
            deployment.parked = true;
            deployment.pending = Batch::default();
            deployment.seen = Seen::default();
            deployment.from = 0;
        }
        self.reroute_quarter(u16::try_from(quarter).unwrap_or(u16::MAX));
    }

    fn find_run(&self, run: u64) -> Option<(usize, usize)> {
        let quarters = self.quarters.iter().enumerate();
        quarters
            .flat_map(|(quarter, q)| (0..).zip(&q.deployments).map(move |(s, d)| (quarter, s, d)))
            .find(|(_, _, d)| d.as_ref().is_some_and(|d| d.run == run))
            .map(|(quarter, slot, _)| (quarter, slot))
    }

    fn slot(&self, quarter: usize, wanted: impl Fn(&Deployment) -> bool) -> Option<usize> {
        let slots = &self.quarters.get(quarter)?.deployments;
        slots
            .iter()
            .position(|slot| slot.as_ref().is_some_and(&wanted))
    }

    /// Empties a slot. Its last batch must have been cut.
    fn retire(
        &mut self,
        quarter: usize,
        slot: usize,
        succeeded: bool,
        effects: &mut Effects,
    ) -> Option<PluginRecord> {
        let slots = &mut self.quarters.get_mut(quarter)?.deployments;
        let Deployment {
            record,
            run,
            decided,
            chain,
            ..
        } = slots.get_mut(slot)?.take()?;
        effects.jobs.push(PluginJob::Stop(run));
        let retired = &mut self.past_mut(quarter, &record.plugin).retired;
        retired.push(Retired {
            run,
            decided,
            chain,
            succeeded,
        });
        keep(retired, RETIRED);
        Some(record)
    }

    fn remember(&mut self, quarter: usize, deployed: &Deployed) {
        let record = &deployed.record;
        let change = Change {
            position: self.position,
            at: self.now,
            how: Some(deployed.how),
            version: record.version.clone(),
            stage: record.stage,
            by: deployed.by.clone(),
            why: deployed.why.clone(),
        };
        self.note(quarter, record, change);
        let past = self.past_mut(quarter, &record.plugin);
        if record.origin != Origin::Api {
            past.declared = Some(record.declaration());
        }
        match deployed.how {
            How::Deploy => past.forget_faults(&record.version),
            How::Promote => {}
            How::Rollback => {
                past.history.pop();
            }
        }
    }

    fn note(&mut self, quarter: usize, record: &PluginRecord, change: Change) {
        let changes = &mut self.past_mut(quarter, &record.plugin).changes;
        changes.push(change);
        keep(changes, CHANGES);
    }

    fn push_history(&mut self, quarter: usize, record: PluginRecord) {
        let history = &mut self.past_mut(quarter, &record.plugin).history;
        history.push(record);
        keep(history, HISTORY);
    }

    pub(super) fn past_mut(&mut self, quarter: usize, plugin: &str) -> &mut Past {
        let quarter = quarter.min(self.quarters.len().saturating_sub(1));
        self.quarters[quarter]
            .past
            .entry(plugin.to_owned())
            .or_default()
    }

    fn raise_all(
        &mut self,
        alerts: BTreeMap<AlertKey, crate::state::Alert>,
        effects: &mut Effects,
    ) {
        for (key, alert) in alerts {
            self.alerts.insert(key.clone(), alert.clone());
            effects.alerts.push((key, Some(alert)));
        }
    }

    fn clear_alerts(
        &mut self,
        quarter: &str,
        effects: &mut Effects,
        gone: impl Fn(&AlertKey, &crate::state::Alert) -> bool,
    ) {
        let gone: Vec<AlertKey> = self
            .alerts
            .iter()
            .filter(|(key, alert)| key.quarter == quarter && gone(key, alert))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.alerts.remove(&key);
            effects.alerts.push((key, None));
        }
    }
}

impl Deployment {
    fn new(record: PluginRecord, position: u64, now: Millis) -> Self {
        Self {
            record,
            run: position,
            since: position,
            next: 0,
            decided: 0,
            chain: Digest::default(),
            parked: false,
            started: 0,
            shadow_alerts: BTreeMap::new(),
            from: 0,
            pending: Batch::default(),
            seen: Seen::default(),
            ticked: now,
            changed: Vec::new(),
        }
    }
}

/// Drops the oldest until `most` are left.
fn keep<T>(list: &mut Vec<T>, most: usize) {
    list.drain(..list.len().saturating_sub(most));
}
