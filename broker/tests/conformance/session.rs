//! Session state (MQTT 5 and 3.1.1, sections 3.1.2.4, 4.1 and 4.4).

use std::time::Duration;

use crate::client::{BOTH, PUBACK, PUBCOMP, PUBREC, PUBREL, connect, lasting, value};
use crate::harness::Door;
use crate::wire::{Connect, Wire};

fn expiring(id: &str, seconds: u8) -> Connect {
    Connect {
        clean: false,
        properties: vec![0x11, 0, 0, 0, seconds],
        ..Connect::v5(id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_4_a_clean_start_discards_the_session() {
    let door = Door::open().await;
    for level in BOTH {
        let mut first = Wire::join(door.port, lasting(level, "s")).await;
        first.subscribe(1, "a", 1).await;
        first.subscribe(2, "b/#", 1).await;
        drop(first);
        door.until_open(0).await;
        let mut publisher = door.client(level, "p").await;
        publisher.deliver("a", "waiting", 1).await;
        let mut clean = door.client(level, "s").await;
        assert!(!clean.session_present());
        publisher.deliver("a", "1", 1).await;
        publisher.deliver("b/c", "1", 1).await;
        clean.expect_silence().await;
        clean.leave().await;
        publisher.leave().await;
        door.until_open(0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_5_without_a_clean_start_the_session_goes_on() {
    let door = Door::open().await;
    for level in BOTH {
        for filter in ["a", "+"] {
            let mut first = Wire::join(door.port, lasting(level, "s")).await;
            first.subscribe(1, filter, 1).await;
            first.leave().await;
            let mut publisher = door.client(level, "p").await;
            for n in 0..100 {
                publisher.deliver("a", &n.to_string(), 1).await;
            }
            let mut back = Wire::join(door.port, lasting(level, "s")).await;
            assert!(back.session_present());
            for n in 0..100 {
                assert_eq!(back.take().await.payload, n.to_string());
            }
            publisher.deliver("a", "live", 1).await;
            assert_eq!(back.take().await.payload, "live");
            back.leave().await;
            door.client(level, "s").await.leave().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_6_without_a_session_a_new_one_is_made() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = Wire::join(door.port, lasting(level, "new")).await;
        assert!(!client.session_present());
        client.subscribe(1, "a", 0).await;
        client.publish("a", "1", 0, 0).await;
        client.message().await;
        door.client(level, "new").await.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_1_2_23_what_is_in_flight_both_ways_outlives_the_connection() {
    let door = Door::open().await;
    for level in BOTH {
        let mut watcher = door.client(level, "w").await;
        watcher.subscribe(1, "up", 0).await;
        let mut first = Wire::join(door.port, lasting(level, "s")).await;
        first.subscribe(1, "down", 2).await;
        first.publish("up", "once", 2, 9).await;
        first.expect_ack(PUBREC, 9).await;
        let mut publisher = door.client(level, "p").await;
        publisher.deliver("down", "1", 2).await;
        let sent = first.message().await;
        drop(first);
        let mut back = Wire::join(door.port, lasting(level, "s")).await;
        let again = back.message().await;
        assert_eq!((again.pkid, again.dup), (sent.pkid, true));
        // The client did not see its PUBREC and sends again: still the same message.
        back.publish_with("up", "once", 0x0C, 9, &[]).await;
        back.expect_ack(PUBREC, 9).await;
        back.ack(PUBREL, 9).await;
        back.expect_ack(PUBCOMP, 9).await;
        assert_eq!(watcher.message().await.payload, "once");
        watcher.expect_silence().await;
        door.client(level, "s").await.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_1_0_1_the_session_lasts_as_long_as_the_connection() {
    let door = Door::open().await;
    let mut client = Wire::join(door.port, expiring("s", 1)).await;
    client.subscribe(1, "a/#", 1).await;
    let mut none = door.v5("none").await;
    none.subscribe(1, "a/#", 1).await;
    // Longer than the expiry and than the interval in which it is looked for.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let mut publisher = door.v5("p").await;
    publisher.deliver("a/b", "1", 1).await;
    assert_eq!(client.take().await.payload, "1");
    assert_eq!(none.take().await.payload, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_1_0_2_the_session_ends_when_its_expiry_has_passed() {
    let door = Door::open().await;
    drop(Wire::join(door.port, expiring("short", 1)).await);
    drop(Wire::join(door.port, expiring("long", 200)).await);
    drop(Wire::join(door.port, connect(5, "none")).await);
    drop(Wire::join(door.port, connect(4, "clean")).await);
    door.until("one session is left", |d| d.stats().sessions == 1)
        .await;
    assert!(
        !Wire::join(door.port, expiring("short", 1))
            .await
            .session_present()
    );
    assert!(
        Wire::join(door.port, expiring("long", 1))
            .await
            .session_present()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_14_2_3_disconnect_changes_the_expiry_but_not_from_0() {
    let door = Door::open().await;
    let mut client = Wire::join(door.port, expiring("s", 1)).await;
    client.send(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 200]).await;
    client.expect_closed().await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let mut client = Wire::join(door.port, expiring("s", 200)).await;
    assert!(client.session_present());
    client.send(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0]).await;
    client.expect_closed().await;
    assert!(
        !Wire::join(door.port, expiring("s", 200))
            .await
            .session_present()
    );
    let mut none = door.v5("none").await;
    none.send(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 200]).await;
    none.expect_end(0x82).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_2_2_2_the_server_tells_an_expiry_that_it_shortens() {
    let config = quartier_broker::Config {
        session_expiry_max: 100,
        ..quartier_broker::Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let client = Wire::join(door.port, expiring("s", 200)).await;
    assert_eq!(
        value(client.connack_properties(), 0x11),
        Some(vec![0, 0, 0, 100])
    );
    let client = Wire::join(door.port, expiring("s", 99)).await;
    assert_eq!(value(client.connack_properties(), 0x11), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_4_0_1_and_4_6_0_1_what_is_unacknowledged_comes_again_in_order_and_only_then() {
    let door = Door::open().await;
    for level in BOTH {
        let mut client = Wire::join(door.port, lasting(level, "s")).await;
        client.subscribe(1, "a", 2).await;
        let mut publisher = door.client(level, "p").await;
        let mut sent = vec![];
        for (n, qos) in [1, 2, 2, 1, 2, 1].into_iter().enumerate() {
            publisher.deliver("a", &n.to_string(), qos).await;
            sent.push(client.message().await);
        }
        // Neither time nor acknowledgements of others bring them again on this connection.
        client.ack(PUBACK, sent[3].pkid).await;
        client.ack(PUBREC, sent[1].pkid).await;
        client.expect_ack(PUBREL, sent[1].pkid).await;
        client.expect_silence().await;
        let mut back = Wire::join(door.port, lasting(level, "s")).await;
        let mut again = vec![];
        for _ in 0..5 {
            let (first, body) = back.packet().await.unwrap();
            if first & 0xF0 == 0x30 {
                assert_eq!(first & 0x08, 0x08);
                again.push((0x30, u16::from_be_bytes([body[3], body[4]])));
            } else {
                again.push((first, u16::from_be_bytes([body[0], body[1]])));
            }
        }
        let publishes: Vec<_> = again.iter().filter(|(kind, _)| *kind == 0x30).collect();
        let wanted: Vec<_> = [0, 2, 4, 5].map(|n: usize| (0x30, sent[n].pkid)).to_vec();
        assert_eq!(publishes, wanted.iter().collect::<Vec<_>>());
        assert!(again.contains(&(PUBREL, sent[1].pkid)));
        back.expect_silence().await;
        door.client(level, "s").await.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_5_0_1_a_message_is_added_to_the_session_of_every_matching_subscriber() {
    let door = Door::open().await;
    for level in BOTH {
        let ids = ["one", "two", "three"];
        for (id, filter) in ids.iter().zip(["m/x", "m/+", "#"]) {
            let mut client = Wire::join(door.port, lasting(level, id)).await;
            client.subscribe(1, filter, 2).await;
        }
        door.until_open(0).await;
        let mut publisher = door.client(level, "p").await;
        publisher.deliver("m/x", "1", 2).await;
        publisher.leave().await;
        for id in ids {
            let mut client = Wire::join(door.port, lasting(level, id)).await;
            assert_eq!(client.take().await.payload, "1", "{id}");
            client.expect_silence().await;
            door.client(level, id).await.leave().await;
        }
        door.until_open(0).await;
    }
}
