//! The keeper over a disk that the test moves, and the format.

use proptest::prelude::*;
use tokio::time::timeout;

use super::*;
use crate::DiskFailed;
use crate::codec::QoS;
use crate::session::tests::out;

const SOON: Duration = Duration::from_secs(10);

/// Fails as often as it is told to, and remembers what was written.
#[derive(Default)]
struct TestDisk {
    failures: Mutex<u32>,
    writes: Mutex<Vec<Changes>>,
}

impl Disk for TestDisk {
    fn read(&self, _: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), DiskFailed> {
        Ok(())
    }

    fn write(&self, changes: Changes) -> Result<(), DiskFailed> {
        let mut failures = self.failures.lock();
        if *failures > 0 {
            *failures -= 1;
            return Err(DiskFailed);
        }
        self.writes.lock().push(changes);
        Ok(())
    }
}

struct Bench {
    keeper: Arc<Keeper>,
    disk: Arc<TestDisk>,
    counters: Arc<Counters>,
    thread: JoinHandle<()>,
}

impl Bench {
    /// A keeper whose thread finds what `before` has changed.
    fn start(failures: u32, before: impl FnOnce(&Keeper)) -> Self {
        let keeper = Arc::new(Keeper::new());
        before(&keeper);
        let disk = Arc::new(TestDisk {
            failures: Mutex::new(failures),
            ..TestDisk::default()
        });
        let counters = Arc::new(Counters::default());
        let thread = keeper.start(disk.clone(), counters.clone()).unwrap();
        Self {
            keeper,
            disk,
            counters,
            thread,
        }
    }

    async fn written(&self, round: u64) {
        let mut written = self.keeper.written();
        let reached = written.wait_for(|written| *written >= round);
        timeout(SOON, reached).await.unwrap().unwrap();
    }

    fn writes(&self) -> Vec<usize> {
        self.disk.writes.lock().iter().map(Vec::len).collect()
    }
}

fn message(sequence: u64) -> (Key, Value) {
    let key = Key::Message(1, sequence);
    (key, Value::Message(out(QoS::AtLeastOnce)))
}

#[tokio::test]
async fn what_comes_and_goes_within_a_round_is_not_written_and_its_round_is_told() {
    let bench = Bench::start(0, |keeper| {
        let (key, value) = message(1);
        assert_eq!(keeper.latest(), 0);
        assert_eq!(keeper.add(key.clone(), value), 1);
        assert_eq!((keeper.remove(key), keeper.latest()), (1, 1));
    });
    bench.written(1).await;
    assert!(bench.writes().is_empty());
    let (key, value) = message(2);
    let round = bench.keeper.add(key.clone(), value);
    bench.written(round).await;
    let round = bench.keeper.remove(key.clone());
    bench.written(round).await;
    let writes = bench.disk.writes.lock();
    assert_eq!(writes.last(), Some(&vec![(format::key(&key), None)]));
    assert_eq!(writes.len(), 2);
}

#[tokio::test]
async fn a_key_that_was_removed_and_is_used_again_is_still_removed_from_the_disk() {
    let bench = Bench::start(0, |keeper| {
        let key = Key::Received(1, 7);
        keeper.remove(key.clone());
        keeper.add(key.clone(), Value::Received(3));
        keeper.remove(key);
    });
    bench.written(1).await;
    assert_eq!(bench.writes(), [1]);
}

#[tokio::test]
async fn a_write_that_fails_is_tried_again_and_nothing_is_told_before() {
    let bench = Bench::start(2, |keeper| {
        let (key, value) = message(1);
        keeper.add(key, value);
    });
    bench.written(1).await;
    assert_eq!(bench.counters.disk_failures.get(), 2);
    assert_eq!(bench.writes(), [1]);
}

