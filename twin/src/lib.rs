//! The twin service: readings become a durable, queryable twin of a city's quarters.

pub mod access;
mod backoff;
pub mod cli;
pub mod config;
pub mod decode;
pub mod engine;
pub mod event;
pub mod external;
pub mod feed;
pub mod grid;
pub mod http;
pub mod influx;
pub mod intake;
pub mod journal;
pub mod model;
pub mod mqtt;
pub mod node;
pub mod plugins;
pub mod registry;
pub mod rerun;
pub mod snapshots;
pub mod state;
pub mod status;
pub mod store;
pub mod topics;
pub mod vocabulary;
pub mod windows;
