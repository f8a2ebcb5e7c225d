//! A running sink with a journal and a ledger in memory.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::influx::{
    DeadLetter, InfluxApi, InfluxConfig, Ledger, Lines, Point, RunError, SinkReport, SinkState,
    SinkStatus, Source, StoreError, run,
};

/// Longest a test waits for what it expects.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Event time of the first sample: 2026-06-01.
pub(super) const EPOCH: i64 = 1_780_272_000_000;

/// A point that owns its names.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    pub(super) measurement: String,
    pub(super) area: String,
    pub(super) cell: String,
    pub(super) device: String,
    pub(super) field: String,
    pub(super) value: f64,
    pub(super) time: i64,
}

impl Sample {
    pub(super) fn of(device: &str, field: &str, value: f64, time: i64) -> Self {
        Self {
            measurement: "environment".into(),
            area: "friedrichstadt".into(),
            cell: "891f1d48a3bffff".into(),
            device: device.into(),
            field: field.into(),
            value,
            time,
        }
    }

    pub(super) fn point(&self) -> Point<'_> {
        Point {
            measurement: &self.measurement,
            area: &self.area,
            cell: (!self.cell.is_empty()).then_some(self.cell.as_str()),
            device: &self.device,
            field: &self.field,
            value: self.value,
            time: self.time,
        }
    }
}

/// `count` entries of one line each, of devices `d0`, `d1`, ...
pub(super) fn entries(count: usize) -> Vec<Vec<Sample>> {
    (0..count)
        .map(|n| {
            vec![Sample::of(
                &format!("d{n}"),
                "no2",
                n as f64 / 10.0,
                EPOCH + n as i64,
            )]
        })
        .collect()
}

/// Fast pauses, so that tests wait little.
pub(super) fn config(url: &str, api: InfluxApi) -> InfluxConfig {
    InfluxConfig {
        batch_delay: Duration::from_millis(5),
        timeout: Duration::from_secs(20),
        retry_first: Duration::from_millis(1),
        retry_longest: Duration::from_millis(20),
        retry_misconfigured: Duration::from_millis(10),
        drain: Duration::from_millis(300),
        ..InfluxConfig::new(url, api)
    }
}

pub(super) fn v1() -> InfluxApi {
    InfluxApi::V1 {
        database: "city".into(),
        user: None,
        password_file: None,
    }
}

pub(super) fn v2() -> InfluxApi {
    InfluxApi::V2 {
        org: "dresden".into(),
        bucket: "city".into(),
        token_file: None,
    }
}

#[derive(Default)]
struct Memory {
    entries: Mutex<Vec<Vec<Sample>>>,
    /// Calls of source and ledger that fail before the next one works.
    faults: Mutex<u32>,
}

impl Memory {
    fn fault(&self) -> Result<(), StoreError> {
        let mut faults = self.faults.lock();
        if *faults == 0 {
            return Ok(());
        }
        *faults -= 1;
        Err(StoreError("the disk is full, says the test".into()))
    }
}

struct Reader {
    memory: Arc<Memory>,
    position: u64,
}

impl Source for Reader {
    fn position(&self) -> u64 {
        self.position
    }

    fn fill(&mut self, out: &mut Lines, max_lines: usize) -> Result<(), StoreError> {
        self.memory.fault()?;
        let entries = self.memory.entries.lock();
        for entry in entries.iter().skip(self.position as usize) {
            if out.len() >= max_lines {
                break;
            }
            for sample in entry {
                out.push(&sample.point());
            }
            self.position += 1;
        }
        Ok(())
    }
}

struct Book {
    memory: Arc<Memory>,
    position: watch::Sender<u64>,
    dead: Mutex<Vec<DeadLetter>>,
}

impl Ledger for Book {
    fn settle(&self, position: u64, dead: &[DeadLetter]) -> Result<(), StoreError> {
        self.memory.fault()?;
        self.dead.lock().extend_from_slice(dead);
        self.position.send_replace(position);
        Ok(())
    }
}

/// The sink and everything around it.
pub(super) struct Rig {
    memory: Arc<Memory>,
    book: Arc<Book>,
    pub(super) state: Arc<SinkState>,
    head: watch::Sender<u64>,
    shutdown: watch::Sender<bool>,
    task: JoinHandle<Result<(), RunError>>,
}

impl Rig {
    pub(super) fn start(config: InfluxConfig, entries: Vec<Vec<Sample>>) -> Self {
        Self::start_with_faults(config, entries, 0)
    }

    pub(super) fn start_with_faults(
        config: InfluxConfig,
        entries: Vec<Vec<Sample>>,
        faults: u32,
    ) -> Self {
        let head = watch::Sender::new(entries.len() as u64);
        let memory = Arc::new(Memory {
            entries: Mutex::new(entries),
            faults: Mutex::new(faults),
        });
        let book = Arc::new(Book {
            memory: Arc::clone(&memory),
            position: watch::Sender::new(0),
            dead: Mutex::default(),
        });
        let state = Arc::new(SinkState::new(head.subscribe()));
        let shutdown = watch::Sender::new(false);
        let reader = Box::new(Reader {
            memory: Arc::clone(&memory),
            position: 0,
        });
        let ledger = Arc::clone(&book) as Arc<dyn Ledger>;
        let task = tokio::spawn(run(
            config,
            reader,
            ledger,
            Arc::clone(&state),
            shutdown.subscribe(),
        ));
        Self {
            memory,
            book,
            state,
            head,
            shutdown,
            task,
        }
    }

    pub(super) fn push(&self, entries: Vec<Vec<Sample>>) {
        let mut all = self.memory.entries.lock();
        all.extend(entries);
        self.head.send_replace(all.len() as u64);
    }

    pub(super) fn position(&self) -> u64 {
        *self.book.position.borrow()
    }

    pub(super) fn dead(&self) -> Vec<DeadLetter> {
        self.book.dead.lock().clone()
    }

    /// Waits until the cursor has come to the end of what was pushed.
    pub(super) async fn caught_up(&self) {
        let end = *self.head.borrow();
        let waiting = until(|| self.report().delivered >= end);
        let waited = timeout(PATIENCE, waiting).await;
        assert!(
            waited.is_ok(),
            "stuck at {} of {end}: {:?}",
            self.position(),
            self.report()
        );
    }

    pub(super) fn report(&self) -> SinkReport {
        self.state.report()
    }

    pub(super) async fn has_status(&self, status: SinkStatus) {
        until(|| self.report().status == status).await;
    }

    pub(super) fn shut_down(&self) {
        self.shutdown.send_replace(true);
    }

    pub(super) async fn ended(self) -> (Arc<SinkState>, u64) {
        let result = timeout(PATIENCE, self.task)
            .await
            .expect("the sink does not end");
        result.unwrap().unwrap();
        (self.state, *self.book.position.borrow())
    }
}

/// Polls until `done`, and not longer than [`PATIENCE`].
pub(super) async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE * 2, waiting)
        .await
        .expect("it never came about");
}
