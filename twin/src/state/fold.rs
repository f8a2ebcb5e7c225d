//! `fold(state, entry) -> effects`: the only place where a twin changes.

use std::collections::BTreeMap;

use super::plugins::Standing;
use super::{Alert, AlertKey, Change, Effects, Twin};
use crate::event::{AlertChange, Decision, Entry, Event};
use crate::model::{Millis, Observed, Quality};
use crate::windows::{Closed, Outcome};

impl Twin {
    /// Applies the entry at `position`; what is to be done outside is added to `effects`.
    /// An entry at or before [`Twin::position`] was folded already and changes nothing.
    pub fn fold(&mut self, position: u64, entry: &Entry<'_>, effects: &mut Effects) {
        if position <= self.position {
            return;
        }
        self.position = position;
        self.pass(entry.at);
        match &entry.event {
            Event::Observed(observed) => self.observed(observed, false, effects),
            Event::Untimed(observed) => self.observed(observed, true, effects),
            Event::Ticked => self.ticked(effects),
            Event::QuarterPut(record) => self.put_quarter(record.clone()),
            Event::AssetPut(record) => self.put_asset(record.clone()),
            Event::PluginDeployed(deployed) => self.deploy(deployed, effects),
            Event::PluginRemoved(removed) => self.undeploy(removed, effects),
            Event::PluginStarted(started) => self.started(started, effects),
            Event::PluginParked(parked) => self.park(parked),
            Event::Decided(decision) => self.decided(decision, effects),
            Event::InterlocksPut(interlocks) => self.put_interlocks(interlocks, effects),
            Event::CommandAsked(asked) => self.ask(asked, effects),
            Event::CommandJudged(judged) => self.judge(judged, effects),
            Event::ClockSet(set) => self.set_clock(entry.at, set, effects),
            Event::EdgeEnrolled(enrolled) => self.enrol(enrolled, effects),
            Event::EdgeJudged(judged) => self.judge_edge(judged, effects),
            Event::Uplinked(uplinked) => self.uplinked(uplinked, effects),
            Event::EdgeNews(news) => self.edge_news(news, effects),
            Event::EdgeState(state) => self.edge_state(state, effects),
            Event::EdgeOrdered(ordered) => self.order(ordered, effects),
            Event::OrderTaken(taken) => self.take_order(taken, effects),
            Event::SettingsPut(settings) => self.put_settings(settings),
        }
        self.cut_full_batches(effects);
    }

    /// `guessed`: the times are the node's, which does not know the time.
    fn observed(&mut self, observed: &Observed<'_>, guessed: bool, effects: &mut Effects) {
        let asset = self
            .quarter_index(observed.quarter)
            .and_then(|q| self.intern_asset(q, observed.asset));
        let Some(asset) = asset else {
            self.counts.ignored += observed.readings.len() as u64;
            return;
        };
        self.place_observed(asset, observed);
        for reading in &observed.readings {
            let stream = self
                .intern_metric(reading.metric, reading.unit)
                .and_then(|metric| self.intern_stream(asset, metric));
            match stream {
                Some(stream) => {
                    let (value, time, quality) = (reading.value, reading.time, reading.quality);
                    self.take(stream, value, time, quality, effects);
                    self.mark(stream, time, guessed);
                }
                None => self.counts.ignored += 1,
            }
        }
        self.reported(asset, &observed.readings);
    }

    /// Moves the asset to where it says it is, unless something newer is known of it.
    pub(super) fn place_observed(&mut self, asset: u32, observed: &Observed<'_>) {
        let Some(place) = observed.place else {
            return;
        };
        let newest = observed.readings.iter().map(|r| r.time).max();
        let known = self.assets.get(asset as usize).map(|a| a.updated);
        if newest >= known || newest.is_none() {
            self.move_asset(asset, Some(place));
        }
    }

