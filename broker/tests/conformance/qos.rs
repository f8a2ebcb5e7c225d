//! Qualities of service, in both directions (MQTT 5 and 3.1.1, section 4.3).

use std::time::Duration;

use crate::client::{BOTH, PUBACK, PUBCOMP, PUBREC, PUBREL, lasting};
use crate::harness::Door;
use crate::wire::{Wire, packet};

const DUP: u8 = 0x08;

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_3_1_1_qos_0_is_sent_once_and_not_acknowledged() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        client.subscribe(1, "a", 0).await;
        client.publish("a", "1", 0, 0).await;
        let got = client.message().await;
        assert_eq!((got.qos, got.dup), (0, false));
        client.expect_silence().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_3_2_2_and_3_qos_1_stays_unacknowledged_until_its_puback() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = Wire::join(door.port, lasting(level, "s")).await;
        client.subscribe(1, "a", 1).await;
        let mut publisher = door.client(level, "p").await;
        publisher.deliver("a", "1", 1).await;
        let first = client.message().await;
        assert_eq!((first.qos, first.dup), (1, false));
        // An acknowledgement of something else does not end it.
        client.ack(PUBACK, first.pkid + 1).await;
        client.ack(PUBCOMP, first.pkid).await;
        client.expect_silence().await;
        let mut client = Wire::join(door.port, lasting(level, "s")).await;
        let again = client.message().await;
        assert_eq!((again.pkid, again.dup), (first.pkid, true));
        client.ack(PUBACK, again.pkid).await;
        client.expect_silence().await;
        let mut client = Wire::join(door.port, lasting(level, "s")).await;
        client.expect_silence().await;
        door.client(level, "s").await.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_3_2_5_after_its_puback_an_identifier_is_a_new_message_whatever_the_mark() {
    let door = Door::open().await;
    for level in BOTH {
        let mut watcher = door.client(level, "w").await;
        watcher.subscribe(1, "a", 0).await;
        let mut client = door.client(level, "c").await;
        for (flags, payload) in [(2, "1"), (2 | DUP, "2"), (2, "3")] {
            client.publish_with("a", payload, flags, 7, &[]).await;
            client.expect_ack(PUBACK, 7).await;
            assert_eq!(watcher.message().await.payload, payload);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_3_3_2_to_6_qos_2_is_sent_until_pubrec_and_released_until_pubcomp() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = Wire::join(door.port, lasting(level, "s")).await;
        client.subscribe(1, "a", 2).await;
        let mut publisher = door.client(level, "p").await;
        publisher.deliver("a", "1", 2).await;
        let first = client.message().await;
        assert_eq!((first.qos, first.dup), (2, false));
        let mut client = Wire::join(door.port, lasting(level, "s")).await;
        let again = client.message().await;
        assert_eq!((again.pkid, again.dup), (first.pkid, true));
        client.ack(PUBREC, again.pkid).await;
        client.expect_ack(PUBREL, again.pkid).await;
        // From here on only the PUBREL comes again.
        for _ in 0..2 {
            client = Wire::join(door.port, lasting(level, "s")).await;
            client.expect_ack(PUBREL, again.pkid).await;
            client.expect_silence().await;
        }
        client.ack(PUBCOMP, again.pkid).await;
        client.expect_silence().await;
        let mut client = Wire::join(door.port, lasting(level, "s")).await;
        client.expect_silence().await;
        door.client(level, "s").await.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_3_3_7_a_qos_2_message_once_sent_does_not_expire() {
    let door = Door::open().await;
    let mut client = Wire::join(door.port, lasting(5, "s")).await;
    client.subscribe(1, "a", 2).await;
    let mut publisher = door.v5("p").await;
    publisher
        .publish_with("a", "1", 4, 1, &[2, 0, 0, 0, 1])
        .await;
    publisher.expect_ack(PUBREC, 1).await;
    let first = client.message().await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let mut client = Wire::join(door.port, lasting(5, "s")).await;
    let again = client.message().await;
    assert_eq!((again.pkid, again.dup), (first.pkid, true));
    client.ack(PUBREC, again.pkid).await;
    client.expect_ack(PUBREL, again.pkid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_3_3_8_to_12_qos_2_is_taken_once_until_its_pubrel_and_anew_after_it() {
    let door = Door::open().await;
    for level in BOTH {
        for filter in ["a", "+"] {
            let mut watcher = door.client(level, "w").await;
            watcher.subscribe(1, filter, 0).await;
            let mut client = door.client(level, "c").await;
            for round in ["1", "2"] {
                for flags in [4, 4 | DUP, 4 | DUP, 4] {
                    client.publish_with("a", round, flags, 7, &[]).await;
                    client.expect_ack(PUBREC, 7).await;
                }
                assert_eq!(watcher.message().await.payload, round);
                client.ack(PUBREL, 7).await;
                client.expect_ack(PUBCOMP, 7).await;
                watcher.expect_silence().await;
            }
            // A PUBREL of nothing is answered too.
            client.ack(PUBREL, 7).await;
            let (first, body) = client.packet().await.unwrap();
            assert_eq!((first, &body[..2]), (PUBCOMP, &[0, 7][..]));
            assert_eq!(body.get(2), (level == 5).then_some(&0x92));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_3_3_9_an_identifier_is_free_after_a_pubrec_with_an_error() {
    let door = Door::open().await;
    door.intake.all_durable();
    door.intake.set_full();
    let mut client = door.v5("c").await;
    client.publish("dt/q/a", "refused", 2, 7).await;
    client.expect(PUBREC, &[0, 7, 0x97]).await;
    door.intake.set_ready();
    client.publish("dt/q/a", "taken", 2, 7).await;
    client.expect_ack(PUBREC, 7).await;
    assert_eq!(door.intake.payloads(), ["taken"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_4_0_2_a_message_refused_by_its_subscriber_is_not_sent_again() {
    let door = Door::open().await;
    for (qos, first) in [(1, PUBACK), (2, PUBREC)] {
        let mut client = Wire::join(door.port, lasting(5, "s")).await;
        client.subscribe(1, "a", qos).await;
        let mut publisher = door.v5("p").await;
        publisher.deliver("a", "1", qos).await;
        let pkid = client.message().await.pkid.to_be_bytes();
        client.send(&packet(first, &[pkid[0], pkid[1], 0x80])).await;
        client.expect_silence().await;
        let mut client = Wire::join(door.port, lasting(5, "s")).await;
        client.expect_silence().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_6_2_1_a_pubrec_of_nothing_is_answered_by_pubrel_not_found() {
    let door = Door::open().await;
    let mut new = door.v5("n").await;
    new.ack(PUBREC, 9).await;
    new.expect(PUBREL, &[0, 9, 0x92]).await;
    // 3.1.1 has no such code, and a PUBREL ends what the client still holds.
    let mut old = door.v3("o").await;
    old.ack(PUBREC, 9).await;
    old.expect(PUBREL, &[0, 9]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_6_0_2_to_4_acknowledgements_come_in_the_order_of_the_publishes() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = door.client(level, "c").await;
        let order = [9u16, 3, 500, 1, 77];
        for pkid in order {
            client.publish("a", "1", 1, pkid).await;
        }
        for pkid in order {
            client.expect_ack(PUBACK, pkid).await;
        }
        for pkid in order {
            client.publish("a", "1", 2, pkid).await;
        }
        for pkid in order {
            client.expect_ack(PUBREC, pkid).await;
        }
        let mut subscriber = door.client(level, "s").await;
        subscriber.subscribe(1, "b", 2).await;
        let mut got = vec![];
        for _ in 0..5 {
            client.publish("b", "1", 0, 0).await;
            client.deliver("b", "1", 2).await;
            assert_eq!(subscriber.message().await.qos, 0);
            got.push(subscriber.message().await.pkid);
        }
        got.reverse();
        for pkid in &got {
            subscriber.ack(PUBREC, *pkid).await;
        }
        for pkid in got {
            subscriber.expect_ack(PUBREL, pkid).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_6_0_5_and_6_messages_of_a_client_keep_their_order_in_every_quality() {
    let door = Door::open().await;
    for level in BOTH {
        for filter in ["a", "+"] {
            for qos in 0..=2 {
                let mut subscriber = door.client(level, "s").await;
                subscriber.subscribe(1, filter, qos).await;
                let mut client = door.client(level, "c").await;
                for n in 0..50u16 {
                    client.publish("a", &n.to_string(), qos, n + 1).await;
                }
                for n in 0..50u16 {
                    assert_eq!(subscriber.message().await.payload, n.to_string());
                }
            }
        }
    }
}
