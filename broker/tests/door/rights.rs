//! Nobody reads or writes a topic without a right to it, and what is taken away is gone at once.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use quartier_broker::{Client, Config, Gate, Granted, Login, Refused, Rights};
use tokio::sync::watch;

use crate::harness::Door;
use crate::wire::{Connect, Wire};

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBREL: u8 = 0x62;
const PUBCOMP: u8 = 0x70;
const NOT_AUTHORIZED: u8 = 0x87;

/// Rights by user; who is not among them is sent away.
struct Rules {
    users: Mutex<HashMap<String, Rights>>,
    changes: watch::Sender<u64>,
}

fn rights(publish: &[&str], subscribe: &[&str]) -> Rights {
    let list = |filters: &[&str]| filters.iter().map(|filter| Box::from(*filter)).collect();
    Rights {
        publish: list(publish),
        subscribe: list(subscribe),
    }
}

impl Rules {
    fn new(users: &[(&str, Rights)]) -> Arc<Self> {
        let users = users
            .iter()
            .map(|(user, rights)| ((*user).to_owned(), rights.clone()));
        Arc::new(Self {
            users: Mutex::new(users.collect()),
            changes: watch::Sender::new(0),
        })
    }

    fn change(&self, user: &str, rights: Option<Rights>) {
        let mut users = self.users.lock();
        match rights {
            Some(rights) => users.insert(user.to_owned(), rights),
            None => users.remove(user),
        };
        drop(users);
        self.changes.send_modify(|count| *count += 1);
    }

    fn of(&self, user: Option<&str>) -> Option<Rights> {
        self.users.lock().get(user.unwrap_or("anonymous")).cloned()
    }
}

impl Gate for Rules {
    fn login(&self, login: &Login<'_>) -> Result<Granted, Refused> {
        Ok(Granted {
            user: login.user.map(Into::into),
            credential: None,
            roles: Arc::from([]),
            rights: self.of(login.user).ok_or(Refused::NotAuthorized)?,
        })
    }

