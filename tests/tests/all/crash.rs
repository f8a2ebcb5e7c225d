//! kill -9 and SIGTERM under load: what was acknowledged is there, once.

use std::time::{Duration, Instant};

use quartier_tests::{
    Influx1, Load, LoadOptions, Node, NodeConfig, Random, Sent, eventually, pause,
};

/// Lives of the node, each ended by SIGKILL.
const KILLS: u32 = 50;

/// Small segments and frequent snapshots, so that lives of a fraction of a second go through many
/// of both.
const JOURNAL: &str = "segment_bytes = 65536\nsnapshot_entries = 2000\n";

fn config(influx: Option<String>) -> NodeConfig {
    NodeConfig {
        journal: JOURNAL.to_owned(),
        influx,
        ..NodeConfig::of("johannstadt")
    }
}

/// Value and rev of a device's counter; a device that never reached the node has none.
fn counter(node: &Node, asset: &str) -> (u64, u64) {
    let (value, rev) = node.value(asset, "uptime").unwrap_or((-1.0, 0));
    assert!(
        value.fract() == 0.0 && value >= -1.0,
        "{asset}: {value} was never sent"
    );
    ((value + 1.0) as u64, rev)
}

/// The twin has at least what was acknowledged, and has taken each value once: values come in
/// order, so the newest value and the number of values taken say the same.
fn assert_holds(node: &Node, acknowledged: &[Sent], life: u32) {
    for sent in acknowledged {
        let (count, rev) = counter(node, &sent.asset);
        assert!(
            count >= sent.acknowledged,
            "life {life}: {} lost {} acknowledged readings: twin has {count}, acknowledged {}",
            sent.asset,
            sent.acknowledged - count,
            sent.acknowledged,
        );
        assert_eq!(
            rev, count,
            "life {life}: {} took {count} values {rev} times",
            sent.asset
        );
    }
}

fn assert_exactly(node: &Node, sent: &[Sent]) {
    node.settle();
    let mut total = 0;
    for one in sent {
        let expected = (one.acknowledged, one.acknowledged);
        assert_eq!(
            counter(node, &one.asset),
            expected,
            "{}: values, revs",
            one.asset
        );
        total += one.acknowledged;
    }
    eventually("the counters add up", Duration::from_secs(10), || {
        let text = node.figures();
        let figure = |name: &str| {
            let line = text
                .lines()
                .find(|line| line.split(' ').next() == Some(name));
            line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
                .unwrap_or(-1.0)
        };
        let again = figure("quartier_twin_duplicates") + figure("quartier_twin_out_of_order");
        let taken = figure("quartier_twin_readings") - again;
        let corrected = figure("quartier_twin_corrected");
        if taken == total as f64 && corrected == 0.0 {
            Ok(())
        } else {
            Err(format!(
                "taken {taken}, corrected {corrected}, sent {total}"
            ))
        }
    });
}

#[test]
fn kill_9_fifty_times_under_load_loses_and_doubles_no_acknowledged_reading() {
    let influx = Influx1::start();
    let mut random = Random::new();
    let mut node = Node::start(config(influx.as_ref().map(Influx1::config)));
    let load = Load::start(node.mqtt(), &LoadOptions::new("johannstadt", 4));
    let started = Instant::now();
    for life in 1..=KILLS {
        // Mostly too short for anything but the beginning; now and then long enough for outputs.
        let longest = if life % 10 == 0 { 1500 } else { 500 };
        pause(Duration::from_millis(random.within(50..longest)));
        node.kill9();
        let acknowledged = load.acknowledged();
        node.restart();
        assert_holds(&node, &acknowledged, life);
    }
    let sent = load.finish(Duration::from_secs(60));
    let total: u64 = sent.iter().map(|one| one.acknowledged).sum();
    eprintln!(
        "{KILLS} kills in {:?}, {total} readings acknowledged",
        started.elapsed()
    );
    assert!(
        total > u64::from(KILLS) * 50,
        "too little load to mean anything: {total}"
    );
    assert_exactly(&node, &sent);
    let Some(influx) = influx else { return };
    node.delivered(Duration::from_secs(60));
    let expected: Vec<_> = sent
        .iter()
        .map(|one| {
            let n = one.acknowledged;
            (one.asset.clone(), n, (n * (n - 1) / 2) as f64)
        })
        .collect();
    assert_eq!(
        influx.counts("device", "uptime"),
        expected,
        "device, count, sum"
    );
}

#[test]
fn sigterm_under_load_keeps_everything_acknowledged_and_the_restart_is_ready() {
    let mut node = Node::start(config(None));
    let load = Load::start(node.mqtt(), &LoadOptions::new("johannstadt", 4));
    for life in 1..=3 {
        let before = load.total();
        eventually("the load gets through", Duration::from_secs(30), || {
            if load.total() > before + 500 {
                Ok(())
            } else {
                Err(load.total().to_string())
            }
        });
        let started = Instant::now();
        let status = node.terminate();
        assert_eq!(
            status.code(),
            Some(0),
            "after {:?}: {}",
            started.elapsed(),
            node.log()
        );
        let acknowledged = load.acknowledged();
        node.restart();
        assert_holds(&node, &acknowledged, life);
    }
    let sent = load.finish(Duration::from_secs(60));
    assert_exactly(&node, &sent);
}

#[test]
fn a_restart_after_sigterm_replays_nothing() {
    let mut node = Node::start(NodeConfig::of("johannstadt"));
    let options = LoadOptions {
        most: 500,
        ..LoadOptions::new("johannstadt", 2)
    };
    let sent = Load::start(node.mqtt(), &options).finish(Duration::from_secs(60));
    node.settle();
    assert!(node.terminate().success());
    node.restart();
    assert_exactly(&node, &sent);
    let line = node
        .log()
        .lines()
        .find(|l| l.contains("up to date"))
        .unwrap_or_default()
        .to_owned();
    let replayed = line
        .split("replayed=")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    assert_eq!(replayed, Some("0"), "{line}");
}
