//! Entries that are lost, and the state that comes instead.

use super::*;
use crate::event::EdgeState;
use crate::uplink::StateWriter;

/// A box with twenty readings of which the city gets no. 3 to 6: both states, equal but for them.
fn with_a_gap() -> (Side, Side) {
    let mut edge = Side::default();
    edge.quarter();
    for n in 2..=20 {
        edge.reading(n, &format!("s{}", n % 4), n as f64);
    }
    let mut city = city();
    send(&mut city, &edge.payload(1, 2));
    send(&mut city, &behind_a_gap(&edge, 2, 7, 20));
    (edge, city)
}

/// The entries `first..=last` behind those up to `known`, and what is between is lost.
fn behind_a_gap(edge: &Side, known: u64, first: u64, last: u64) -> Vec<u8> {
    let mut writer = BatchWriter::new(JOURNAL, edge.chain(known));
    for position in first..=last {
        assert!(writer.push(position, &edge.entries[position as usize - 1]));
    }
    writer.encode(Some(Digest::of(&edge.twin.to_bytes().unwrap())))
}

fn parts(edge: &Side, journal: JournalId, bytes: usize) -> Vec<Vec<u8>> {
    let (position, state) = (edge.twin.position(), edge.twin.to_bytes().unwrap());
    let mut writer = StateWriter::new(journal, position, &state).unwrap();
    std::iter::from_fn(|| writer.next_part(bytes)).collect()
}

fn send_part(city: &mut Side, part: &[u8]) {
    city.take(3, Event::EdgeState(EdgeState { node: NODE, part }));
}

fn wants_state(city: &Side) -> bool {
    let edge = city.twin.edges().get(NODE).unwrap();
    edge.cursor().wants_state
}

#[test]
fn after_a_loss_the_city_asks_for_the_state_and_is_equal_again_with_it() {
    let (edge, mut city) = with_a_gap();
    assert_ne!(replica(&city), edge.twin.to_bytes().unwrap());
    assert!(wants_state(&city));
    let parts = parts(&edge, JOURNAL, 64);
    assert!(parts.len() > 2, "{}", parts.len());
    for part in &parts {
        assert!(wants_state(&city));
        send_part(&mut city, part);
    }
    assert!(!wants_state(&city));
    assert_eq!(replica(&city), edge.twin.to_bytes().unwrap());
    let known = city.twin.edges().get(NODE).unwrap();
    assert_eq!((known.repaired(), known.proof().1), (1, 0));
    assert!(known.proof().0.unwrap().equal);
    for asset in ["s0", "s1", "s2", "s3"] {
        assert_eq!(value(&city.twin, asset), value(&edge.twin, asset));
    }
}

#[test]
fn after_the_state_entries_go_on_and_stay_equal() {
    let (mut edge, mut city) = with_a_gap();
    let lost = edge.chain(2).lost(6);
    let rest = edge.entries[6..20].iter();
    let chain = rest.fold(lost, |chain, entry| chain.entry(entry));
    for part in parts(&edge, JOURNAL, 1000) {
        send_part(&mut city, &part);
    }
    edge.reading(21, "s9", 21.0);
    let mut writer = BatchWriter::new(JOURNAL, chain);
    assert!(writer.push(21, &edge.entries[20]));
    let state = Digest::of(&edge.twin.to_bytes().unwrap());
    send(&mut city, &writer.encode(Some(state)));
    assert_eq!(replica(&city), edge.twin.to_bytes().unwrap());
    assert_eq!(value(&city.twin, "s9"), Some(21.0));
}

#[test]
fn a_state_that_is_broken_off_begins_anew() {
    let (edge, mut city) = with_a_gap();
    let parts = parts(&edge, JOURNAL, 64);
    send_part(&mut city, &parts[0]);
    send_part(&mut city, &parts[2]);
    for part in &parts {
        send_part(&mut city, part);
    }
    assert_eq!(replica(&city), edge.twin.to_bytes().unwrap());
}

#[test]
fn a_state_nobody_asked_for_or_of_another_past_changes_nothing() {
    let (edge, mut city) = with_a_gap();
    let before = replica(&city);
    for part in parts(&edge, JournalId(2), 1000) {
        send_part(&mut city, &part);
    }
    assert_eq!(replica(&city), before);
    let mut whole = super::city();
    send(&mut whole, &edge.payload(1, 20));
    let mut other = Side::default();
    other.quarter();
    for n in 2..=20 {
        other.reading(n, "s1", 99.0);
    }
    for part in parts(&other, JOURNAL, 1000) {
        send_part(&mut whole, &part);
    }
    assert_eq!(replica(&whole), edge.twin.to_bytes().unwrap());
}

#[test]
fn what_a_hostile_box_sends_as_its_state_is_refused_once_and_not_asked_for_again() {
    let (edge, mut city) = with_a_gap();
    let before = replica(&city);
    // A city's state: its boxes have replicas, which may have boxes.
    let mut nested = super::city();
    while nested.entries.len() < edge.entries.len() {
        nested.reading(1, "s1", 1.0);
    }
    for part in parts(&nested, JOURNAL, 1000) {
        send_part(&mut city, &part);
    }
    assert_eq!(replica(&city), before);
    let known = city.twin.edges().get(NODE).unwrap();
    let (_, refused, why) = known.troubles();
    assert_eq!(refused, 1, "{why:?}");
    assert!(!wants_state(&city));
}
