//! The host with real components: hostile ones are contained, the health rule is reproducible.

mod containment;
mod health;
mod loading;
mod support;
