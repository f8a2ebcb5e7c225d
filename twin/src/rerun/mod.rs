//! The journal run again: were the decisions what the rules say, and what would others have been?
//!
//! A rerun folds the entries of a data folder on a twin of its own, from the nearest snapshot on,
//! and has the plugins answer the same batches, one after the other, on instances of its own.
//!
//! - [`verify`]: recorded decisions are folded as they are, and each is held against the answer of
//!   the rerun.
//! - [`Fork`]: recorded decisions of a quarter are left out, and those of the rerun are folded right
//!   behind the entry that cut their batch. [`what_if`] runs two forks side by side, [`trial`] runs
//!   one plugin on recorded readings.
//!
//! Invariant: the data folder is only read, also where a node is running on it.

mod compare;
mod data;
mod fork;
mod lines;
mod outputs;
mod script;
mod survey;
mod tally;
#[cfg(test)]
mod tests;
mod trial;
mod verify;
mod what_if;

pub use compare::Difference;
pub use data::{DataFolder, RerunError, deployment_of, twin_at};
pub use fork::Fork;
pub use outputs::{Changed, Kind, Output, Outputs, Series};
pub use script::{InjectError, Injected, Script, ScriptError};
pub use tally::{Tally, tally};
pub use trial::{Trial, TrialError, trial};
pub use verify::{Checked, Counts, Report, Verdict, Which, verify};
pub use what_if::{Change, Comparison, WhatIf, what_if};

/// Told now and then how far it is: what is being done, how much of it, and of how much where that
/// is known.
pub type Watch<'a> = &'a mut dyn FnMut(&'static str, u64, Option<u64>);

/// Entries between two calls of a [`Watch`].
const WATCHED: u64 = 1024;
