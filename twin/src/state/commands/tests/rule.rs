//! When two people want different things: safety, then priority, then time; whatever comes first.

use proptest::prelude::*;

use super::{MINUTE, Rig, at, intent, interlock};
use crate::event::{ClockSet, CommandAsked, Event, Interlock, Priority, Stamp, TimeSource};
use crate::state::{Asker, CommandId, CommandState, MAX_OPEN, Winner};

fn wish(value: f64, priority: Priority, time: i64, node: &str) -> CommandAsked {
    CommandAsked {
        quarter: "a".to_owned(),
        asset: "w1".to_owned(),
        property: "limit_kw".to_owned(),
        value,
        expires: at(60 * MINUTE),
        priority,
        stamp: Stamp {
            time: at(time),
            count: 0,
            node: node.to_owned(),
        },
        by: format!("ada@{node}"),
        why: "a test".to_owned(),
    }
}

fn ask(rig: &mut Rig, wish: &CommandAsked) -> CommandId {
    rig.fold(Event::CommandAsked(wish.clone()));
    CommandId::asked_at(rig.twin.position())
}

fn state(rig: &Rig, id: CommandId) -> (CommandState, String) {
    let command = rig.twin.commands().get(id).unwrap();
    (command.state, command.reason.clone())
}

#[test]
fn the_greater_priority_wins_also_when_it_comes_later_by_the_clock_of_the_other() {
    let mut rig = Rig::new();
    let local = ask(&mut rig, &wish(4.0, Priority::Normal, 500, "box-1"));
    let city = ask(&mut rig, &wish(7.0, Priority::Urgent, 100, "city-1"));
    assert_eq!(state(&rig, city).0, CommandState::Sent);
    let (ended, reason) = state(&rig, local);
    assert_eq!(ended, CommandState::Superseded);
    assert!(
        reason.contains("by priority") && reason.contains("urgent"),
        "{reason}"
    );
}

#[test]
fn of_equal_priority_the_newer_wins_also_when_it_arrives_first() {
    let mut rig = Rig::new();
    let newer = ask(&mut rig, &wish(4.0, Priority::Normal, 500, "box-1"));
    let older = ask(&mut rig, &wish(7.0, Priority::Normal, 100, "city-1"));
    assert_eq!(state(&rig, newer).0, CommandState::Sent);
    let (ended, reason) = state(&rig, older);
    assert_eq!(ended, CommandState::Superseded);
    assert!(
        reason.contains("by time") && reason.contains("box-1"),
        "{reason}"
    );
}

#[test]
fn no_priority_goes_before_safety() {
    let mut rig = Rig::new();
    rig.fold(Event::InterlocksPut(vec![interlock(None, Some(6.0))]));
    let held = ask(&mut rig, &wish(4.0, Priority::Routine, 1, "box-1"));
    let refused = ask(&mut rig, &wish(9.0, Priority::Emergency, 2, "city-1"));
    assert_eq!(state(&rig, refused).0, CommandState::Refused);
    assert_eq!(state(&rig, held).0, CommandState::Sent);
}

#[test]
fn what_has_expired_holds_no_longer() {
    let mut rig = Rig::new();
    let urgent = CommandAsked {
        expires: at(5),
        ..wish(4.0, Priority::Emergency, 1, "city-1")
    };
    ask(&mut rig, &urgent);
    rig.until(10);
    let later = ask(&mut rig, &wish(7.0, Priority::Routine, 2, "box-1"));
    assert_eq!(state(&rig, later).0, CommandState::Sent);
}

const DAY: i64 = 24 * 60 * MINUTE;

#[test]
fn a_stamp_of_a_clock_that_is_far_ahead_counts_as_from_when_it_came() {
    let mut rig = Rig::new();
    ask(&mut rig, &wish(3.0, Priority::Normal, 0, "box-1"));
    rig.until(10);
    let wild = ask(&mut rig, &wish(4.0, Priority::Normal, DAY, "city-1"));
    assert_eq!(state(&rig, wild).0, CommandState::Sent, "it is the newest");
    rig.until(20);
    let later = ask(&mut rig, &wish(7.0, Priority::Normal, 15, "box-1"));
    assert_eq!(state(&rig, later).0, CommandState::Sent);
    assert_eq!(state(&rig, wild).0, CommandState::Superseded);
}

#[test]
fn what_was_asked_while_the_clock_was_far_ahead_is_from_when_it_was_put_right() {
    let mut rig = Rig::new();
    let set = |source, ahead: i64| {
        Event::ClockSet(ClockSet {
            time: at(20),
            offset_ms: -ahead * 1000,
            source,
        })
    };
    rig.seconds = DAY;
    rig.fold(set(TimeSource::Guess, 0));
    let wild = CommandAsked {
        expires: at(DAY + 60),
        ..wish(4.0, Priority::Normal, DAY, "box-1")
    };
    let wild = ask(&mut rig, &wild);
    assert_eq!(state(&rig, wild).0, CommandState::Sent);
    rig.fold(set(TimeSource::City, DAY));
    let older = ask(&mut rig, &wish(7.0, Priority::Normal, 10, "city-1"));
    assert_eq!(state(&rig, older).0, CommandState::Superseded);
    let later = ask(&mut rig, &wish(7.0, Priority::Normal, 30, "city-1"));
    assert_eq!(state(&rig, later).0, CommandState::Sent);
}

