//! A box and its city as two folds: whatever the way between them does, the replica is the box's
//! twin byte for byte, and the city's own twin shows what the box has.

mod whole;

use proptest::prelude::*;

use crate::event::{
    Digest, EdgeEnrolled, EdgeJudged, EdgeJudgement, EdgeNews, EdgeOrdered, EdgeSettings, Entry,
    Event, Lane, Order, OrderTaken, Severity, Stamp, Uplinked,
};
use crate::model::{Millis, Observed, Quality, QuarterRecord, Reading};
use crate::state::{Alert, AlertKey, EdgeStanding, Effects, Twin};
use crate::uplink::{BatchWriter, Chain, Health, JournalId, News, NewsValue};

const START: i64 = 1_780_272_000_000;
const JOURNAL: JournalId = JournalId(1);
const NODE: &str = "box-1";
const QUARTER: &str = "dresden-ost";

/// A node: its journal and its twin.
#[derive(Default)]
struct Side {
    entries: Vec<Vec<u8>>,
    twin: Twin,
    effects: Effects,
}

impl Side {
    fn take(&mut self, at: i64, event: Event<'_>) {
        let at = Millis(START + at);
        let bytes = postcard::to_allocvec(&Entry { at, event }).unwrap();
        let entry: Entry<'_> = postcard::from_bytes(&bytes).unwrap();
        let position = self.entries.len() as u64 + 1;
        self.twin.fold(position, &entry, &mut self.effects);
        self.entries.push(bytes);
    }

    fn reading(&mut self, at: i64, asset: &str, value: f64) {
        let readings = vec![Reading {
            metric: "temperature",
            value,
            time: Millis(START + at),
            quality: Quality::Good,
            unit: None,
        }];
        let (quarter, place) = (QUARTER, None);
        self.take(
            at,
            Event::Observed(Observed {
                quarter,
                asset,
                place,
                readings,
            }),
        );
    }

    fn quarter(&mut self) {
        self.take(
            0,
            Event::QuarterPut(QuarterRecord {
                id: QUARTER.to_owned(),
                name: "Dresden-Ost".to_owned(),
                cells: Vec::new(),
                timezone: "Europe/Berlin".to_owned(),
            }),
        );
    }

    /// The payload of the entries `first..=last`, behind what the chain was at `first - 1`.
    fn payload(&self, first: u64, last: u64) -> Vec<u8> {
        let chain = self.chain(first - 1);
        let mut writer = BatchWriter::new(JOURNAL, chain);
        for position in first..=last {
            assert!(writer.push(position, &self.entries[position as usize - 1]));
        }
        writer.encode(
            (last == self.entries.len() as u64).then(|| Digest::of(&self.twin.to_bytes().unwrap())),
        )
    }

    fn chain(&self, position: u64) -> Chain {
        let entries = self.entries.iter().take(position as usize);
        entries.fold(Chain::start(JOURNAL), |chain, entry| chain.entry(entry))
    }
}

fn city() -> Side {
    let mut city = Side::default();
    city.quarter();
    enrol(&mut city, b"first");
    city
}

fn enrol(city: &mut Side, certificate: &[u8]) {
    city.take(
        0,
        Event::EdgeEnrolled(EdgeEnrolled {
            node: NODE.to_owned(),
            quarter: QUARTER.to_owned(),
            certificate: Digest::of(certificate),
            ..EdgeEnrolled::default()
        }),
    );
}

fn send(city: &mut Side, payload: &[u8]) {
    city.take(
        1,
        Event::Uplinked(Uplinked {
            node: NODE,
            batch: payload,
        }),
    );
}

fn retire(city: &mut Side) {
    city.take(
        2,
        Event::EdgeJudged(EdgeJudged {
            node: NODE.to_owned(),
            judgement: EdgeJudgement::Retire,
            by: "anna".to_owned(),
            why: "stolen".to_owned(),
        }),
    );
}

fn replica(city: &Side) -> Vec<u8> {
    city.twin
        .edges()
        .get(NODE)
        .unwrap()
        .replica()
        .to_bytes()
        .unwrap()
}

fn value(twin: &Twin, asset: &str) -> Option<f64> {
    let asset = twin.asset_index(twin.quarter_index(QUARTER)?, asset)?;
    let (_, stream) = *twin.assets()[asset as usize].streams.first()?;
    Some(twin.streams()[stream as usize].value)
}

