//! Topics that no client may use.

use quartier_broker::Config;

use crate::harness::Door;
use crate::wire::{Connect, Wire};

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_topic_is_refused_in_every_way_and_nothing_of_it_reaches_a_wider_filter() {
    let config = Config {
        closed_topics: vec!["shut/#".into(), "test/nosubscribe".into()],
        ..Config::default()
    };
    let door = Door::with(config, vec![]).await;
    let mut watcher = door.v5("w").await;
    watcher.subscribe(1, "#", 0).await;
    for (level, refused) in [(4, 0x80), (5, 0x80)] {
        let connect = Connect {
            level,
            ..Connect::v3("c")
        };
        let mut client = Wire::join(door.port, connect.clone()).await;
        for filter in ["shut", "shut/+", "shut/a/#", "test/nosubscribe"] {
            assert_eq!(client.try_subscribe(1, filter, 1, &[]).await, refused);
        }
        for topic in ["shut", "shut/a", "test/nosubscribe"] {
            client.publish(topic, "1", 0, 0).await;
            client.publish(topic, "1", 1, 7).await;
            let (first, body) = client.packet().await.unwrap();
            let reason = (level == 5).then_some(&0x87);
            assert_eq!((first, body.get(2)), (0x40, reason));
        }
        for open in ["test/+", "test/nosubscriber", "shuttle/#"] {
            assert_eq!(client.try_subscribe(1, open, 1, &[]).await, 1);
        }
        let with_will = connect.will("shut/a", "gone", 0, false);
        assert_ne!(
            Wire::dial(door.port, with_will).await.connack.get(1),
            Some(&0)
        );
    }
    watcher.publish("fence", "fence", 0, 0).await;
    assert_eq!(watcher.message().await.payload, "fence");
}
