//! What a lab writes: a rule.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::assets::Assets;
use crate::context::Context;
use crate::ids::AssetId;
use crate::rows::{Reading, Window};
use crate::setup::{Setup, SetupError};

/// A rule sees one row at a time and keeps what it must remember in its state.
///
/// How rows are cut into batches is not shown: what a rule says may depend on its setup, its
/// assets, its state and the row, and on nothing else. Rows of one stream come in the order of
/// their time; no order holds between assets, and the readings of a batch come before its windows.
pub trait Rule: Sized + 'static {
    /// What outlives a row: it is saved, and restored after a failure, a restart or an upgrade.
    /// Maps in it are `BTreeMap`: the same state has to give the same bytes.
    type State: Default + Serialize + DeserializeOwned + 'static;

    /// First byte of a saved state. A state of another version is refused.
    const STATE_VERSION: u8;

    /// Looks up every name and number once.
    ///
    /// # Errors
    /// What the manifest or the configuration lacks; the plugin is then not started.
    fn new(setup: &Setup) -> Result<Self, SetupError>;

    /// A reading of a metric of `reads.metrics`.
    fn reading(&self, state: &mut Self::State, row: &Reading<'_>, cx: &mut Context<'_>) {
        let _ = (state, row, cx);
    }

    /// A closed window of `reads.windows`.
    fn window(&self, state: &mut Self::State, row: &Window<'_>, cx: &mut Context<'_>) {
        let _ = (state, row, cx);
    }

    /// Logical time passed; called only where the manifest sets `reads.tick_s`. Milliseconds since
    /// 1970.
    fn tick(&self, state: &mut Self::State, now_ms: u64, cx: &mut Context<'_>) {
        let _ = (state, now_ms, cx);
    }

    /// The asset is gone: what the state holds of it goes too.
    fn asset_gone(&self, state: &mut Self::State, asset: AssetId) {
        let _ = (state, asset);
    }

    /// The asset is new or changed; `assets` has it as it is now. Also called for every asset when
    /// an instance starts, before its state is restored over what this changes in it.
    fn asset_changed(&self, state: &mut Self::State, asset: AssetId, assets: &Assets) {
        let _ = (state, asset, assets);
    }
}
