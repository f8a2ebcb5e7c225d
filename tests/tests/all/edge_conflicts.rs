//! When the city and somebody at the box want different things of one property: safety first, then
//! priority, then the newer; box and city agree on the outcome and on why, and both audits have it.

use std::time::Duration;

use quartier_tests::{
    Answer, Node, NodeConfig, Pair, WallClock, eventually, eventually_some, pause,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
const PATH: &str = "/api/v1/commands";
/// Without a link nobody knows of the other, and the box has the time from the city to some 50 ms.
const LATER: Duration = Duration::from_millis(500);

/// A command as box and city must both see it.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    id: String,
    value: f64,
    state: String,
    reason: String,
}

fn pair() -> Pair {
    Pair::start("", "")
}

fn wish(value: f64, priority: &str) -> Value {
    json!({ "quarter": Pair::QUARTER, "asset": "w1", "property": "limit_kw", "value": value,
        "priority": priority, "expires_s": 7200, "why": "a test" })
}

/// At the city; the number of the order.
fn city_asks(pair: &Pair, value: f64, priority: &str) -> u64 {
    let asked = pair.city.operator().post(PATH, &wish(value, priority));
    assert_eq!(asked.status, 202, "{}", asked.text());
    asked.json().unwrap_or_default()["order"].as_u64().unwrap()
}

fn box_asks(pair: &Pair, value: f64, priority: &str) -> Answer {
    pair.local().post(PATH, &wish(value, priority))
}

/// The same, and the box takes it.
fn box_wants(pair: &Pair, value: f64, priority: &str) {
    let asked = box_asks(pair, value, priority);
    assert_eq!(asked.status, 201, "{}", asked.text());
}

fn taken(pair: &Pair, order: u64) {
    assert_eq!(pair.outcome(order)["refused"], Value::Null);
}

fn seen(node: &Node) -> Vec<Seen> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = node.json(PATH);
    let all = list["commands"].as_array().cloned().unwrap_or_default();
    let view = |command: &Value| Seen {
        id: text(&command["id"]).replace(&format!("{}:", Pair::BOX), ""),
        value: command["value"].as_f64().unwrap_or_default(),
        state: text(&command["state"]),
        reason: text(&command["reason"]),
    };
    let mut all: Vec<_> = all.iter().map(view).collect();
    all.sort_by(|a, b| a.value.total_cmp(&b.value));
    all
}

/// All commands, by their values, once box and city agree on them and are equal byte for byte.
fn agreed(pair: &Pair) -> Vec<Seen> {
    let mut agreed = Vec::new();
    eventually("box and city agree", SOON, || {
        agreed = seen(&pair.edge);
        let city = seen(&pair.city.node);
        match agreed == city {
            true => Ok(()),
            false => Err(format!("{agreed:#?} {city:#?}")),
        }
    });
    let positions = agreed.iter().filter_map(|seen| seen.id.split_once('-'));
    let last = positions
        .filter_map(|(position, _)| position.parse().ok())
        .max();
    pair.city
        .is_equal(Pair::BOX, last.unwrap_or_default(), SOON);
    agreed
}

/// The conflicts in a node's audit: of the losing command, here or at the box, all lines.
fn audited(node: &Node, lost: &Seen) -> Vec<Value> {
    let text = std::fs::read_to_string(node.folder().join("data/audit.log"));
    let text = text.unwrap_or_default();
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let of = |line: &Value| {
        let detail = line["detail"].as_str().unwrap_or_default();
        let id = detail.split(' ').next().unwrap_or_default();
        line["what"] == "conflict" && id.replace(&format!("{}:", Pair::BOX), "") == lost.id
    };
    lines.filter(of).collect()
}

/// Both audits have it once that a command lost, to whom, when and by which rule.
fn is_audited(pair: &Pair, lost: &Seen, winner: &str) {
    for node in [&pair.edge, &pair.city.node] {
        // Written right behind the fold.
        let line = eventually_some("the conflict is audited", SOON, || {
            let lines = audited(node, lost);
            assert!(lines.len() < 2, "{lost:?}: {lines:?}");
            lines.into_iter().next()
        });
        assert_eq!(line["result"], lost.state, "{line}");
        let detail = line["detail"].as_str().unwrap_or_default();
        let end = format!("Z to {winner}: {}", lost.reason);
        let (time, _) = detail.split_once(&end).unwrap_or_default();
        assert!(time.contains(" at 20"), "{end}: {line}");
    }
}

/// Of two wishes the one for `winner` is sent, and the other one's reason says by which rule.
fn is_won_by(pair: &Pair, winner: f64, rule: &str) {
    let who = if winner == 9.0 {
        "anonymous"
    } else {
        "operator@city"
    };
    let all = agreed(pair);
    let (won, lost): (Vec<_>, Vec<_>) = all.iter().partition(|seen| seen.value == winner);
    let ([won], [lost]) = (&won[..], &lost[..]) else {
        panic!("{all:?}")
    };
    assert_eq!(
        (&*won.state, &*lost.state),
        ("sent", "superseded"),
        "{all:?}"
    );
    let start = format!("{rule}: command {} is ", won.id);
    assert!(lost.reason.starts_with(&start), "{start}: {lost:?}");
    is_audited(pair, lost, who);
}

#[test]
fn of_equal_priority_the_later_one_wins_whoever_asked_first() {
    let first = pair();
    taken(&first, city_asks(&first, 4.0, "normal"));
    box_wants(&first, 9.0, "normal");
    is_won_by(&first, 9.0, "by time");
    drop(first);
    let first = pair();
    box_wants(&first, 9.0, "normal");
    taken(&first, city_asks(&first, 4.0, "normal"));
    is_won_by(&first, 4.0, "by time");
}