proptest! {
    #[test]
    fn whatever_comes_twice_late_or_torn_the_replica_is_the_box_byte_for_byte(
        readings in prop::collection::vec((0u8..4, -50i64..50, 0i64..100_000), 1..60),
        cuts in prop::collection::vec(1u64..9, 1..60),
        again in prop::collection::vec(any::<bool>(), 60),
    ) {
        let mut edge = Side::default();
        edge.quarter();
        for (asset, value, at) in &readings {
            edge.reading(*at, &format!("m{asset}"), *value as f64);
            if value % 7 == 0 {
                edge.take(*at, Event::Ticked);
            }
        }
        let mut city = city();
        let (mut sent, mut cuts, mut again) = (0, cuts.into_iter().cycle(), again.into_iter().cycle());
        let end = edge.entries.len() as u64;
        while sent < end {
            let last = (sent + cuts.next().unwrap()).min(end);
            send(&mut city, &edge.payload(sent + 1, last));
            if again.next().unwrap() {
                // A resend after a lost acknowledgement may be cut otherwise.
                let from = (sent + 1).saturating_sub(cuts.next().unwrap()).max(1);
                send(&mut city, &edge.payload(from, last));
                send(&mut city, &edge.payload(last, (last + 1).min(end)));
            }
            sent = city.twin.edges().get(NODE).unwrap().received();
            prop_assert!(sent >= last);
        }
        prop_assert_eq!(replica(&city), edge.twin.to_bytes().unwrap());
        let known = city.twin.edges().get(NODE).unwrap();
        prop_assert_eq!(known.chain(), Some(edge.chain(end)));
        prop_assert!(known.proof().0.is_some_and(|proof| proof.equal));
        prop_assert_eq!(known.complete_through(), Some(edge.twin.now()));
        for asset in ["m0", "m1", "m2", "m3"] {
            prop_assert_eq!(value(&city.twin, asset), value(&edge.twin, asset));
        }
        let bytes = city.twin.to_bytes().unwrap();
        let again = Twin::from_bytes(&bytes).unwrap();
        prop_assert_eq!(again.to_bytes().unwrap(), bytes);
    }
}

#[test]
fn a_gap_a_changed_past_and_another_journal_are_refused_and_change_nothing() {
    let mut edge = Side::default();
    edge.quarter();
    for n in 0..10 {
        edge.reading(n, "m", n as f64);
    }
    let mut city = city();
    send(&mut city, &edge.payload(1, 4));
    let before = replica(&city);
    let mut other = Side::default();
    other.quarter();
    for n in 0..10 {
        other.reading(n, "m", -1.0);
    }
    let forged = other.payload(5, 8);
    let foreign = {
        let mut writer = BatchWriter::new(JournalId(2), edge.chain(4));
        assert!(writer.push(5, &edge.entries[4]));
        writer.encode(None)
    };
    for payload in [
        edge.payload(7, 9),
        forged,
        foreign,
        b"nonsense".to_vec(),
        Vec::new(),
    ] {
        send(&mut city, &payload);
        let known = city.twin.edges().get(NODE).unwrap();
        assert!(known.troubles().2.is_some());
        assert_eq!(known.received(), 4);
        assert_eq!(replica(&city), before);
    }
    assert_eq!(city.twin.edges().get(NODE).unwrap().troubles().1, 5);
    send(&mut city, &edge.payload(5, 11));
    assert_eq!(replica(&city), edge.twin.to_bytes().unwrap());
    assert_eq!(city.twin.edges().get(NODE).unwrap().troubles().2, None);
}

#[test]
fn entries_that_are_gone_are_a_gap_that_everybody_sees() {
    let mut edge = Side::default();
    edge.quarter();
    for n in 0..9 {
        edge.reading(n, "m", n as f64);
    }
    let mut city = city();
    send(&mut city, &edge.payload(1, 3));
    let mut writer = BatchWriter::new(JOURNAL, edge.chain(3));
    assert!(writer.push(7, &edge.entries[6]));
    send(&mut city, &writer.encode(None));
    let known = city.twin.edges().get(NODE).unwrap();
    assert_eq!(known.received(), 7);
    let lost: Vec<_> = known.lost().map(|lost| (lost.first, lost.last)).collect();
    assert_eq!(lost, [(4, 6)]);
}

#[test]
fn who_is_retired_or_unknown_changes_nothing() {
    let mut edge = Side::default();
    edge.quarter();
    edge.reading(1, "m", 1.0);
    let mut city = city();
    send(&mut city, &edge.payload(1, 1));
    retire(&mut city);
    let before = replica(&city);
    send(&mut city, &edge.payload(2, 2));
    let payload = edge.payload(1, 2);
    city.take(
        3,
        Event::Uplinked(Uplinked {
            node: "box-2",
            batch: &payload,
        }),
    );
    assert_eq!(replica(&city), before);
    assert_eq!(value(&city.twin, "m"), None);
}

#[test]
fn a_renewed_certificate_keeps_the_replica_and_a_box_after_a_retired_one_begins_anew() {
    let mut edge = Side::default();
    edge.quarter();
    edge.reading(1, "m", 1.0);
    let mut city = city();
    send(&mut city, &edge.payload(1, 1));
    enrol(&mut city, b"new");
    let known = city.twin.edges().get(NODE).unwrap();
    assert_eq!(known.record.certificate, Digest::of(b"new"));
    send(&mut city, &edge.payload(2, 2));
    assert_eq!(replica(&city), edge.twin.to_bytes().unwrap());
    retire(&mut city);
    enrol(&mut city, b"another");
    let known = city.twin.edges().get(NODE).unwrap();
    assert_eq!(
        (known.received(), known.standing),
        (0, EdgeStanding::Active)
    );
}

