//! The host with real components: hostile ones are contained, the labs' rules are reproducible.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod containment;
mod energy;
mod health;
mod loading;
mod support;
