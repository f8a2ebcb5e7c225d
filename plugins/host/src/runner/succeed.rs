//! The hand-over from one version of a plugin to the next, between two batches.
//!
//! The new version gets the assets and the state of the old one; what the old one answered stands,
//! and the new one answers the batches after. It follows from the old version's state alone, so a
//! replay hands over the same.

use super::{Runner, RunnerError, genesis};
use crate::digest::Digest;
use crate::engine::Host;
use crate::newest::Newest;
use crate::plugin::Plugin;
use crate::saved::Saved;
use crate::types::Dictionary;

/// What became of the old version's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// The new version goes on from it.
    State,
    /// The new version begins anew, and why.
    Fresh(String),
}

impl Runner {
    /// A runner of `plugin` that goes on where `old` is: with its assets and, where the new version
    /// takes it, its state. One that refuses the state, or traps over it, begins anew. The state of
    /// an `old` in quarantine is that behind the last batch it answered; its plugin is called once
    /// more for it. Assets that the new version reads and the old one did not are for the caller to
    /// bring with the next batch.
    ///
    /// # Errors
    /// The dictionary or the configuration does not fit the manifest, or the new version does not
    /// even begin anew. `old` goes on as before.
    pub fn succeed(
        old: &mut Self,
        _host: &Host,
        plugin: &Plugin,
        dict: Dictionary,
        config: Vec<(String, String)>,
    ) -> Result<(Self, Kept), RunnerError> {
        let mut next = Self::without_instance(plugin, dict, config)?;
        let assets = old.saved.all_assets();
        let bound = Digest::of_value(&assets);
        next.known = assets.keys().copied().collect();
        next.saved.assets = assets;
        let fresh = Saved {
            chain: Digest::link(&[&next.saved.chain, &bound]),
            ..next.saved.clone()
        };
        let refused = match next.take_over(old, bound) {
            Ok(()) => return Ok((next, Kept::State)),
            Err(refused) => refused,
        };
        next.saved = fresh;
        next.recover().map_err(|failure| next.failed(&failure))?;
        Ok((next, Kept::Fresh(refused)))
    }

    /// Starts an instance from the state of `old`.
    fn take_over(&mut self, old: &mut Self, assets: Digest) -> Result<(), String> {
        if let Err(failure) = old.save() {
            // Its last state stands, with the batches since: they are run on the new version.
            tracing::warn!(plugin = old.plugin.manifest().id, %failure, "no state to hand over");
            old.lose();
        } else if old.quarantined() {
            old.instance = None;
        }
        let same_columns =
            old.plugin.manifest().reads.properties == self.plugin.manifest().reads.properties;
        if !old.saved.since.is_empty() && !same_columns {
            return Err("the old version gave no state, and reads other properties".to_owned());
        }
        let state = old.saved.state.as_deref().map(Digest::of);
        let state = state.filter(|_| old.saved.since.is_empty());
        let genesis = genesis(&self.plugin, &self.config);
        let parts = [
            &genesis,
            &old.saved.chain,
            &state.unwrap_or_default(),
            &assets,
        ];
        self.saved.chain = Digest::link(&parts);
        self.saved.newest = self.newest_of(old);
        self.saved.state = old.saved.state.clone();
        if !old.saved.since.is_empty() {
            self.saved.since = old.saved.since.clone();
            self.saved.assets = old.saved.assets.clone();
            self.saved.owed = old.saved.owed.clone();
        }
        self.recover().map_err(|failure| failure.to_string())
    }

    /// What `old` was shown, under this version's numbers.
    fn newest_of(&self, old: &Self) -> Newest {
        if !self.plugin.asks() {
            return Newest::default();
        }
        old.saved.newest.renumbered(|prop| {
            let name = &old.dict.props.iter().find(|entry| entry.id == prop)?.urn;
            let entry = self.dict.props.iter().find(|entry| entry.urn == *name)?;
            Some(entry.id)
        })
    }
}
