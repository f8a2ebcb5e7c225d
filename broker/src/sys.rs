//! `$SYS/broker/..`: the broker about itself, under the names that mosquitto has for it.
//!
//! Invariant: these messages enter neither the router nor the retained store: they are delivered
//! at the door, and a new subscriber is answered from here. So they take no part in anybody's
//! limits and are never on a disk.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use tokio::time;

use crate::codec::{self, QoS};
use crate::envelope::{Draft, Envelope, HOST, Parts};
use crate::hub::Hub;

/// What they all begin with.
pub(crate) const PREFIX: &str = "$SYS/";
const MINUTE: f64 = 60.0;
/// Minutes that loads are averaged over.
const SPANS: [(&str, f64); 3] = [("1min", 1.0), ("5min", 5.0), ("15min", 15.0)];

/// The newest message of every topic.
#[derive(Debug, Default)]
pub(crate) struct Sys(RwLock<Vec<Envelope>>);

impl Sys {
    /// Calls `emit` for every message whose topic matches `filter`.
    pub(crate) fn matching(&self, filter: &str, emit: impl FnMut(&Envelope)) {
        if filter.starts_with(PREFIX) {
            let messages = self.0.read();
            let matches = |message: &&Envelope| codec::matches(filter, message.topic());
            messages.iter().filter(matches).for_each(emit);
        }
    }
}

/// A number a minute, averaged with the weight of the past falling exponentially.
#[derive(Debug, Default)]
struct Load {
    before: u64,
    averages: [f64; SPANS.len()],
}

impl Load {
    fn update(&mut self, count: u64, passed: Duration) {
        let minutes = passed.as_secs_f64() / MINUTE;
        if minutes <= 0.0 {
            return;
        }
        let rate = count.saturating_sub(self.before) as f64 / minutes;
        self.before = count;
        for (average, (_, span)) in self.averages.iter_mut().zip(SPANS) {
            let past = (-minutes / span).exp();
            *average = *average * past + rate * (1.0 - past);
        }
    }
}

/// Publishes the topics every `sys_interval`, for as long as it is polled.
pub(crate) async fn tell(hub: Arc<Hub>) {
    if hub.config.sys_interval.is_zero() {
        return;
    }
    let start = Instant::now();
    let (mut received, mut sent) = (Load::default(), Load::default());
    let mut maximum = 0;
    let mut last = start;
    let mut interval = time::interval(hub.config.sys_interval);
    interval.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let now = Instant::now();
        let figures = Figures::of(&hub);
        maximum = figures.connected.max(maximum);
        received.update(figures.messages_received, now - last);
        sent.update(figures.messages_sent, now - last);
        last = now;
        let mut topics = figures.topics();
        topics.push((
            "uptime".into(),
            format!("{} seconds", start.elapsed().as_secs()),
        ));
        topics.push(("clients/maximum".into(), maximum.to_string()));
        for (name, load) in [("received", &received), ("sent", &sent)] {
            for ((span, _), average) in SPANS.iter().zip(load.averages) {
                topics.push((
                    format!("load/messages/{name}/{span}"),
                    format!("{average:.2}"),
                ));
            }
        }
        let messages: Vec<Envelope> = topics
            .iter()
            .map(|(name, value)| message(name, value))
            .collect();
        hub.sys.0.write().clone_from(&messages);
        hub.publish_sys(&messages);
    }
}

fn message(name: &str, value: &str) -> Envelope {
    Draft::new(&Parts {
        topic: &format!("{PREFIX}broker/{name}"),
        payload: value.as_bytes(),
        qos: QoS::AtMostOnce,
        retain: true,
        properties: &[],
        expiry: None,
        origin: HOST,
    })
    .seal(0)
}

/// What is told, at one time.
struct Figures {
    connected: u64,
    messages_received: u64,
    messages_sent: u64,
    numbers: Vec<(&'static str, u64)>,
}

impl Figures {
    fn of(hub: &Hub) -> Self {
        let stats = hub.stats();
        let connected = stats.clients;
        // An answer counts when it is owed: it may wait for a disk for a moment.
        let messages_sent = stats.sent + stats.accepted + stats.packets_answered;
        let held = hub.sessions.held();
        let retained = hub.retained.len() + hub.sys.0.read().len();
        let dropped = [
            stats.dropped_queue_full,
            stats.dropped_expired,
            stats.dropped_too_large,
            stats.dropped_intake_full,
            stats.dropped_not_authorized,
            stats.dropped_topic_levels,
            stats.dropped_rights_lost,
        ];
        Self {
            connected,
            messages_received: stats.packets_received,
            messages_sent,
            numbers: vec![
                ("clients/connected", connected),
                (
                    "clients/disconnected",
                    stats.sessions.saturating_sub(connected),
                ),
                ("clients/total", stats.sessions),
                ("clients/expired", stats.sessions_expired),
                ("messages/received", stats.packets_received),
                ("messages/sent", messages_sent),
                ("messages/stored", (retained + held.messages) as u64),
                ("publish/messages/received", stats.received),
                ("publish/messages/sent", stats.sent),
                ("publish/messages/dropped", dropped.iter().sum()),
                ("bytes/received", stats.bytes_received),
                ("bytes/sent", stats.bytes_sent),
                ("subscriptions/count", held.filters as u64),
                ("shared_subscriptions/count", held.shared as u64),
                ("retained messages/count", retained as u64),
            ],
        }
    }

    fn topics(&self) -> Vec<(String, String)> {
        let version = format!("quartier {}", env!("CARGO_PKG_VERSION"));
        let numbers = self.numbers.iter();
        let numbers = numbers.map(|(name, number)| ((*name).to_owned(), number.to_string()));
        std::iter::once(("version".to_owned(), version))
            .chain(numbers)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_its_own_average_and_a_short_one_fades() {
        let mut load = Load::default();
        for minute in 1..=60 {
            load.update(minute * 100, Duration::from_secs(60));
        }
        assert!(
            load.averages.iter().all(|a| (95.0..=100.0).contains(a)),
            "{load:?}"
        );
        for _ in 0..5 {
            load.update(6_000, Duration::from_secs(60));
        }
        let [one, five, fifteen] = load.averages;
        assert!(
            one < 1.0 && (30.0..45.0).contains(&five) && fifteen > 60.0,
            "{load:?}"
        );
    }
}
