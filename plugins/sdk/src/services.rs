//! What the host offers a rule beside its calls; on the test bench: a table and a list of lines.

use std::collections::BTreeMap;

use crate::context::Level;
use crate::ids::{AssetId, Prop};

/// The test bench in place of a host.
#[derive(Debug, Clone, Default)]
pub struct Services {
    pub(crate) props: BTreeMap<(AssetId, Prop), f64>,
    pub(crate) lines: Vec<(Level, String)>,
}

impl Services {
    pub(crate) fn log(&mut self, level: Level, line: &str) {
        self.lines.push((level, line.to_owned()));
    }

    pub(crate) fn twin(&mut self, asset: AssetId, prop: Prop) -> f64 {
        self.props.get(&(asset, prop)).copied().unwrap_or(f64::NAN)
    }
}
