//! What a runner needs to go on where it stopped: a version byte (1), then postcard of [`Saved`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::{Asset, Batch};

const VERSION: u8 = 1;

/// State at the last snapshot of the plugin.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// What the plugin's `snapshot` gave; `None`: it has only been initialised.
    pub(crate) state: Option<Vec<u8>>,
    /// Assets it was told of.
    pub(crate) assets: BTreeMap<u32, Asset>,
    /// Changes of assets in batches that failed: the next batch brings them.
    pub(crate) owed: Vec<Asset>,
    /// Failed batches in a row.
    pub(crate) failed: u32,
}

impl Saved {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_extend(self, vec![VERSION])
    }

    /// `None`: not of this version, or not whole.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => postcard::from_bytes(rest).ok(),
            _ => None,
        }
    }

    /// Takes over the plugin's state after the batches `done`.
    pub(crate) fn advance(&mut self, state: Vec<u8>, done: impl Iterator<Item = Batch>) {
        self.state = Some(state);
        for asset in done.flat_map(|batch| batch.changed) {
            if asset.kind.is_empty() {
                self.assets.remove(&asset.id);
            } else {
                self.assets.insert(asset.id, asset);
            }
        }
    }
}
