//! One client floods; another sends itself a message now and then, and sees how long it takes.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use quartier_tests::{Node, NodeConfig, Version, pause, publish_packet};

use crate::Extent;
use crate::idle::{barrier, connect, subscribe};
use crate::mosquitto::Mosquitto;
use crate::table::Table;

/// Between two messages of the innocent client.
const EACH: Duration = Duration::from_millis(5);

/// Both sides in turn, each at rest and beside the flood.
pub(crate) fn measure(table: &mut Table, extent: &Extent) -> Result<()> {
    eprintln!("a flood ...");
    let time = extent.time / 3;
    let mosquitto = Mosquitto::start()?;
    let theirs = side(mosquitto.address, time)?;
    drop(mosquitto);
    let node = Node::start(NodeConfig::of("johannstadt"));
    let ours = side(node.mqtt(), time)?;
    for (what, at) in [("at rest", 0), ("beside a flood", 1)] {
        table.both(
            &format!("round trip {what}, p99"),
            (ours[at], theirs[at]),
            "ms",
            "",
            "QoS 0 message of a client to itself by a wildcard, 200/s; the flood: one client with QoS 0 messages of 200 bytes as fast as they are read, one subscriber of them",
        );
    }
    Ok(())
}

/// 99th percentiles in milliseconds, at rest and beside the flood.
fn side(server: SocketAddr, time: Duration) -> Result<[f64; 2]> {
    let rest = round_trips(server, time)?;
    let stop = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&stop);
    let flood = thread::spawn(move || flood(server, &ended));
    let beside = round_trips(server, time);
    stop.store(true, Relaxed);
    let flooded = flood.join();
    match flooded {
        Ok(result) => result.context("the flooding client")?,
        Err(_) => bail!("the flooding client panicked"),
    }
    Ok([rest, beside?])
}

fn flood(server: SocketAddr, stop: &Arc<AtomicBool>) -> Result<()> {
    let mut sink = connect(server, "sink", false)?;
    sink.write_all(&subscribe("flood/+")?)?;
    sink.set_read_timeout(Some(Duration::from_millis(100)))?;
    let ended = Arc::clone(stop);
    let reader = thread::spawn(move || {
        let mut bytes = vec![0; 1 << 20];
        while !ended.load(Relaxed) {
            // A time-out only means that nothing came.
            let _ = sink.read(&mut bytes);
        }
    });
    let mut stream = connect(server, "flood", false)?;
    let burst = publish_packet(Version::V4, "flood/x", &[b'x'; 200], None).repeat(200);
    while !stop.load(Relaxed) {
        stream.write_all(&burst)?;
    }
    drop(stream);
    if reader.join().is_err() {
        bail!("its subscriber panicked");
    }
    Ok(())
}

fn round_trips(server: SocketAddr, time: Duration) -> Result<f64> {
    let mut stream = connect(server, "innocent", false)?;
    stream.write_all(&subscribe("innocent/+")?)?;
    stream.read_exact(&mut [0; 5])?;
    barrier(&mut stream)?;
    let packet = publish_packet(Version::V4, "innocent/x", &[b'x'; 100], None);
    let mut took = Vec::new();
    let started = Instant::now();
    while started.elapsed() < time {
        let sent = Instant::now();
        stream.write_all(&packet)?;
        // It comes back as it was sent.
        stream.read_exact(&mut vec![0; packet.len()])?;
        took.push(sent.elapsed().as_secs_f64() * 1e3);
        pause(EACH);
    }
    took.sort_unstable_by(f64::total_cmp);
    let at = took.len().saturating_sub(1) * 99 / 100;
    took.get(at).copied().context("no round trip")
}
