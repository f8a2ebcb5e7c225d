//! Shared subscriptions (MQTT 5, section 4.8.2).

use crate::client::{PUBACK, PUBREC, lasting};
use crate::harness::Door;
use crate::wire::{Wire, packet};

const SHARED: &str = "$share/g/s/+";

/// What a member holds: messages until a PINGRESP, unacknowledged.
async fn waiting(client: &mut Wire) -> Vec<(String, u16)> {
    client.send(&[0xC0, 0]).await;
    let mut found = vec![];
    loop {
        let (first, body) = client.packet().await.expect("open");
        if first == 0xD0 {
            return found;
        }
        assert_eq!(first & 0xF0, 0x30);
        let at = 2 + usize::from(body[1]);
        let pkid = u16::from_be_bytes([body[at], body[at + 1]]);
        found.push((String::from_utf8(body[at + 3..].to_vec()).unwrap(), pkid));
    }
}

/// Asks both until one of them holds a message, which is then its number and the message.
async fn chosen(members: &mut [Wire; 2]) -> (usize, (String, u16)) {
    for _ in 0..500 {
        for (n, member) in members.iter_mut().enumerate() {
            if let Some(found) = waiting(member).await.pop() {
                return (n, found);
            }
        }
    }
    panic!("nobody got the message");
}

async fn members(door: &Door, qos: u8) -> [Wire; 2] {
    let mut both = [
        Wire::join(door.port, lasting(5, "one")).await,
        Wire::join(door.port, lasting(5, "two")).await,
    ];
    for member in &mut both {
        member.subscribe(1, SHARED, qos).await;
    }
    both
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_8_2_3_a_member_gets_its_share_with_its_own_quality() {
    let door = Door::open().await;
    let (mut low, mut high) = (door.v5("low").await, door.v5("high").await);
    low.subscribe(1, SHARED, 0).await;
    high.subscribe(1, SHARED, 1).await;
    let mut publisher = door.v5("p").await;
    for n in 0..20 {
        publisher.deliver("s/x", &n.to_string(), 2).await;
    }
    // Each has at least one, all together 20, each message once.
    let mut got = vec![];
    let mut counts = [0, 0];
    while got.len() < 20 {
        for (n, member) in [&mut low, &mut high].into_iter().enumerate() {
            member.send(&[0xC0, 0]).await;
            loop {
                let (first, body) = member.packet().await.unwrap();
                if first == 0xD0 {
                    break;
                }
                assert_eq!(usize::from(first >> 1 & 3), n, "the quality granted");
                let at = 5 + 2 * n + 1;
                got.push(String::from_utf8(body[at..].to_vec()).unwrap());
                counts[n] += 1;
                if n == 1 {
                    member
                        .ack(PUBACK, u16::from_be_bytes([body[5], body[6]]))
                        .await;
                }
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    got.sort_by_key(|n| n.parse::<u32>().unwrap());
    assert_eq!(got, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_8_2_4_a_qos_2_message_that_was_sent_is_completed_with_its_member() {
    let door = Door::open().await;
    let mut both = members(&door, 2).await;
    let mut publisher = door.v5("p").await;
    publisher.deliver("s/x", "1", 2).await;
    let (who, (payload, pkid)) = chosen(&mut both).await;
    assert_eq!(payload, "1");
    let [one, two] = both;
    let (chosen, mut other) = if who == 0 { (one, two) } else { (two, one) };
    drop(chosen);
    door.until_open(2).await;
    other.expect_silence().await;
    let id = ["one", "two"][who];
    let mut back = Wire::join(door.port, lasting(5, id)).await;
    let again = back.message().await;
    assert_eq!((again.pkid, again.dup), (pkid, true));
    other.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_8_2_5_a_qos_2_message_that_was_sent_goes_to_nobody_else() {
    let door = Door::open().await;
    let mut both = members(&door, 2).await;
    let mut publisher = door.v5("p").await;
    publisher.deliver("s/x", "1", 2).await;
    let (who, _) = chosen(&mut both).await;
    // Its session ends: a clean start with the same identifier.
    let _clean = door.v5(["one", "two"][who]).await;
    let other = &mut both[1 - who];
    publisher.deliver("s/x", "2", 2).await;
    assert_eq!(other.message().await.payload, "2");
    other.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_8_2_6_a_message_refused_by_a_member_goes_to_nobody_else() {
    let door = Door::open().await;
    for (qos, kind) in [(1, PUBACK), (2, PUBREC)] {
        let mut both = members(&door, qos).await;
        let mut publisher = door.v5("p").await;
        publisher.deliver("s/x", "1", qos).await;
        let (who, (_, pkid)) = chosen(&mut both).await;
        let pkid = pkid.to_be_bytes();
        both[who]
            .send(&packet(kind, &[pkid[0], pkid[1], 0x83]))
            .await;
        for member in &mut both {
            member.expect_silence().await;
        }
        let [one, two] = both;
        one.leave().await;
        two.leave().await;
        for id in ["one", "two"] {
            let mut back = Wire::join(door.port, lasting(5, id)).await;
            back.expect_silence().await;
            door.v5(id).await.leave().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_4_8_2_4_a_qos_1_message_of_a_member_whose_session_ends_goes_to_another() {
    let door = Door::open().await;
    let mut both = members(&door, 1).await;
    let mut publisher = door.v5("p").await;
    publisher.deliver("s/x", "1", 1).await;
    let (who, _) = chosen(&mut both).await;
    let _clean = door.v5(["one", "two"][who]).await;
    assert_eq!(both[1 - who].message().await.payload, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_3_8_4_4_a_shared_subscription_gets_no_retained_messages() {
    let door = Door::open().await;
    let mut client = door.v5("c").await;
    client.publish_with("s/x", "kept", 1, 0, &[]).await;
    client.subscribe(1, SHARED, 0).await;
    client.expect_silence().await;
    assert_eq!(door.broker.stats().sessions, 1);
}
