//! Writes the rule of a quarter lab for the interface `quartier:rule`.
//!
//! ```
//! use quartier_sdk::prelude::*;
//!
//! /// Says when a box is warm.
//! pub struct Warm {
//!     temperature: Metric,
//!     topic: Topic,
//!     limit: Limit,
//! }
//!
//! impl Rule for Warm {
//!     type State = BTreeMap<AssetId, Alarm>;
//!     const STATE_VERSION: u8 = 1;
//!
//!     fn new(setup: &Setup) -> Result<Self, SetupError> {
//!         Ok(Self {
//!             temperature: setup.metric("temperature", "Cel")?,
//!             topic: setup.topic("warm")?,
//!             limit: setup.limit("warm", 1)?,
//!         })
//!     }
//!
//!     fn reading(&self, state: &mut Self::State, row: &Reading, cx: &mut Context) {
//!         if row.metric != self.temperature {
//!             return;
//!         }
//!         let alarm = state.entry(row.asset).or_default();
//!         let (at, topic, limit) = (row.asset, self.topic, &self.limit);
//!         match alarm.step(Some(row.value), limit) {
//!             Some(Change::Raise) => cx.raise(at, topic, limit, Severity::Warning, row.value, "warm"),
//!             Some(Change::Clear) => cx.clear(at, topic, limit, row.value, "no longer warm"),
//!             None => {}
//!         }
//!     }
//!
//!     fn asset_gone(&self, state: &mut Self::State, asset: AssetId) {
//!         state.remove(&asset);
//!     }
//! }
//! quartier_sdk::export!(Warm);
//! ```
//!
//! The rule sees one row at a time; batches, bytes and the component's interface are the crate's
//! business. A plugin's `Cargo.toml` names `quartier-sdk` and, for its state, `serde` with
//! `derive`. Natively the same rule runs on [`testing::Lab`].
#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

mod assets;
mod context;
mod hysteresis;
mod ids;
mod levels;
mod plugin;
mod rows;
mod rule;
#[cfg_attr(target_arch = "wasm32", path = "guest/services.rs")]
mod services;
mod setup;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use assets::{Asset, Assets};
pub use context::{Alert, Command, Context, Level, Output, Severity};
pub use hysteresis::{Alarm, Change, Direction, Limit, Margin};
pub use ids::{AssetId, CommandId, Metric, Prop, Topic};
pub use levels::{LevelChange, Levels};
pub use plugin::{Plugin, Refusal};
pub use rows::{Quality, Reading, ReadingColumns, TwinColumns, Window, WindowColumns};
pub use rule::Rule;
pub use serde;
pub use services::Services;
pub use setup::{Dictionary, Entry, Setup, SetupError};

/// What a rule is written with.
pub mod prelude {
    pub use std::collections::{BTreeMap, BTreeSet};

    pub use serde::{Deserialize, Serialize};

    pub use crate::{
        Alarm, Asset, AssetId, Assets, Change, CommandId, Context, Direction, Level, LevelChange,
        Levels, Limit, Margin, Metric, Prop, Quality, Reading, Rule, Setup, SetupError, Severity,
        Topic, Window,
    };
}

/// Makes the component of a rule, on wasm32; elsewhere there is nothing to make.
#[cfg(not(target_arch = "wasm32"))]
#[macro_export]
macro_rules! export {
    ($rule:ty) => {};
}

/// Makes the component of a rule.
#[cfg(target_arch = "wasm32")]
#[macro_export]
macro_rules! export {
    ($rule:ty) => {
        const _: () = {
            ::std::thread_local! {
                static PLUGIN: $crate::guest::Slot<$rule> = const { $crate::guest::Slot::new(None) };
            }
            struct Component;
            impl $crate::guest::Home for Component {
                type Rule = $rule;
                fn slot() -> &'static ::std::thread::LocalKey<$crate::guest::Slot<$rule>> {
                    &PLUGIN
                }
            }
            $crate::guest::bindings::export_component!(
                Component with_types_in $crate::guest::bindings
            );
        };
    };
}
