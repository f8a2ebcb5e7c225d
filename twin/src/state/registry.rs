//! Quarters, assets, streams and metrics by index, and the tables that find them by name.

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use serde::{Deserialize, Serialize};

use super::Twin;
use super::plugins::{Deployment, Past};
use crate::grid::Sample;
use crate::model::{AssetRecord, Millis, Place, Quality, QuarterRecord};
use crate::vocabulary::{Domain, MeanKind};

/// A quarter and the plugins that run in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quarter {
    /// As the registry knows it.
    pub record: QuarterRecord,
    /// By slot; a stream's `routes` has a bit for each slot.
    pub(super) deployments: Vec<Option<Deployment>>,
    /// By plugin: what ran before.
    pub(super) past: BTreeMap<String, Past>,
    /// Number of assets.
    pub assets: u32,
}

/// An asset. What few assets have is boxed away: a city has millions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asset {
    /// Index of the quarter.
    pub quarter: u16,
    /// Registered by its first reading.
    pub automatic: bool,
    /// One topic level, unique in its quarter.
    pub id: Box<str>,
    /// Where it is.
    pub place: Option<Place>,
    /// Newest event time of its streams.
    pub updated: Millis,
    /// Metric and stream, in order of appearance.
    pub streams: Vec<(u16, u32)>,
    /// What the registry says beside the id and the place.
    pub detail: Option<Box<Detail>>,
}

/// What the registry says of an asset.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Detail {
    /// `meter`, `car_park`, ...
    pub kind: String,
    /// For people.
    pub name: String,
    /// Sorted by key.
    pub attributes: Vec<(String, String)>,
    /// (kind, asset id), sorted.
    pub relations: Vec<(String, String)>,
    /// Where the registry put it; a device may have reported another place since.
    pub registered: Option<Place>,
}

impl Asset {
    /// Whether the registry says that it moves (attribute `mobile` = `true`).
    pub fn is_mobile(&self) -> bool {
        let attributes = self.detail.as_deref().map(|d| d.attributes.as_slice());
        attributes
            .unwrap_or_default()
            .iter()
            .any(|(k, v)| k == "mobile" && v == "true")
    }

    /// Kind of the asset; `unknown` where nobody said.
    pub fn kind(&self) -> &str {
        self.detail.as_ref().map_or("unknown", |d| d.kind.as_str())
    }

    /// The stream of a metric.
    pub fn stream(&self, metric: u16) -> Option<u32> {
        self.streams
            .iter()
            .find(|(m, _)| *m == metric)
            .map(|(_, s)| *s)
    }

    /// The attribute `interval_s` in milliseconds.
    pub(super) fn interval_ms(&self) -> Option<i64> {
        let attributes = &self.detail.as_ref()?.attributes;
        let (_, seconds) = attributes.iter().find(|(key, _)| key == "interval_s")?;
        let seconds: u32 = seconds.parse().ok()?;
        Some(i64::from(seconds) * 1000)
    }
}

/// The newest value of one metric of one asset.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// In the metric's unit.
    pub value: f64,
    /// Event time.
    pub time: Millis,
    /// Index of the asset.
    pub asset: u32,
    /// How many values it has taken.
    pub rev: u32,
    /// Index of the metric.
    pub metric: u16,
    /// The plugins of its quarter that get its readings: a bit a slot.
    pub(super) routes: u16,
    /// As reported.
    pub quality: Quality,
    /// Some plugin gets closed windows of it.
    pub(super) windowed: bool,
    /// Its time is the node's, which did not know the time.
    pub(super) guessed: bool,
}

/// A metric that was seen or that a plugin declared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricEntry {
    /// One topic level.
    pub name: Box<str>,
    /// Third level of its topic.
    pub domain: Domain,
    /// UCUM code; of an unknown metric the unit as first sent, maybe empty.
    pub unit: String,
    /// How it is averaged.
    pub mean: MeanKind,
    /// Published under `personal/` only.
    pub personal: bool,
    /// Usual reporting interval, seconds.
    pub interval_s: Option<u32>,
    /// In the vocabulary.
    pub known: bool,
}

