//! When an alarm comes and goes.

use super::*;

const LIMIT: Limit = Limit {
    code: 1,
    limit: 100.0,
    raise_after: 2,
    clear_after: 3,
    clear_margin: Margin::Share(0.1),
    inclusive: false,
    direction: Direction::Above,
};

fn after(limit: &Limit, values: &[Option<f64>]) -> bool {
    let mut alarm = Alarm::default();
    for value in values {
        alarm.step(*value, limit);
    }
    alarm.is_active()
}

fn all(limit: &Limit, values: &[f64]) -> bool {
    let values: Vec<_> = values.iter().copied().map(Some).collect();
    after(limit, &values)
}

#[test]
fn two_consecutive_evaluations_past_the_limit_raise_and_one_does_not() {
    assert!(!all(&LIMIT, &[101.0]));
    assert!(all(&LIMIT, &[101.0, 101.0]));
    assert!(!all(&LIMIT, &[101.0, 99.0, 101.0]));
    assert!(
        !all(&LIMIT, &[100.0, 100.0]),
        "the limit itself is not past it"
    );
}

#[test]
fn three_consecutive_evaluations_beyond_the_margin_clear_and_less_does_not() {
    let up = [101.0, 101.0];
    let then = |tail: &[f64]| all(&LIMIT, &[&up, tail].concat());
    assert!(then(&[89.0, 89.0]));
    assert!(!then(&[89.0, 89.0, 89.0]));
    assert!(
        then(&[90.0, 90.0, 90.0]),
        "within the margin nothing clears"
    );
    assert!(then(&[89.0, 89.0, 95.0, 89.0]));
}

#[test]
fn a_change_is_told_once() {
    let mut alarm = Alarm::default();
    let mut told = Vec::new();
    for value in [101.0, 101.0, 101.0, 50.0, 50.0, 50.0, 50.0] {
        told.push(alarm.step(Some(value), &LIMIT));
    }
    let (raise, clear) = (Some(Change::Raise), Some(Change::Clear));
    assert_eq!(told, [None, raise, None, None, None, clear, None]);
}

#[test]
fn an_evaluation_without_data_ends_both_counts() {
    for gap in [None, Some(f64::NAN)] {
        assert!(!after(&LIMIT, &[Some(101.0), gap, Some(101.0)]));
        let up = [Some(101.0), Some(101.0)];
        let down = [Some(80.0), Some(80.0), gap, Some(80.0)];
        assert!(after(&LIMIT, &[up.as_slice(), &down].concat()));
    }
}

#[test]
fn an_inclusive_limit_is_reached_by_itself() {
    assert!(all(&LIMIT.inclusive(), &[100.0, 100.0]));
}

#[test]
fn below_a_limit_is_past_it_where_it_says_so() {
    let limit = LIMIT.below();
    assert!(!all(&limit, &[101.0, 101.0]));
    assert!(all(&limit, &[99.0, 99.0]));
    assert!(all(&limit, &[99.0, 99.0, 110.0, 110.0, 110.0]), "margin");
    assert!(!all(&limit, &[99.0, 99.0, 111.0, 111.0, 111.0]));
}

#[test]
fn an_absolute_margin_counts_in_the_unit_of_the_limit() {
    let noise = Limit {
        limit: 55.0,
        ..LIMIT
    };
    let noise = noise.margin(Margin::Absolute(2.0));
    assert!(all(&noise, &[56.0, 56.0, 53.0, 53.0, 53.0]));
    assert!(!all(&noise, &[56.0, 56.0, 52.9, 52.9, 52.9]));
}

#[test]
fn the_margin_of_a_negative_limit_lies_on_its_good_side() {
    let frost = Limit {
        limit: -10.0,
        ..LIMIT
    };
    assert!(all(&frost, &[-9.0, -9.0, -10.5, -10.5, -10.5]));
    assert!(!all(&frost, &[-9.0, -9.0, -11.5, -11.5, -11.5]));
}

#[test]
fn a_long_alert_keeps_the_same_state() {
    let mut alarm = Alarm::default();
    alarm.step(Some(101.0), &LIMIT);
    alarm.step(Some(101.0), &LIMIT);
    let then = alarm;
    alarm.step(Some(101.0), &LIMIT);
    assert_eq!(alarm, then);
}
