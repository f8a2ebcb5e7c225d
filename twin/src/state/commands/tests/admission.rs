//! What is taken, what is turned away, and what was there before.

use super::*;
use crate::state::{FINISHED, TURNED_AWAY};
use CommandState::{Refused, Sent, Superseded};

#[test]
fn what_may_not_be_is_refused_with_the_reason_and_never_sent() {
    let other = |asset: &str| CommandIntent {
        asset: asset.to_owned(),
        ..intent("limit", 1, 4.2, HOUR)
    };
    let cases = [
        (
            intent("no_such", 1, 4.2, HOUR),
            "grants no command \"no_such\"",
        ),
        (
            intent("limit", 1, 11.5, HOUR),
            "11.5 is not within 0 and 11 of the manifest",
        ),
        (intent("limit", 1, f64::NAN, HOUR), "not a number"),
        (
            intent("limit", 1, 2.0, HOUR),
            "2 is not within 3 and any of the operator: cable",
        ),
        (intent("limit", 1, 4.2, 10), "had expired when it came"),
        (
            intent("limit", 1, 4.2, 8 * 24 * HOUR),
            "expires later than 7 days",
        ),
        (other("m1"), "m1 is a meter, and limit is for a wallbox"),
        (other("nobody"), "there is no asset \"nobody\" in a"),
    ];
    for (intent, reason) in cases {
        let mut rig = Rig::new();
        rig.interlocks(vec![interlock(Some(3.0), None)]);
        rig.until(10);
        let id = rig.intend(intent);
        assert_eq!(rig.state(id), Refused, "{reason}");
        assert!(
            rig.get(id).reason.contains(reason),
            "{}",
            rig.get(id).reason
        );
        rig.until(MINUTE);
        assert_eq!((rig.sent(), rig.count(Refused)), (vec![], 1), "{reason}");
    }
}

#[test]
fn an_intent_without_expiry_lives_for_a_quarter_of_an_hour() {
    let mut rig = Rig::new();
    let without = CommandIntent {
        expires: Millis(0),
        ..intent("limit", 1, 4.2, 0)
    };
    let id = rig.intend(without);
    assert_eq!(
        (rig.state(id), rig.get(id).expires),
        (Sent, at(15 * MINUTE))
    );
}

#[test]
fn a_persons_command_is_held_to_the_operators_limits_and_to_no_manifest() {
    let mut rig = Rig::new();
    let free = rig.ask(100.0, HOUR);
    assert_eq!(rig.state(free), Sent);
    rig.say(free, Judgement::Withdraw);
    rig.interlocks(vec![interlock(Some(0.0), Some(22.0))]);
    for (value, expires, expected) in [
        (100.0, HOUR, Refused),
        (-1.0, HOUR, Refused),
        (22.0, 0, Refused),
        (22.0, HOUR, Sent),
    ] {
        let id = rig.ask(value, expires);
        assert_eq!(rig.state(id), expected, "{value} {expires}");
    }
}

#[test]
fn the_rate_is_of_an_asset_and_a_command_over_the_last_hour() {
    let mut rig = Rig::new();
    rig.asset("w2", "wallbox");
    let mut key = 0;
    let mut next = |rig: &mut Rig, asset: &str| {
        key += 1;
        let one = intent("limit", key, 4.2, rig.seconds + MINUTE);
        let id = rig.intend(CommandIntent {
            asset: asset.to_owned(),
            ..one
        });
        rig.state(id)
    };
    for _ in 0..4 {
        assert_eq!(next(&mut rig, "w1"), Sent);
        rig.until(rig.seconds + 10);
    }
    assert_eq!(next(&mut rig, "w1"), Refused);
    assert_eq!(next(&mut rig, "w2"), Sent, "another asset");
    rig.restart();
    rig.seconds = HOUR - 1;
    assert_eq!(next(&mut rig, "w1"), Refused);
    rig.seconds = HOUR;
    assert_eq!(next(&mut rig, "w1"), Sent, "the first is an hour ago");
    assert_eq!(next(&mut rig, "w1"), Refused, "the second is not");
}

