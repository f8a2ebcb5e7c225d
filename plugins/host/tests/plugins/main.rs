//! The host with real components: hostile ones are contained, the health rule is reproducible.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chain;
mod containment;
mod health;
mod loading;
mod package;
mod properties;
mod succession;
mod support;
