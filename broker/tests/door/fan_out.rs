//! Who gets a message, and how.

use quartier_broker::{Config, Message};

use crate::harness::Door;
use crate::wire::{Connect, Wire};

#[tokio::test(flavor = "multi_thread")]
async fn exact_and_wildcard_subscribers_get_a_message_once_each() {
    let door = Door::open().await;
    let mut subscribers = vec![];
    for (i, filter) in ["a/b", "a/+", "a/#", "#", "+/b", "a/b/#"]
        .into_iter()
        .enumerate()
    {
        for level in [4, 5] {
            let connect = Connect {
                level,
                ..Connect::v3(&format!("s{i}-{level}"))
            };
            let mut subscriber = Wire::join(door.port, connect).await;
            subscriber.subscribe(1, filter, 0).await;
            subscribers.push(subscriber);
        }
    }
    let mut publisher = door.v5("p").await;
    publisher.publish("a/b", "1", 0, 0).await;
    publisher.publish("c/d", "not for most", 0, 0).await;
    publisher.publish("a/b", "2", 0, 0).await;
    for (i, subscriber) in subscribers.iter_mut().enumerate() {
        let mut got = vec![];
        while got.last().is_none_or(|last| last != "2") {
            got.push(subscriber.message().await.payload);
        }
        let all = i / 2 == 3;
        let want: &[&str] = if all {
            &["1", "not for most", "2"]
        } else {
            &["1", "2"]
        };
        assert_eq!(got, want, "subscriber {i}");
        subscriber.expect_silence().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quality_is_the_lower_one_of_publish_and_subscription() {
    let door = Door::open().await;
    let mut publisher = door.v3("p").await;
    for filter in ["x/y", "x/+"] {
        for wanted in 0..=2 {
            let mut subscriber = door.v5("s").await;
            subscriber.subscribe(1, filter, wanted).await;
            for sent in 0..=2u8 {
                publisher.publish("x/y", "1", sent, 9).await;
                if sent > 0 {
                    publisher.packet().await.unwrap();
                }
                if sent == 2 {
                    publisher.ack(0x62, 9).await;
                    publisher.expect(0x70, &[0, 9]).await;
                }
                let got = subscriber.message().await;
                assert_eq!(got.qos, wanted.min(sent), "{filter} {wanted} {sent}");
            }
            subscriber.leave().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn qos_2_is_delivered_in_four_steps() {
    let door = Door::open().await;
    let mut subscriber = door.v3("s").await;
    subscriber.subscribe(1, "a/#", 2).await;
    let mut publisher = door.v3("p").await;
    publisher.publish("a", "1", 2, 5).await;
    publisher.expect(0x50, &[0, 5]).await;
    publisher.publish_with("a", "1", 0x0C, 5, &[]).await;
    publisher.expect(0x50, &[0, 5]).await;
    publisher.ack(0x62, 5).await;
    publisher.expect(0x70, &[0, 5]).await;
    let got = subscriber.message().await;
    subscriber.ack(0x50, got.pkid).await;
    subscriber.expect(0x62, &got.pkid.to_be_bytes()).await;
    subscriber.ack(0x70, got.pkid).await;
    subscriber.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_in_flight_than_the_client_takes() {
    let door = Door::open().await;
    let mut connect = Connect::v5("s");
    connect.properties = vec![0x21, 0, 2];
    let mut subscriber = Wire::join(door.port, connect).await;
    subscriber.subscribe(1, "a", 1).await;
    let mut publisher = door.v3("p").await;
    for i in 1..=4u8 {
        publisher.publish("a", &i.to_string(), 1, 1).await;
        publisher.expect(0x40, &[0, 1]).await;
    }
    let first = subscriber.message().await;
    subscriber.message().await;
    subscriber.expect_silence().await;
    subscriber.ack(0x40, first.pkid).await;
    assert_eq!(subscriber.message().await.payload, "3");
    subscriber.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_reach_mqtt_5_subscribers_and_not_the_others() {
    let door = Door::open().await;
    let user_property = [
        &[0x26][..],
        &crate::wire::text("k"),
        &crate::wire::text("v"),
    ]
    .concat();
    let sent = [&[0x02, 0, 0, 0, 9][..], &user_property].concat();
    for filter in ["a/b", "a/#"] {
        let (mut old, mut new) = (door.v3("old").await, door.v5("new").await);
        old.subscribe(1, filter, 1).await;
        new.try_subscribe(1, filter, 1, &[0x0B, 77]).await;
        let mut publisher = door.v5("p").await;
        publisher.publish_with("a/b", "1", 2, 1, &sent).await;
        publisher.expect(0x40, &[0, 1]).await;
        assert_eq!(old.message().await.payload, "1");
        let got = new.message().await.properties;
        let has = |part: &[u8]| got.windows(part.len()).any(|window| window == part);
        assert!(has(&user_property), "{got:?}");
        assert!(has(&[0x0B, 77]), "subscription identifier in {got:?}");
        assert!(
            has(&[0x02, 0, 0, 0, 9]) || has(&[0x02, 0, 0, 0, 8]),
            "expiry in {got:?}"
        );
        old.leave().await;
        new.leave().await;
    }
    door.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn own_messages_are_left_out_with_no_local() {
    let door = Door::open().await;
    for filter in ["a/b", "a/+"] {
        let mut client = door.v5("c").await;
        client.subscribe(1, filter, 0x04).await;
        client.publish("a/b", "mine", 0, 0).await;
        let mut other = door.v5("o").await;
        other.publish("a/b", "other", 1, 1).await;
        assert_eq!(client.message().await.payload, "other", "{filter}");
        client.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_after_unsubscribe_and_unknown_filters_are_told() {
    let door = Door::open().await;
    let mut client = door.v5("c").await;
    for filter in ["a/b", "a/+"] {
        client.subscribe(1, filter, 0).await;
        assert_eq!(client.unsubscribe(2, filter).await, [0, 2, 0, 0]);
        assert_eq!(client.unsubscribe(3, filter).await, [0, 3, 0, 0x11]);
        client.publish("a/b", "1", 0, 0).await;
        client.subscribe(4, "fence/+", 0).await;
        client.publish("fence/x", "2", 0, 0).await;
        assert_eq!(client.message().await.payload, "2", "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_comes_and_goes_works_each_time() {
    let door = Door::open().await;
    let mut client = door.v3("c").await;
    for round in 0..50 {
        client.subscribe(1, "a/#", 0).await;
        client.publish("a/b", &round.to_string(), 0, 0).await;
        assert_eq!(client.message().await.payload, round.to_string());
        client.unsubscribe(2, "a/#").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_gets_a_message_once_with_the_identifiers_of_all_its_subscriptions() {
    let door = Door::open().await;
    let mut publisher = door.v3("p").await;
    for connect in [Connect::v5("plain"), Connect::v5("kept").lasting()] {
        let mut client = Wire::join(door.port, connect).await;
        for (id, filter, qos) in [(3, "a/b/#", 2), (2, "a/b", 0), (4, "+/b", 1), (5, "c", 2)] {
            client.try_subscribe(1, filter, qos, &[0x0B, id]).await;
        }
        publisher.publish("a/b", "1", 2, 1).await;
        publisher.expect(0x50, &[0, 1]).await;
        publisher.ack(0x62, 1).await;
        publisher.expect(0x70, &[0, 1]).await;
        let got = client.message().await;
        assert_eq!(
            (got.qos, &got.properties[..]),
            (2, &[11, 3, 11, 2, 11, 4][..])
        );
        client.expect_silence().await;
        client.unsubscribe(2, "a/b").await;
        publisher.publish("a/b", "2", 0, 0).await;
        let got = client.message().await;
        assert_eq!(
            (got.payload.as_str(), &got.properties[..]),
            ("2", &[11, 3, 11, 4][..])
        );
        client.expect_silence().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dollar_topics_are_not_for_clients() {
    let door = Door::open().await;
    let mut client = door.v5("c").await;
    client.subscribe(1, "#", 0).await;
    client.subscribe(2, "$SYS/x", 0).await;
    client.publish("$SYS/x", "1", 1, 1).await;
    client.expect(0x40, &[0, 1, 0x87]).await;
    client.publish("a", "2", 0, 0).await;
    assert_eq!(client.message().await.payload, "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_publishes_and_knows_whether_anybody_listens() {
    let door = Door::open().await;
    let publisher = door.broker.publisher();
    assert!(!publisher.anyone_for("twin") && !publisher.anyone_for("cmd"));
    let mut client = door.v3("c").await;
    client.subscribe(1, "twin/v1/#", 1).await;
    client.subscribe(2, "cmd/v1/q/a", 1).await;
    assert!(publisher.anyone_for("twin") && publisher.anyone_for("cmd"));
    assert!(!publisher.anyone_for("area"));
    door.host(|publisher| {
        let message = |topic: &str, n: usize| Message {
            topic: topic.into(),
            payload: n.to_string().into(),
            retain: false,
        };
        publisher.publish((0..1000).map(|n| message("twin/v1/x", n)).collect());
        publisher.publish(vec![message("bad/#", 0), message("cmd/v1/q/a", 1000)]);
    })
    .await;
    let mut next = 0;
    for _ in 0..1001 {
        let got = client.message().await;
        client.ack(0x40, got.pkid).await;
        assert_eq!(got.qos, 1);
        if got.topic == "twin/v1/x" {
            assert_eq!(got.payload, next.to_string());
            next += 1;
        } else {
            assert_eq!(got.payload, "1000");
        }
    }
    client.leave().await;
    door.until("nobody listens", |d| {
        !d.broker.publisher().anyone_for("twin")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_reaches_those_who_subscribe_to_it() {
    let door = Door::open().await;
    let mut client = door.v3("c").await;
    client.subscribe(1, "dt/q/+", 1).await;
    let mut exact = door.v3("e").await;
    exact.subscribe(2, "dt/q/a", 0).await;
    let mut device = door.v3("d").await;
    device.publish("dt/q/a", "1", 1, 1).await;
    let (one, two) = (client.message().await, exact.message().await);
    assert_eq!((one.payload.as_str(), two.payload.as_str()), ("1", "1"));
    assert_eq!((one.qos, two.qos), (1, 0));
    device.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_passes_the_router_without_a_loss_and_without_a_standstill() {
    const EACH: usize = 15_000;
    let config = Config {
        max_queue_messages: 100_000,
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let mut subscriber = door.v3("s").await;
    subscriber.subscribe(1, "load/#", 0).await;
    let mut publishers = vec![];
    for p in 0..4 {
        let mut publisher = door.v3(&format!("p{p}")).await;
        publishers.push(tokio::spawn(async move {
            let topic = format!("load/{p}");
            for chunk in (0..EACH).collect::<Vec<_>>().chunks(100) {
                let bytes: Vec<u8> = chunk
                    .iter()
                    .flat_map(|n| {
                        let payload = n.to_string();
                        crate::wire::publish(4, &topic, payload.as_bytes(), 0, 0, &[])
                    })
                    .collect();
                publisher.send(&bytes).await;
            }
            publisher.expect_silence().await;
        }));
    }
    let mut next = [0; 4];
    for _ in 0..4 * EACH {
        let got = subscriber.message().await;
        let from: usize = got.topic.trim_start_matches("load/").parse().unwrap();
        assert_eq!(got.payload, next[from].to_string(), "from {from}");
        next[from] += 1;
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    assert_eq!(door.stats().router_jumps, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_topic_aliases_gets_them_up_to_its_maximum() {
    let door = Door::open().await;
    let mut connect = Connect::v5("c");
    connect.properties = vec![0x22, 0, 1];
    let mut client = Wire::join(door.port, connect).await;
    client.subscribe(1, "long/+", 0).await;
    let (named, known) = (vec![0x23, 0, 1], vec![0x23, 0, 1]);
    for (topic, heard, properties) in [
        ("long/b", "long/b", named),
        ("long/b", "", known.clone()),
        ("long/c", "long/c", vec![]),
        ("long/b", "", known),
    ] {
        client.publish(topic, "1", 0, 0).await;
        let got = client.message().await;
        assert_eq!((got.topic.as_str(), got.properties), (heard, properties));
    }
}
