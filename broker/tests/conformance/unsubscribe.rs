//! UNSUBSCRIBE and UNSUBACK (MQTT 5 and 3.1.1, sections 3.10 and 3.11).

use crate::client::{
    BOTH, PUBCOMP, PUBREC, PUBREL, UNSUBACK, UNSUBSCRIBE, subscribe_body, unsubscribe_body,
};
use crate::harness::Door;
use crate::wire::packet;

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_10_3_2_an_unsubscribe_without_a_filter_is_a_protocol_error() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        client
            .send(&packet(UNSUBSCRIBE, &unsubscribe_body(level, 1, &[])))
            .await;
        client.expect_end(0x82).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_10_4_1_only_the_very_same_filter_is_deleted() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        client.subscribe(1, "a/+", 0).await;
        client.subscribe(2, "a/b", 0).await;
        for filter in ["a/#", "A/+", "a/", "+/b", "a/+/", "#"] {
            let answer = client.unsubscribe(3, filter).await;
            assert_eq!(answer.last(), Some(&if level == 5 { 0x11 } else { 3 }));
        }
        client.unsubscribe(4, "a/b").await;
        client.publish("a/b", "1", 0, 0).await;
        assert_eq!(client.message().await.payload, "1", "by the wildcard, once");
        client.expect_silence().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_10_4_2_nothing_published_afterwards_comes() {
    let door = Door::open().await;
    for level in BOTH {
        for filter in ["a", "+"] {
            let mut client = door.client(level, "c").await;
            client.subscribe(1, filter, 1).await;
            let mut publisher = door.client(level, "p").await;
            publisher.deliver("a", "before", 1).await;
            assert_eq!(client.take().await.payload, "before");
            client.unsubscribe(2, filter).await;
            publisher.deliver("a", "after", 1).await;
            client.subscribe(3, "fence/#", 0).await;
            publisher.deliver("fence/x", "fence", 1).await;
            assert_eq!(client.message().await.payload, "fence", "{filter}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_10_4_3_a_delivery_that_began_is_completed() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        client.subscribe(1, "a", 2).await;
        let mut publisher = door.client(level, "p").await;
        publisher.deliver("a", "1", 2).await;
        let got = client.message().await;
        client.unsubscribe(2, "a").await;
        client.ack(PUBREC, got.pkid).await;
        client.expect_ack(PUBREL, got.pkid).await;
        client.ack(PUBCOMP, got.pkid).await;
        client.expect_silence().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_10_4_4_to_6_and_3_11_3_1_several_filters_have_one_answer_with_a_code_each() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        let subscribe = subscribe_body(level, 1, &[], &[("a", 0), ("b/#", 0)]);
        client.send(&packet(0x82, &subscribe)).await;
        client.expect_ack(0x90, 1).await;
        let filters = ["none", "a", "a", "b/#"];
        client
            .send(&packet(
                UNSUBSCRIBE,
                &unsubscribe_body(level, 300, &filters),
            ))
            .await;
        let wanted: &[u8] = match level {
            4 => &[1, 44],
            _ => &[1, 44, 0, 0x11, 0, 0x11, 0],
        };
        client.expect(UNSUBACK, wanted).await;
    }
}