#[test]
fn where_no_more_commands_may_be_open_the_one_that_loses_makes_room() {
    let mut rig = Rig::new();
    let of = |asset: usize, property: usize| CommandAsked {
        asset: format!("w{asset}"),
        property: format!("p{property}"),
        ..wish(4.0, Priority::Normal, 1, "box-1")
    };
    for asset in 0..MAX_OPEN / 128 {
        rig.asset(&format!("w{asset}"), "wallbox");
        for property in 0..128 {
            ask(&mut rig, &of(asset, property));
        }
    }
    assert_eq!(rig.twin.commands().open().count(), MAX_OPEN);
    let urgent = CommandAsked {
        priority: Priority::Urgent,
        ..of(5, 5)
    };
    let urgent = ask(&mut rig, &urgent);
    assert_eq!(state(&rig, urgent).0, CommandState::Sent);
    let loses = ask(&mut rig, &of(5, 5));
    assert_eq!(state(&rig, loses).0, CommandState::Superseded);
    let another = ask(&mut rig, &of(5, 200));
    assert_eq!(state(&rig, another).0, CommandState::Refused);
    assert!(state(&rig, another).1.contains("are open already"));
}

/// Commands that lost since the last call, the rule, and who won.
fn settled(rig: &mut Rig) -> Vec<(CommandId, CommandState, Winner)> {
    let settled = rig.effects.settled.drain(..);
    settled
        .map(|settled| (settled.loser.id, settled.loser.state, settled.winner))
        .collect()
}

fn person(node: &str) -> Winner {
    Winner::Command(Some(Asker::Person {
        user: format!("ada@{node}"),
        why: "a test".to_owned(),
    }))
}

#[test]
fn whatever_loses_is_told_once_with_what_it_lost_to() {
    use CommandState::{Held, Refused, Superseded};
    let mut rig = Rig::new();
    let first = ask(&mut rig, &wish(4.0, Priority::Normal, 10, "box-1"));
    assert_eq!(settled(&mut rig), []);
    let second = ask(&mut rig, &wish(5.0, Priority::Normal, 20, "city-1"));
    assert_eq!(settled(&mut rig), [(first, Superseded, person("city-1"))]);
    let older = ask(&mut rig, &wish(6.0, Priority::Normal, 15, "box-1"));
    assert_eq!(settled(&mut rig), [(older, Superseded, person("city-1"))]);
    rig.until(30);
    rig.report("limit_kw", 5.0, 30);
    assert_eq!(rig.state(second), CommandState::Done);
    ask(&mut rig, &wish(7.0, Priority::Normal, 30, "box-1"));
    assert_eq!(settled(&mut rig), [(second, Superseded, person("box-1"))]);
    let intent = rig.intend(intent("limit", 1, 4.2, 60 * MINUTE));
    assert_eq!(settled(&mut rig), [(intent, Superseded, person("box-1"))]);
    let last = ask(&mut rig, &wish(9.0, Priority::Urgent, 30, "box-1"));
    assert_eq!(settled(&mut rig).len(), 1);
    rig.interlocks(vec![interlock(None, Some(8.0))]);
    let refused = ask(&mut rig, &wish(9.0, Priority::Emergency, 40, "city-1"));
    let safety = [last, refused].map(|id| (id, Refused, Winner::Safety));
    assert_eq!(settled(&mut rig), safety);
    rig.interlocks(vec![Interlock {
        metric: "temperature".to_owned(),
        above: Some(60.0),
        ..interlock(None, None)
    }]);
    rig.report("temperature", 70.0, 40);
    let held = ask(&mut rig, &wish(3.0, Priority::Emergency, 50, "city-1"));
    rig.until(50);
    assert_eq!(settled(&mut rig), [(held, Held, Winner::Safety)]);
}

#[test]
fn that_a_plugin_replaces_its_own_command_is_no_conflict() {
    let mut rig = Rig::new();
    rig.intend(intent("limit", 1, 4.2, 60 * MINUTE));
    let other = rig.intend(intent("limit", 2, 5.2, 60 * MINUTE));
    assert_eq!(rig.state(other), CommandState::Sent);
    assert_eq!(settled(&mut rig), []);
}

proptest! {
    #[test]
    fn the_same_wish_holds_whatever_arrives_first(
        wishes in prop::collection::vec((0u8..4, 0i64..20), 1..8)
            .prop_map(|wishes| (0..).zip(wishes).collect::<Vec<_>>())
            .prop_shuffle(),
    ) {
        let priorities = [
            Priority::Routine, Priority::Normal, Priority::Urgent, Priority::Emergency,
        ];
        let wishes: Vec<_> = wishes
            .iter()
            .map(|(n, (p, time))| wish(f64::from(*n), priorities[usize::from(*p)], *time, &format!("n{n}")))
            .collect();
        let best = wishes.iter().max_by_key(|w| (w.priority, w.stamp.clone())).unwrap().value;
        let mut rig = Rig::new();
        let ids: Vec<_> = wishes.iter().map(|wish| ask(&mut rig, wish)).collect();
        let open: Vec<f64> = ids
            .iter()
            .filter_map(|id| rig.twin.commands().get(*id))
            .filter(|command| command.state.is_open())
            .map(|command| command.value)
            .collect();
        prop_assert_eq!(open, [best]);
    }
}
