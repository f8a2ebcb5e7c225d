//! Counters of the broker, read by [`crate::Broker::stats`] and told to the `metrics` crate.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters since the start of the broker, and three gauges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Open connections, those without a CONNECT included.
    pub connections: u64,
    /// Of them those that were let in.
    pub clients: u64,
    /// Sessions, connected or not.
    pub sessions: u64,
    /// Connections that were accepted by a CONNACK.
    pub accepted: u64,
    /// Connections that were refused: limits, TLS, login, no CONNECT in time, protocol.
    pub refused: u64,
    /// Of them those whose TLS handshake failed: no TLS at all, no common version, or a client
    /// certificate that is not valid.
    pub tls_refused: u64,
    /// Sessions that ended because their client stayed away too long.
    pub sessions_expired: u64,
    /// Bytes received from clients after their CONNECT, without TLS.
    pub bytes_received: u64,
    /// Bytes sent to them, likewise.
    pub bytes_sent: u64,
    /// Packets of any kind received from clients after their CONNECT.
    pub packets_received: u64,
    /// Of them those that are answered by a packet.
    pub packets_answered: u64,
    /// PUBLISH packets received from clients.
    pub received: u64,
    /// Of them telemetry, handed to the intake.
    pub telemetry: u64,
    /// PUBLISH packets sent to clients.
    pub sent: u64,
    /// Messages not delivered because a client's queue was full, or that a client is away for.
    pub dropped_queue_full: u64,
    /// Messages not delivered because their expiry passed first.
    pub dropped_expired: u64,
    /// Messages not delivered because a client takes no packet that large.
    pub dropped_too_large: u64,
    /// QoS 0 telemetry dropped because the intake was full.
    pub dropped_intake_full: u64,
    /// Publishes and wills without a right to their topic.
    pub dropped_not_authorized: u64,
    /// Publishes to a topic of too many levels.
    pub dropped_topic_levels: u64,
    /// Messages not delivered because the client lost the right to their topic while they waited.
    pub dropped_rights_lost: u64,
    /// Filters that a client has no right to.
    pub subscriptions_refused: u64,
    /// Retained messages not kept because the store was full.
    pub dropped_retained_full: u64,
    /// Clients disconnected because they did not read or acknowledge fast enough.
    pub slow_clients: u64,
    /// Clients disconnected for a packet that MQTT does not allow.
    pub protocol_errors: u64,
    /// Clients disconnected because nothing came within 1.5 times the keep-alive.
    pub keep_alive_timeouts: u64,
    /// Connections that another one with the same identifier replaced.
    pub taken_over: u64,
    /// Times that the router lost messages for a filter; its subscribers were disconnected.
    pub router_jumps: u64,
    /// Times that the router was built again.
    pub router_rebuilds: u64,
    /// Times that what must survive the process could not be written; it is tried again.
    pub disk_failures: u64,
    /// Entries on disk that could not be read at the start and were removed.
    pub disk_unreadable: u64,
}

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        /// The counters as they are counted.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: Counter,)* }

        impl Counters {
            /// The counters now.
            pub(crate) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.get(),)* sessions: 0 }
            }
        }

        impl Stats {
            /// Tells the `metrics` crate: `quartier_mqtt_{name}` for every field.
            pub(crate) fn export(&self) {
                let Self { connections, clients, sessions, .. } = *self;
                metrics::gauge!("quartier_mqtt_connections").set(connections as f64);
                metrics::gauge!("quartier_mqtt_clients").set(clients as f64);
                metrics::gauge!("quartier_mqtt_sessions").set(sessions as f64);
                $(if !matches!(stringify!($name), "connections" | "clients") {
                    metrics::counter!(concat!("quartier_mqtt_", stringify!($name), "_total"))
                        .absolute(self.$name);
                })*
            }
        }
    };
}

counters! {
    connections, clients, accepted, sessions_expired, bytes_received, bytes_sent,
    packets_received, packets_answered, refused, tls_refused, received, telemetry, sent, dropped_queue_full,
    dropped_expired, dropped_too_large, dropped_intake_full, dropped_not_authorized, dropped_topic_levels, dropped_rights_lost,
    subscriptions_refused,
    dropped_retained_full, slow_clients, protocol_errors, keep_alive_timeouts, taken_over,
    router_jumps, router_rebuilds, disk_failures, disk_unreadable,
}

/// One number that many tasks count.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub(crate) fn add(&self, n: u64) {
        if n > 0 {
            self.0.fetch_add(n, Relaxed);
        }
    }

    /// Takes `n` away, for gauges.
    pub(crate) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    /// The number now.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
