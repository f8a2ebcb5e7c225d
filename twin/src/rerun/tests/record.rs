//! A data folder as a node writes one: journal, snapshots and packages, decisions behind the
//! entries that cut their batches.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use hashbrown::HashMap;
use quartier_plugin_host::{Host, Package, Plugin};

use crate::event::{Decision, Deployed, Digest, Entry, Event, FORMAT, Origin, PluginRecord, Stage};
use crate::journal::{Batch, Journal as _, Options, SegmentJournal};
use crate::model::{Millis, Observed, Place, Quality, QuarterRecord, Reading};
use crate::plugins::{Artifacts, record_of};
use crate::rerun::lines::Lines;
use crate::snapshots::{Snapshot, Snapshots};
use crate::state::{Effects, PluginJob, Twin};

pub(super) const START: i64 = 1_780_272_000_000;

/// A component of `plugins/build`; `None`, said on stderr, where it was not built.
pub(super) fn component(name: &str) -> Option<PathBuf> {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/target/components");
    let path = components.join(name);
    if path.join("component.wasm").is_file() {
        return Some(path);
    }
    eprintln!(
        "SKIPPED: no component in {}: run plugins/build",
        path.display()
    );
    None
}

/// A node that is only its data.
pub(super) struct Recorder<'a> {
    journal: SegmentJournal,
    snapshots: Snapshots,
    twin: Twin,
    lines: Lines<'a>,
    effects: Effects,
    /// Decided, not recorded yet.
    waiting: VecDeque<Decision>,
    /// So many may wait.
    lag: usize,
    chains: HashMap<u64, Digest>,
    time: i64,
}

/// The programs that a recorder and its folder have.
pub(super) fn artifacts(data: &Path, packages: &[&Package]) -> (Artifacts, Vec<Plugin>) {
    let artifacts = Artifacts::new(Host::without_deadlines().unwrap(), data);
    let keep = |package: &&Package| {
        artifacts.keep(package).unwrap();
        artifacts.check(package).unwrap()
    };
    let plugins = packages.iter().map(keep).collect();
    (artifacts, plugins)
}

pub(super) fn record(plugin: &Plugin, batch: u32, config: &[(&str, &str)]) -> PluginRecord {
    let config = config
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let config = config.collect();
    PluginRecord {
        batch,
        ..record_of(plugin, "q", Stage::Quarter, Origin::Api, config)
    }
}

impl<'a> Recorder<'a> {
    pub(super) fn new(data: &Path, artifacts: &'a Artifacts, lag: usize) -> Self {
        std::fs::create_dir_all(data).unwrap();
        std::fs::write(data.join("format"), format!("{FORMAT}\n")).unwrap();
        let options = Options {
            segment_bytes: 100_000,
            ..Options::default()
        };
        let mut recorder = Self {
            journal: SegmentJournal::open(data.join("journal"), options).unwrap(),
            snapshots: Snapshots::open(data.join("snapshots")).unwrap(),
            twin: Twin::new(),
            lines: Lines::new(artifacts),
            effects: Effects::default(),
            waiting: VecDeque::new(),
            lag,
            chains: HashMap::new(),
            time: 0,
        };
        recorder.push(Event::QuarterPut(QuarterRecord {
            id: "q".to_owned(),
            name: "Q".to_owned(),
            cells: Vec::new(),
            timezone: "Europe/Berlin".to_owned(),
        }));
        recorder
    }

    pub(super) fn deploy(&mut self, record: PluginRecord) {
        self.push(Event::PluginDeployed(Deployed {
            record,
            by: "ada".to_owned(),
            why: "tested".to_owned(),
            ..Deployed::default()
        }));
    }

