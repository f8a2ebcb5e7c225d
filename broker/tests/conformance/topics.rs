//! Topics and filters (MQTT 5 and 3.1.1, section 4.7).

use crate::client::{BOTH, SUBSCRIBE, UNSUBSCRIBE, subscribe_body, unsubscribe_body};
use crate::harness::Door;
use crate::wire::packet;

/// Filter, topics that match it, topics that do not.
const MATCHES: [(&str, &[&str], &[&str]); 12] = [
    (
        "sport/tennis/player1/#",
        &[
            "sport/tennis/player1",
            "sport/tennis/player1/ranking",
            "sport/tennis/player1/score/wimbledon",
        ],
        &["sport/tennis/player10", "sport/tennis"],
    ),
    (
        "sport/#",
        &["sport", "sport/", "sport/x"],
        &["sports", "/sport"],
    ),
    ("#", &["a", "/", "a/b/c", "/a"], &["$a", "$SYS/x"]),
    ("+", &["a", " "], &["/a", "a/b", "$a"]),
    (
        "+/+",
        &["/finance", "a/b", "/"],
        &["finance", "a/b/c", "$a/b"],
    ),
    ("/+", &["/finance", "/"], &["finance", "//"]),
    (
        "sport/+/player1",
        &["sport/tennis/player1", "sport//player1"],
        &["sport/player1"],
    ),
    ("sport/+", &["sport/", "sport/x"], &["sport", "sport/x/y"]),
    (
        "+/tennis/#",
        &["a/tennis", "/tennis/x"],
        &["tennis", "a/b/tennis"],
    ),
    (
        "ACCOUNTS",
        &["ACCOUNTS"],
        &["Accounts", "ACCOUNTS/", "/ACCOUNTS"],
    ),
    ("a//b", &["a//b"], &["a/b", "a///b"]),
    (
        "Accounts payable/+",
        &["Accounts payable/x"],
        &["Accountspayable/x"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_7_1_1_to_4_7_3_4_a_filter_matches_by_levels_and_by_its_very_characters() {
    let door = Door::open().await;
    let mut publisher = door.v5("p").await;
    for level in BOTH {
        for (filter, matching, others) in MATCHES {
            let mut client = door.client(level, "c").await;
            client.subscribe(1, filter, 0).await;
            client.subscribe(2, "fence", 0).await;
            for topic in others.iter().chain(matching) {
                publisher.publish(topic, topic, 0, 0).await;
            }
            publisher.expect_silence().await;
            for topic in matching {
                assert_eq!(&client.message().await.payload, topic, "{filter}");
            }
            if filter == "#" || filter == "+" {
                continue;
            }
            publisher.publish("fence", "fence", 0, 0).await;
            assert_eq!(client.message().await.payload, "fence", "{filter}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_7_1_1_and_2_a_wildcard_in_the_wrong_place_is_malformed() {
    let door = Door::open().await;
    for level in BOTH {
        for filter in [
            "a/#/b", "a#", "#/a", "##", "a/b#", "a+", "+a", "a/+b/c", "++", "",
        ] {
            let mut client = door.client(level, "c").await;
            let body = subscribe_body(level, 1, &[], &[("good", 0), (filter, 0)]);
            client.send(&packet(SUBSCRIBE, &body)).await;
            client.expect_end(0x81).await;
            let mut client = door.client(level, "c").await;
            let body = unsubscribe_body(level, 1, &[filter]);
            client.send(&packet(UNSUBSCRIBE, &body)).await;
            client.expect_end(0x81).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_7_2_1_a_wildcard_in_front_matches_no_topic_of_the_server() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        for filter in ["#", "+/x", "+/#"] {
            client.subscribe(1, filter, 0).await;
        }
        client.publish("$SYS/x", "1", 0, 0).await;
        client.publish("$other/x", "1", 0, 0).await;
        client.expect_silence().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_7_3_1_an_empty_topic_is_refused() {
    let door = Door::open().await;
    let mut old = door.v3("o").await;
    old.publish("", "1", 0, 0).await;
    old.expect_closed().await;
    // With 5 it means the alias, and there is none.
    let mut new = door.v5("n").await;
    new.publish("", "1", 0, 0).await;
    new.expect_end(0x82).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_7_3_3_a_topic_may_have_65_535_bytes() {
    let config = quartier_broker::Config {
        max_packet: 1 << 20,
        ..quartier_broker::Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let long = "x".repeat(65_535);
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        for filter in [&*long, "+"] {
            client.subscribe(1, filter, 0).await;
            client.publish(&long, "1", 0, 0).await;
            assert_eq!(client.message().await.topic.len(), 65_535);
            client.unsubscribe(2, filter).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_7_3_4_characters_that_look_alike_are_not_the_same() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        // One character, and the letter with a combining mark.
        client.subscribe(1, "\u{E4}/x", 0).await;
        client.subscribe(2, "a\u{308}/+", 0).await;
        client.publish("\u{E4}/x", "composed", 0, 0).await;
        assert_eq!(client.message().await.payload, "composed");
        client.publish("a\u{308}/x", "combined", 0, 0).await;
        assert_eq!(client.message().await.payload, "combined");
        client.publish("\u{C4}/x", "capital", 0, 0).await;
        client.expect_silence().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_8_2_1_and_2_a_shared_filter_has_a_name_and_a_filter() {
    let door = Door::open().await;
    for filter in [
        "$share",
        "$share/",
        "$share//a",
        "$share/g",
        "$share/g/",
        "$share/g+/a",
        "$share/#/a",
        "$share/g/a/#/b",
        "$share/g/$share/h/a",
    ] {
        let mut client = door.v5("c").await;
        let body = subscribe_body(5, 1, &[], &[(filter, 0)]);
        client.send(&packet(SUBSCRIBE, &body)).await;
        client.expect_end(0x81).await;
    }
}
