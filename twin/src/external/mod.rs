//! An MQTT 5 broker elsewhere in place of the embedded one: `[mqtt] external`.
//!
//! In: a subscription to the telemetry of each of the node's quarters, shared so that nodes of one
//! group share the load. A publish is acknowledged when its readings are durable and not before, in
//! the order received [MQTT-4.6.0-2]; the session outlives the connection and the process, so
//! whatever was not acknowledged comes again.
//!
//! Out: QoS 1 from an [`Outbox`] that never makes the fold wait.

mod by_clock;
mod connection;
mod flight;
mod incoming;
mod options;
mod outbox;
mod tls;

pub use connection::External;
pub use options::{Address, FileError, Options, check};
pub use outbox::Outbox;
pub use tls::{ClientFiles, client_config, client_config_by_clock};
