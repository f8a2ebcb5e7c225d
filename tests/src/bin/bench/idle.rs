//! Thousands of connections that say nothing, half of them with a subscription of their own: what
//! each takes of memory, and what a publish that none of them wants takes of time.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use quartier_tests::{
    Node, NodeConfig, Version, cpu_seconds, pause, publish_packet, resident_bytes,
};

use crate::Extent;
use crate::mosquitto::Mosquitto;
use crate::table::Table;

/// Descriptors that the bench and each server need beside the connections.
const OTHERS: u32 = 500;
/// Publishes between two looks whether the server has come so far.
const BURST: u32 = 500;

/// Bytes a connection without and with a subscription, seconds of CPU a publish.
struct Side {
    silent: f64,
    subscribed: f64,
    publish: f64,
}

/// Both sides in turn.
pub(crate) fn measure(table: &mut Table, extent: &Extent) -> Result<()> {
    let half = allowed(extent.idle)? / 2;
    eprintln!("{} idle connections ...", 2 * half);
    let mosquitto = Mosquitto::start()?;
    let theirs = side(mosquitto.address, mosquitto.pid(), half, extent.unmatched)?;
    drop(mosquitto);
    let node = Node::start(NodeConfig::of("johannstadt"));
    let ours = side(node.mqtt(), node.pid(), half, extent.unmatched)?;
    table.both(
        "memory per idle connection",
        (ours.silent, theirs.silent),
        "B",
        "<= 8 KB",
        &format!("resident memory with {half} clients of 3.1.1 that only connected, less that before, / clients"),
    );
    table.both(
        "the same with a subscription",
        (ours.subscribed, theirs.subscribed),
        "B",
        "",
        &format!("{half} more, each subscribed to an exact topic of its own"),
    );
    table.both(
        "CPU per unmatched publish",
        (ours.publish * 1e6, theirs.publish * 1e6),
        "us",
        "",
        &format!(
            "user+sys of the server's process for {} QoS 0 publishes of 150 bytes that no filter matches, beside these connections",
            extent.unmatched
        ),
    );
    Ok(())
}

/// How many of `wanted` connections the limit of open files allows, after it was raised as far as
/// it may be; servers started from here on inherit it.
fn allowed(wanted: u32) -> Result<u32> {
    let own = std::process::id();
    let limits = std::fs::read_to_string("/proc/self/limits").context("/proc/self/limits")?;
    let hard = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(u32::MAX);
    let limit = hard.min(wanted + OTHERS);
    let raised = Command::new("prlimit")
        .args([format!("--pid={own}"), format!("--nofile={limit}:{hard}")])
        .status();
    if !raised.is_ok_and(|status| status.success()) {
        bail!("prlimit (Debian package util-linux) could not allow {limit} open files");
    }
    if limit < wanted + OTHERS {
        eprintln!("no more than {hard} open files are allowed here");
    }
    Ok(limit.saturating_sub(OTHERS).min(wanted))
}

fn side(server: SocketAddr, pid: u32, half: u32, unmatched: u32) -> Result<Side> {
    // What the first client costs is not a client's cost.
    let mut publisher = connect(server, "publisher", false)?;
    barrier(&mut publisher)?;
    let mut memory = resident_bytes(pid);
    let mut grown = |clients: &[TcpStream]| {
        pause(Duration::from_millis(500));
        let before = std::mem::replace(&mut memory, resident_bytes(pid));
        memory.saturating_sub(before) as f64 / clients.len() as f64
    };
    let join = |numbers: std::ops::Range<u32>, subscribes| -> Result<Vec<TcpStream>> {
        numbers
            .map(|number| connect(server, &format!("d{number:05}"), subscribes))
            .collect()
    };
    let first = join(0..half, false)?;
    let silent = grown(&first);
    let second = join(half..2 * half, true)?;
    let subscribed = grown(&second);
    let cpu = cpu_seconds(pid);
    let mut number = 0;
    while number < unmatched {
        let burst: Vec<u8> = (number..number + BURST)
            .flat_map(|number| {
                let topic = format!("cmd/v1/q/n{:05}", number % 100_000);
                publish_packet(Version::V4, &topic, &[b'x'; 150], None)
            })
            .collect();
        publisher.write_all(&burst)?;
        barrier(&mut publisher)?;
        number += BURST;
    }
    let publish = (cpu_seconds(pid) - cpu) / f64::from(number);
    Ok(Side {
        silent,
        subscribed,
        publish,
    })
}

/// Connects with 3.1.1 and no keep-alive.
pub(crate) fn connect(server: SocketAddr, id: &str, subscribes: bool) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let length = u8::try_from(id.len())?;
    let mut bytes = vec![
        0x10,
        12 + length,
        0,
        4,
        b'M',
        b'Q',
        b'T',
        b'T',
        4,
        2,
        0,
        0,
        0,
        length,
    ];
    bytes.extend(id.as_bytes());
    if subscribes {
        bytes.extend(subscribe(&format!("cmd/v1/q/{id}"))?);
    }
    stream.write_all(&bytes)?;
    let mut answer = vec![0; if subscribes { 9 } else { 4 }];
    stream
        .read_exact(&mut answer)
        .with_context(|| id.to_owned())?;
    if answer.get(..4) != Some(&[0x20, 2, 0, 0]) {
        bail!("{id} was not let in: {answer:?}");
    }
    Ok(stream)
}

/// A SUBSCRIBE with packet identifier 1 and QoS 1.
pub(crate) fn subscribe(filter: &str) -> Result<Vec<u8>> {
    let length = u8::try_from(filter.len())?;
    let mut bytes = vec![0x82, 5 + length, 0, 1, 0, length];
    bytes.extend(filter.as_bytes());
    bytes.push(1);
    Ok(bytes)
}

/// Returns when the server has read everything before.
pub(crate) fn barrier(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(&[0xC0, 0])?;
    let mut answer = [0; 2];
    stream.read_exact(&mut answer)?;
    if answer != [0xD0, 0] {
        bail!("instead of a PINGRESP: {answer:?}");
    }
    Ok(())
}
