//! A broker on a port of its own, with a host that the test moves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use quartier_broker::{
    Broker, Changes, Client, Config, Disk, DiskFailed, Gate, Granted, Hooks, Intake, Login,
    Message, Publisher, Refused, RetainedSource, Rights, Stats, Taken, Telemetry, Tls,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::wire::Wire;

/// Longest wait for anything that must happen.
pub(crate) const SOON: Duration = Duration::from_secs(10);

const TAKES: u8 = 0;
const FULL: u8 = 1;
const FAILED: u8 = 2;

/// An intake for `dt/..`: position n is its nth publish; durable is what the test says.
pub(crate) struct TestIntake {
    durable: watch::Sender<u64>,
    mode: AtomicU8,
    taken: Mutex<Vec<(String, Vec<u8>)>>,
    runs: Mutex<Vec<usize>>,
}

impl TestIntake {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            durable: watch::Sender::new(0),
            mode: AtomicU8::new(TAKES),
            taken: Mutex::default(),
            runs: Mutex::default(),
        })
    }

    /// The process was killed: what was not durable is gone.
    pub(crate) fn lose(&self) {
        let durable = *self.durable.borrow();
        self.taken
            .lock()
            .truncate(usize::try_from(durable).unwrap());
    }

    pub(crate) fn set_durable(&self, position: u64) {
        self.durable.send_replace(position);
    }

    pub(crate) fn all_durable(&self) {
        self.set_durable(u64::MAX);
    }

    pub(crate) fn set_full(&self) {
        self.mode.store(FULL, SeqCst);
    }

    pub(crate) fn set_failed(&self) {
        self.mode.store(FAILED, SeqCst);
    }

    pub(crate) fn set_ready(&self) {
        self.mode.store(TAKES, SeqCst);
    }

    pub(crate) fn payloads(&self) -> Vec<String> {
        let text = |(_, payload): &(String, Vec<u8>)| String::from_utf8_lossy(payload).into_owned();
        self.taken.lock().iter().map(text).collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.taken.lock().len()
    }

    /// Lengths of the runs taken.
    pub(crate) fn runs(&self) -> Vec<usize> {
        self.runs.lock().clone()
    }
}

impl Intake for TestIntake {
    fn wants(&self, topic: &str) -> bool {
        topic.starts_with("dt/")
    }

    fn take(&self, _: &Client, run: &[Telemetry<'_>]) -> Taken {
        match self.mode.load(SeqCst) {
            FULL => return Taken::Full,
            FAILED => return Taken::Failed,
            _ => {}
        }
        let mut taken = self.taken.lock();
        taken.extend(run.iter().map(|t| (t.topic.to_owned(), t.payload.to_vec())));
        self.runs.lock().push(run.len());
        Taken::At(taken.len() as u64)
    }

    fn durable(&self) -> watch::Receiver<u64> {
        self.durable.subscribe()
    }
}

/// Lets everybody in, to everything, but with the password "bad".
struct TestGate(watch::Sender<u64>);

impl Gate for TestGate {
    fn login(&self, login: &Login<'_>) -> Result<Granted, Refused> {
        match (login.user, login.password) {
            (_, Some(b"bad")) => Err(Refused::BadUserOrPassword),
            (Some("nobody"), _) => Err(Refused::NotAuthorized),
            (user, _) => Ok(Granted {
                user: user.map(Into::into),
                credential: None,
                roles: Arc::from([]),
                rights: Rights::all(),
            }),
        }
    }

    fn rights(&self, _: &Client) -> Option<Rights> {
        Some(Rights::all())
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

/// A disk in memory: what was written is read by the next broker over it.
#[derive(Default)]
pub(crate) struct TestDisk {
    entries: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
    /// Writes that were made.
    writes: AtomicU64,
    /// Writes that may be made, after which all fail.
    allowed: AtomicU64,
}

impl TestDisk {
    /// A disk that stops after `writes`, over what is on `before`.
    pub(crate) fn after(before: &Self, writes: u64) -> Self {
        Self {
            entries: Mutex::new(before.entries.lock().clone()),
            writes: AtomicU64::new(0),
            allowed: AtomicU64::new(writes),
        }
    }

    /// A disk with what is on this one now: what a process that is killed now leaves behind.
    pub(crate) fn left(&self) -> Arc<Self> {
        Arc::new(Self::after(self, u64::MAX))
    }

    /// No write succeeds until [`TestDisk::go_on`].
    pub(crate) fn stop(&self) {
        self.allowed.store(0, SeqCst);
    }

    pub(crate) fn go_on(&self) {
        self.allowed.store(u64::MAX, SeqCst);
    }

    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(SeqCst)
    }

    pub(crate) fn keys(&self) -> Vec<Vec<u8>> {
        self.entries.lock().keys().cloned().collect()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>)) {
        change(&mut self.entries.lock());
    }
}

impl Disk for TestDisk {
    fn read(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), DiskFailed> {
        (self.entries.lock().iter()).for_each(|(key, value)| each(key, value));
        Ok(())
    }