/// Finds things by name. Rebuilt from the state, so it is not in the snapshot.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    hasher: DefaultHashBuilder,
    quarters: HashMap<Box<str>, u16>,
    pub(super) metrics: HashMap<Box<str>, u16>,
    assets: HashTable<u32>,
}

impl Lookup {
    fn hash(&self, quarter: u16, id: &str) -> u64 {
        self.hasher.hash_one((quarter, id))
    }
}

impl Twin {
    /// Index of a quarter.
    pub fn quarter_index(&self, id: &str) -> Option<u16> {
        self.lookup.quarters.get(id).copied()
    }

    /// Index of a metric.
    pub fn metric_index(&self, name: &str) -> Option<u16> {
        self.lookup.metrics.get(name).copied()
    }

    /// Index of an asset of a quarter.
    pub fn asset_index(&self, quarter: u16, id: &str) -> Option<u32> {
        let hash = self.lookup.hash(quarter, id);
        self.lookup
            .assets
            .find(hash, |&index| {
                self.assets
                    .get(index as usize)
                    .is_some_and(|a| a.quarter == quarter && *a.id == *id)
            })
            .copied()
    }

    /// Quarter of an asset.
    pub fn quarter_of(&self, asset: &Asset) -> Option<&Quarter> {
        self.quarters.get(usize::from(asset.quarter))
    }

    /// Metric of a stream.
    pub fn metric_of(&self, stream: &Stream) -> Option<&MetricEntry> {
        self.metrics.get(usize::from(stream.metric))
    }

    pub(super) fn put_quarter(&mut self, record: QuarterRecord) {
        match self
            .quarter_index(&record.id)
            .and_then(|q| self.quarters.get_mut(usize::from(q)))
        {
            Some(quarter) => quarter.record = record,
            None => {
                let Ok(index) = u16::try_from(self.quarters.len()) else {
                    return;
                };
                self.lookup
                    .quarters
                    .insert(record.id.as_str().into(), index);
                self.quarters.push(Quarter {
                    record,
                    deployments: Vec::new(),
                    past: BTreeMap::new(),
                    assets: 0,
                });
            }
        }
    }

    /// The id of a metric, new or known; `None` when 65,535 are taken.
    pub(super) fn intern_metric(&mut self, name: &str, unit: Option<&str>) -> Option<u16> {
        if let Some(index) = self.metric_index(name) {
            return Some(index);
        }
        let index = u16::try_from(self.metrics.len()).ok()?;
        let entry = match Self::vocabulary().get(name) {
            Some(metric) => MetricEntry {
                name: name.into(),
                domain: metric.domain,
                unit: metric.unit.clone(),
                mean: metric.mean,
                personal: metric.personal,
                interval_s: metric.interval_s,
                known: true,
            },
            None => MetricEntry {
                name: name.into(),
                domain: Domain::Device,
                unit: unit.unwrap_or_default().to_owned(),
                mean: MeanKind::Arithmetic,
                personal: false,
                interval_s: None,
                known: false,
            },
        };
        self.lookup.metrics.insert(name.into(), index);
        self.metrics.push(entry);
        Some(index)
    }

    /// The asset of that id, registered automatically when it is new.
    pub(super) fn intern_asset(&mut self, quarter: u16, id: &str) -> Option<u32> {
        if let Some(index) = self.asset_index(quarter, id) {
            return Some(index);
        }
        let index = u32::try_from(self.assets.len()).ok()?;
        self.assets.push(Asset {
            quarter,
            automatic: true,
            id: id.into(),
            place: None,
            updated: Millis(i64::MIN),
            streams: Vec::new(),
            detail: None,
        });
        if let Some(quarter) = self.quarters.get_mut(usize::from(quarter)) {
            quarter.assets += 1;
        }
        self.remember_asset(index);
        Some(index)
    }

    fn remember_asset(&mut self, index: u32) {
        let Self { lookup, assets, .. } = self;
        let hash_of = |lookup_hasher: &DefaultHashBuilder, index: u32| {
            assets
                .get(index as usize)
                .map_or(0, |a| lookup_hasher.hash_one((a.quarter, &*a.id)))
        };
        let Lookup {
            hasher,
            assets: table,
            ..
        } = lookup;
        table.insert_unique(hash_of(hasher, index), index, |&i| hash_of(hasher, i));
    }

