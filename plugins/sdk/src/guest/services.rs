//! What the host offers a rule beside its calls: imports of the component, linked only into a rule
//! that uses them.

use crate::context::Level;
use crate::guest::bindings::quartier::rule::{log, twin};
use crate::ids::{AssetId, Prop};

/// The host.
#[derive(Debug, Clone, Copy, Default)]
pub struct Services;

impl Services {
    pub(crate) fn log(&mut self, level: Level, line: &str) {
        let level = match level {
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        };
        log::log(level, line);
    }

    pub(crate) fn twin(&mut self, asset: AssetId, prop: Prop) -> f64 {
        let values = twin::get_many(&[asset.0], prop.0);
        values.first().copied().unwrap_or(f64::NAN)
    }
}
