//! What one client did to rumqttd by itself, each with others that must notice nothing.

use quartier_broker::Config;

use crate::bystander::Bystander;
use crate::harness::Door;
use crate::wire::{Connect, Wire, packet, publish, text};

/// A SUBSCRIBE with one filter.
fn subscribe(level: u8, filter: &str) -> Vec<u8> {
    let mut body = vec![0, 1];
    if level == 5 {
        body.push(0);
    }
    body.extend(text(filter));
    body.push(1);
    packet(0x82, &body)
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_ended_a_router_or_a_listener_end_their_connection_only() {
    let door = Door::open().await;
    let bystander = Bystander::at(&door).await;
    for level in [4, 5] {
        for bytes in [
            vec![0x20, 3, 0, 0, 0],
            subscribe(level, "a/#/b"),
            subscribe(level, "#/a"),
            subscribe(level, "$share/g"),
            publish(level, "a/+", b"1", 2, 1, &[]),
            publish(level, "#", b"1", 0, 0, &[]),
        ] {
            let connect = Connect {
                level,
                ..Connect::v3("attacker")
            };
            let mut client = Wire::join(door.port, connect).await;
            client.send(&bytes).await;
            client
                .expect_end(if bytes[0] == 0x20 { 0x82 } else { 0x81 })
                .await;
        }
    }
    bystander.noticed_nothing().await;
    assert_eq!(door.stats().router_rebuilds, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_beyond_ascii_meets_exact_and_wildcard_filters_and_harms_nobody() {
    let door = Door::open().await;
    let bystander = Bystander::at(&door).await;
    let mut watcher = door.v5("w").await;
    watcher.subscribe(1, "+/x", 1).await;
    let mut client = door.v3("c").await;
    for topic in ["ä/x", "\u{10FFFF}/x", "\u{FEFF}/x", "日本/x"] {
        for qos in 0..=1 {
            client.publish(topic, "1", qos, 1).await;
            if qos == 1 {
                client.expect(0x40, &[0, 1]).await;
            }
            let got = watcher.message().await;
            assert_eq!(got.topic, topic);
            if got.qos == 1 {
                watcher.ack(0x40, got.pkid).await;
            }
        }
    }
    bystander.noticed_nothing().await;
    assert_eq!(door.stats().router_rebuilds, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_connects_with_one_identifier_at_the_limit_of_connections_end_none_but_their_own() {
    let config = Config {
        max_connections: 4,
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let bystander = Bystander::at(&door).await;
    let _first = door.v5("a/b").await;
    let mut second = door.v5("a/b").await;
    second.subscribe(1, "x/#", 0).await;
    for _ in 0..50 {
        let connect = Connect::v5("a/b").bytes();
        let mut at_once = vec![];
        for _ in 0..4 {
            let stream = tokio::net::TcpStream::connect(("127.0.0.1", door.port)).await;
            at_once.push(stream.unwrap());
        }
        for stream in &mut at_once {
            // Beyond the limit the broker has closed already.
            let _ = tokio::io::AsyncWriteExt::write_all(stream, &connect).await;
        }
    }
    door.until("their own are gone", |d| d.stats().connections <= 3)
        .await;
    bystander.noticed_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_subscriber_taken_over_while_its_old_socket_drains_harms_nobody() {
    let door = Door::open().await;
    let bystander = Bystander::at(&door).await;
    for _ in 0..10 {
        let connect = Connect::v5("slow").lasting();
        let mut slow = Wire::join(door.port, connect.clone()).await;
        slow.subscribe(1, "load/#", 1).await;
        let mut publisher = door.v3("p").await;
        for pkid in 1..=100 {
            publisher
                .publish("load/x", &"x".repeat(5_000), 1, pkid)
                .await;
        }
        for pkid in 1..=100 {
            publisher.expect(0x40, &[0, pkid]).await;
        }
        // The first one never reads; its successor gets all of it and leaves.
        let mut back = Wire::join(door.port, connect).await;
        assert!(back.session_present());
        for _ in 0..100 {
            let got = back.message().await;
            back.ack(0x40, got.pkid).await;
        }
        back.expect_silence().await;
        back.leave().await;
    }
    bystander.noticed_nothing().await;
    assert_eq!(door.stats().router_rebuilds, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_3_000_acknowledged_messages_a_slow_and_an_offline_subscriber_get_3_000() {
    const COUNT: u16 = 3_000;
    let door = Door::open().await;
    let bystander = Bystander::at(&door).await;
    for filter in ["load/x", "load/+"] {
        let offline = Connect::v5("offline").lasting();
        let mut gone = Wire::join(door.port, offline.clone()).await;
        gone.subscribe(1, filter, 1).await;
        gone.leave().await;
        let mut slow = door.v3("slow").await;
        slow.subscribe(1, filter, 1).await;
        let mut publisher = door.v3("p").await;
        for n in 0..COUNT {
            publisher.publish("load/x", &n.to_string(), 1, n + 1).await;
        }
        for n in 0..COUNT {
            publisher.expect(0x40, &(n + 1).to_be_bytes()).await;
        }
        let mut back = Wire::join(door.port, offline).await;
        for client in [&mut slow, &mut back] {
            for n in 0..COUNT {
                let got = client.message().await;
                assert_eq!(got.payload, n.to_string(), "{filter}");
                client.ack(0x40, got.pkid).await;
            }
            client.expect_silence().await;
        }
        back.unsubscribe(9, filter).await;
        back.leave().await;
    }
    bystander.noticed_nothing().await;
    assert_eq!(door.stats().dropped_queue_full, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_3_000_filters_of_devices_a_message_finds_its_own_and_nobody_else() {
    let config = Config {
        max_subscriptions: 4_000,
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let bystander = Bystander::at(&door).await;
    let mut many = door.v5("many").await;
    for n in 0..3_000 {
        let body = subscribe(5, &format!("cmd/v1/q/d{n}"));
        many.send(&body).await;
    }
    for _ in 0..3_000 {
        assert_eq!(many.packet().await.unwrap().0, 0x90);
    }
    let mut client = door.v3("c").await;
    for n in 0..3_000 {
        client.publish(&format!("dt/q/none{n}"), "1", 0, 0).await;
        client
            .publish(&format!("cmd/v1/q/none{n}"), "1", 0, 0)
            .await;
    }
    client.publish("cmd/v1/q/d2999", "found", 0, 0).await;
    assert_eq!(many.message().await.payload, "found");
    many.expect_silence().await;
    bystander.noticed_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_wildcard_filters_come_and_go_and_leave_nothing_behind() {
    let door = Door::open().await;
    let bystander = Bystander::at(&door).await;
    for round in 0..3 {
        let mut client = door.v5("many").await;
        for n in 0..200 {
            client.subscribe(1, &format!("w{round}/{n}/+"), 0).await;
        }
        let mut publisher = door.v3("p").await;
        publisher
            .publish(&format!("w{round}/199/x"), "1", 0, 0)
            .await;
        assert_eq!(client.message().await.payload, "1");
        client.leave().await;
        let first = format!("w{round}");
        door.until("nobody listens", |d| {
            !d.broker.publisher().anyone_for(&first)
        })
        .await;
    }
    bystander.noticed_nothing().await;
    assert_eq!(door.stats().router_rebuilds, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_and_half_open_connections_and_clients_that_never_read_delay_nobody() {
    let door = Door::open().await;
    let bystander = Bystander::at(&door).await;
    let mut held = vec![];
    for n in 0..100 {
        let silent = Wire::join(door.port, Connect::v3(&format!("silent{n}"))).await;
        held.push(silent);
    }
    let mut deaf = door.v5("deaf").await;
    deaf.subscribe(1, "load/#", 0).await;
    let mut publisher = door.v3("p").await;
    for _ in 0..500 {
        publisher.publish("load/x", &"x".repeat(10_000), 0, 0).await;
    }
    publisher.expect_silence().await;
    bystander.noticed_nothing().await;
    // A client without keep-alive is never cut, however silent.
    held[0].expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_client_holds_up_nobody_for_good() {
    let door = Door::open().await;
    door.intake.all_durable();
    let mut watcher = door.v5("w").await;
    watcher.subscribe(1, "flood/+", 0).await;
    let bystander = Bystander::at(&door).await;
    let mut flood = door.v3("flood").await;
    let burst: Vec<u8> = (0..500)
        .flat_map(|_| publish(4, "flood/x", &[b'x'; 200], 0, 0, &[]))
        .collect();
    for _ in 0..100 {
        flood.send(&burst).await;
    }
    flood.expect_silence().await;
    bystander.noticed_nothing().await;
    watcher.message().await;
    assert!(door.stats().received > 50_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_member_of_a_group_that_leaves_with_unacknowledged_messages_harms_nobody() {
    let door = Door::open().await;
    let bystander = Bystander::at(&door).await;
    for lasting in [false, true] {
        for qos in 0..=2 {
            let mut connect = Connect::v5(&format!("member-{lasting}-{qos}"));
            if lasting {
                connect = connect.lasting();
            }
            let mut member = Wire::join(door.port, connect).await;
            member
                .subscribe(1, &format!("$share/{lasting}{qos}/load/+"), qos)
                .await;
            let mut publisher = door.v5("p").await;
            for pkid in 1..=20 {
                publisher.publish("load/x", "1", 1, pkid).await;
            }
            for pkid in 1..=20 {
                publisher.expect(0x40, &[0, pkid]).await;
            }
            assert_eq!(member.message().await.payload, "1");
            drop(member);
        }
    }
    let mut late = door.v5("late").await;
    late.subscribe(1, "$share/g/load/+", 0).await;
    bystander.noticed_nothing().await;
    assert_eq!(door.stats().router_rebuilds, 0);
}
