//! Which readings and windows go to which plugin.

use hashbrown::HashMap;

use super::Deployment;
use super::cut::unsigned;
use crate::state::registry::Stream;
use crate::state::{Asset, Twin};
use crate::windows::{Closed, Spans};

impl Twin {
    pub(super) fn reroute_quarter(&mut self, quarter: u16) {
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

    pub(in crate::state) fn reroute_asset(&mut self, asset: u32) {
        let Some(streams) = self.assets.get(asset as usize).map(|a| a.streams.clone()) else {
            return;
        };
        let mut interested = 0u16;
        for (_, stream) in streams {
            interested |= self.route_stream(stream);
        }
        interested |= self.naming(asset);
        self.announce(asset, interested);
    }

    /// Plugins that name the kind of an asset, among what they read or command: they hear of it also
    /// where it measures nothing, as a connection point or a city tree does.
    fn naming(&self, asset: u32) -> u16 {
        let Some(asset) = self.assets.get(asset as usize) else {
            return 0;
        };
        let quarter = self.quarters.get(usize::from(asset.quarter));
        let deployments = quarter
            .into_iter()
            .flat_map(|q| q.deployments.iter().enumerate());
        let names = |deployment: &Deployment| {
            let commanded = deployment
                .record
                .commands
                .iter()
                .map(|command| &command.kind);
            let mut kinds = deployment.record.kinds.iter().chain(commanded);
            !deployment.parked && kinds.any(|kind| kind == asset.kind())
        };
        deployments
            .filter(|(_, deployment)| deployment.as_ref().is_some_and(names))
            .fold(0, |slots, (slot, _)| slots | 1 << slot)
    }

    /// Works out which plugins a stream goes to; returns the slots that get anything of it.
    pub(in crate::state) fn route_stream(&mut self, index: u32) -> u16 {
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
            let Some(record) = deployment.as_ref().filter(|d| !d.parked).map(|d| &d.record) else {
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

    pub(in crate::state) fn route_reading(&mut self, stream: &Stream) {
        let position = self.position;
        let Some(asset) = self.assets.get(stream.asset as usize) else {
            return;
        };
        let Some(quarter) = self.quarters.get_mut(usize::from(asset.quarter)) else {
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
            let view = View {
                asset,
                streams: &self.streams,
                metrics: &self.lookup.metrics,
            };
            view.of(&deployment.record.properties, &mut deployment.seen.readings);
            let batch = &mut deployment.pending;
            batch.asset.push(stream.asset);
            batch.metric.push(u32::from(stream.metric));
            batch.value.push(stream.value);
            batch.ts_ms.push(unsigned(stream.time.0));
            batch.quality.push(stream.quality as u8);
        }
    }

    pub(in crate::state) fn route_windows(&mut self, closed: &[Closed]) {
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
            let view = View {
                asset,
                streams: &self.streams,
                metrics: &self.lookup.metrics,
            };
            for deployment in quarter.deployments.iter_mut().flatten() {
                let record = &deployment.record;
                if deployment.parked {
                    continue;
                }
                let kinds = &record.kinds;
                let wanted = record
                    .windows
                    .iter()
                    .any(|(name, span)| *span == window.span_s && **name == *metric.name);
                if !wanted || !(kinds.is_empty() || kinds.iter().any(|kind| kind == asset.kind())) {
                    continue;
                }
                deployment.begin(position);
                view.of(&deployment.record.properties, &mut deployment.seen.windows);
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
}

impl Deployment {
    fn begin(&mut self, position: u64) {
        if self.from == 0 {
            self.from = position;
        }
    }
}

/// What a plugin may see of the twin beside a row.
struct View<'a> {
    asset: &'a Asset,
    streams: &'a [Stream],
    metrics: &'a HashMap<Box<str>, u16>,
}

impl View<'_> {
    /// Appends the newest value of each property of the asset; NaN where there is none.
    fn of(&self, properties: &[String], row: &mut Vec<f64>) {
        let value = |name: &String| {
            let stream = self.asset.stream(*self.metrics.get(name.as_str())?)?;
            let stream = self.streams.get(stream as usize)?;
            (stream.rev > 0).then_some(stream.value)
        };
        row.extend(
            properties
                .iter()
                .map(|name| value(name).unwrap_or(f64::NAN)),
        );
    }
}
