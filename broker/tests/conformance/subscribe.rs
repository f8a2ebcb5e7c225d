//! SUBSCRIBE and SUBACK (MQTT 5 and 3.1.1, sections 3.8 and 3.9).

use crate::client::{BOTH, SUBACK, SUBSCRIBE, subscribe_body};
use crate::harness::Door;
use crate::wire::packet;

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_8_3_2_a_subscribe_without_a_filter_is_a_protocol_error() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        client
            .send(&packet(SUBSCRIBE, &subscribe_body(level, 1, &[], &[])))
            .await;
        client.expect_end(0x82).await;
        // A filter without its options.
        let mut client = door.client(level, "c").await;
        let mut body = subscribe_body(level, 1, &[], &[("a", 0)]);
        body.pop();
        client.send(&packet(SUBSCRIBE, &body)).await;
        client.expect_end(0x81).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_8_3_3_with_no_local_own_messages_do_not_come_back() {
    let door = Door::open().await;
    for filter in ["a", "+"] {
        let mut client = door.v5("c").await;
        client.subscribe(1, filter, 0x04).await;
        client.publish("a", "own", 0, 0).await;
        let mut other = door.v5("o").await;
        other.publish("a", "other", 0, 0).await;
        assert_eq!(client.message().await.payload, "other");
        client.expect_silence().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_8_3_4_no_local_on_a_shared_subscription_is_a_protocol_error() {
    let door = Door::open().await;
    let mut client = door.v5("c").await;
    let body = subscribe_body(5, 1, &[], &[("$share/g/a", 0x04)]);
    client.send(&packet(SUBSCRIBE, &body)).await;
    client.expect_end(0x82).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_8_3_5_reserved_bits_of_the_options_are_malformed() {
    let door = Door::open().await;
    for (level, options) in [
        (4, 0x04),
        (4, 0x08),
        (4, 0x10),
        (4, 0x80),
        (5, 0x40),
        (5, 0x80),
    ] {
        let mut client = door.client(level, "c").await;
        let body = subscribe_body(level, 1, &[], &[("a", options)]);
        client.send(&packet(SUBSCRIBE, &body)).await;
        client.expect_end(0x81).await;
    }
    for (level, options) in [(4, 3), (5, 3), (5, 0x30)] {
        let mut client = door.client(level, "c").await;
        let body = subscribe_body(level, 1, &[], &[("a", options)]);
        client.send(&packet(SUBSCRIBE, &body)).await;
        client.expect_end(0x82).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_8_4_1_and_2_a_subscribe_is_answered_with_its_identifier() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        for pkid in [1u16, 300, 65_535] {
            let body = subscribe_body(level, pkid, &[], &[("a", 0)]);
            client.send(&packet(SUBSCRIBE, &body)).await;
            client.expect_ack(SUBACK, pkid).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_8_4_3_the_same_filter_replaces_the_subscription() {
    let door = Door::open().await;
    for level in BOTH {
        for filter in ["a/b", "a/+"] {
            let mut client = door.client(level, "c").await;
            for qos in [2, 0, 1] {
                client.subscribe(1, filter, qos).await;
                let mut publisher = door.client(level, "p").await;
                publisher.deliver("a/b", "1", 2).await;
                assert_eq!(client.take().await.qos, qos);
                client.expect_silence().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_8_4_4_a_replacement_sends_retained_messages_again_and_loses_no_message() {
    let door = Door::open().await;
    for level in BOTH {
        let mut publisher = door.client(level, "p").await;
        publisher.publish_with("a/b", "kept", 1, 0, &[]).await;
        publisher.expect_silence().await;
        for filter in ["a/b", "a/+"] {
            let mut client = door.client(level, "c").await;
            client.subscribe(1, filter, 0).await;
            assert!(client.message().await.retain);
            // Messages and replacements in turn, without waiting in between.
            for n in 0..50 {
                publisher.publish("a/b", &n.to_string(), 1, n + 1).await;
                let body = subscribe_body(level, 9, &[], &[(filter, 1)]);
                client.send(&packet(SUBSCRIBE, &body)).await;
                publisher.packet().await.unwrap();
            }
            let (mut live, mut kept, mut answers) = (0, 0, 0);
            while live < 50 || kept < 50 || answers < 50 {
                let (first, body) = client.packet().await.unwrap();
                match first & 0xF0 {
                    SUBACK => answers += 1,
                    _ if first & 1 == 1 => kept += 1,
                    _ => {
                        let at = 5 + if first & 6 == 0 { 0 } else { 2 } + usize::from(level == 5);
                        assert_eq!(body[at..], *live.to_string().as_bytes(), "{filter}");
                        live += 1;
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_8_4_5_to_7_and_3_9_3_1_several_filters_have_one_answer_with_a_code_each_in_order() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        let filters = [("m/a", 2), ("m/b", 0), ("m/#", 1), ("n/+", 0)];
        client
            .send(&packet(SUBSCRIBE, &subscribe_body(level, 7, &[], &filters)))
            .await;
        let none: &[u8] = if level == 5 { &[0] } else { &[] };
        client
            .expect(SUBACK, &[&[0, 7], none, &[2, 0, 1, 0]].concat())
            .await;
        let mut publisher = door.client(level, "p").await;
        for topic in ["m/c", "n/x"] {
            publisher.publish(topic, "1", 0, 0).await;
            assert_eq!(client.message().await.topic, topic);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_9_3_2_a_filter_that_is_not_accepted_has_its_own_code_and_the_others_work() {
    let config = quartier_broker::Config {
        max_subscriptions: 2,
        ..quartier_broker::Config::default()
    };
    let door = Door::with(config, vec![]).await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        let filters = [("a", 0), ("b/#", 1), ("c", 0)];
        client
            .send(&packet(SUBSCRIBE, &subscribe_body(level, 7, &[], &filters)))
            .await;
        let (_, body) = client.packet().await.unwrap();
        let codes = &body[body.len() - 3..];
        assert_eq!(codes, [0, 1, if level == 5 { 0x97 } else { 0x80 }]);
        client.publish("c", "1", 0, 0).await;
        client.publish("b/x", "2", 0, 0).await;
        assert_eq!(client.message().await.payload, "2");
        client.publish("a", "3", 0, 0).await;
        assert_eq!(client.message().await.payload, "3");
        client.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_8_4_8_a_message_comes_with_the_lower_quality() {
    let door = Door::open().await;
    for level in BOTH {
        for filter in ["q/x", "q/+"] {
            for asked in 0..=2 {
                let mut client = door.client(level, "c").await;
                client.subscribe(1, filter, asked).await;
                let mut publisher = door.client(9 - level, "p").await;
                for sent in 0..=2 {
                    publisher.deliver("q/x", "1", sent).await;
                    assert_eq!(client.take().await.qos, sent.min(asked));
                }
            }
        }
    }
}
