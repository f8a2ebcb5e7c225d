//! Runs the labs' rules: wasmtime narrowed to what a rule may do.
//!
//! A [`Host`] loads [`Plugin`]s, a [`Runner`] runs one of them in one quarter, [`Batch`] by
//! [`Batch`]. Nothing of wasmtime is visible from outside, nothing of a twin from inside. A plugin
//! has no clock, no random numbers, no files and no network; what it may use up is its manifest's
//! quota; the same batches give the same answers, bit for bit.
#![deny(unsafe_code)] // Not forbid: `cache` takes compiled code back from disk, and says why it may.

mod answer;
mod bindings;
mod cache;
mod check;
mod componentize;
mod digest;
mod engine;
mod files;
mod instance;
mod limits;
mod manifest;
mod newest;
mod package;
mod plugin;
mod runner;
mod saved;
mod sign;
mod types;

pub use answer::{Answer, FailureKind, Level};
pub use check::MAX_TEXT;
pub use componentize::{ComponentizeError, componentize};
pub use digest::{Digest, DigestError};
pub use engine::{Host, HostError};
pub use manifest::{
    AlertRule, CommandRule, Emits, Interlock, Limit, MAX_MEMORY, Manifest, ManifestError,
    Parameter, Quotas, Reads, Source, TestVector, WIT, WindowRule,
};
pub use package::Package;
pub use plugin::{LoadError, Plugin};
pub use runner::{CHECKPOINT, Kept, QUARANTINE, QUARANTINED, Runner, RunnerError, Stats};
pub use sign::{KeyError, PublicKey, SignatureError, SigningKey, signer};
pub use types::{
    Alert, Asset, Batch, Command, Derived, Dictionary, Entry, NO_ROW, Output, Reason, Relation,
    Severity, Windows,
};