    /// A second later, a reading of one of three wallboxes.
    pub(super) fn power(&mut self, value: f64) {
        self.time += 1000;
        let asset = format!("w{}", self.time / 1000 % 3);
        self.push(Event::Observed(Observed {
            quarter: "q",
            asset: &asset,
            place: Place::new(51.05, 13.74),
            readings: vec![Reading {
                metric: "power",
                value,
                time: self.now(),
                quality: Quality::Good,
                unit: None,
            }],
        }));
    }

    /// Two and a half minutes later, a reading of PM10 and a tick.
    pub(super) fn pm10(&mut self, value: f64) {
        self.time += 150_000;
        self.push(Event::Observed(Observed {
            quarter: "q",
            asset: "box-1",
            place: None,
            readings: vec![Reading {
                metric: "pm10",
                value,
                time: self.now(),
                quality: Quality::Good,
                unit: None,
            }],
        }));
        self.tick();
    }

    pub(super) fn tick(&mut self) {
        self.push(Event::Ticked);
    }

    pub(super) fn now(&self) -> Millis {
        Millis(START + self.time)
    }

    pub(super) fn push(&mut self, event: Event<'_>) {
        self.append(event);
        while self.waiting.len() > self.lag {
            self.record_one();
        }
    }

    fn record_one(&mut self) {
        if let Some(decision) = self.waiting.pop_front() {
            self.append(Event::Decided(decision));
        }
    }

    fn append(&mut self, event: Event<'_>) {
        let at = self.now();
        let entry = Entry { at, event };
        let mut batch = Batch::new();
        batch.push(&postcard::to_allocvec(&entry).unwrap());
        let position = self.journal.append(&batch).unwrap();
        self.twin.fold(position, &entry, &mut self.effects);
        for job in std::mem::take(&mut self.effects.jobs) {
            match job {
                PluginJob::Stop(run) => self.lines.stop(run),
                PluginJob::Start(start) => {
                    if let Some(started) = self.lines.start(&start, &self.twin) {
                        self.append(Event::PluginStarted(started));
                    }
                }
                PluginJob::Batch(batch) => {
                    let previous = self.chains.get(&batch.run).copied().unwrap_or_default();
                    let decision = self.lines.answer(&batch, previous, &self.twin);
                    if let Some(decision) = decision {
                        self.chains.insert(batch.run, decision.hash());
                        self.waiting.push_back(decision);
                    }
                }
            }
        }
        self.effects.clear();
    }

    pub(super) fn snapshot(&mut self) {
        let snapshot = Snapshot {
            position: self.twin.position(),
            twin: self.twin.to_bytes().unwrap(),
            plugins: self.lines.states().unwrap(),
        };
        self.snapshots.write(&snapshot, 1).unwrap();
    }

    /// Records what waits and ends.
    pub(super) fn end(mut self) -> u64 {
        while !self.waiting.is_empty() {
            self.record_one();
        }
        self.journal.close();
        self.twin.position()
    }
}

/// A copy of a data folder in which each entry is what `change` makes of it.
pub(super) fn tampered(from: &Path, to: &Path, mut change: impl FnMut(u64, &mut Decision)) {
    use crate::journal::{JournalFiles, Reader as _};
    for folder in ["snapshots", "plugins"] {
        copy(&from.join(folder), &to.join(folder));
    }
    std::fs::copy(from.join("format"), to.join("format")).unwrap();
    let journal = SegmentJournal::open(to.join("journal"), Options::default()).unwrap();
    let files = JournalFiles::open(&from.join("journal")).unwrap();
    let mut reader = files.reader(1).unwrap();
    while let Some(frame) = reader.next().unwrap() {
        for (position, bytes) in frame.entries() {
            let mut entry: Entry<'_> = postcard::from_bytes(bytes).unwrap();
            if let Event::Decided(decision) = &mut entry.event {
                change(position, decision);
            }
            let mut batch = Batch::new();
            batch.push(&postcard::to_allocvec(&entry).unwrap());
            assert_eq!(journal.append(&batch).unwrap(), position);
        }
    }
    journal.close();
}

pub(super) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
