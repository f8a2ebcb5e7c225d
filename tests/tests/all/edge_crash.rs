//! kill -9 and power cuts of a box and its city in turn while the city catches up: what a device was
//! told to be taken is at both, once and in order, and both have the same past and the same state.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use quartier_tests::{
    Card, City, Influx1, Load, LoadOptions, Node, NodeConfig, Random, Sent, counters, eventually,
    free_address, pause,
};
use serde_json::json;

const BOX: &str = "box-1";
const DEVICES: usize = 4;
/// Lives of each of the two that SIGKILL ends.
const KILLS: u32 = 30;
/// Lives of each of the two that a power cut ends.
const CUTS: u32 = 8;
/// Readings that the box has before the city is there again.
const BACKLOG: u64 = 40_000;
/// So little that the backlog outlasts all kills, while devices go on.
const BITS_PER_S: u64 = 500_000;
/// Entries that the city lacks at each kill, at least: it is in the middle of catching up.
const BEHIND: u64 = 1000;
/// Which of the cards.
const CITY: usize = 0;
const EDGE: usize = 1;
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
    /// Of city and box, where the power fails with the process.
    cards: Option<[Card; 2]>,
    random: Random,
}

impl Rig {
    /// The box has collected [`BACKLOG`] readings while the city was dead, and the load goes on.
    fn after_an_outage(influx: Option<String>, cards: Option<[Card; 2]>) -> (Self, Load) {
        let data = |of: usize| Some(cards.as_ref()?[of].path().join("data"));
        let mut city = City::start(
            NodeConfig {
                data: data(CITY),
                journal: CITY_JOURNAL.to_owned(),
                influx,
                ..NodeConfig::of("johannstadt")
            },
            free_address(),
        );
        let mut config = city.enrol(BOX, "johannstadt").config();
        config.data = data(EDGE);
        config.journal = BOX_JOURNAL.to_owned();
        config.more.push_str(&limit());
        let edge = Node::start(config);
        city.node.kill9();
        let load = Load::start(edge.mqtt(), &LoadOptions::new("johannstadt", DEVICES));
        eventually("a backlog", WAIT, || match load.total() {
            enough if enough >= BACKLOG => Ok(()),
            some => Err(some.to_string()),
        });
        city.node.restart();
        let rig = Self {
            city,
            edge,
            cards,
            random: Random::new(),
        };
        (rig, load)
    }

    /// Position of the box's journal up to which the city has everything.
    fn position(&self) -> u64 {
        self.city.edge(BOX)["position"].as_u64().unwrap_or_default()
    }

    /// Returns some time after the city has taken more than it had, in the middle of its catching
    /// up; the position that the city says it has.
    fn catches_up_a_little(&mut self, load: &Load, when: &str) -> u64 {
        let before = self.position();
        eventually(&format!("{when}: the city goes on"), WAIT, || {
            match self.position() > before {
                true => Ok(()),
                false => Err(format!("{before}: {}", self.edge.json("/readyz"))),
            }
        });
        pause(Duration::from_millis(self.random.within(0..LIFE_MS)));
        let position = self.position();
        // Each acknowledged reading is an entry of the box at least.
        let head = load.total();
        assert!(
            head >= position + BEHIND,
            "{when}: caught up too soon to mean anything: {position} of {head}"
        );
        position
    }

    /// Of what was not flushed nothing is left, all of it, or any part.
    fn power_fails(&mut self, of: usize) {
        if let Some(cards) = &self.cards {
            let keep = [0.0, 1.0, 0.5][self.random.within(0..3) as usize];
            cards[of].loses_power(keep);
        }
    }

    /// The box dies; when it is back, it has what its devices were told that it has.
    fn kill_box(&mut self, load: &Load, when: &str) {
        self.catches_up_a_little(load, when);
        self.edge.kill9();
        self.power_fails(EDGE);
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
    fn kill_city(&mut self, load: &Load, when: &str) {
        let said = self.catches_up_a_little(load, when);
        self.city.node.kill9();
        self.power_fails(CITY);
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

    /// Box and city die so many times each; then the city catches up, and nothing is lost or there
    /// twice. What was sent.
    fn dies_in_turn(mut self, load: Load, lives: u32) -> (Self, Vec<Sent>) {
        let began = Instant::now();
        for life in 1..=lives {
            let when = format!("life {life}");
            self.kill_box(&load, &when);
            self.assert_sound(&when);
            self.kill_city(&load, &when);
            self.assert_sound(&when);
        }
        let ends = began.elapsed();
        assert!(
            has_released(&self.edge),
            "who releases nothing cannot lose it"
        );
        self.edge
            .configure(|config| config.more = config.more.replace(&limit(), ""));
        self.edge.restart();
        let behind = load.total().saturating_sub(self.position());
        let sent = load.finish(WAIT);
        self.edge.settle();
        assert_box_has(&self.edge, &sent);
        // The figures are set together: these are of all that was sent.
        let position = self.edge.figure("quartier_journal_position") as u64;
        self.city.is_equal(BOX, position, WAIT);
        self.city.has_same_past(BOX, &self.edge, WAIT);
        self.assert_sound("at the end");
        self.assert_city_shows(&sent);
        eprintln!(
            "{lives} ends of each in {ends:?}, then {behind} of {position} entries behind; all in {:?}",
            began.elapsed()
        );
        (self, sent)
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
    let text = std::fs::read_to_string(edge.data().join("uplink/chain")).ok()?;
    let (position, value) = text.trim().split_once(' ')?;
    Some((position.parse().ok()?, value.to_owned()))
}

/// Whether the first segment of a journal is gone.
fn has_released(edge: &Node) -> bool {
    let segments = std::fs::read_dir(edge.data().join("journal")).unwrap();
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
    let (rig, load) = Rig::after_an_outage(influx.as_ref().map(Influx1::config), None);
    let (rig, sent) = rig.dies_in_turn(load, KILLS);
    let Some(influx) = influx else { return };
    rig.city.node.delivered(WAIT);
    let expected: Vec<_> = sent.iter().map(count_and_sum).collect();
    let counts = influx.counts("device", "uptime");
    assert_eq!(counts, expected, "device, count, sum");
}

#[test]
fn power_cuts_of_box_and_city_in_turn_during_catch_up_lose_and_double_nothing() {
    let (Some(city), Some(edge)) = (Card::new(256), Card::new(256)) else {
        return;
    };
    let (rig, load) = Rig::after_an_outage(None, Some([city, edge]));
    rig.dies_in_turn(load, CUTS);
}

/// As the database should say it.
fn count_and_sum(sent: &Sent) -> (String, u64, f64) {
    let n = sent.acknowledged;
    (sent.asset.clone(), n, (n * (n - 1) / 2) as f64)
}