#[test]
fn the_later_wish_of_the_city_wins_when_two_meet_behind_a_cut() {
    let pair = pair();
    pair.cut();
    box_wants(&pair, 9.0, "normal");
    pause(LATER);
    let order = city_asks(&pair, 4.0, "normal");
    pair.mend();
    taken(&pair, order);
    is_won_by(&pair, 4.0, "by time");
}

#[test]
fn the_later_wish_of_the_box_wins_when_two_meet_behind_a_cut_and_is_the_first_to_arrive() {
    let pair = pair();
    pair.cut();
    let order = city_asks(&pair, 4.0, "normal");
    pause(LATER);
    box_wants(&pair, 9.0, "normal");
    pair.mend();
    taken(&pair, order);
    is_won_by(&pair, 9.0, "by time");
}

#[test]
fn the_greater_priority_wins_though_it_is_older_wherever_it_was_asked() {
    let of_city = pair();
    of_city.cut();
    let order = city_asks(&of_city, 4.0, "urgent");
    pause(LATER);
    box_wants(&of_city, 9.0, "normal");
    of_city.mend();
    taken(&of_city, order);
    is_won_by(&of_city, 4.0, "by priority");
    drop(of_city);
    let of_box = pair();
    of_box.cut();
    box_wants(&of_box, 9.0, "urgent");
    pause(LATER);
    let order = city_asks(&of_box, 4.0, "normal");
    of_box.mend();
    taken(&of_box, order);
    is_won_by(&of_box, 9.0, "by priority");
}

#[test]
fn an_interlock_of_the_city_beats_every_wish_at_the_box_and_of_the_city() {
    let mut pair = pair();
    box_wants(&pair, 9.0, "normal");
    pair.city.node.terminate();
    pair.city.node.configure(|config| {
        config.more.push_str(
            "\n[[interlock]]\nproperty = \"limit_kw\"\nmax = 8.0\nreason = \"thin cable\"\n",
        );
    });
    pair.city.node.restart();
    let refused = |pair: &Pair, value: f64| {
        eventually(&format!("{value} is refused"), SOON, || {
            let all = seen(&pair.edge);
            let found = all.iter().find(|seen| seen.value == value);
            match found.is_some_and(|seen| seen.state == "refused") {
                true => Ok(()),
                false => Err(format!("{all:?}")),
            }
        });
    };
    refused(&pair, 9.0);
    let urgent = box_asks(&pair, 10.0, "urgent");
    assert_eq!(urgent.status, 409, "{}", urgent.text());
    assert!(urgent.text().contains("thin cable"), "{}", urgent.text());
    let order = city_asks(&pair, 11.0, "emergency");
    taken(&pair, order);
    box_wants(&pair, 7.0, "routine");
    let all = agreed(&pair);
    let states: Vec<_> = all.iter().map(|seen| (seen.value, &*seen.state)).collect();
    let wanted = [
        (7.0, "sent"),
        (9.0, "refused"),
        (10.0, "refused"),
        (11.0, "refused"),
    ];
    assert_eq!(states, wanted);
    for lost in &all[1..] {
        assert!(lost.reason.contains("thin cable"), "{lost:?}");
        is_audited(&pair, lost, "safety");
    }
}

#[test]
fn a_settled_conflict_is_in_both_audits_once_also_after_crashes() {
    let mut pair = pair();
    pair.cut();
    box_wants(&pair, 9.0, "normal");
    pause(LATER);
    let order = city_asks(&pair, 4.0, "normal");
    pair.mend();
    taken(&pair, order);
    is_won_by(&pair, 4.0, "by time");
    pair.edge.restart();
    pair.city.node.restart();
    is_won_by(&pair, 4.0, "by time");
}

/// Otherwise the box would believe the city's clock.
fn believes_its_clock(pair: &Pair, wall: &WallClock) {
    wall.synchronise();
    eventually("the box knows the time by itself", SOON, || {
        let ready = pair.edge.json("/readyz").to_string();
        ready.contains("ntp").then_some(()).ok_or(ready)
    });
}

#[test]
fn a_city_whose_clock_is_a_day_ahead_does_not_win_for_ever() {
    let (Some(wall), Some(right)) = (WallClock::ahead(0), WallClock::ahead(0)) else {
        return;
    };
    let city = NodeConfig {
        env: wall.env(),
        ..NodeConfig::default()
    };
    let mut pair = Pair::of(city, |identity| NodeConfig {
        env: right.env(),
        ..identity.config()
    });
    believes_its_clock(&pair, &right);
    pair.city.node.terminate();
    wall.set(24 * 3600);
    pair.city.node.restart();
    taken(&pair, city_asks(&pair, 4.0, "normal"));
    box_wants(&pair, 9.0, "normal");
    is_won_by(&pair, 9.0, "by time");
}

#[test]
fn a_city_that_starts_anew_knows_what_it_ordered_ahead_of_its_own_clock() {
    let Some(wall) = WallClock::ahead(1800) else {
        return;
    };
    let mut pair = Pair::of(NodeConfig::default(), |identity| NodeConfig {
        env: wall.env(),
        ..identity.config()
    });
    believes_its_clock(&pair, &wall);
    box_wants(&pair, 7.0, "normal");
    agreed(&pair);
    pair.cut();
    city_asks(&pair, 9.0, "normal");
    pair.city.node.terminate();
    pair.city.node.restart();
    let order = city_asks(&pair, 4.0, "normal");
    pair.mend();
    taken(&pair, order);
    let all = agreed(&pair);
    let states: Vec<_> = all.iter().map(|seen| (seen.value, &*seen.state)).collect();
    let wanted = [(4.0, "sent"), (7.0, "superseded"), (9.0, "superseded")];
    assert_eq!(states, wanted, "{all:?}");
}
