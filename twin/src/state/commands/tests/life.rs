//! Sent, held, repeated, answered.

use super::*;
use CommandState::{Done, Expired, Held, Refused, Rejected, Sent, Superseded, Waiting, Withdrawn};

#[test]
fn a_command_is_sent_again_with_growing_pauses_until_the_device_reports() {
    let mut rig = Rig::new();
    let id = rig.intend(intent("limit", 1, 4.2, HOUR));
    assert_eq!((rig.state(id), rig.sent()), (Sent, vec![id]));
    let mut times = Vec::new();
    while rig.seconds < 260 {
        rig.until(rig.seconds + 1);
        if rig.sent() == [id] {
            times.push(rig.seconds);
        }
        rig.restart();
    }
    assert_eq!(
        times,
        [5, 15, 35, 75, 135, 195, 255],
        "pauses of 5, 10, 20, 40, 60, 60, 60 s"
    );
    rig.report("limit_kw", 4.2, 260);
    assert_eq!((rig.state(id), rig.get(id).attempts), (Done, 8));
    rig.until(10 * MINUTE);
    assert_eq!(rig.sent(), []);
    assert_eq!(rig.count(Done), 1);
}

#[test]
fn what_is_an_answer() {
    let cases = [
        ("the value", "limit_kw", 4.2, 10, Quality::Good, Done),
        (
            "rounded within half a percent",
            "limit_kw",
            4.22,
            10,
            Quality::Good,
            Done,
        ),
        (
            "an unknown unit",
            "limit_kw",
            4.2,
            10,
            Quality::Uncertain,
            Done,
        ),
        (
            "more than half a percent off",
            "limit_kw",
            4.23,
            10,
            Quality::Good,
            Sent,
        ),
        (
            "an implausible reading",
            "limit_kw",
            4.2,
            10,
            Quality::Bad,
            Sent,
        ),
        (
            "measured before it was sent",
            "limit_kw",
            4.2,
            9,
            Quality::Good,
            Sent,
        ),
        ("another metric", "power", 4.2, 10, Quality::Good, Sent),
    ];
    for (what, metric, value, measured, quality, expected) in cases {
        let mut rig = Rig::new();
        rig.until(10);
        let id = rig.intend(intent("limit", 1, 4.2, HOUR));
        rig.until(12);
        rig.restart();
        rig.report_as(metric, value, measured, quality);
        assert_eq!(rig.state(id), expected, "{what}");
    }
}

#[test]
fn zero_is_reported_as_zero_and_nothing_else() {
    for (value, expected) in [(0.0, Done), (1e-7, Done), (1e-3, Sent)] {
        let mut rig = Rig::new();
        let id = rig.intend(intent("limit", 1, 0.0, HOUR));
        rig.report("limit_kw", value, 1);
        assert_eq!(rig.state(id), expected, "{value}");
    }
}

#[test]
fn a_value_that_a_plugin_derives_is_no_answer_of_the_device() {
    let mut rig = Rig::new();
    let id = rig.intend(intent("limit", 1, 4.2, HOUR));
    let derived = DerivedReading {
        asset: "w1".to_owned(),
        metric: "limit_kw".to_owned(),
        value: 4.2,
        time: at(5),
        causes: Vec::new(),
    };
    let lie = Decision {
        derived: vec![derived],
        ..decision("p", RUN, 9, Stage::Quarter)
    };
    rig.fold(Event::Decided(lie));
    assert_eq!(rig.state(id), Sent);
}

#[test]
fn a_command_ends_with_its_expiry_whatever_it_waited_for() {
    let held = "it was held to the end: temperature is above 60: the box is hot";
    let cases = [
        ("limit", "the device did not report", None),
        ("propose", "nobody approved it", None),
        ("limit", held, Some(61.0)),
    ];
    for (command, reason, temperature) in cases {
        let mut rig = Rig::new();
        if let Some(temperature) = temperature {
            rig.report("temperature", temperature, 0);
        }
        let id = rig.intend(intent(command, 1, 4.2, 60));
        rig.until(59);
        assert!(rig.state(id).is_open(), "{reason}");
        rig.until(60);
        assert_eq!(rig.state(id), Expired);
        assert!(
            rig.get(id).reason.contains(reason),
            "{}",
            rig.get(id).reason
        );
        rig.report("limit_kw", 4.2, 61);
        assert_eq!(rig.state(id), Expired, "what has ended stays as it is");
    }
}

