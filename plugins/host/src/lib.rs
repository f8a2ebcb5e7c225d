//! Runs the labs' rules: wasmtime narrowed to what a rule may do.
//!
//! A [`Host`] loads [`Plugin`]s, a [`Runner`] runs one of them in one quarter, [`Batch`] by
//! [`Batch`]. Nothing of wasmtime is visible from outside, nothing of a twin from inside. A plugin
//! has no clock, no random numbers, no files and no network; what it may use up is its manifest's
//! quota; the same batches give the same answers, bit for bit.
#![forbid(unsafe_code)]

mod bindings;
mod check;
mod engine;
mod instance;
mod limits;
mod manifest;
mod plugin;
mod runner;
mod saved;
mod types;

pub use check::MAX_TEXT;
pub use engine::{Host, HostError};
pub use manifest::{
    AlertRule, CommandRule, Emits, Limit, MAX_MEMORY, Manifest, ManifestError, Quotas, Reads,
    Source, WIT, WindowRule,
};
pub use plugin::{LoadError, Plugin};
pub use runner::{QUARANTINE, Runner, RunnerError, Stats};
pub use types::{
    Alert, Answer, Asset, Batch, Command, Derived, Dictionary, Entry, NO_ROW, Output, Reason,
    Relation, Severity, Windows,
};
