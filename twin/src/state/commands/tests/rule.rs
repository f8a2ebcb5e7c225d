//! When two people want different things: safety, then priority, then time; whatever comes first.

use proptest::prelude::*;

use super::{MINUTE, Rig, at, interlock};
use crate::event::{CommandAsked, Event, Priority, Stamp};
use crate::state::{CommandId, CommandState};

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
