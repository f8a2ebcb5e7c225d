//! Sessions on their own.

use super::*;
use crate::WhenFull;
use crate::codec::QoS;
use crate::envelope::{Draft, Parts};

pub(crate) fn out(qos: QoS) -> Out {
    let parts = Parts {
        topic: "a/b",
        payload: b"x",
        qos,
        retain: false,
        properties: &[],
        expiry: None,
        origin: 9,
    };
    Out::new(Draft::new(&parts).seal(0), qos, false, Ids::None)
}

const TERMS: Terms = Terms {
    qos: QoS::ExactlyOnce,
    no_local: false,
    retain_as_published: false,
    subscription_id: 0,
};
const LIMIT: QueueLimit = QueueLimit {
    messages: 2,
    bytes: 10_000,
    when_full: WhenFull::Disconnect,
};

fn deliver(session: &Session, qos: QoS, count: usize, counters: &Counters) {
    let message = out(qos).message;
    deliver_with(session, message, count, LIMIT, counters);
}

fn deliver_with(
    session: &Session,
    message: Envelope,
    count: usize,
    limit: QueueLimit,
    counters: &Counters,
) {
    session.deliver((0..count).map(|_| &message), "a/b", &TERMS, limit, counters);
}

/// A session, kept or not.
fn session(kept: bool) -> Arc<Session> {
    let keeper = kept.then(|| Arc::new(Keeper::new()));
    Arc::new(Session::new("a".into(), None, 1, keeper))
}

#[test]
fn a_full_queue_drops_qos_0_and_ends_the_connection_on_qos_1() {
    let session = session(false);
    let counters = Counters::default();
    deliver(&session, QoS::AtMostOnce, 3, &counters);
    assert_eq!(counters.dropped_queue_full.get(), 1);
    assert!(!session.lock().overrun);
    deliver(&session, QoS::AtLeastOnce, 1, &counters);
    assert!(session.lock().overrun);
    assert_eq!(session.lock().live.len(), 2);
}

#[test]
fn a_client_that_is_away_keeps_qos_1_within_its_bound_and_no_qos_0() {
    let session = session(true);
    let counters = Counters::default();
    assert!(!session.leave(1, 60, false).over);
    deliver(&session, QoS::AtMostOnce, 1, &counters);
    assert_eq!(session.lock().live.len(), 0);
    deliver(&session, QoS::AtLeastOnce, 3, &counters);
    assert_eq!(session.lock().live.len(), 2);
    assert_eq!(counters.dropped_queue_full.get(), 1);
}

#[test]
fn own_messages_are_left_out_with_no_local() {
    let terms = Terms {
        no_local: true,
        ..TERMS
    };
    let message = out(QoS::AtMostOnce).message;
    assert!(terms.apply(&message, 9).is_none());
    assert!(terms.apply(&message, 8).is_some());
}

#[test]
fn a_connection_that_was_replaced_owns_nothing() {
    let session = session(false);
    session.lock().generation = 2;
    assert!(session.own(1).is_none() && session.own(2).is_some());
    assert!(
        !session.leave(1, 0, false).over,
        "it does not end the session of its successor"
    );
    assert_eq!(session.lock().phase, Phase::Connected);
}

#[test]
fn a_full_queue_does_as_its_policy_says() {
    for (when_full, left, overrun) in [
        (WhenFull::Disconnect, [1, 2], true),
        (WhenFull::DropNewest, [1, 2], false),
        (WhenFull::DropOldest, [2, 3], false),
    ] {
        let session = session(true);
        let counters = Counters::default();
        let limit = QueueLimit { when_full, ..LIMIT };
        deliver_with(&session, out(QoS::AtLeastOnce).message, 3, limit, &counters);
        let state = session.lock();
        let sequences: Vec<u64> = state.live.iter().map(|out| out.sequence).collect();
        assert_eq!((&sequences[..], state.overrun), (&left[..], overrun));
        assert_eq!(counters.dropped_queue_full.get(), 1);
    }
}

#[test]
fn of_overlapping_subscriptions_the_oldest_delivers_for_all() {
    let session = session(false);
    let terms = |qos, subscription_id| Terms {
        qos,
        subscription_id,
        ..TERMS
    };
    let (first, second) = (terms(QoS::AtMostOnce, 7), terms(QoS::ExactlyOnce, 8));
    session.lock().subscribe("a/+", first);
    session.lock().subscribe("a/b", second);
    session.lock().subscribe("c", TERMS);
    let message = out(QoS::AtLeastOnce).message;
    let counters = Counters::default();
    for (filter, terms) in [("a/b", second), ("a/+", first)] {
        session.deliver([&message].into_iter(), filter, &terms, LIMIT, &counters);
    }
    let mut state = session.lock();
    assert_eq!(state.live.len(), 1);
    let got = state.next(|_, _| true).unwrap();
    assert_eq!(
        (got.qos, got.ids.as_slice()),
        (QoS::AtLeastOnce, &[7, 8][..])
    );
}