    /// One reading of one stream. A stream's newest value is the one with the newest event time,
    /// so a reading that comes twice (a client resending after a crash) changes nothing.
    pub(super) fn take(
        &mut self,
        index: u32,
        value: f64,
        time: Millis,
        quality: Quality,
        effects: &mut Effects,
    ) {
        self.counts.readings += 1;
        let Some(stream) = self.streams.get_mut(index as usize) else {
            return;
        };
        if stream.rev > 0
            && time == stream.time
            && value == stream.value
            && quality == stream.quality
        {
            self.counts.duplicates += 1;
            return;
        }
        let newest = stream.rev == 0 || time >= stream.time;
        if newest {
            self.counts.corrected += u64::from(stream.rev > 0 && time == stream.time);
            stream.value = value;
            stream.time = time;
            stream.quality = quality;
            stream.rev = stream.rev.saturating_add(1);
        } else {
            self.counts.out_of_order += 1;
        }
        let stream = *stream;
        if newest {
            if let Some(asset) = self.assets.get_mut(stream.asset as usize) {
                asset.updated = asset.updated.max(time);
            }
            self.aggregates.touch(index);
            effects.changes.push(Change {
                stream: index,
                value,
                time,
                quality,
                rev: stream.rev,
            });
            if stream.routes != 0 {
                self.route_reading(&stream);
            }
        }
        if stream.windowed && quality != Quality::Bad {
            let mut closed = Vec::new();
            match self
                .windows
                .observe(index, time, value, self.now, &mut closed)
            {
                Outcome::Late => self.counts.late += 1,
                Outcome::Duplicate if !newest => self.counts.duplicates += 1,
                _ => {}
            }
            self.route_windows(&closed);
        }
    }

    fn ticked(&mut self, effects: &mut Effects) {
        let mut closed: Vec<Closed> = Vec::new();
        self.windows.tick(self.now, &mut closed);
        self.route_windows(&closed);
        let streams = &self.streams;
        self.aggregates.refresh(
            &|stream| Self::sample(streams, stream),
            &mut |cell, metric, aggregate| effects.cells.push((cell, metric, aggregate.copied())),
        );
        self.tick_commands(effects);
        self.watch_edges(effects);
        self.cut_at_tick(effects);
    }

    fn decided(&mut self, decision: &Decision, effects: &mut Effects) {
        let Some(standing) = self.record_decision(decision) else {
            return;
        };
        self.counts.decisions += 1;
        effects.decisions.push((self.position, decision.clone()));
        match standing {
            Standing::Acts => {
                self.derive(decision, effects);
                for change in &decision.alerts {
                    self.alert(decision, change, effects);
                }
                self.intend(decision, effects);
            }
            Standing::Shadow => self.alert_in_shadow(decision),
            Standing::Promoted => {
                for change in &decision.alerts {
                    self.alert(decision, change, effects);
                }
            }
            Standing::Late { commands } => {
                self.derive(decision, effects);
                if commands {
                    self.intend(decision, effects);
                }
            }
        }
    }

    fn derive(&mut self, decision: &Decision, effects: &mut Effects) {
        let Some(quarter) = self.quarter_index(&decision.quarter) else {
            return;
        };
        for derived in &decision.derived {
            let stream = self
                .asset_index(quarter, &derived.asset)
                .zip(self.intern_metric(&derived.metric, None))
                .and_then(|(asset, metric)| self.intern_stream(asset, metric));
            if let Some(stream) = stream {
                self.take(stream, derived.value, derived.time, Quality::Good, effects);
            }
        }
    }

    fn alert(&mut self, decision: &Decision, change: &AlertChange, effects: &mut Effects) {
        let position = self.position;
        if let Some(effect) = change_alert(&mut self.alerts, position, decision, change) {
            effects.alerts.push(effect);
        }
    }

    fn alert_in_shadow(&mut self, decision: &Decision) {
        let position = self.position;
        let Some(alerts) = self.shadow_alerts_mut(decision.run) else {
            return;
        };
        for change in &decision.alerts {
            change_alert(alerts, position, decision, change);
        }
    }
}

/// What is to be told of an alert that was raised or cleared; `None`: it was not there.
fn change_alert(
    alerts: &mut BTreeMap<AlertKey, Alert>,
    position: u64,
    decision: &Decision,
    change: &AlertChange,
) -> Option<(AlertKey, Option<Alert>)> {
    let key = AlertKey {
        quarter: decision.quarter.clone(),
        rule: change.rule.clone(),
        asset: change.asset.clone(),
    };
    if !change.raise {
        return alerts.remove(&key).map(|_| (key, None));
    }
    let alert = Alert {
        severity: change.severity,
        since: alerts.get(&key).map_or(change.time, |active| active.since),
        value: change.value,
        limit: change.limit,
        text: change.text.clone(),
        plugin: decision.plugin.clone(),
        decision: position,
        node: None,
    };
    alerts.insert(key.clone(), alert.clone());
    Some((key, Some(alert)))
}
