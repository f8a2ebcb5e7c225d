//! What a box starts from after a power cut or damage: snapshots, journal and store may each be of
//! another time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use quartier_tests::{Load, LoadOptions, Node, NodeConfig, Sent, eventually, run};

use super::{WAIT, assert_exactly, found, is_ready, part};

fn node(journal: &str) -> Node {
    Node::start(NodeConfig {
        journal: format!("sync_ms = 2\nsegment_bytes = 65536\n{journal}"),
        ..NodeConfig::of_box("johannstadt")
    })
}

/// So many readings of `metric`, each from two devices.
fn send(node: &Node, metric: &str, most: u64) -> Vec<Sent> {
    let options = LoadOptions {
        metric: metric.to_owned(),
        most,
        ..LoadOptions::new("johannstadt", 2)
    };
    Load::start(node.mqtt(), &options).finish(WAIT)
}

/// Files with this extension in a folder, oldest first.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    paths
}

fn segments(data: &Path) -> Vec<PathBuf> {
    files(&data.join("journal"), "seg")
}

fn snapshots(data: &Path) -> Vec<PathBuf> {
    files(&data.join("snapshots"), "snap")
}

/// The position that a file is named by.
fn position(path: &Path) -> u64 {
    let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
    stem.parse().unwrap()
}

#[test]
fn a_damaged_segment_is_set_aside_counted_and_said_and_the_rest_is_served() {
    let mut node = Node::start(NodeConfig {
        journal: "sync_ms = 2\nsegment_bytes = 65536\n".to_owned(),
        ..NodeConfig::of_box("johannstadt")
    });
    let options = LoadOptions {
        most: 4000,
        ..LoadOptions::new("johannstadt", 2)
    };
    let sent = Load::start(node.mqtt(), &options).finish(WAIT);
    node.terminate();
    let data = node.folder().join("data");
    // Without its snapshots the box has to read all segments.
    fs::remove_dir_all(data.join("snapshots")).unwrap();
    let damaged = &segments(&data)[1];
    let mut bytes = fs::read(damaged).unwrap();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 16] {
        *byte ^= 0x55;
    }
    fs::write(damaged, bytes).unwrap();
    node.restart();
    let found = found(&node, &sent);
    eventually("the damage is counted", WAIT, || {
        let lost = node.figure("quartier_journal_lost_entries");
        let there: u64 = found.values().map(|(_, rev)| rev).sum();
        // Some of the entries are ticks.
        if lost > 0.0 && (8000..8100).contains(&(there + lost as u64)) {
            Ok(())
        } else {
            Err(format!("{lost} lost, {there} there"))
        }
    });
    for (asset, (newest, _)) in &found {
        assert_eq!(*newest, 4000, "{asset}: what is behind the damage is there");
    }
    let aside = fs::read_dir(data.join("journal")).unwrap();
    let aside = aside.filter(|file| {
        let name = file.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".corrupt")
    });
    assert_eq!(aside.count(), 1);
    let (state, detail) = part(&node, "journal");
    assert_eq!(state, "degraded", "{detail}");
    assert!(detail.contains(".corrupt"), "{detail}");
    assert!(is_ready(&node), "the rest is served");
    let more = Load::start(
        node.mqtt(),
        &LoadOptions {
            metric: "battery_level".to_owned(),
            most: 50,
            ..LoadOptions::new("johannstadt", 1)
        },
    );
    more.finish(WAIT);
}

/// Both copies of its header are in one block of the card.
#[test]
fn a_journal_whose_only_segment_cannot_be_read_is_a_gap_behind_the_snapshot() {
    let mut node = node("");
    let sent = send(&node, "uptime", 100);
    node.terminate();
    let data = node.folder().join("data");
    let [only] = &segments(&data)[..] else {
        panic!("{:?}", segments(&data))
    };
    let mut bytes = fs::read(only).unwrap();
    bytes[..512].fill(0);
    fs::write(only, bytes).unwrap();
    node.restart();
    assert_exactly(&node, &sent);
    let (state, detail) = part(&node, "journal");
    assert_eq!(state, "degraded", "{detail}");
    assert!(is_ready(&node));
    send(&node, "battery_level", 50);
}

#[test]
fn without_its_snapshots_a_box_does_not_begin_in_the_middle_of_its_journal() {
    let mut node = node("snapshot_entries = 1000\nkeep_bytes = 0\n");
    send(&node, "uptime", 3000);
    let data = node.folder().join("data");
    eventually("the beginning is released", WAIT, || {
        let first = position(&segments(&data)[0]);
        if first > 1 {
            Ok(())
        } else {
            Err(first.to_string())
        }
    });
    node.terminate();
    fs::remove_dir_all(data.join("snapshots")).unwrap();
    let said = node.refuses();
    for part in ["there is no snapshot", "bring back the folder snapshots"] {
        assert!(said.contains(part), "{said}");
    }
}

/// The store is not synced at every write. What it says of the outputs may be older than the
/// oldest entry of the journal, though a snapshot of that time is still there.
#[test]
fn a_store_older_than_the_journal_costs_no_start_and_no_reading() {
    let mut node = node("snapshot_entries = 2000\nkeep_bytes = 0\n");
    let data = node.folder().join("data");
    send(&node, "battery_level", 100);
    node.terminate();
    let (store, older) = (data.join("store"), data.join("older"));
    let copied = run(Command::new("cp").arg("-a").args([&store, &older]), WAIT);
    assert_eq!(copied.code, Some(0), "{copied:?}");
    node.restart();
    let old = snapshots(&data).pop().unwrap();
    let mut sent = Vec::new();
    for metric in ["temperature", "uptime"] {
        let newest = snapshots(&data).pop();
        sent = send(&node, metric, 1100);
        eventually("a snapshot", WAIT, || match snapshots(&data).pop() {
            next if next != newest => Ok(()),
            _ => Err("none yet".to_owned()),
        });
    }
    eventually("what is before the snapshots is released", WAIT, || {
        let first = position(&segments(&data)[0]);
        if first > position(&old) + 1 {
            Ok(())
        } else {
            Err(first.to_string())
        }
    });
    assert!(old.exists(), "a snapshot whose journal is gone");
    node.kill9();
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&older, &store).unwrap();
    node.restart();
    assert_exactly(&node, &sent);
}
