//! What a node's twin says of a load's counters, by its retained topics: of a box that has no API,
//! too.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::mqtt::{Client, ConnectOptions, Packet};

/// For all retained messages.
const PATIENCE: Duration = Duration::from_secs(20);

/// Newest value and number of values taken, of each asset that has `metric`. Reads until `wanted`
/// accepts it, or to the deadline.
pub fn counters(
    server: SocketAddr,
    metric: &str,
    wanted: impl Fn(&BTreeMap<String, (f64, u64)>) -> bool,
) -> BTreeMap<String, (f64, u64)> {
    let failed = |error: std::io::Error| -> ! { panic!("the node's topics: {error}") };
    let id = format!("reader-{}", server.port());
    let (mut client, code) =
        Client::connect(server, &ConnectOptions::new(&id)).unwrap_or_else(|e| failed(e));
    assert_eq!(code, 0, "the node lets nobody in");
    let subscribed = client.subscribe("twin/v1/#", 0);
    let (_, before) = subscribed.unwrap_or_else(|e| failed(e));
    let mut found = BTreeMap::new();
    let end = Instant::now() + PATIENCE;
    let mut packets = before;
    loop {
        for packet in packets.drain(..) {
            if let Packet::Publish { topic, payload, .. } = packet {
                take(&topic, &payload, metric, &mut found);
            }
        }
        if wanted(&found) || Instant::now() > end {
            return found;
        }
        let received = client.receive(Duration::from_millis(100));
        packets.extend(received.unwrap_or_else(|e| failed(e)));
    }
}

fn take(topic: &str, payload: &[u8], metric: &str, found: &mut BTreeMap<String, (f64, u64)>) {
    let mut levels = topic.rsplit('/');
    let (Some(last), Some(asset)) = (levels.next(), levels.next()) else {
        return;
    };
    let json: Value = serde_json::from_slice(payload).unwrap_or_default();
    let entry = json["value"].as_f64().zip(json["rev"].as_u64());
    if last == metric
        && let Some(entry) = entry
    {
        found.insert(asset.to_owned(), entry);
    }
}
