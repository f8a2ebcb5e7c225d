//! Topics and filters.

use super::*;
use proptest::prelude::*;

#[test]
fn topics_have_no_wildcard_and_a_limit() {
    for topic in ["a", "/", "a/b", "/a", "$SYS/x", "\u{e4}", " "] {
        assert!(valid_topic(topic), "{topic}");
    }
    for topic in ["", "+", "a/#", "a+", "a\0"] {
        assert!(!valid_topic(topic), "{topic:?}");
    }
    assert!(valid_topic(&"a".repeat(65_535)));
    assert!(!valid_topic(&"a".repeat(65_536)));
}

#[test]
fn wildcards_of_a_filter_stand_alone_and_the_hash_last() {
    for filter in [
        "#", "+", "/", "a", "a/#", "+/+", "/+", "a/+/b", "+/a/#", "$SYS/#", "$shared",
    ] {
        assert!(valid_filter(filter), "{filter}");
    }
    for filter in [
        "$share/g/#",
        "$share/g/a/+",
        "$share/g//a",
        "$share/g/$SYS/#",
    ] {
        assert!(valid_filter(filter), "{filter}");
    }
    for filter in [
        "", "a/#/b", "a#", "#/", "a+", "+a", "a/b+/c", "##", "a/##", "++", "a\0",
    ] {
        assert!(!valid_filter(filter), "{filter:?}");
    }
    let nested = "$share/g/$share/h/a";
    for filter in [
        "$share",
        "$share/",
        "$share/g",
        "$share/g/",
        "$share//a",
        "$share/+/a",
        nested,
    ] {
        assert!(!valid_filter(filter), "{filter}");
    }
    assert!(!valid_filter(&"a".repeat(65_536)));
}

#[test]
fn a_shared_filter_is_taken_apart() {
    assert_eq!(shared("$share/g/a/b"), Some(("g", "a/b")));
    assert_eq!(shared("$share/g//b"), Some(("g", "/b")));
    assert_eq!(shared("$shared/g/a"), None);
    assert_eq!(shared("a/$share/g/b"), None);
}

#[test]
fn filters_match_as_in_the_examples_of_the_specification() {
    let yes = [
        ("sport/tennis/player1/#", "sport/tennis/player1"),
        ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
        (
            "sport/tennis/player1/#",
            "sport/tennis/player1/score/wimbledon",
        ),
        ("sport/#", "sport"),
        ("#", "a/b"),
        ("sport/tennis/+", "sport/tennis/player1"),
        ("sport/+", "sport/"),
        ("+/+", "/finance"),
        ("/+", "/finance"),
        ("$SYS/#", "$SYS/a"),
        ("$SYS/monitor/+", "$SYS/monitor/Clients"),
        ("+/$SYS", "a/$SYS"),
    ];
    for (filter, topic) in yes {
        assert!(matches(filter, topic), "{filter} {topic}");
    }
    let no = [
        ("sport/tennis/+", "sport/tennis/player1/ranking"),
        ("sport/+", "sport"),
        ("+", "/finance"),
        ("#", "$SYS/a"),
        ("+/monitor/Clients", "$SYS/monitor/Clients"),
        ("a", "A"),
        ("a", "a/"),
        ("a/b", "a"),
        ("sport/#", "sports"),
    ];
    for (filter, topic) in no {
        assert!(!matches(filter, topic), "{filter} {topic}");
    }
}

/// Section 4.7 once more, level by level and recursively.
fn reference(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["#"], _) | ([], []) => true,
        (["+", filter @ ..], [_, topic @ ..]) => reference(filter, topic),
        ([wanted, filter @ ..], [level, topic @ ..]) => wanted == level && reference(filter, topic),
        _ => false,
    }
}

proptest! {
    #[test]
    fn matching_agrees_with_the_reference(filter in "[ab+/]{0,6}(/#)?", topic in "[$]?[ab/]{1,7}") {
        prop_assume!(valid_filter(&filter));
        let filters: Vec<_> = filter.split('/').collect();
        let topics: Vec<_> = topic.split('/').collect();
        let hidden = topic.starts_with('$') && matches!(filters[0], "+" | "#");
        prop_assert_eq!(matches(&filter, &topic), !hidden && reference(&filters, &topics));
    }

    #[test]
    fn a_valid_topic_is_a_filter_that_matches_itself(topic in "\\PC{1,20}") {
        prop_assume!(valid_topic(&topic) && !topic.starts_with("$share"));
        prop_assert!(valid_filter(&topic) && matches(&topic, &topic));
    }
}

#[test]
fn filters_overlap_where_a_topic_may_match_both() {
    for (one, other) in [
        ("a/b", "a/+"),
        ("a/#", "a"),
        ("#", "a/+/c"),
        ("+/b", "a/+"),
        ("a", "a"),
    ] {
        assert!(overlap(one, other) && overlap(other, one), "{one} {other}");
    }
    for (one, other) in [
        ("a/b", "a"),
        ("a/+", "b/+"),
        ("a/+", "a/b/c"),
        ("a/b/#", "a/c"),
    ] {
        assert!(
            !overlap(one, other) && !overlap(other, one),
            "{one} {other}"
        );
    }
}