    fn rights(&self, client: &Client) -> Option<Rights> {
        self.of(client.user.as_deref())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// A broker with an operator who sees everything, and a device with rights of its own.
async fn guarded(device: Rights) -> (Door, Arc<Rules>, Wire) {
    let rules = Rules::new(&[("operator", Rights::all()), ("device", device)]);
    let door = Door::behind(rules.clone(), Config::default(), vec![]).await;
    door.intake.all_durable();
    let mut operator = Wire::join(door.port, Connect::v5("o").login("operator", "")).await;
    operator.subscribe(1, "#", 2).await;
    (door, rules, operator)
}

fn device(level: u8) -> Connect {
    Connect {
        level,
        ..Connect::v3("d")
    }
    .login("device", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_without_a_right_goes_nowhere_and_mqtt_5_is_told() {
    let (door, _, mut operator) = guarded(rights(&["mine/+"], &[])).await;
    for level in [5, 4] {
        let mut wire = Wire::join(door.port, device(level)).await;
        let told: &[u8] = if level == 5 { &[NOT_AUTHORIZED] } else { &[] };
        for topic in ["other", "mine", "mine/a/b", "dt/q/a", "$SYS/x"] {
            wire.publish(topic, "0", 0, 0).await;
            wire.publish(topic, "1", 1, 1).await;
            wire.expect(PUBACK, &[&[0, 1], told].concat()).await;
            wire.publish(topic, "2", 2, 2).await;
            wire.expect(PUBREC, &[&[0, 2], told].concat()).await;
            if level == 4 {
                // It goes on as if all were well.
                wire.ack(PUBREL, 2).await;
                wire.expect(PUBCOMP, &[0, 2]).await;
            }
        }
        wire.publish("mine/a", "allowed", 1, 3).await;
        wire.expect(PUBACK, &[0, 3]).await;
        let got = operator.message().await;
        assert_eq!(
            (got.topic.as_str(), got.payload.as_str()),
            ("mine/a", "allowed")
        );
    }
    assert_eq!(door.stats().dropped_not_authorized, 30);
    assert_eq!(door.intake.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_alias_is_no_way_around_the_rights() {
    let (door, _, mut operator) = guarded(rights(&["mine"], &[])).await;
    let mut wire = Wire::join(door.port, device(5)).await;
    wire.publish_with("other", "1", 2, 1, &[0x23, 0, 1]).await;
    wire.expect(PUBACK, &[0, 1, NOT_AUTHORIZED]).await;
    wire.publish_with("", "2", 2, 2, &[0x23, 0, 1]).await;
    wire.expect(PUBACK, &[0, 2, NOT_AUTHORIZED]).await;
    wire.publish_with("mine", "3", 2, 3, &[0x23, 0, 1]).await;
    wire.expect(PUBACK, &[0, 3]).await;
    assert_eq!(operator.message().await.payload, "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_without_a_right_is_refused_with_its_connect() {
    let (door, _, _) = guarded(rights(&["mine/#"], &[])).await;
    for (level, code) in [(5, NOT_AUTHORIZED), (4, 5)] {
        for topic in ["other", "$SYS/x"] {
            let connect = device(level).will(topic, "gone", 1, false);
            assert_eq!(Wire::dial(door.port, connect).await.connack[1], code);
        }
        Wire::join(door.port, device(level).will("mine/x", "gone", 1, false)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_whose_right_is_gone_is_not_published() {
    let (door, rules, mut operator) = guarded(rights(&["wills/#"], &[])).await;
    let wire = Wire::join(door.port, device(5).will("wills/d", "first", 0, false)).await;
    drop(wire);
    assert_eq!(operator.message().await.payload, "first");
    let wire = Wire::join(door.port, device(5).will("wills/d", "second", 0, false)).await;
    rules.change("device", Some(rights(&[], &[])));
    drop(wire);
    door.until("it is counted", |d| d.stats().dropped_not_authorized == 1)
        .await;
    operator.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_refused_unless_all_of_it_is_allowed() {
    let (door, _, mut operator) = guarded(rights(&[], &["cmd/+/d", "twin/a/#"])).await;
    operator.publish_with("secret", "kept", 1, 0, &[]).await;
    operator.message().await;
    for (level, code) in [(5, NOT_AUTHORIZED), (4, 0x80)] {
        let mut wire = Wire::join(door.port, device(level)).await;
        for filter in [
            "#", "+", "secret", "cmd/#", "cmd/+/+", "twin/+/b", "twin/#", "$SYS/#",
        ] {
            assert_eq!(
                wire.try_subscribe(1, filter, 1, &[]).await,
                code,
                "{filter}"
            );
        }
        for filter in ["cmd/+/d", "cmd/q/d", "twin/a/#", "twin/a/+"] {
            wire.subscribe(2, filter, 1).await;
        }
        let shared = wire.try_subscribe(3, "$share/g/secret", 1, &[]).await;
        assert_eq!(shared, code, "the filter within counts");
        wire.unsubscribe(4, "secret").await;
        wire.expect_silence().await;
    }
    assert_eq!(door.stats().subscriptions_refused, 18);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_away_from_a_connected_client_ends_at_once() {
    let (door, rules, mut operator) = guarded(rights(&[], &["a/#", "b"])).await;
    let mut connect = device(5);
    // Receive maximum 1: what comes after the first message waits.
    connect.properties.extend([0x21, 0, 1]);
    let mut wire = Wire::join(door.port, connect).await;
    wire.subscribe(1, "a/#", 1).await;
    wire.subscribe(2, "b", 1).await;
    operator.unsubscribe(1, "#").await;
    for (pkid, topic) in [(1, "b"), (2, "a/x"), (3, "b")] {
        operator.publish(topic, &pkid.to_string(), 1, pkid).await;
        operator.packet().await.unwrap();
    }
    let first = wire.message().await;
    // What is still with the router would be held back there, and counted nowhere.
    door.broker.settled().await;
    rules.change("device", Some(rights(&[], &["b"])));
    operator.publish("a/x", "late", 1, 4).await;
    operator.packet().await.unwrap();
    wire.ack(PUBACK, first.pkid).await;
    let mut got = vec![first.payload];
    while got.len() < 2 {
        let next = wire.message().await;
        got.push(next.payload);
        wire.ack(PUBACK, next.pkid).await;
    }
    got.sort();
    assert!(got == ["1", "3"], "{got:?}");
    wire.expect_silence().await;
    assert!(door.stats().dropped_rights_lost >= 1);
    assert_eq!(wire.unsubscribe(3, "a/#").await.last(), Some(&0x11));
    assert_eq!(wire.unsubscribe(4, "b").await.last(), Some(&0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_resumed_with_the_rights_of_the_new_login() {
    let (door, rules, mut operator) = guarded(rights(&[], &["a", "b"])).await;
    operator.unsubscribe(1, "#").await;
    let connect = device(5).lasting();
    let mut wire = Wire::join(door.port, connect.clone()).await;
    wire.subscribe(1, "a", 2).await;
    wire.subscribe(2, "b", 2).await;
    let both = async |operator: &mut Wire, payload: &str| {
        for (pkid, topic) in [(1, "a"), (2, "b")] {
            operator.publish(topic, payload, 1, pkid).await;
            operator.expect(PUBACK, &[0, pkid as u8]).await;
        }
    };
    both(&mut operator, "in flight").await;
    wire.message().await;
    wire.message().await;
    drop(wire);
    door.until("the device is gone", |d| d.stats().connections == 1)
        .await;
    both(&mut operator, "queued").await;
    rules.change("device", Some(rights(&[], &["b"])));
    let mut wire = Wire::join(door.port, connect).await;
    assert!(wire.session_present());
    for expected in ["in flight", "queued"] {
        let got = wire.message().await;
        assert_eq!((got.topic.as_str(), got.payload.as_str()), ("b", expected));
        wire.ack(PUBACK, got.pkid).await;
    }
    wire.expect_silence().await;
    assert_eq!(door.stats().dropped_rights_lost, 2);
    both(&mut operator, "live").await;
    assert_eq!(wire.message().await.topic, "b");
    wire.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_come_back_is_sent_away_with_session_and_will() {
    let (door, rules, mut operator) = guarded(rights(&["wills"], &["a"])).await;
    for level in [5, 4] {
        let connect = device(level).lasting().will("wills", "gone", 0, false);
        let mut wire = Wire::join(door.port, connect.clone()).await;
        wire.subscribe(1, "a", 1).await;
        rules.change("device", None);
        wire.expect_end(0x98).await;
        let refused = Wire::dial(door.port, connect.clone()).await.connack[1];
        assert_eq!(refused, if level == 5 { NOT_AUTHORIZED } else { 5 });
        rules.change("device", Some(rights(&["wills"], &["a"])));
        let wire = Wire::join(door.port, connect).await;
        assert!(!wire.session_present());
        wire.leave().await;
        operator.expect_silence().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_belongs_to_its_user() {
    let all = Rights::all;
    let rules = Rules::new(&[("u", all()), ("operator", all()), ("anonymous", all())]);
    let door = Door::behind(rules, Config::default(), vec![]).await;
    for (level, code) in [(5, NOT_AUTHORIZED), (4, 5)] {
        let id = format!("shared {level}");
        let plain = Connect {
            level,
            ..Connect::v3(&id)
        };
        let owner = plain.clone().lasting().login("u", "");
        let mut wire = Wire::join(door.port, owner.clone()).await;
        let thieves = [
            plain.clone(),
            plain.clone().lasting(),
            plain.clone().login("operator", ""),
        ];
        for thief in &thieves {
            assert_eq!(Wire::dial(door.port, thief.clone()).await.connack[1], code);
        }
        wire.expect_silence().await;
        wire.subscribe(1, "x", 1).await;
        drop(wire);
        for thief in thieves {
            assert_eq!(Wire::dial(door.port, thief).await.connack[1], code);
        }
        assert!(Wire::join(door.port, owner).await.session_present());
    }
    let first = Wire::join(door.port, Connect::v5("anybody").lasting()).await;
    assert!(
        Wire::join(door.port, Connect::v5("anybody").lasting())
            .await
            .session_present()
    );
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_filters_have_so_many_levels_and_no_more() {
    let config = Config {
        max_topic_levels: 3,
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let (mut new, mut old) = (door.v5("a").await, door.v3("b").await);
    for (wire, code) in [(&mut new, 0x8F), (&mut old, 0x80)] {
        wire.subscribe(1, "a/+/c", 0).await;
        assert_eq!(wire.try_subscribe(2, "a/b/c/#", 0, &[]).await, code);
    }
    new.publish("a/b/c/d", "1", 1, 1).await;
    new.expect(PUBACK, &[0, 1, 0x90]).await;
    old.publish("a/b/c/d", "1", 1, 1).await;
    old.expect(PUBACK, &[0, 1]).await;
    assert_eq!(door.stats().dropped_topic_levels, 2);
    let will = Connect::v5("c").will("a/b/c/d", "", 0, false);
    assert_eq!(Wire::dial(door.port, will).await.connack[1], 0x90);
    let will = Connect::v3("c").will("a/b/c/d", "", 0, false);
    assert!(Wire::dial(door.port, will).await.connack.is_empty());
}