#[test]
fn an_intent_that_was_taken_is_ignored_until_a_day_after_its_expiry() {
    let mut rig = Rig::new();
    let id = rig.intend(intent("limit", 7, 4.2, HOUR));
    rig.intend(intent("limit", 7, 4.2, 2 * HOUR));
    assert_eq!(rig.twin.commands().repeated(), 1);
    rig.report("limit_kw", 4.2, 1);
    let day = 24 * HOUR;
    for seconds in [10, HOUR + 10, HOUR + day - 1] {
        rig.seconds = seconds;
        rig.fold(Event::Ticked);
        rig.restart();
        rig.intend(intent("limit", 7, 4.2, seconds + HOUR));
    }
    assert_eq!((rig.sent(), rig.twin.commands().repeated()), (vec![id], 4));
    assert_eq!(
        rig.intend(intent("limit", 8, 4.2, 2 * day)),
        rig.sent()[0],
        "another key"
    );
    // Forgetting takes ten minutes at most.
    rig.seconds = HOUR + day + 10 * MINUTE;
    rig.fold(Event::Ticked);
    let again = rig.intend(intent("limit", 7, 4.2, 2 * day));
    assert_eq!(rig.state(again), Sent);
}

#[test]
fn two_intents_of_one_answer_have_ids_of_their_own() {
    let mut rig = Rig::new();
    let both = vec![
        intent("limit", 1, 4.2, HOUR),
        intent("propose", 1, 6.0, HOUR),
    ];
    let first = rig.decide(RUN, Stage::Quarter, both);
    let second = CommandId { index: 1, ..first };
    assert_eq!(
        (rig.state(first), rig.state(second)),
        (Sent, CommandState::Waiting)
    );
    assert_eq!(second.to_string(), format!("{}-1", first.position()));
}

#[test]
fn a_shadow_commands_nothing_and_who_ended_only_where_a_successor_saw_the_same() {
    let mut rig = Rig::new();
    rig.fold(deployed("p", "2.0.0", Stage::Shadow));
    let shadow = rig.twin.position();
    rig.decide(shadow, Stage::Shadow, vec![intent("limit", 1, 4.2, HOUR)]);
    assert_eq!(rig.sent(), []);
    rig.fold(deployed("p", "2.0.0", Stage::Quarter));
    let late = rig.decide(RUN, Stage::Quarter, vec![intent("limit", 1, 4.2, HOUR)]);
    assert_eq!(
        rig.sent(),
        [late],
        "the version before answers what it was given"
    );
    rig.decide(shadow, Stage::Shadow, vec![intent("limit", 2, 4.2, HOUR)]);
    assert_eq!(rig.sent(), [], "asked for as a shadow");
    rig.fold(Event::PluginRemoved(crate::event::Removed {
        quarter: "a".to_owned(),
        plugin: "p".to_owned(),
        ..Default::default()
    }));
    rig.decide(shadow, Stage::Quarter, vec![intent("limit", 3, 4.2, HOUR)]);
    assert_eq!(rig.sent(), [], "nobody runs it any more");
}

#[test]
fn a_flood_of_refusals_is_bounded_and_hides_no_command_that_was_taken() {
    let mut rig = Rig::new();
    let taken = rig.intend(intent("limit", 1, 4.2, HOUR));
    rig.report("limit_kw", 4.2, 1);
    for key in 2..1000 {
        rig.intend(intent("limit", key, 99.0, HOUR));
    }
    assert_eq!(rig.count(Refused), 998);
    assert_eq!(rig.twin.commands().ended().count(), TURNED_AWAY + 1);
    assert_eq!(rig.state(taken), CommandState::Done);
}

#[test]
fn of_commands_that_ended_the_newest_are_kept() {
    let mut rig = Rig::new();
    let first = rig.ask(4.0, HOUR);
    for _ in 0..=FINISHED {
        rig.ask(5.0, HOUR);
    }
    assert_eq!(rig.count(Superseded), FINISHED as u64 + 1);
    assert_eq!(rig.twin.commands().ended().count(), FINISHED);
    assert!(rig.twin.commands().get(first).is_none());
}

#[test]
fn an_id_reads_back_and_has_one_spelling() {
    let id = CommandId {
        position: 4711,
        index: 2,
    };
    assert_eq!(id.to_string().parse(), Ok(id));
    for wrong in [
        "", "-", "1", "1-", "-1", "+1-0", "01-0", "1-0-0", "1-00", "1 -0", "1--1",
    ] {
        assert!(wrong.parse::<CommandId>().is_err(), "{wrong}");
    }
}
