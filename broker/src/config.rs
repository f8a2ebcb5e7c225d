//! Limits of the broker. Every queue has one; what happens when it is full stands beside it.

use std::sync::Arc;
use std::time::Duration;

use crate::{Disk, Gate, Intake, RetainedSource};

/// What happens to a message for a client whose queue is full. It is counted in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// QoS 0 is dropped. QoS 1 and 2 end the connection with 0x97, so that the client knows; for a
    /// client that is away they are dropped.
    #[default]
    Disconnect,
    /// It is dropped.
    DropNewest,
    /// The oldest one that waits is dropped for it; what is on its way to the client is not.
    DropOldest,
}

/// Limits and times of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Open connections, those without a CONNECT included; further ones are closed on accept.
    pub max_connections: usize,
    /// Sessions, connected or not; a CONNECT that would make one more is refused with 0x97 (3.1.1:
    /// 3).
    pub max_sessions: usize,
    /// Bytes of the largest packet a client may send, 1 KiB to 256 MiB; announced to MQTT 5.
    pub max_packet: usize,
    /// QoS 1 and 2 messages on their way to one client, at least 1; the client may ask for less.
    pub max_inflight: u16,
    /// Messages waiting for one client.
    pub max_queue_messages: usize,
    /// Bytes waiting for one client.
    pub max_queue_bytes: usize,
    /// When one of them is reached.
    pub when_queue_full: WhenFull,
    /// Publishes of one client that wait to be durable, at least 1. When full, its socket is not
    /// read. Announced to MQTT 5 as receive maximum.
    pub max_pending: u16,
    /// Payload bytes of one client that wait to be durable, with the same consequence.
    pub max_pending_bytes: usize,
    /// Retained messages kept by the broker itself; beyond, a new topic is not kept and counted.
    pub max_retained: usize,
    /// Filters of one session; beyond, 0x97 (3.1.1: 0x80). The same is the answer while more than
    /// `max_queue_messages` retained messages wait for the client.
    pub max_subscriptions: usize,
    /// Topic aliases that one MQTT 5 client may set, announced; 0 turns them off.
    pub max_topic_alias: u16,
    /// Messages a second that one connection may publish, with a second's worth at once; 0 is any
    /// number. A faster client is not read until its turn: nothing is lost, and it is not cut for
    /// being silent meanwhile.
    pub max_publish_rate: u32,
    /// Levels of a topic or filter; beyond, a publish is not taken (0x90; 3.1.1 and QoS 0: dropped
    /// and counted) and a filter is refused (0x8F; 3.1.1: 0x80).
    pub max_topic_levels: usize,
    /// Time from accept to a complete CONNECT.
    pub connect_timeout: Duration,
    /// Seconds; an MQTT 5 client that asks for more is told to use this. 0 stays "no keep-alive".
    pub keep_alive_max: u16,
    /// Between two publications of `$SYS/broker/..`; zero turns them off.
    pub sys_interval: Duration,
    /// Seconds that a session may outlive its connection; sessions that ask for more get this.
    pub session_expiry_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections: 20_000,
            max_sessions: 100_000,
            max_packet: 1 << 20,
            max_inflight: 1_000,
            max_queue_messages: 100_000,
            max_queue_bytes: 32 << 20,
            when_queue_full: WhenFull::Disconnect,
            max_pending: 1_000,
            max_pending_bytes: 1 << 20,
            max_retained: 1_000_000,
            max_subscriptions: 1_000,
            max_topic_alias: 64,
            max_publish_rate: 0,
            max_topic_levels: 32,
            connect_timeout: Duration::from_secs(10),
            keep_alive_max: u16::MAX,
            sys_interval: Duration::from_secs(10),
            session_expiry_max: 7 * 24 * 3600,
        }
    }
}

/// What the broker asks its host.
#[derive(Clone)]
pub struct Hooks {
    /// Who may connect.
    pub gate: Arc<dyn Gate>,
    /// Telemetry that must be durable before it is acknowledged.
    pub intake: Arc<dyn Intake>,
    /// Retained messages that somebody else keeps.
    pub retained: Arc<dyn RetainedSource>,
    /// For what must survive the process.
    pub disk: Arc<dyn Disk>,
}
