//! A rule with its state and its assets: what the component and the test bench both run.
//!
//! A state as bytes is the rule's `STATE_VERSION` (one byte), then the state in postcard.

use crate::assets::{Asset, Assets};
use crate::context::{Context, Output};
use crate::rows::{ReadingColumns, TwinColumns, WindowColumns};
use crate::rule::Rule;
use crate::services::Services;
use crate::setup::{Setup, SetupError};

/// A call that a plugin refuses: text for the host's `internal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub String);

/// A running rule.
#[derive(Debug)]
pub struct Plugin<R: Rule> {
    rule: R,
    state: R::State,
    assets: Assets,
    services: Services,
}

impl<R: Rule> Plugin<R> {
    /// Starts the rule without state.
    ///
    /// # Errors
    /// The setup does not fit the rule.
    pub fn new(setup: &Setup, services: Services) -> Result<Self, SetupError> {
        Ok(Self {
            rule: R::new(setup)?,
            state: R::State::default(),
            assets: Assets::default(),
            services,
        })
    }

    /// What the rule remembers.
    pub fn state(&self) -> &R::State {
        &self.state
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn services(&mut self) -> &mut Services {
        &mut self.services
    }

    /// Takes assets that are new, changed or, with an empty kind, gone. All are known before the
    /// rule hears of the first.
    pub fn on_assets(&mut self, changed: Vec<Asset>) {
        let named: Vec<_> = changed.iter().map(|a| (a.id, a.kind.is_empty())).collect();
        for asset in changed {
            self.assets.change(asset);
        }
        for (id, gone) in named {
            match gone {
                true => self.rule.asset_gone(&mut self.state, id),
                false => self.rule.asset_changed(&mut self.state, id, &self.assets),
            }
        }
    }

    /// Shows the rule every row, readings first.
    ///
    /// # Errors
    /// Columns that do not fit together; the rule has then seen nothing.
    pub fn on_batch(
        &mut self,
        readings: &ReadingColumns<'_>,
        windows: &WindowColumns<'_>,
        twin: &TwinColumns<'_>,
    ) -> Result<Output, Refusal> {
        if !readings.is_rectangular() || !windows.is_rectangular() {
            return Err(Refusal("the batch's columns differ in length".to_owned()));
        }
        let rows = readings.len() + windows.len();
        if twin.values.len() != twin.props.len() * rows {
            return Err(Refusal("the twin view does not fit the batch".to_owned()));
        }
        let mut cx = Context::new(&self.assets, &mut self.services);
        for row in readings.rows(twin) {
            self.rule.reading(&mut self.state, &row, &mut cx);
            cx.cause += 1;
        }
        for row in windows.rows(readings.len(), twin) {
            self.rule.window(&mut self.state, &row, &mut cx);
            cx.cause += 1;
        }
        Ok(cx.output)
    }

    /// Tells the rule that time passed.
    pub fn on_tick(&mut self, now_ms: u64) -> Output {
        let mut cx = Context::new(&self.assets, &mut self.services);
        self.rule.tick(&mut self.state, now_ms, &mut cx);
        cx.output
    }

    /// The state as bytes.
    ///
    /// # Errors
    /// The state holds something that cannot be written, such as a sequence of unknown length.
    pub fn snapshot(&self) -> Result<Vec<u8>, Refusal> {
        postcard::to_extend(&self.state, vec![R::STATE_VERSION])
            .map_err(|error| Refusal(format!("the state cannot be saved: {error}")))
    }

    /// Goes on from a saved state.
    ///
    /// # Errors
    /// Bytes of another version, torn ones or too many; the state is then as before.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let refuse = |what: String| Refusal(format!("the saved state {what}"));
        let Some((&version, rest)) = bytes.split_first() else {
            return Err(refuse("is empty".to_owned()));
        };
        let own = R::STATE_VERSION;
        if version != own {
            let what = format!("has version {version}, this rule reads version {own}");
            return Err(refuse(what));
        }
        let (state, rest) = postcard::take_from_bytes(rest)
            .map_err(|error| refuse(format!("of version {own} is not whole: {error}")))?;
        if !rest.is_empty() {
            let what = format!("of version {own} has {} bytes too many", rest.len());
            return Err(refuse(what));
        }
        self.state = state;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
