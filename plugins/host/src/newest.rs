//! The newest value that a plugin was shown of each property of each asset: what `twin.get-many`
//! answers. It follows from the batches alone, so a replay gives the same answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::{Asset, Batch};

/// By asset and property.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Newest(BTreeMap<(u32, u32), f64>);

impl Newest {
    /// Takes in the rows of a batch; `props` numbers its columns. NaN says nothing.
    pub(crate) fn show(&mut self, batch: &Batch, props: &[u32]) {
        if props.is_empty() {
            return;
        }
        let rows = batch
            .row_assets()
            .zip(batch.props.chunks_exact(props.len()));
        for (asset, values) in rows {
            let values = props
                .iter()
                .zip(values)
                .filter(|(_, value)| !value.is_nan());
            for (&prop, &value) in values {
                self.0.insert((asset, prop), value);
            }
        }
    }

    /// Forgets the assets that went.
    pub(crate) fn forget<'a>(&mut self, changed: impl Iterator<Item = &'a Asset>, props: &[u32]) {
        if self.0.is_empty() {
            return;
        }
        for asset in changed.filter(|asset| asset.kind.is_empty()) {
            for &prop in props {
                self.0.remove(&(asset.id, prop));
            }
        }
    }

    /// NaN where nothing was shown.
    pub(crate) fn get(&self, asset: u32, prop: u32) -> f64 {
        self.0.get(&(asset, prop)).copied().unwrap_or(f64::NAN)
    }

    /// The values under other numbers of their properties; a property without one goes.
    pub(crate) fn renumbered(&self, number: impl Fn(u32) -> Option<u32>) -> Self {
        let entry =
            |(&(asset, prop), &value): (&(u32, u32), &f64)| Some(((asset, number(prop)?), value));
        Self(self.0.iter().filter_map(entry).collect())
    }
}