    fn write(&self, changes: Changes) -> Result<(), DiskFailed> {
        let mut map = self.entries.lock();
        if self.writes.load(SeqCst) >= self.allowed.load(SeqCst) {
            return Err(DiskFailed);
        }
        self.writes.fetch_add(1, SeqCst);
        for (key, value) in changes {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
        }
        Ok(())
    }
}

/// Keeps `twin/1` and `twin/2`.
struct TestRetained;

impl RetainedSource for TestRetained {
    fn owns(&self, topic: &str) -> bool {
        topic.starts_with("twin/")
    }

    fn matching(&self, filter: &str, emit: &mut dyn FnMut(String, Bytes)) {
        for topic in ["twin/1", "twin/2"] {
            if ["twin/#", "twin/+", topic].contains(&filter) {
                emit(topic.to_owned(), Bytes::from_static(b"from the host"));
            }
        }
    }
}

/// A broker that serves.
pub(crate) struct Door {
    pub(crate) broker: Arc<Broker>,
    pub(crate) intake: Arc<TestIntake>,
    pub(crate) disk: Arc<TestDisk>,
    pub(crate) port: u16,
}

impl Door {
    pub(crate) async fn open() -> Self {
        Self::with(Config::default(), Vec::new()).await
    }

    /// With messages that the host publishes first.
    pub(crate) async fn with(config: Config, kept: Vec<Message>) -> Self {
        let disk = TestDisk::default().left();
        let door = Self::over(config, disk, TestIntake::new()).await;
        door.publish_first(kept).await;
        door
    }

    /// With a gate of the test's own.
    pub(crate) async fn behind(gate: Arc<dyn Gate>, config: Config, kept: Vec<Message>) -> Self {
        let disk = TestDisk::default().left();
        let door = Self::whole(gate, config, disk, TestIntake::new()).await;
        door.publish_first(kept).await;
        door
    }

    async fn publish_first(&self, kept: Vec<Message>) {
        if !kept.is_empty() {
            self.host(move |publisher| publisher.publish(kept)).await;
        }
    }

    /// Over what an earlier one has left.
    pub(crate) async fn over(config: Config, disk: Arc<TestDisk>, intake: Arc<TestIntake>) -> Self {
        let gate = Arc::new(TestGate(watch::Sender::new(0)));
        Self::whole(gate, config, disk, intake).await
    }

    async fn whole(
        gate: Arc<dyn Gate>,
        config: Config,
        disk: Arc<TestDisk>,
        intake: Arc<TestIntake>,
    ) -> Self {
        let hooks = Hooks {
            gate,
            intake: intake.clone(),
            retained: Arc::new(TestRetained),
            disk: disk.clone(),
        };
        let broker = Arc::new(Broker::start(config, hooks).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = broker.clone();
        tokio::spawn(async move { server.serve(listener, std::future::pending()).await });
        Self {
            broker,
            intake,
            disk,
            port,
        }
    }

    /// The broker that follows when this one is killed now.
    pub(crate) async fn killed(&self) -> Self {
        Self::over(Config::default(), self.disk.left(), self.intake.clone()).await
    }

    /// Waits until everything that was done is on disk.
    pub(crate) async fn settled(&self) {
        let mut fence = Wire::join(self.port, crate::wire::Connect::v5("fence").lasting()).await;
        fence.subscribe(1, "fence", 0).await;
        fence.leave().await;
    }

    /// A second listener, over TLS; its port.
    pub(crate) async fn serve_tls(&self, tls: Arc<Tls>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = self.broker.clone();
        tokio::spawn(async move {
            server
                .serve_tls(listener, tls, std::future::pending())
                .await
        });
        port
    }

    /// A 3.1.1 client with a clean session.
    pub(crate) async fn v3(&self, id: &str) -> Wire {
        Wire::join(self.port, crate::wire::Connect::v3(id)).await
    }

    /// An MQTT 5 client with a clean start.
    pub(crate) async fn v5(&self, id: &str) -> Wire {
        Wire::join(self.port, crate::wire::Connect::v5(id)).await
    }

    pub(crate) fn stats(&self) -> Stats {
        self.broker.stats()
    }

    /// Publishes from the host, off the async workers as the broker asks.
    pub(crate) async fn host(&self, publish: impl FnOnce(Publisher) + Send + 'static) {
        let publisher = self.broker.publisher();
        tokio::task::spawn_blocking(move || publish(publisher))
            .await
            .unwrap();
    }

    /// Waits for a number to be counted.
    pub(crate) async fn until(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + SOON;
        while !reached(self) {
            assert!(
                Instant::now() < deadline,
                "never: {what}; {:?}",
                self.stats()
            );
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// The broker still lets a client in, and delivers by exact topic and by wildcard.
    pub(crate) async fn assert_serves(&self) {
        let mut check = self.v5("").await;
        check.subscribe(1, "still/+/here", 1).await;
        check.subscribe(2, "still/serves", 0).await;
        check.publish("still/ä/here", "1", 0, 0).await;
        check.publish("still/serves", "2", 0, 0).await;
        let mut got = vec![check.message().await.payload, check.message().await.payload];
        got.sort();
        assert_eq!(got, ["1", "2"]);
    }
}

/// The result, which must be there soon.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(SOON, future).await {
        Ok(result) => result,
        Err(_) => panic!("not in time: {what}"),
    }
}