#[test]
fn an_answer_behind_the_expiry_is_too_late_also_before_the_tick() {
    let mut rig = Rig::new();
    let id = rig.intend(intent("limit", 1, 4.2, 60));
    rig.seconds = 60;
    rig.report("limit_kw", 4.2, 60);
    assert_eq!(rig.state(id), Sent);
    rig.until(61);
    assert_eq!(rig.state(id), Expired);
}

#[test]
fn an_interlock_holds_and_lets_go() {
    let mut rig = Rig::new();
    rig.report("temperature", 61.0, 0);
    let id = rig.intend(intent("limit", 1, 4.2, HOUR));
    assert_eq!((rig.state(id), rig.sent()), (Held, vec![]));
    rig.until(30);
    rig.restart();
    assert_eq!((rig.state(id), rig.sent()), (Held, vec![]));
    rig.report("temperature", 60.0, 30);
    rig.until(31);
    assert_eq!((rig.state(id), rig.sent()), (Sent, vec![id]));
    rig.report("temperature", 70.0, 31);
    rig.until(5 * MINUTE);
    assert_eq!(
        (rig.state(id), rig.sent()),
        (Held, vec![]),
        "no repetition while it is hot"
    );
    rig.report("limit_kw", 4.2, 5 * MINUTE);
    assert_eq!(rig.state(id), Done, "it was sent, and the device did it");
}

#[test]
fn the_operators_interlock_holds_persons_commands_too() {
    let mut rig = Rig::new();
    let voltage = Interlock {
        kind: "wallbox".to_owned(),
        metric: "voltage".to_owned(),
        below: Some(207.0),
        reason: "weak grid".to_owned(),
        ..Interlock::default()
    };
    rig.interlocks(vec![voltage]);
    rig.report("voltage", 200.0, 0);
    let id = rig.ask(4.0, HOUR);
    assert_eq!(rig.state(id), Held);
    assert_eq!(rig.get(id).reason, "voltage is below 207: weak grid");
    rig.interlocks(vec![]);
    rig.until(1);
    assert_eq!((rig.state(id), rig.get(id).reason.as_str()), (Sent, ""));
}

#[test]
fn a_limit_that_comes_ends_open_commands_beyond_it() {
    let mut rig = Rig::new();
    let person = rig.ask(10.0, HOUR);
    rig.interlocks(vec![interlock(None, Some(8.0))]);
    assert_eq!(rig.state(person), Refused);
    assert_eq!(
        rig.get(person).reason,
        "10 is not within any and 8 of the operator: cable"
    );
    let plugins = rig.intend(intent("limit", 1, 8.0, HOUR));
    assert_eq!(
        rig.state(plugins),
        Sent,
        "a person's command that ended goes before nothing"
    );
}

#[test]
fn what_persons_say_counts_where_it_fits() {
    use Judgement::{Approve, Reject, Withdraw};
    let cases: [(&str, &[Judgement], CommandState, usize); 8] = [
        ("propose", &[], Waiting, 0),
        ("propose", &[Approve], Sent, 1),
        ("propose", &[Approve, Approve], Sent, 1),
        ("propose", &[Approve, Reject], Sent, 1),
        ("propose", &[Reject], Rejected, 0),
        ("propose", &[Reject, Approve], Rejected, 0),
        ("propose", &[Withdraw, Approve], Withdrawn, 0),
        ("limit", &[Reject, Approve, Withdraw], Withdrawn, 1),
    ];
    for (command, said, expected, sendings) in cases {
        let mut rig = Rig::new();
        let id = rig.intend(intent(command, 1, 4.2, HOUR));
        for judgement in said {
            rig.say(id, *judgement);
            rig.restart();
        }
        assert_eq!(rig.state(id), expected, "{command} {said:?}");
        assert_eq!(rig.sent().len(), sendings, "{command} {said:?}");
    }
    let mut rig = Rig::new();
    let id = rig.intend(intent("propose", 1, 4.2, 60));
    rig.seconds = 60;
    rig.say(id, Approve);
    assert_eq!(
        (rig.state(id), rig.sent()),
        (Expired, vec![]),
        "approved too late"
    );
    assert_eq!(rig.get(id).judged.as_ref().unwrap().by, "bob");
}

