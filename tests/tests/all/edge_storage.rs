//! A box on an SD card: power cuts, a card that breaks, that is full, that is damaged. What was
//! acknowledged is there, once; what is wrong is said.

mod damage;
mod recovery;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use quartier_tests::{
    Card, Client, ConnectOptions, Load, LoadOptions, Node, NodeConfig, Packet, Random, Sent,
    counters, eventually, free_bytes, get, pause,
};
use serde_json::Value;

/// Instants at which the power fails.
const CUTS: u32 = 12;
/// Time in which the cost of readings is measured; ext4 writes its structures every 5 s.
const COSTS: Duration = Duration::from_secs(12);
const WAIT: Duration = Duration::from_secs(60);

/// Small segments and frequent snapshots, so that a short run goes through many of both, and syncs
/// as often as the disk can.
const JOURNAL: &str = "sync_ms = 2\nsegment_bytes = 65536\nsnapshot_entries = 2000\n\
                       quota_bytes = 30000000\nkeep_bytes = 1000000\n";

fn on_card(folder: &Path, journal: &str) -> NodeConfig {
    NodeConfig {
        data: Some(folder.join("data")),
        journal: journal.to_owned(),
        ..NodeConfig::of_box("johannstadt")
    }
}

/// Counters of the twin for each device of the load: readings by the newest value, and revs.
fn found(node: &Node, sent: &[Sent]) -> BTreeMap<String, (u64, u64)> {
    node.settle();
    let began = |one: &&Sent| one.acknowledged > 0;
    let all = sent.iter().filter(began).count();
    let found = counters(node.mqtt(), "uptime", |found| found.len() >= all);
    let count = |(asset, (value, rev))| (asset, (value as u64 + 1, rev));
    found.into_iter().map(count).collect()
}

/// All that was acknowledged is there, and was taken once: values come in order, so the newest
/// value and the number of values taken say the same.
fn assert_holds(node: &Node, acknowledged: &[Sent], when: &str) {
    let found = found(node, acknowledged);
    for sent in acknowledged {
        let (count, rev) = found.get(&sent.asset).copied().unwrap_or_default();
        assert!(
            count >= sent.acknowledged,
            "{when}: {} has {count} readings of {} acknowledged",
            sent.asset,
            sent.acknowledged
        );
        assert_eq!(rev, count, "{when}: {}: values, revs", sent.asset);
    }
}

fn assert_exactly(node: &Node, sent: &[Sent]) {
    let found = found(node, sent);
    for one in sent {
        let n = one.acknowledged;
        assert_eq!(found.get(&one.asset), Some(&(n, n)), "{}", one.asset);
    }
}

fn goes_on(load: &Load, readings: u64) {
    let before = load.total();
    eventually("the load goes on", WAIT, || {
        let more = load.total() - before;
        if more >= readings {
            Ok(())
        } else {
            Err(more.to_string())
        }
    });
}

/// A part of `/readyz`: its state and detail.
fn part(node: &Node, name: &str) -> (String, String) {
    let answer = get(node.http(), "/readyz").unwrap();
    let ready = answer.json().unwrap();
    let parts = ready["parts"].as_array().cloned().unwrap_or_default();
    let part = parts.iter().find(|part| part["name"] == name).cloned();
    let part = part.unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&part["state"]), text(&part["detail"]))
}

fn is_ready(node: &Node) -> bool {
    get(node.http(), "/readyz").unwrap().status == 200
}

#[test]
fn a_power_cut_at_any_instant_loses_and_doubles_no_acknowledged_reading() {
    let Some(card) = Card::new(96) else { return };
    let mut random = Random::new();
    let node = Node::start(on_card(&card.path(), JOURNAL));
    let load = Load::start(node.mqtt(), &LoadOptions::new("johannstadt", 4));
    goes_on(&load, 100);
    for cut in 1..=CUTS {
        pause(Duration::from_millis(random.within(20..700)));
        let acknowledged = load.acknowledged();
        // Nothing of what was not flushed is left, all of it, or any part.
        let keep = [0.0, 1.0, 0.5][cut as usize % 3];
        let left = card.cut(keep);
        let after = Node::start(on_card(&left.path(), JOURNAL));
        let when = format!("cut {cut}, {keep} of the unflushed blocks left");
        assert_holds(&after, &acknowledged, &when);
        let (state, detail) = part(&after, "journal");
        assert_eq!(state, "ok", "{when}: {detail}");
    }
    let sent = load.finish(WAIT);
    assert_exactly(&node, &sent);
    let total: u64 = sent.iter().map(|one| one.acknowledged).sum();
    eprintln!("{CUTS} power cuts, {total} readings");
}

