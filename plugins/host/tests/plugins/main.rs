//! The host with real components: hostile ones are contained, the health rule is reproducible.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;
mod containment;
mod health;
mod loading;
mod mobility;
mod science;
mod support;