fn alert(decision: u64) -> Alert {
    Alert {
        severity: Severity::Major,
        since: Millis(START),
        value: 1.0,
        limit: None,
        text: String::new(),
        plugin: "p".to_owned(),
        decision,
        node: None,
    }
}

fn tell(city: &mut Side, news: &News) {
    let payload = news.encode();
    city.take(
        4,
        Event::EdgeNews(EdgeNews {
            node: NODE,
            news: &payload,
        }),
    );
}

#[test]
fn news_is_seen_at_once_and_a_later_backlog_does_not_take_it_back() {
    let mut city = city();
    let key = AlertKey {
        quarter: QUARTER.to_owned(),
        rule: "r".to_owned(),
        asset: "m".to_owned(),
    };
    let now = NewsValue {
        asset: "m".to_owned(),
        metric: "temperature".to_owned(),
        unit: None,
        value: 30.0,
        time: Millis(START + 500),
        quality: Quality::Good,
        place: None,
    };
    tell(
        &mut city,
        &News {
            journal: JOURNAL,
            told: 90,
            head: 100,
            alerts: vec![(key.clone(), Some(alert(80)))],
            values: vec![now],
            ..News::default()
        },
    );
    assert_eq!(value(&city.twin, "m"), Some(30.0));
    assert_eq!(city.twin.alerts()[&key].node.as_deref(), Some(NODE));
    let mut edge = Side::default();
    edge.quarter();
    edge.reading(1, "m", 1.0);
    send(&mut city, &edge.payload(1, 2));
    assert_eq!(
        value(&city.twin, "m"),
        Some(30.0),
        "old readings are not the newest"
    );
    assert_eq!(city.twin.edges().get(NODE).unwrap().behind(), 98);
    tell(
        &mut city,
        &News {
            journal: JOURNAL,
            told: 95,
            whole: true,
            ..News::default()
        },
    );
    assert!(
        city.twin.alerts().is_empty(),
        "what is not among all alerts is over"
    );
}

/// The box says how full its journal is, in percent; what the city then says of it, if it changed.
fn journal_at(city: &mut Side, percent: u64) -> Vec<bool> {
    tell(
        city,
        &News {
            journal: JOURNAL,
            health: Some(Health {
                journal_bytes: percent,
                journal_quota_bytes: 100,
                disk_free_bytes: 50,
                disk_bytes: 100,
                ..Health::default()
            }),
            ..News::default()
        },
    );
    city.effects = Effects::default();
    city.take(5, Event::Ticked);
    let told = city.effects.alerts.iter();
    told.filter(|(key, _)| key.rule == "edge_journal")
        .map(|(_, alert)| alert.is_some())
        .collect()
}

#[test]
fn a_journal_that_stays_at_the_limit_is_one_alert() {
    let mut city = city();
    let told = [70, 80, 79, 80, 77, 81, 76, 79].map(|percent| journal_at(&mut city, percent));
    let silence = || Vec::new();
    assert_eq!(
        told,
        [
            silence(),
            vec![true],
            silence(),
            silence(),
            silence(),
            silence(),
            vec![false],
            silence(),
        ]
    );
}

#[test]
fn what_was_said_of_a_box_ends_when_its_name_goes_to_another_quarter() {
    let mut city = city();
    assert_eq!(journal_at(&mut city, 90), [true]);
    city.take(
        6,
        Event::EdgeEnrolled(EdgeEnrolled {
            node: NODE.to_owned(),
            quarter: "johannstadt".to_owned(),
            certificate: Digest::of(b"second"),
            ..EdgeEnrolled::default()
        }),
    );
    assert!(city.twin.alerts().is_empty(), "{:?}", city.twin.alerts());
}

#[test]
fn an_order_waits_until_the_box_says_that_it_took_it() {
    let (mut edge, mut city) = (Side::default(), city());
    edge.quarter();
    city.take(
        1,
        Event::EdgeOrdered(EdgeOrdered {
            node: NODE.to_owned(),
            order: Order::Settings(EdgeSettings::default()),
            stamp: Stamp::default(),
            by: "anna".to_owned(),
            why: String::new(),
        }),
    );
    let waiting = |city: &Side| -> Vec<u64> {
        let edge = city.twin.edges().get(NODE).unwrap();
        edge.orders().keys().copied().collect()
    };
    assert_eq!(waiting(&city), [3]);
    edge.take(
        2,
        Event::OrderTaken(OrderTaken {
            order: 3,
            lane: Lane::Wishes,
            refused: None,
        }),
    );
    assert_eq!(edge.twin.orders_taken().last(Lane::Wishes), 3);
    send(&mut city, &edge.payload(1, 2));
    assert_eq!(waiting(&city), [0; 0]);
    let known = city.twin.edges().get(NODE).unwrap();
    assert_eq!(known.outcomes().count(), 1);
    assert_eq!(replica(&city), edge.twin.to_bytes().unwrap());
}