#[test]
fn a_card_that_breaks_is_said_what_is_there_is_served_and_nothing_acknowledged_is_lost() {
    let Some(card) = Card::new(96) else { return };
    let mut node = Node::start(on_card(&card.path(), JOURNAL));
    let load = Load::start(node.mqtt(), &LoadOptions::new("johannstadt", 3));
    goes_on(&load, 1000);
    card.breaks();
    eventually("the node says so", WAIT, || {
        let (state, detail) = part(&node, "journal");
        if state == "down" && detail.contains("check the disk") && !is_ready(&node) {
            Ok(())
        } else {
            Err(format!("{state}: {detail}"))
        }
    });
    let acknowledged = load.acknowledged();
    assert_holds(&node, &acknowledged, "while the card is broken");
    pause(Duration::from_millis(500));
    assert_eq!(
        load.acknowledged(),
        acknowledged,
        "nothing is acknowledged that is nowhere"
    );
    assert!(!node.log().contains("panicked"), "{}", node.log());
    node.terminate();
    card.heals();
    node.restart();
    assert_holds(&node, &acknowledged, "after the restart");
    goes_on(&load, 1000);
    assert!(is_ready(&node));
    let sent = load.finish(WAIT);
    assert_exactly(&node, &sent);
}

/// Takes all of the card but `leave` bytes.
fn fill(card: &Card, leave: u64) -> PathBuf {
    let path = card.path().join("ballast");
    let bytes = free_bytes(&card.path()).saturating_sub(leave);
    fs::write(&path, vec![7; usize::try_from(bytes).unwrap()]).unwrap();
    path
}

#[test]
fn a_full_card_refuses_with_0x97_and_goes_on_by_itself_when_there_is_room() {
    let Some(card) = Card::new(64) else { return };
    let node = Node::start(on_card(
        &card.path(),
        "sync_ms = 2\nsegment_bytes = 65536\n",
    ));
    let load = Load::start(node.mqtt(), &LoadOptions::new("johannstadt", 2));
    goes_on(&load, 100);
    // Less than the node keeps free for its store.
    let ballast = fill(&card, 8_000_000);
    eventually("the node says why nothing is taken", WAIT, || {
        let (state, detail) = part(&node, "journal");
        if state == "down" && detail.contains("full") && !is_ready(&node) {
            Ok(())
        } else {
            Err(format!("{state}: {detail}"))
        }
    });
    let late = ConnectOptions::new("late").v5();
    let (mut late, _) = Client::connect(node.mqtt(), &late).unwrap();
    late.publish("dt/johannstadt/late/uptime", b"7", Some(7), false);
    late.flush().unwrap();
    let refused = late.receive(WAIT).unwrap();
    assert_eq!(refused, Some(Packet::PubAck(7, 0x97)));
    assert_holds(&node, &load.acknowledged(), "while the card is full");
    fs::remove_file(ballast).unwrap();
    goes_on(&load, 1000);
    eventually("the node is ready again", WAIT, || match is_ready(&node) {
        true => Ok(()),
        false => Err(format!("{:?}", part(&node, "journal"))),
    });
    let sent = load.finish(WAIT);
    assert_exactly(&node, &sent);
    for wrong in ["panicked", "fjall"] {
        assert!(!node.log().contains(wrong), "{}", node.log());
    }
}

#[test]
fn drop_oldest_warns_while_the_city_is_away_before_it_drops_and_says_what_it_dropped() {
    let quota =
        "sync_ms = 2\nquota_bytes = 3000000\nsegment_bytes = 262144\nwhen_full = \"drop_oldest\"\n";
    let mut node = Node::start(NodeConfig {
        journal: quota.to_owned(),
        more: "\n[uplink]\ncity = \"mqtt://127.0.0.1:9\"\n".to_owned(),
        ..NodeConfig::of_box("johannstadt")
    });
    let load = Load::start(node.mqtt(), &LoadOptions::new("johannstadt", 2));
    let warned = |wanted: &str| {
        let mut last = String::new();
        eventually(wanted, WAIT, || {
            let (state, detail) = part(&node, "journal");
            last.clone_from(&detail);
            match state == "degraded" {
                true => Ok(()),
                false => Err(detail),
            }
        });
        last
    };
    let first = warned("a warning");
    assert!(first.contains("quota"), "{first}");
    assert!(!first.contains("dropped"), "it comes first: {first}");
    eventually("the oldest is dropped, counted and said", WAIT, || {
        let dropped = node.figure("quartier_journal_dropped_entries");
        let (state, detail) = part(&node, "journal");
        if dropped > 0.0 && state == "degraded" && detail.contains("dropped") {
            Ok(())
        } else {
            Err(format!("{dropped}: {state}: {detail}"))
        }
    });
    goes_on(&load, 1000);
    assert!(is_ready(&node), "readings are still taken");
    assert_eq!(load.refused(), 0);
    node.kill9();
    node.restart();
    goes_on(&load, 1000);
    let sent = load.finish(WAIT);
    assert_exactly(&node, &sent);
}

