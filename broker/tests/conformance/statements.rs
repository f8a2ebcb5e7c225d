//! `statements.md` says of every normative statement of MQTT 5 which test is about it.
//!
//! Invariant: a test that the list names exists, and a test that exists is in the list.

use std::collections::BTreeSet;

const LIST: &str = include_str!("statements.md");
const SOURCES: [&str; 15] = [
    include_str!("connack.rs"),
    include_str!("connect.rs"),
    include_str!("disconnect.rs"),
    include_str!("encoding.rs"),
    include_str!("flow.rs"),
    include_str!("properties.rs"),
    include_str!("publish.rs"),
    include_str!("qos.rs"),
    include_str!("retain.rs"),
    include_str!("session.rs"),
    include_str!("shared.rs"),
    include_str!("subscribe.rs"),
    include_str!("topics.rs"),
    include_str!("unsubscribe.rs"),
    include_str!("will.rs"),
];

#[test]
fn the_list_of_statements_and_the_tests_agree() {
    let tests: BTreeSet<&str> = SOURCES
        .iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| line.strip_prefix("async fn mqtt_"))
        .filter_map(|rest| rest.split('(').next())
        .collect();
    let listed: BTreeSet<&str> = LIST
        .split('`')
        .filter_map(|word| word.strip_prefix("mqtt_"))
        .collect();
    let missing: Vec<_> = listed.difference(&tests).collect();
    let unlisted: Vec<_> = tests.difference(&listed).collect();
    assert!(missing.is_empty(), "no such tests: {missing:#?}");
    assert!(unlisted.is_empty(), "not in statements.md: {unlisted:#?}");
}

#[test]
fn every_statement_has_a_test_or_a_reason_and_at_least_180_have_a_test() {
    let rows: Vec<Vec<&str>> = LIST
        .lines()
        .filter(|line| line.starts_with("| MQTT-"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let mut tested = 0;
    for row in &rows {
        assert_eq!(row.len(), 5, "{row:?}");
        assert!(!row[3].is_empty(), "neither test nor reason: {row:?}");
        tested += usize::from(row[3].contains('`'));
    }
    assert!(tested >= 180, "{tested} of {}", rows.len());
}
