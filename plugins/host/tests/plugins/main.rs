//! The host with real components: hostile ones are contained, the labs' rules are reproducible, the
//! SDK hides the batches.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;
mod chain;
mod containment;
mod energy;
mod health;
mod loading;
mod mobility;
mod package;
mod properties;
mod rows;
mod science;
mod states;
mod succession;
mod support;
