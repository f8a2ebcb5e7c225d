//! What a runner needs to go on where it stopped: a version byte (2), then postcard of [`Saved`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::newest::Newest;
use crate::types::{Asset, Batch};

const VERSION: u8 = 2;
/// Before there was a chain.
const WITHOUT_CHAIN: u8 = 1;

/// The plugin's state: its last snapshot, and what it answered since.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// What the plugin's `snapshot` gave; `None`: it has only been initialised.
    pub(crate) state: Option<Vec<u8>>,
    /// Assets it was told of before `since`.
    pub(crate) assets: BTreeMap<u32, Asset>,
    /// Changes of assets in batches that failed: the next batch brings them.
    pub(crate) owed: Vec<Asset>,
    /// Failed batches in a row.
    pub(crate) failed: u32,
    /// Values it was shown before `since`; empty where it never asks.
    pub(crate) newest: Newest,
    /// Batches answered since `state`; fewer than [`CHECKPOINT`](crate::runner::CHECKPOINT).
    pub(crate) since: Vec<Batch>,
    /// Identity of the state after `since`.
    pub(crate) chain: Digest,
    /// Batches answered since the state began.
    pub(crate) answered: u64,
}

/// Version 1.
#[derive(Deserialize)]
struct WithoutChain {
    state: Option<Vec<u8>>,
    assets: BTreeMap<u32, Asset>,
    owed: Vec<Asset>,
    failed: u32,
}

impl Saved {
    pub(crate) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_extend(self, vec![VERSION])
    }

    /// `None`: of no version this host knows, or not whole. `genesis`: identity of a state that has
    /// only begun; a state saved without a chain begins one.
    pub(crate) fn decode(bytes: &[u8], genesis: Digest) -> Option<Self> {
        match bytes.split_first()? {
            (&VERSION, rest) => postcard::from_bytes(rest).ok(),
            (&WITHOUT_CHAIN, rest) => {
                let old: WithoutChain = postcard::from_bytes(rest).ok()?;
                let state = Digest::of(old.state.as_deref().unwrap_or_default());
                Some(Self {
                    state: old.state,
                    assets: old.assets,
                    owed: old.owed,
                    failed: old.failed,
                    chain: Digest::link(&[&genesis, &state]),
                    ..Self::default()
                })
            }
            _ => None,
        }
    }

    /// Takes over the plugin's state after `since`. `props`: columns it may ask for.
    pub(crate) fn advance(&mut self, state: Vec<u8>, props: &[u32]) {
        self.state = Some(state);
        for batch in std::mem::take(&mut self.since) {
            self.newest.forget(batch.changed.iter(), props);
            self.newest.show(&batch, props);
            tell(&mut self.assets, batch.changed);
        }
    }

    /// Every asset that the plugin was told of or is to be told of.
    pub(crate) fn all_assets(&self) -> BTreeMap<u32, Asset> {
        let mut assets = self.assets.clone();
        for batch in &self.since {
            tell(&mut assets, batch.changed.iter().cloned());
        }
        tell(&mut assets, self.owed.iter().cloned());
        assets
    }

    /// `owed`, and `changed` behind it; of an asset in both the newer stands.
    pub(crate) fn owed_with(&self, changed: &[Asset]) -> Vec<Asset> {
        let newer: hashbrown::HashSet<u32> = changed.iter().map(|asset| asset.id).collect();
        let older = self.owed.iter().filter(|asset| !newer.contains(&asset.id));
        older.chain(changed).cloned().collect()
    }
}

fn tell(assets: &mut BTreeMap<u32, Asset>, changed: impl IntoIterator<Item = Asset>) {
    for asset in changed {
        if asset.kind.is_empty() {
            assets.remove(&asset.id);
        } else {
            assets.insert(asset.id, asset);
        }
    }
}