#[test]
fn the_newer_command_of_a_property_takes_the_place_of_the_older() {
    let mut rig = Rig::new();
    let first = rig.intend(intent("limit", 1, 4.2, HOUR));
    let second = rig.intend(intent("limit", 2, 6.0, HOUR));
    assert_eq!((rig.state(first), rig.state(second)), (Superseded, Sent));
    let proposed = rig.intend(intent("propose", 3, 8.0, HOUR));
    assert_eq!(
        (rig.state(second), rig.state(proposed)),
        (Sent, Waiting),
        "until it is approved"
    );
    let better = rig.intend(intent("propose", 4, 7.0, HOUR));
    assert_eq!(
        (rig.state(proposed), rig.state(better)),
        (Superseded, Waiting)
    );
    rig.say(better, Judgement::Approve);
    assert_eq!((rig.state(second), rig.state(better)), (Superseded, Sent));
    let desired = rig.twin.commands().desired("a", "w1", rig.twin.now());
    assert_eq!(desired["limit_kw"].id, better);
}

#[test]
fn a_persons_command_goes_before_plugins_until_it_expires_done_or_not() {
    let mut rig = Rig::new();
    let plugins = rig.intend(intent("limit", 1, 11.0, HOUR));
    let persons = rig.ask(4.0, 2 * MINUTE);
    assert_eq!((rig.state(plugins), rig.state(persons)), (Superseded, Sent));
    rig.report("limit_kw", 4.0, 1);
    assert_eq!(rig.state(persons), Done);
    let early = rig.intend(intent("limit", 2, 11.0, HOUR));
    assert_eq!(rig.state(early), Superseded);
    assert!(rig.get(early).reason.contains("of a person counts until"));
    rig.until(2 * MINUTE);
    let late = rig.intend(intent("limit", 2, 11.0, HOUR));
    assert_eq!(
        rig.state(late),
        Sent,
        "the same intent, which was not carried out before"
    );
}

#[test]
fn a_persons_command_that_is_withdrawn_lets_plugins_in_again_done_or_not() {
    for done in [false, true] {
        let mut rig = Rig::new();
        let persons = rig.ask(4.0, HOUR);
        if done {
            rig.report("limit_kw", 4.0, 1);
        }
        rig.say(persons, Judgement::Withdraw);
        assert_eq!(rig.state(persons), if done { Done } else { Withdrawn });
        let plugins = rig.intend(intent("limit", 1, 11.0, HOUR));
        assert_eq!(rig.state(plugins), Sent, "done: {done}");
    }
}

#[test]
fn desired_is_what_is_held_sent_or_done_and_not_expired() {
    let mut rig = Rig::new();
    let id = rig.ask(4.0, MINUTE);
    let wanted = |rig: &Rig| {
        let found = rig.twin.commands().desired("a", "w1", rig.twin.now());
        found
            .get("limit_kw")
            .map(|command| (command.id, command.state))
    };
    assert_eq!(wanted(&rig), Some((id, Sent)));
    rig.report("limit_kw", 4.0, 1);
    assert_eq!(wanted(&rig), Some((id, Done)));
    rig.until(MINUTE);
    assert_eq!(wanted(&rig), None);
    rig.intend(intent("propose", 1, 4.0, HOUR));
    assert_eq!(wanted(&rig), None, "nobody wants it yet");
}
