//! kill -9 of a box and its city in turn while the city catches up: what a device was told to be
//! taken is at both, once and in order, and both have the same past and the same state.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use quartier_tests::{
    City, Influx1, Load, LoadOptions, Node, NodeConfig, Random, Sent, counters, eventually,
    free_address, pause,
};
use serde_json::json;

const BOX: &str = "box-1";
const DEVICES: usize = 4;
/// Lives of each of the two that SIGKILL ends.
const KILLS: u32 = 30;
/// Readings that the box has before the city is there again.
const BACKLOG: u64 = 40_000;
/// So little that the backlog outlasts all kills, while devices go on.
const BITS_PER_S: u64 = 500_000;
/// Entries that the city lacks at each kill, at least: it is in the middle of catching up.
const BEHIND: u64 = 1000;
/// Longest life after the city's first progress in it, milliseconds.
const LIFE_MS: u64 = 300;
const WAIT: Duration = Duration::from_secs(120);

/// Small segments and frequent snapshots, so that short lives go through many of both: an entry of
/// the city is a batch, one of the box a reading.
const CITY_JOURNAL: &str = "segment_bytes = 262144\nsnapshot_entries = 40\nkeep_bytes = 1000000\n";
const BOX_JOURNAL: &str =
    "sync_ms = 2\nsegment_bytes = 262144\nsnapshot_entries = 4000\nkeep_bytes = 1000000\n";

/// A city and a box that is behind.
struct Rig {
    city: City,
    edge: Node,
    random: Random,
}

impl Rig {
    /// The box has collected [`BACKLOG`] readings while the city was dead, and the load goes on.
    fn after_an_outage(influx: Option<String>) -> (Self, Load) {
        let mut city = City::start(
            NodeConfig {
                journal: CITY_JOURNAL.to_owned(),
                influx,
                ..NodeConfig::of("johannstadt")
            },
            free_address(),
        );
        let mut config = city.enrol(BOX, "johannstadt").config();
        config.journal = BOX_JOURNAL.to_owned();
        config.more.push_str(&limit());
        let edge = Node::start(config);
        city.node.kill9();
        let load = Load::start(edge.mqtt(), &LoadOptions::new("johannstadt", DEVICES));
        eventually("a backlog", WAIT, || match load.total() {
            enough if enough >= BACKLOG => Ok(()),
            some => Err(some.to_string()),
        });
        // The figure is of the last second.
        eventually("the box says so", WAIT, || {
            let position = edge.figure("quartier_journal_position");
            match position >= BACKLOG as f64 {
                true => Ok(()),
                false => Err(position.to_string()),
            }
        });
        city.node.restart();
        let random = Random::new();
        (Self { city, edge, random }, load)
    }

    /// Position of the box's journal up to which the city has everything.
    fn position(&self) -> u64 {
        self.city.edge(BOX)["position"].as_u64().unwrap_or_default()
    }

    /// Returns some time after the city has taken more than it had, in the middle of its catching
    /// up; the position that the city says it has.
    fn catches_up_a_little(&mut self, when: &str) -> u64 {
        let before = self.position();
        eventually(&format!("{when}: the city goes on"), WAIT, || {
            match self.position() > before {
                true => Ok(()),
                false => Err(format!("{before}: {}", self.edge.json("/readyz"))),
            }
        });
        pause(Duration::from_millis(self.random.within(0..LIFE_MS)));
        let position = self.position();
        let head = self.edge.figure("quartier_journal_position") as u64;
        assert!(
            head >= position + BEHIND,
            "{when}: caught up too soon to mean anything: {position} of {head}"
        );
        position
    }

    /// The box dies; when it is back, it has what its devices were told that it has.
    fn kill_box(&mut self, load: &Load, when: &str) {
        self.catches_up_a_little(when);
        self.edge.kill9();
        let acknowledged = load.acknowledged();
        self.edge.restart();
        self.edge.settle();
        let found = counters(self.edge.mqtt(), "uptime", |found| found.len() == DEVICES);
        for sent in acknowledged {
            let (newest, rev) = found.get(&sent.asset).copied().unwrap_or((-1.0, 0));
            let count = (newest + 1.0) as u64;
            assert!(
                count >= sent.acknowledged,
                "{when}: {} has {count} readings of {} acknowledged",
                sent.asset,
                sent.acknowledged
            );
            assert_eq!(rev, count, "{when}: {}: revs, values", sent.asset);
        }
    }

    /// The city dies; when it is back, it has what it said that it has, and what the box counts on.
    fn kill_city(&mut self, when: &str) {
        let said = self.catches_up_a_little(when);
        self.city.node.kill9();
        let counted_on = chain(&self.edge).map_or(0, |(position, _)| position);
        self.city.node.restart();
        self.city.node.settle();
        let position = self.position();
        assert!(
            position >= said && position >= counted_on,
            "{when}: the city has {position}, said {said}, the box counts on {counted_on}"
        );
    }

