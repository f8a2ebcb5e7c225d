//! The MQTT front door: listeners, login, packets, sessions, retained messages, acknowledgement.
//! rumqttd's router does the fan-out behind it and is not visible from outside.
//!
//! The broker knows nothing of twins. What it needs from its host are small traits, handed in at
//! start: [`Gate`] (who may connect and do what), [`Intake`] (telemetry that must be durable before
//! it is acknowledged), [`RetainedSource`] (retained messages that somebody else keeps) and
//! [`Disk`] (what must survive the process).

mod broker;
mod buffers;
mod codec;
mod config;
mod connection;
mod disk;
mod envelope;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod gate;
mod group;
mod hub;
mod kept;
mod levels;
mod listener;
mod publisher;
mod retained;
mod router;
mod session;
mod sessions;
mod stats;
mod subscriptions;
mod sys;
mod tls;
mod tree;
mod will;
mod window;

// The harness of the tests at the socket, for those that need what is not public.
#[cfg(test)]
extern crate self as quartier_broker;
#[cfg(test)]
#[path = "../tests/door/harness.rs"]
#[allow(dead_code, reason = "the tests of the door use what these do not")]
mod harness;
#[cfg(test)]
mod killed;
#[cfg(test)]
#[path = "../tests/door/wire.rs"]
#[allow(dead_code, reason = "the tests of the door use what these do not")]
mod wire;

use bytes::Bytes;
use tokio::sync::watch;

pub use broker::{Broker, StartError};
pub use config::{Config, Hooks, WhenFull};
pub use disk::{Changes, Disk, DiskFailed};
pub use gate::{Certificate, Client, Gate, Granted, Login, Peer, Refused, Rights};
pub use kept::retained_entry;
pub use publisher::Publisher;
pub use stats::Stats;
pub use tls::{Tls, TlsError, TlsFiles, TlsStream};

/// One telemetry publish, borrowed from the connection's read buffer.
#[derive(Debug, Clone, Copy)]
pub struct Telemetry<'a> {
    /// Topic, validated: UTF-8, no wildcard.
    pub topic: &'a str,
    /// Payload as sent.
    pub payload: &'a [u8],
}

/// The intake's answer to a run of telemetry publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// All are dealt with once the durable position reaches this one. What was rejected for its
    /// content counts as dealt with: it is in the dead letters.
    At(u64),
    /// No room: nothing of the run was taken; 0x97 to MQTT 5 clients, no PUBACK to 3.1.1 clients.
    Full,
    /// The log failed: nothing of the run was taken and nothing will be until a restart.
    Failed,
}

/// Telemetry that must be durable before it is acknowledged.
pub trait Intake: Send + Sync + 'static {
    /// Whether publishes to `topic` are telemetry. Asked once a publish: must be cheap.
    fn wants(&self, topic: &str) -> bool;

    /// Takes a run of publishes of one client, in the order received. Never blocks on a disk.
    fn take(&self, client: &Client, run: &[Telemetry<'_>]) -> Taken;

    /// The position up to which everything taken is on disk.
    fn durable(&self) -> watch::Receiver<u64>;
}

/// Retained messages that somebody else keeps: the twin's topics are answered from the twin.
pub trait RetainedSource: Send + Sync + 'static {
    /// Whether this source keeps the retained messages of `topic`; then the broker does not.
    fn owns(&self, topic: &str) -> bool;

    /// Calls `emit(topic, payload)` for every retained message whose topic matches `filter`.
    fn matching(&self, filter: &str, emit: &mut dyn FnMut(String, Bytes));
}

/// Whether `topic` matches `filter`, both valid, by the rules of MQTT.
pub fn topic_matches(filter: &str, topic: &str) -> bool {
    codec::matches(filter, topic)
}

/// A message that the host publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Full topic.
    pub topic: String,
    /// Payload; empty with `retain` clears the retained message.
    pub payload: Bytes,
    /// Kept for later subscribers, unless a [`RetainedSource`] owns the topic.
    pub retain: bool,
}
