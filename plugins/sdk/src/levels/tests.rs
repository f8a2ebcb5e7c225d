//! Several limits of one topic, the worst of which wins.

use super::*;
use crate::hysteresis::{Direction, Margin};

fn levels() -> [(Limit, Severity); 2] {
    let limit = |code, limit| Limit {
        code,
        limit,
        raise_after: 2,
        clear_after: 2,
        clear_margin: Margin::Share(0.1),
        inclusive: false,
        direction: Direction::Above,
    };
    [
        (limit(1, 80.0), Severity::Warning),
        (limit(2, 100.0), Severity::Critical),
    ]
}

/// Code and whether it was raised, for each value that changed something.
fn told(values: &[f64]) -> Vec<(usize, u32, bool)> {
    let (mut topic, levels) = (Levels::default(), levels());
    let step = |(i, value): (usize, &f64)| {
        let change = topic.step(Some(*value), &levels)?;
        Some((i, change.limit.code, change.raise))
    };
    values.iter().enumerate().filter_map(step).collect()
}

#[test]
fn the_worst_level_that_is_raised_stands() {
    assert_eq!(told(&[120.0, 120.0]), [(1, 2, true)]);
    assert_eq!(
        told(&[90.0, 90.0, 120.0, 120.0, 120.0]),
        [(1, 1, true), (3, 2, true)]
    );
}

#[test]
fn a_milder_level_takes_the_place_of_the_worse_and_the_last_one_clears() {
    let falling = [120.0, 120.0, 85.0, 85.0, 85.0, 50.0, 50.0, 50.0];
    assert_eq!(told(&falling), [(1, 2, true), (3, 1, true), (6, 1, false)]);
}

#[test]
fn all_levels_clear_as_one() {
    assert_eq!(
        told(&[120.0, 120.0, 50.0, 50.0]),
        [(1, 2, true), (3, 2, false)]
    );
}

#[test]
fn a_change_carries_limit_and_severity_of_its_level() {
    let (mut topic, levels) = (Levels::default(), levels());
    topic.step(Some(120.0), &levels);
    let change = topic.step(Some(120.0), &levels).unwrap();
    assert_eq!(change.severity, Severity::Critical);
    assert_eq!(change.limit, levels[1].0);
    assert_eq!(topic.code(), Some(2));
}

#[test]
fn insufficient_data_changes_nothing_and_ends_the_counts() {
    let (mut topic, levels) = (Levels::default(), levels());
    for value in [Some(90.0), None, Some(90.0), Some(f64::NAN), Some(90.0)] {
        assert_eq!(topic.step(value, &levels), None);
    }
    assert!(topic.step(Some(90.0), &levels).is_some());
}