#[test]
fn a_store_that_could_not_write_is_said_and_a_restart_mends_it() {
    let Some(card) = Card::new(64) else { return };
    let mut node = Node::start(on_card(&card.path(), ""));
    let ballast = fill(&card, 0);
    let wrong = "no number".repeat(100);
    eventually("the store says that it takes nothing", WAIT, || {
        let connected = Client::connect(node.mqtt(), &ConnectOptions::new("wrong").v5());
        let (mut client, _) = connected.unwrap();
        for id in 1..500 {
            client.publish("dt/johannstadt/d/uptime", wrong.as_bytes(), Some(id), false);
        }
        client.flush().unwrap();
        match part(&node, "store") {
            (state, detail) if state == "down" && detail.contains("restart") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert!(!is_ready(&node));
    fs::remove_file(ballast).unwrap();
    node.terminate();
    node.restart();
    assert_eq!(part(&node, "store").0, "ok");
    assert!(is_ready(&node));
}

/// Publishes readings of 100 devices at a steady rate and waits until all are acknowledged; their
/// number. `rate`: readings a second, a multiple of 100.
fn steady(node: &Node, rate: u64, time: Duration) -> u64 {
    let (mut client, code) = Client::connect(node.mqtt(), &ConnectOptions::new("fleet")).unwrap();
    assert_eq!(code, 0);
    let (mut sent, mut acknowledged) = (0, 0);
    let take = |client: &mut Client, wait| {
        let mut packet = client.receive(wait).unwrap();
        let mut taken = 0;
        while let Some(received) = packet {
            taken += u64::from(matches!(received, Packet::PubAck(_, 0)));
            packet = client.next_packet();
        }
        taken
    };
    let began = Instant::now();
    while began.elapsed() < time {
        let due = began.elapsed().as_millis() as u64 * rate / 1000;
        while sent < due {
            let topic = format!("dt/johannstadt/device-{}/temperature", sent % 100);
            let payload = format!("{{\"value\":{}.5}}", sent % 30);
            let id = u16::try_from(sent % 60_000).unwrap() + 1;
            client.publish(&topic, payload.as_bytes(), Some(id), false);
            sent += 1;
        }
        client.flush().unwrap();
        acknowledged += take(&mut client, Duration::from_millis(10));
    }
    eventually("all is acknowledged", WAIT, || {
        acknowledged += take(&mut client, Duration::from_millis(50));
        match acknowledged == sent {
            true => Ok(()),
            false => Err(format!("{acknowledged} of {sent}")),
        }
    });
    sent
}

/// What a card takes, everything included: journal, store, snapshots, ext4's own journal.
#[test]
fn a_reading_costs_a_bounded_number_of_bytes_on_the_card() {
    // As `quartier-edge enroll` writes it; the syncs of a city's node; and those of a box whose
    // devices may wait.
    let usual = "quota_bytes = 60_000_000\nsegment_bytes = 16_777_216\n";
    let costs = [
        ("", 100, 1500),
        ("", 2000, 250),
        ("sync_ms = 2\n", 100, 40_000),
        ("sync_ms = 1000\n", 100, 600),
    ];
    for (sync, rate, most) in costs {
        let Some(card) = Card::new(128) else { return };
        let node = Node::start(on_card(&card.path(), &format!("{usual}{sync}")));
        steady(&node, rate, Duration::from_secs(1));
        let before = card.figures();
        let readings = steady(&node, rate, COSTS);
        let after = card.figures();
        let each = (after.bytes - before.bytes) / readings;
        let flushes = (after.flushes - before.flushes) / COSTS.as_secs();
        eprintln!("{rate} readings/s {sync:?}: {each} bytes each, {flushes} flushes a second");
        assert!(each <= most, "{each} bytes a reading at {rate}/s {sync}");
    }
    let Some(card) = Card::new(128) else { return };
    let node = Node::start(on_card(&card.path(), usual));
    let before = card.figures();
    pause(COSTS);
    let each = (card.figures().bytes - before.bytes) / COSTS.as_secs();
    eprintln!("idle: {each} bytes a second");
    assert!(each <= 20_000, "{each} bytes a second of an idle box");
    drop(node);
}