#[tokio::test]
async fn changes_that_belong_together_are_written_together() {
    let bench = Bench::start(0, |_| {});
    for sequence in (1..100).step_by(2) {
        let _whole = bench.keeper.whole();
        let (key, value) = message(sequence);
        let one = bench.keeper.add(key, value);
        std::thread::yield_now();
        let (key, value) = message(sequence + 1);
        assert_eq!(bench.keeper.add(key, value), one);
    }
    bench.written(bench.keeper.latest()).await;
    assert!(bench.writes().iter().all(|count| count % 2 == 0));
}

#[tokio::test]
async fn the_end_writes_what_is_left_and_gives_up_at_its_deadline() {
    for (failures, written) in [(0, 1), (u32::MAX, 0)] {
        let bench = Bench::start(failures, |_| {});
        let (key, value) = message(1);
        bench.keeper.add(key, value);
        bench
            .keeper
            .stop(Instant::now() + Duration::from_millis(20));
        let Bench { disk, thread, .. } = bench;
        let end = tokio::task::spawn_blocking(move || thread.join().unwrap());
        timeout(SOON, end).await.unwrap().unwrap();
        assert_eq!(disk.writes.lock().len(), written);
    }
}

fn kept_session() -> Arc<Session> {
    let keeper = Some(Arc::new(Keeper::new()));
    let session = Arc::new(Session::new("c".into(), Some("u".into()), 3, keeper));
    let mut state = session.lock();
    let terms = crate::session::Terms {
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        subscription_id: 9,
    };
    state.subscribe("$share/g/a/+", terms);
    state.expiry = 60;
    state.will = Some(Box::new(crate::will::Will {
        topic: "w".into(),
        payload: b"gone".to_vec(),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: vec![1, 1],
        expiry: Some(5),
        delay: 7,
    }));
    drop(state);
    session
}

#[test]
fn everything_is_read_as_it_was_written() {
    let session = kept_session();
    let bytes = format::value(&Value::Session(session.clone())).unwrap();
    let record = format::read_session(&bytes).unwrap();
    let state = session.lock();
    assert_eq!((&*record.id, record.user.as_deref()), ("c", Some("u")));
    assert_eq!((record.expiry, record.away_since), (60, 0));
    let (filter, known) = &record.filters[0];
    assert_eq!(state.filters().get(filter), Some(known));
    assert_eq!(record.will.as_ref(), state.will.as_deref());

    let mut message = out(QoS::ExactlyOnce);
    message.ids = crate::session::Ids::of([1, 2]);
    message.share = Some("$share/g/a/+".into());
    let bytes = format::value(&Value::Message(message.clone())).unwrap();
    let Some(format::Message::Queued(back)) = format::read_message(&bytes, 5) else {
        panic!("not read");
    };
    assert_eq!(
        (back.qos, back.sequence, back.again),
        (QoS::ExactlyOnce, 5, true)
    );
    assert_eq!((&back.ids, &back.share), (&message.ids, &message.share));
    assert_eq!(back.message.topic(), "a/b");
    assert_eq!(back.message.payload(), b"x");
    for key in [
        Key::Session(1),
        Key::Message(1, 2),
        Key::Received(1, 2),
        Key::Retained("ä/b".into()),
    ] {
        assert_eq!(format::read_key(&format::key(&key)), Some(key));
    }
}

#[test]
fn a_session_that_is_cut_short_is_none() {
    let bytes = format::value(&Value::Session(kept_session())).unwrap();
    for len in 0..bytes.len() {
        assert_eq!(format::read_session(&bytes[..len]), None, "{len} bytes");
    }
}

proptest! {
    #[test]
    fn no_bytes_on_disk_end_the_process(
        key in prop::collection::vec(any::<u8>(), 0..20),
        mut value in prop::collection::vec(any::<u8>(), 0..80),
        version in any::<bool>(),
    ) {
        if let Some(first) = value.first_mut().filter(|_| version) {
            *first = 1;
        }
        let _ = format::read_key(&key);
        let _ = format::read_session(&value);
        let _ = format::read_message(&value, 1);
        let _ = format::read_received(&value);
        let _ = format::read_retained(&value, "a");
    }
}