    pub(super) fn put_asset(&mut self, record: AssetRecord) {
        let Some(quarter) = self.quarter_index(&record.quarter) else {
            return;
        };
        let Some(index) = self.intern_asset(quarter, &record.id) else {
            return;
        };
        if let Some(asset) = self.assets.get_mut(index as usize) {
            asset.automatic = record.automatic;
            asset.detail = Some(Box::new(Detail {
                kind: record.kind,
                name: record.name,
                attributes: record.attributes,
                relations: record.relations,
                registered: record.place,
            }));
        }
        if record.place.is_some() {
            self.move_asset(index, record.place);
        }
        self.reroute_asset(index);
    }

    pub(super) fn move_asset(&mut self, index: u32, place: Option<Place>) {
        let Some(asset) = self.assets.get_mut(index as usize) else {
            return;
        };
        if asset.place == place {
            return;
        }
        asset.place = place;
        let before = self.grid.cell(index);
        self.grid.put(index, place);
        let after = self.grid.cell(index);
        if before != after {
            for &(metric, stream) in &asset.streams {
                self.aggregates.remove(stream);
                let mean = self
                    .metrics
                    .get(usize::from(metric))
                    .map_or(MeanKind::Arithmetic, |m| m.mean);
                if let Some(cell) = after {
                    self.aggregates.add(stream, metric, mean, cell);
                }
            }
        }
    }

    /// The stream of that metric, made when it is new; `None` when the tables are full.
    pub(super) fn intern_stream(&mut self, asset: u32, metric: u16) -> Option<u32> {
        if let Some(stream) = self.assets.get(asset as usize)?.stream(metric) {
            return Some(stream);
        }
        let stream = u32::try_from(self.streams.len()).ok()?;
        self.streams.push(Stream {
            value: 0.0,
            time: Millis(i64::MIN),
            asset,
            rev: 0,
            metric,
            routes: 0,
            quality: Quality::Good,
            windowed: false,
            guessed: false,
        });
        self.assets
            .get_mut(asset as usize)?
            .streams
            .push((metric, stream));
        if let Some(cell) = self.grid.cell(asset) {
            let mean = self.metrics.get(usize::from(metric))?.mean;
            self.aggregates.add(stream, metric, mean, cell);
        }
        self.route_stream(stream);
        Some(stream)
    }

    /// What a stream adds to its cells: nothing while its newest value is bad.
    pub(super) fn sample(streams: &[Stream], stream: u32) -> Option<Sample> {
        let stream = streams.get(stream as usize)?;
        (stream.rev > 0 && stream.quality != Quality::Bad).then_some(Sample {
            value: stream.value,
            time: stream.time,
            asset: stream.asset,
        })
    }

    /// Makes everything that is derived from the state, after a snapshot was read.
    pub(super) fn rebuild(&mut self) {
        for (index, quarter) in (0u16..).zip(&self.quarters) {
            self.lookup
                .quarters
                .insert(quarter.record.id.as_str().into(), index);
        }
        for (index, metric) in (0u16..).zip(&self.metrics) {
            self.lookup.metrics.insert(metric.name.clone(), index);
        }
        let count = u32::try_from(self.assets.len()).unwrap_or(u32::MAX);
        for index in 0..count {
            self.remember_asset(index);
        }
        for (index, asset) in (0u32..).zip(&self.assets) {
            self.grid.put(index, asset.place);
            let Some(cell) = self.grid.cell(index) else {
                continue;
            };
            for &(metric, stream) in &asset.streams {
                let mean = self
                    .metrics
                    .get(usize::from(metric))
                    .map_or(MeanKind::Arithmetic, |m| m.mean);
                self.aggregates.add(stream, metric, mean, cell);
            }
        }
        let streams = &self.streams;
        self.aggregates
            .refresh(&|stream| Self::sample(streams, stream), &mut |_, _, _| {});
        self.rebuild_commands();
        self.rebuild_edges();
    }
}