    /// The city's own twin has the newest values, each value taken at most once.
    fn assert_city_shows(&self, sent: &[Sent]) {
        let city = &self.city.node;
        city.settle();
        for one in sent {
            let (value, rev) = city.value(&one.asset, "uptime").unwrap_or_default();
            assert_eq!(value, (one.acknowledged - 1) as f64, "{}", one.asset);
            assert!(rev <= one.acknowledged, "{}: {rev} times", one.asset);
        }
        assert_eq!(city.figure("quartier_twin_corrected"), 0.0);
    }

    /// Nothing was refused, lost or different on the way.
    fn assert_sound(&self, when: &str) {
        let edge = self.city.edge(BOX);
        assert_eq!(edge["lost"], json!([]), "{when}: {edge:#}");
        assert_eq!(edge["refused"], 0, "{when}: {edge:#}");
        assert_eq!(edge["differences"], 0, "{when}: {edge:#}");
        for node in [&self.edge, &self.city.node] {
            let log = node.log();
            let lines: Vec<_> = log.lines().filter(|line| is_wrong(line)).collect();
            assert!(lines.is_empty(), "{when}: {lines:#?}");
        }
    }
}

fn limit() -> String {
    format!("bits_per_s = {BITS_PER_S}\n")
}

fn is_wrong(line: &str) -> bool {
    ["panicked", "ERROR", "other entries", "refuses"]
        .iter()
        .any(|word| line.contains(word))
}

/// Position and value of the chain that the box has on disk: its journal may go up to there.
fn chain(edge: &Node) -> Option<(u64, String)> {
    let text = std::fs::read_to_string(edge.folder().join("data/uplink/chain")).ok()?;
    let (position, value) = text.trim().split_once(' ')?;
    Some((position.parse().ok()?, value.to_owned()))
}

/// Whether the first segment of a journal is gone.
fn has_released(edge: &Node) -> bool {
    let segments = std::fs::read_dir(edge.folder().join("data/journal")).unwrap();
    let names = segments.map(|file| file.unwrap().file_name());
    let first = names.min().unwrap_or_default();
    let number = Path::new(&first).file_stem().unwrap_or_default();
    number.to_string_lossy().parse::<u64>().is_ok_and(|n| n > 1)
}

/// Each reading that was sent was taken by the box once, in order.
fn assert_box_has(edge: &Node, sent: &[Sent]) {
    let total: u64 = sent.iter().map(|one| one.acknowledged).sum();
    let newest = |found: &BTreeMap<String, (f64, u64)>| {
        let is = |one: &Sent| {
            let n = one.acknowledged;
            found.get(&one.asset) == Some(&((n - 1) as f64, n))
        };
        sent.iter().all(is)
    };
    let found = counters(edge.mqtt(), "uptime", newest);
    assert!(newest(&found), "{found:?}: {sent:?}");
    eventually("the counters add up", WAIT, || {
        let figure = |name| edge.figure(&format!("quartier_twin_{name}"));
        let again = figure("duplicates") + figure("out_of_order");
        let taken = figure("readings") - again;
        let corrected = figure("corrected");
        match taken == total as f64 && corrected == 0.0 {
            true => Ok(()),
            false => Err(format!("{taken} of {total}, {corrected} corrected")),
        }
    });
}

#[test]
fn kill_9_of_box_and_city_in_turn_during_catch_up_loses_and_doubles_nothing() {
    let influx = Influx1::start();
    let (mut rig, load) = Rig::after_an_outage(influx.as_ref().map(Influx1::config));
    let began = Instant::now();
    for life in 1..=KILLS {
        let when = format!("life {life}");
        rig.kill_box(&load, &when);
        rig.assert_sound(&when);
        rig.kill_city(&when);
        rig.assert_sound(&when);
    }
    let kills = began.elapsed();
    assert!(
        has_released(&rig.edge),
        "who releases nothing cannot lose it"
    );
    rig.edge
        .configure(|config| config.more = config.more.replace(&limit(), ""));
    rig.edge.restart();
    let behind = rig.edge.figure("quartier_journal_position") - rig.position() as f64;
    let sent = load.finish(WAIT);
    rig.edge.settle();
    let position = rig.edge.figure("quartier_journal_position") as u64;
    assert_box_has(&rig.edge, &sent);
    rig.city.is_equal(BOX, position, WAIT);
    rig.city.has_same_past(BOX, &rig.edge, WAIT);
    rig.assert_sound("at the end");
    rig.assert_city_shows(&sent);
    eprintln!(
        "{KILLS} kills of each in {kills:?}, then {behind} of {position} entries behind; all in {:?}",
        began.elapsed()
    );
    let Some(influx) = influx else { return };
    rig.city.node.delivered(WAIT);
    let expected: Vec<_> = sent.iter().map(count_and_sum).collect();
    let counts = influx.counts("device", "uptime");
    assert_eq!(counts, expected, "device, count, sum");
}

/// As the database should say it.
fn count_and_sum(sent: &Sent) -> (String, u64, f64) {
    let n = sent.acknowledged;
    (sent.asset.clone(), n, (n * (n - 1) / 2) as f64)
}
