//! CONNACK (MQTT 5 and 3.1.1, section 3.2).

use quartier_broker::Config;

use crate::client::{BOTH, PINGRESP, PUBACK, connect, lasting, value};
use crate::harness::Door;
use crate::wire::{Connect, Wire, packet, publish};

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_2_0_1_connack_comes_before_everything_else() {
    let door = Door::open().await;
    for level in BOTH {
        let mut away = Wire::join(door.port, lasting(level, "s")).await;
        away.subscribe(1, "a", 1).await;
        drop(away);
        door.until_open(0).await;
        let mut publisher = door.client(level, "p").await;
        publisher.deliver("a", "waiting", 1).await;
        publisher.leave().await;
        // `join` expects the CONNACK first; what waited comes then.
        let mut back = Wire::join(door.port, lasting(level, "s")).await;
        assert_eq!(back.take().await.payload, "waiting");
        back.leave().await;
        door.client(level, "s").await.leave().await;
        door.until_open(0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_2_0_2_there_is_one_connack() {
    let door = Door::open().await;
    for level in BOTH {
        let mut bytes = connect(level, "c").bytes();
        bytes.extend(publish(level, "a", b"1", 2, 1, &[]));
        bytes.extend([0xC0, 0, 0xE0, 0]);
        let mut client = Wire::raw(door.port, level, &bytes).await;
        let mut kinds = vec![];
        while let Some((first, _)) = client.packet().await {
            kinds.push(first);
        }
        assert_eq!(kinds.first(), Some(&0x20));
        kinds.sort_unstable();
        assert_eq!(kinds, [0x20, PUBACK, PINGRESP]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_2_2_1_to_3_session_present_says_whether_there_was_a_session() {
    let door = Door::open().await;
    for level in BOTH {
        for (connect, present) in [
            (lasting(level, "c"), false),
            (lasting(level, "c"), true),
            (connect(level, "c"), false),
            (lasting(level, "c"), false),
            (lasting(level, "c"), true),
        ] {
            let mut client = Wire::join(door.port, connect).await;
            assert_eq!(client.connack[0], u8::from(present));
            client.expect_silence().await;
        }
        door.client(level, "c").await.leave().await;
        door.until("no session", |d| d.stats().sessions == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_2_2_6_and_7_a_refusal_has_session_present_0_and_closes() {
    let door = Door::open().await;
    for level in BOTH {
        drop(Wire::join(door.port, lasting(level, "s").login("u", "good")).await);
        // There is a session, and still the flag is 0.
        let bytes = lasting(level, "s").login("u", "bad").bytes();
        let mut client = Wire::raw(door.port, level, &bytes).await;
        client.expect_refused(Some(4), 0x86).await;
        let mut back = Wire::join(door.port, lasting(level, "s").login("u", "good")).await;
        assert!(back.session_present(), "a refused login changes no session");
        back.expect_silence().await;
        Wire::join(door.port, connect(level, "s").login("u", "good"))
            .await
            .leave()
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_2_2_9_to_14_all_qualities_and_retained_messages_are_supported() {
    let door = Door::open().await;
    let connect = Connect::v5("c").will("will", "gone", 2, true);
    let client = Wire::join(door.port, connect).await;
    let properties = client.connack_properties();
    assert_eq!(value(properties, 0x24), None, "maximum QoS");
    for available in [0x25, 0x28, 0x29] {
        let found = value(properties, available);
        assert!(found.is_none_or(|found| found == [1]), "{available:#x}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_2_2_15_and_17_the_limits_of_the_server_are_told_and_kept() {
    let config = Config {
        max_packet: 2_000,
        max_topic_alias: 7,
        max_pending: 9,
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let mut client = door.client(5, "c").await;
    let properties = client.connack_properties();
    assert_eq!(value(properties, 0x27), Some(vec![0, 0, 7, 0xD0]));
    assert_eq!(value(properties, 0x22), Some(vec![0, 7]));
    assert_eq!(value(properties, 0x21), Some(vec![0, 9]));
    let payload = vec![b'x'; 2_000 - 8];
    let fits = publish(5, "ab", &payload[..1_992], 0, 0, &[]);
    assert_eq!(fits.len(), 2_000);
    client.send(&fits).await;
    client.expect_silence().await;
    client.send(&packet(0x30, &[0; 1_998])[..2_001]).await;
    client.expect_end(0x95).await;
    let mut old = door.client(4, "c").await;
    old.send(&packet(0x30, &[0; 1_998])[..2_001]).await;
    old.expect_closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_2_2_18_without_an_alias_maximum_no_alias_is_taken() {
    let config = Config {
        max_topic_alias: 0,
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let mut client = door.client(5, "c").await;
    let announced = value(client.connack_properties(), 0x22);
    assert!(announced.is_none_or(|max| max == [0, 0]));
    client.publish_with("a", "1", 0, 0, &[0x23, 0, 1]).await;
    client.expect_end(0x94).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_2_2_21_and_22_the_keep_alive_of_the_server_is_told_and_else_the_clients_counts() {
    let config = Config {
        keep_alive_max: 1,
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let mut more = Wire::join(door.port, Connect::v5("more").keep_alive(600)).await;
    assert_eq!(value(more.connack_properties(), 0x13), Some(vec![0, 1]));
    let same = Wire::join(door.port, Connect::v5("same").keep_alive(1)).await;
    assert_eq!(value(same.connack_properties(), 0x13), None);
    more.expect_end(0x8D).await;
}
