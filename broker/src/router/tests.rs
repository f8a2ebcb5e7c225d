//! The router on its own: killed among others.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::codec::QoS;
use crate::envelope::{HOST, Parts};
use crate::session::{Session, Terms};
use crate::subscriptions::Subscriber;

const SOON: Duration = Duration::from_secs(20);
const LIMIT: QueueLimit = QueueLimit {
    messages: 1_000_000,
    bytes: 1 << 30,
    when_full: crate::WhenFull::Disconnect,
};

struct Bench {
    router: Router,
    counters: Arc<Counters>,
}

impl Bench {
    fn new() -> Self {
        let counters = Arc::new(Counters::default());
        let router = Router::start(LIMIT, counters.clone()).unwrap();
        Self { router, counters }
    }

    async fn subscribe(&self, filter: &str) -> (Arc<Session>, Arc<Feed>) {
        let session = Arc::new(Session::new(filter.into(), None, 1, None));
        let terms = Terms {
            qos: QoS::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            subscription_id: 0,
        };
        let subscriber = Subscriber {
            session: session.clone(),
            terms,
        };
        let feed = Arc::new(Feed {
            filter: filter.into(),
            subscribers: parking_lot::RwLock::new(vec![subscriber]),
        });
        self.router.attach(feed.clone()).await.unwrap().unwrap();
        (session, feed)
    }

    fn publish(&self, topic: &str, numbers: std::ops::Range<usize>) {
        let mut batch = self.router.publish();
        for number in numbers {
            batch.push(Draft::new(&Parts {
                topic,
                payload: number.to_string().as_bytes(),
                qos: QoS::AtLeastOnce,
                retain: false,
                properties: &[],
                expiry: None,
                origin: HOST,
            }));
        }
    }
}

/// Waits until `count` messages wait for the session and returns their payloads.
async fn received(session: &Session, count: usize) -> Vec<String> {
    let wake = session.lock().wake.clone();
    let all = async {
        while session.lock().live.len() < count {
            wake.notified().await;
        }
    };
    if tokio::time::timeout(SOON, all).await.is_err() {
        panic!("{} of {count} messages", session.lock().live.len());
    }
    let payload =
        |out: &crate::session::Out| String::from_utf8_lossy(out.message.payload()).into_owned();
    session.lock().live.iter().map(payload).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_dies_is_replaced_and_nothing_is_lost_or_doubled() {
    let bench = Bench::new();
    let (one, _one) = bench.subscribe("a/#").await;
    let (two, _two) = bench.subscribe("+/b").await;
    for round in 0..5 {
        bench.publish("a/b", round * 200..round * 200 + 100);
        bench.router.kill();
        bench.publish("a/b", round * 200 + 100..round * 200 + 200);
        assert_eq!(
            received(&one, (round + 1) * 200).await,
            numbers(0..(round + 1) * 200)
        );
    }
    assert_eq!(received(&two, 1000).await, numbers(0..1000));
    assert!(bench.counters.router_rebuilds.get() >= 5);
    assert_eq!(bench.counters.router_jumps.get(), 0);
    let (late, _late) = bench.subscribe("a/+").await;
    bench.publish("a/b", 0..1);
    assert_eq!(received(&late, 1).await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_feed_gets_nothing_more_and_the_others_go_on() {
    let bench = Bench::new();
    let (kept, _kept) = bench.subscribe("#").await;
    for round in 0..20 {
        let (gone, feed) = bench.subscribe("a/#").await;
        bench.publish("a/b", round..round + 1);
        received(&gone, 1).await;
        bench.router.detach(feed);
        bench.publish("fence", 0..1);
        received(&kept, 2 * round + 2).await;
    }
    assert_eq!(bench.counters.router_rebuilds.get(), 0);
}

#[test]
fn a_router_that_is_never_idle_is_not_taken_for_dead() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    let bench = Bench::new();
    let until = std::time::Instant::now() + link::PATIENCE + Duration::from_secs(2);
    while std::time::Instant::now() < until {
        bench.publish("nobody", 0..64);
        if bench.router.congested() {
            bench.router.wait();
        }
    }
    assert_eq!(bench.counters.router_rebuilds.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_publishes_much_waits_until_the_router_has_come_further() {
    let bench = Bench::new();
    let (all, _all) = bench.subscribe("a/#").await;
    let mut progress = bench.router.progress();
    let mut waits = 0;
    for chunk in 0..500 {
        bench.publish("a/b", chunk * 64..(chunk + 1) * 64);
        while bench.router.congested() {
            waits += 1;
            tokio::time::timeout(SOON, progress.changed())
                .await
                .unwrap()
                .unwrap();
        }
    }
    assert_eq!(received(&all, 32_000).await, numbers(0..32_000));
    assert!(waits > 0);
    assert_eq!(bench.counters.router_jumps.get(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_loses_messages_ends_the_connections_of_its_subscribers() {
    let bench = Bench::new();
    let (session, _feed) = bench.subscribe("a/#").await;
    let (other, _other) = bench.subscribe("b/#").await;
    // In one batch, past all waiting: more than the router's log holds.
    bench.publish("a/b", 0..100_000);
    let wake = session.lock().wake.clone();
    let told = async {
        while !session.lock().overrun {
            wake.notified().await;
        }
    };
    tokio::time::timeout(SOON, told).await.unwrap();
    assert_eq!(bench.counters.router_jumps.get(), 1);
    assert!(!other.lock().overrun);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn feeds_lose_nothing_while_the_workers_have_no_time() {
    let bench = Bench::new();
    let (all, _all) = bench.subscribe("a/#").await;
    // The only worker does nothing but publish, as fast as it may.
    for chunk in 0..4_000 {
        if bench.router.congested() {
            bench.router.wait();
        }
        bench.publish("a/b", chunk * 64..(chunk + 1) * 64);
    }
    assert_eq!(received(&all, 256_000).await.len(), 256_000);
    assert_eq!(bench.counters.router_jumps.get(), 0);
}
