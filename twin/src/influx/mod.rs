//! The InfluxDB sink: reads on from its own place in the journal, writes line protocol, and moves
//! its cursor only when the server has acknowledged.
//!
//! It knows neither journal nor twin: a [`Source`] gives lines, a [`Ledger`] keeps the cursor and
//! the dead letters, a [`SinkState`] tells others how it fares. While a server is down the sink
//! holds one batch in memory and everything else stays in the journal.
//!
//! Invariant: a line is in the server, in the dead letters, or after the cursor. Writing a point
//! again changes nothing in an InfluxDB, so whatever was not acknowledged is simply sent again.

mod config;
mod deliver;
mod lines;
mod number;
mod post;
mod sink;
mod state;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

pub use config::{ConfigError, InfluxApi, InfluxConfig};
pub use lines::{Lines, Point};
pub use sink::{DeadLetter, Ledger, RunError, Source, StoreError, run};
pub use state::{SinkReport, SinkState, SinkStatus};
