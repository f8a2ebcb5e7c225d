//! What the twin costs by itself: folding, memory, recovery.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use quartier_tests::{Client, ConnectOptions, Node, NodeConfig, Packet, resident_bytes};
use quartier_twin::event::{Entry, Event};
use quartier_twin::model::{AssetRecord, Millis, Observed, Place, Quality, QuarterRecord, Reading};
use quartier_twin::state::{Effects, Twin};

use crate::Extent;
use crate::table::Table;

/// Streams of the fold's measurement.
const STREAMS: u64 = 10_000;
const START: Millis = Millis(1_767_225_600_000);

/// Readings a second that one thread folds: one reading an entry, in turn over 10,000 placed
/// assets of one quarter, a tick every 100,000.
pub(crate) fn fold_rate(table: &mut Table, extent: &Extent) -> Result<()> {
    let (mut twin, mut effects) = (Twin::new(), Effects::default());
    let names: Vec<String> = (0..STREAMS).map(|number| format!("box-{number}")).collect();
    let mut position = 0;
    let mut fold = |entry: Entry<'_>| {
        position += 1;
        twin.fold(position, &entry, &mut effects);
        effects.clear();
    };
    let quarter = "johannstadt";
    fold(Entry {
        at: START,
        event: Event::QuarterPut(QuarterRecord {
            id: quarter.to_owned(),
            name: quarter.to_owned(),
            cells: Vec::new(),
            timezone: "Europe/Berlin".to_owned(),
        }),
    });
    for (number, id) in names.iter().enumerate() {
        let (row, column) = ((number / 100) as f64, (number % 100) as f64);
        let place = Place::new(51.04 + row * 0.0002, 13.75 + column * 0.0003);
        let record = AssetRecord {
            quarter: quarter.to_owned(),
            id: id.clone(),
            place,
            ..AssetRecord::default()
        };
        fold(Entry {
            at: START,
            event: Event::AssetPut(record),
        });
    }
    let started = Instant::now();
    for number in 0..extent.folds {
        let time = START.plus(i64::try_from(number / STREAMS).unwrap_or(0) * 1000);
        let asset = names
            .get(usize::try_from(number % STREAMS).unwrap_or(0))
            .map_or("", |n| n);
        let value = 10.0 + (number % 997) as f64 / 100.0;
        let reading = Reading {
            metric: "pm10",
            value,
            time,
            quality: Quality::Good,
            unit: None,
        };
        let observed = Observed {
            quarter,
            asset,
            place: None,
            readings: vec![reading],
        };
        fold(Entry {
            at: time,
            event: Event::Observed(observed),
        });
        if number % 100_000 == 99_999 {
            fold(Entry {
                at: time,
                event: Event::Ticked,
            });
        }
    }
    let rate = extent.folds as f64 / started.elapsed().as_secs_f64();
    table.one(
        "readings folded, one thread",
        rate,
        "/s",
        ">= 2 million",
        "Twin::fold of one-reading entries over 10,000 placed assets, in process, entries made on the way",
    );
    Ok(())
}

/// Publishes two metrics of each asset, with a window of 500, and returns when all are folded.
fn fill(node: &Node, assets: u32) -> Result<()> {
    let (mut client, code) = Client::connect(node.mqtt(), &ConnectOptions::new("fill"))?;
    if code != 0 {
        bail!("not let in: {code}");
    }
    let mut waiting = 0u32;
    for number in 0..assets {
        let (lat, lon) = (
            51.0 + f64::from(number / 400) * 0.0003,
            13.6 + f64::from(number % 400) * 0.0006,
        );
        let payload = format!(
            "{{\"t\":\"2026-06-01T00:00:00Z\",\"lat\":{lat:.5},\"lon\":{lon:.5},\
             \"temperature\":21.5,\"humidity\":55}}"
        );
        let id = u16::try_from(number % 60_000).unwrap_or(0) + 1;
        let topic = format!("dt/johannstadt/asset-{number:06}");
        client.publish(&topic, payload.as_bytes(), Some(id), false);
        waiting += 1;
        if waiting == 500 || number + 1 == assets {
            client.flush()?;
            while waiting > 0 {
                match client.receive(Duration::from_secs(30))? {
                    Some(Packet::PubAck(_, 0)) => waiting -= 1,
                    other => bail!("instead of a PUBACK: {other:?}"),
                }
            }
        }
    }
    node.settle();
    Ok(())
}

/// A node of many assets: memory a stream, and time to ready after SIGTERM and after kill -9.
pub(crate) fn memory_and_recovery(table: &mut Table, extent: &Extent) -> Result<()> {
    eprintln!("memory and recovery ...");
    let mut node = Node::start(NodeConfig::of("johannstadt"));
    let empty = resident_bytes(node.pid());
    fill(&node, extent.assets)?;
    let streams = f64::from(extent.assets) * 2.0;
    let grown = resident_bytes(node.pid()).saturating_sub(empty) as f64;
    let assets = extent.assets;
    table.one(
        "memory per stream, after the load",
        grown / streams,
        "B",
        "<= 150 B",
        &format!(
            "resident memory with {assets} placed assets of two streams less that of the empty node, \
             / streams; assets and their cells included"
        ),
    );
    let seconds = |node: &mut Node| {
        let started = Instant::now();
        node.restart();
        started.elapsed().as_secs_f64()
    };
    node.kill9();
    let killed = seconds(&mut node);
    let log = node.log();
    let detail = log
        .lines()
        .find(|line| line.contains("up to date"))
        .unwrap_or_default();
    let detail = detail
        .split("up to date")
        .nth(1)
        .unwrap_or_default()
        .trim()
        .to_owned();
    table.one(
        "ready after kill -9",
        killed,
        "s",
        "< 2 s",
        &format!("from the start of the process to its ready line, {assets} assets; {detail}"),
    );
    if !node.terminate().success() {
        bail!("the node did not end well:\n{}", node.log());
    }
    let ended = seconds(&mut node);
    table.one(
        "ready after SIGTERM",
        ended,
        "s",
        "< 2 s",
        &format!("the same, {assets} assets"),
    );
    let restarted = resident_bytes(node.pid()).saturating_sub(empty) as f64;
    table.one(
        "memory per stream, after a restart",
        restarted / streams,
        "B",
        "<= 150 B",
        "the same after recovery from the snapshot",
    );
    Ok(())
}
